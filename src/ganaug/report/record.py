"""What the provenance files say about a run, gathered: code, packages, machines, time."""

from collections import defaultdict
from pathlib import Path

from ganaug.errors import UserError
from ganaug.files import read_json
from ganaug.layout import cell_folder, subset_folder
from ganaug.study.grid import Grid

# The long stages, in the order of the work, with the words to show for them.
STAGES = {
    "gan": "StyleGAN2-ADA training",
    "synthetic": "sampling of synthetic images",
    "fidelity": "fidelity",
    "cells": "classifier training and test",
}


def facts(results: Path, grid: Grid, generated: bool) -> dict:
    """commits, pythons, systems, devices: sorted lists of what was met; cpus: rows of model, threads (of PyTorch, as
    text) and jobs; packages: name to versions met; stages: rows of name, jobs, wall_seconds (sum), longest_seconds,
    memory_mib (most), devices.

    Raises UserError where a provenance file is missing that should be there.
    """
    folders = {
        stage: [subset_folder(stage, *subset) for subset in grid.subsets] for stage in STAGES if stage != "cells"
    }
    folders = folders if generated else {}
    folders["cells"] = [
        cell_folder(a, size, replicate, b)
        for size, replicate in grid.subsets
        for a in grid.trained(size)
        for b in grid.backbones
    ]
    files = {stage: [results / folder / "provenance.json" for folder in paths] for stage, paths in folders.items()}
    records = {stage: [_read(path) for path in paths if grid.there(path)] for stage, paths in files.items()}
    everything = [r for rs in records.values() for r in rs]
    packages = defaultdict(set)
    for r in everything:
        for name, version in r["packages"].items():
            packages[name].add(version)
    return {
        "commits": sorted({r["git_commit"] or "unknown (no git checkout that git trusts)" for r in everything}),
        "pythons": sorted({r["python"] for r in everything}),
        "systems": sorted({r["machine"]["system"] for r in everything}),
        "devices": sorted({r["machine"]["device"] for r in everything}),
        "cpus": _cpus(everything),
        "packages": {name: ", ".join(sorted(versions)) for name, versions in packages.items()},
        "stages": [_stage(STAGES[stage], rs) for stage, rs in records.items() if rs],
        "wall_seconds": sum(r["wall_seconds"] for r in everything),
    }


def _cpus(records: list[dict]) -> list[dict]:
    """CPU models with the threads that jobs had on them, most jobs first; the model is empty where none is recorded."""
    models: dict[str, list[str]] = {}
    for record in records:
        threads = str(record["threads"]) if record.get("threads") else ""
        models.setdefault(record["machine"].get("cpu") or "", []).append(threads)
    rows = [
        {"model": model, "threads": " or ".join(sorted(set(threads) - {""}, key=int)), "jobs": len(threads)}
        for model, threads in models.items()
    ]
    return sorted(rows, key=lambda row: (-len(models[row["model"]]), row["model"]))


def _stage(name: str, records: list[dict]) -> dict:
    return {
        "name": name,
        "jobs": len(records),
        "wall_seconds": sum(r["wall_seconds"] for r in records),
        "longest_seconds": max(r["wall_seconds"] for r in records),
        "memory_mib": max(r["peak_memory_mib"] for r in records),
        "devices": ", ".join(sorted({r["machine"]["device"] for r in records})),
    }


def _read(path: Path) -> dict:
    if not path.is_file():
        raise UserError(f"{path}: missing; the job that writes it has not finished. Run the study again")
    return read_json(path)


def hours(seconds: float) -> str:
    """Seconds as `42 s`, `12 min` or `3 h 5 min`."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60:,} h {minutes % 60} min"

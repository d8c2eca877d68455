"""Stage check_lineage: what every GAN and classifier read is what its subset holds, by the hashes in the provenance."""

import argparse
from pathlib import Path

from ganaug.analysis.missing import add_argument, missing_files
from ganaug.analysis.results import Grid
from ganaug.errors import UserError
from ganaug.files import read_json, write_json
from ganaug.layout import cell_folder, subset_folder

NAMED = 10  # breaches in the message


def add_arguments(parser: argparse.ArgumentParser) -> None:
    inputs = parser.add_argument_group("inputs")
    inputs.add_argument("--results", type=Path, required=True, help="folder of the study's results")
    add_argument(inputs)
    outputs = parser.add_argument_group("outputs")
    outputs.add_argument("--report", type=Path, required=True, help="what was compared, .json")


def run(args: argparse.Namespace) -> None:
    grid = Grid(**args.settings, missing=missing_files(args.unfinished))
    found, compared = breaches(args.results, grid)
    if found:
        more = f"\n  and {len(found) - NAMED} more" if found[NAMED:] else ""
        raise UserError(
            "these were trained on other images than their subset's; delete their folders and run the study again:\n"
            + "\n".join(f"  {line}" for line in found[:NAMED])
            + more
        )
    write_json(args.report, {"compared": compared, "breaches": 0})


def breaches(results: Path, grid: Grid) -> tuple[list[str], dict[str, int]]:
    """(a line per file that was not read as it is, counts of what was compared)."""
    lines, compared = [], {"gans": 0, "synthetic_sets": 0, "cells": 0}
    test = _record(results, results / "data" / "test.provenance.json")["outputs"]
    for size, replicate in grid.subsets:
        path = results / subset_folder("subsets", size, replicate) / "provenance.json"
        if not grid.there(path):
            continue  # then nothing that was trained on it is there either
        subset = _record(results, path)["outputs"]
        training = {path: digest for path, digest in subset.items() if Path(path).stem == "train"}
        synthetic = {}
        gan = results / subset_folder("gan", size, replicate)
        if grid.synthetic and grid.there(gan / "provenance.json"):
            made = _record(results, gan / "provenance.json")
            lines += _differences(gan, made["inputs"], training)
            compared["gans"] += 1
            folder = results / subset_folder("synthetic", size, replicate)
            for ratio in ["", *grid.ratios]:
                path = folder / (f"ratio-{ratio}" if ratio else "") / "provenance.json"
                if not grid.there(path):
                    continue
                sample = _record(results, path)
                generator = {path: digest for path, digest in made["outputs"].items() if "generator" in Path(path).name}
                labels = {path: digest for path, digest in training.items() if path.endswith(".csv")}
                lines += _differences(folder, sample["inputs"], generator | labels)
                synthetic[ratio] = {p: d for p, d in sample["outputs"].items() if Path(p).stem == "images"}
                compared["synthetic_sets"] += 1
        for augmentation in grid.trained(size):
            name, _, ratio = augmentation.partition("@")
            for backbone in grid.backbones:
                cell = results / cell_folder(augmentation, size, replicate, backbone)
                if not grid.there(cell / "provenance.json"):
                    continue
                wanted = subset | test | (synthetic[ratio] if name in grid.synthetic else {})
                lines += _differences(cell, _record(results, cell / "provenance.json")["inputs"], wanted)
                compared["cells"] += 1
    return lines, compared


def _record(results: Path, path: Path) -> dict[str, dict[str, str]]:
    """inputs and outputs of a provenance file, named from the study's folder on: jobs differ in what lies before it."""
    study, found = "/".join(results.absolute().parts[-2:]) + "/", read_json(path)
    return {
        side: {name.rpartition(study)[2]: digest for name, digest in found.get(side, {}).items()}
        for side in ("inputs", "outputs")
    }


def _differences(reader: Path, read: dict[str, str], wanted: dict[str, str]) -> list[str]:
    """Image sets and lists that a stage read and should not have, or did not read as they are."""
    lists: dict[str, str | None] = {
        path: digest for path, digest in read.items() if Path(path).suffix in (".npy", ".csv")
    }
    lists |= {path: read.get(path) for path in wanted}
    return [f"{reader}: {path}" for path in sorted(lists) if lists[path] != wanted.get(path)]

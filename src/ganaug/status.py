"""Stage show_status: how far a study is, what it has taken and what is left, from its files alone.

Works without a driver and while one runs. A job is done where its output is there; failed where its log holds an error;
running where its log has begun and not ended; else waiting. Hours left are those of the finished jobs of the stage, on
average, times the jobs that are left: a guess, and none where no job of a stage has finished.
"""

import argparse
import re
import time
from dataclasses import dataclass
from pathlib import Path

from ganaug.files import read_json

DONE, RUNNING, FAILED, WAITING = "done", "running", "failed", "waiting"
ENDED = re.compile(r" INFO \w+ done in [\d.]+ s$")
BROKEN = re.compile(r" ERROR ")
LAST_LINES = 5  # of a failed job's log


@dataclass(frozen=True)
class Job:
    """stage: its rule. output: the file that tells that it is done. log: of the stage."""

    stage: str
    output: Path
    log: Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    inputs = parser.add_argument_group("inputs")
    inputs.add_argument("--plan", type=Path, required=True, help="plan.json of the study, in its results")


def run(args: argparse.Namespace) -> None:
    jobs = [Job(job["stage"], Path(job["output"]), Path(job["log"])) for job in read_json(args.plan)["jobs"]]
    print(report(jobs, time.time()))


def state(job: Job) -> str:
    if job.output.is_file():
        return DONE
    if not job.log.is_file():
        return WAITING
    lines = job.log.read_text(encoding="utf-8", errors="replace").splitlines()
    if any(BROKEN.search(line) for line in lines):
        return FAILED
    return WAITING if lines and ENDED.search(lines[-1]) else RUNNING  # ended, but its output is gone: to be made again


def report(jobs: list[Job], now: float) -> str:
    """The table of stages and the failed jobs, as text."""
    states = {job: state(job) for job in jobs}
    header = (
        "stage",
        "jobs",
        DONE,
        RUNNING,
        FAILED,
        WAITING,
        "GPU h",
        "CPU h",
        "GPU h left",
        "CPU h left",
        "GB",
        "GB at end",
    )
    rows, totals = [], [0.0] * 11
    for stage in dict.fromkeys(job.stage for job in jobs):
        ours = [job for job in jobs if job.stage == stage]
        counts = [sum(states[job] == kind for job in ours) for kind in (DONE, RUNNING, FAILED, WAITING)]
        records = [r for job in ours if states[job] == DONE and (r := _record(job.output))]
        gpu = sum(r["wall_seconds"] for r in records if r["machine"]["device"] != "cpu") / 3600
        cpu = sum(r["cpu_seconds"] for r in records) / 3600
        disk = sum(_size(job.output.parent) for job in ours if states[job] == DONE) / 1e9
        known = counts[0] > 0
        left = (len(ours) - counts[0]) / counts[0] if known else float("nan")
        values = [len(ours), *counts, gpu, cpu, gpu * left, cpu * left, disk, disk * (1 + left)]
        rows.append([stage, *(str(v) for v in values[:5]), *(_shown(v) for v in values[5:])])
        totals = [t + (v if v == v else 0) for t, v in zip(totals, values, strict=True)]
    rows.append(["all", *(f"{t:.0f}" for t in totals[:5]), *(_shown(t) for t in totals[5:])])
    lines = _aligned([header, *rows])
    for job, kind in states.items():
        if kind == FAILED:
            end = job.log.read_text(encoding="utf-8", errors="replace").splitlines()[-LAST_LINES:]
            lines += ["", f"failed: {job.output}", f"  {job.log}:", *(f"    {line}" for line in end)]
        elif kind == RUNNING:
            silent = (now - job.log.stat().st_mtime) / 60
            if silent > 60:
                lines += ["", f"silent for {silent:.0f} minutes, ended without a word perhaps: {job.log}"]
    return "\n".join(lines)


def _record(path: Path) -> dict | None:
    """A job's provenance, where it keeps one."""
    return read_json(path) if path.name.endswith("provenance.json") else None


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.iterdir() if path.is_file())


def _shown(value: float) -> str:
    return "?" if value != value else f"{value:.2f}"


def _aligned(rows: list) -> list[str]:
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return [
        "  ".join(
            cell.ljust(w) if i == 0 else cell.rjust(w) for i, (cell, w) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    ]

"""A small study's plan and results with real files, for the tests of what is told from them."""

import argparse
import json
import os
import time
from pathlib import Path

from ganaug.attempts import beside, here
from ganaug.drivers import file_of
from ganaug.overview import plan
from ganaug.overview.plan import Plan
from ganaug.study.arguments import add_study
from ganaug.study.jobs import Job

STUDY = {
    "study": "lab",
    "device": "auto",
    "sizes": [20, 200],
    "replicates": 2,
    "augmentations": ["none", "gan"],
    "backbones": ["resnet18"],
    "data": {"resolution": 32},
    "splits": {"test_share": 0.25, "validation_share": 0.2},
    "synthetic": {"ratio": 1},
    "classifier": {"epochs": 10, "steps_per_epoch": None, "batch": 16, "input_size": 64},
    "statistics": {"bootstrap_samples": 1000},
    "gan": {"kimg": 10, "batch": 8, "channel_base": 512, "channel_max": 32, "latent": 64, "mapping_layers": 2}
    | {"path_length_weight": 0, "snapshot_kimg": 5, "snapshot_images": 16}
    | {"precision": "float32", "half_resolutions": 4, "tf32": False},
}


def job(root: Path, rule: str, after=(), gpus=1, threads=2, **wildcards) -> Job:
    folder = {"train_gan": "gan", "train_classifier": "cells", "make_subset": "subsets"}[rule]
    cell = "/".join(f"{key}-{value}" for key, value in wildcards.items())
    return Job(
        rule=rule,
        wildcards={key: str(value) for key, value in wildcards.items()},
        inputs=[],
        given=[],
        outputs=[Path(root, folder, cell, name) for name in ("weights.bin", "provenance.json")],
        log=Path(root, "logs", rule, f"{cell}.log"),
        benchmark=Path(root, "benchmarks", rule, f"{cell}.tsv"),
        checkpoints=Path(root, "checkpoints/gan", cell) if rule == "train_gan" else None,
        threads=threads,
        gpus=gpus,
        after=list(after),
    )


def plan_of(root: Path, jobs: list[Job], **study) -> Plan:
    return Plan(root, STUDY | study, jobs, dict.fromkeys("abcd", 300))


def plan_told(*words, with_images: bool = False) -> Plan:
    """Of the study that the options of a command name."""
    parser = argparse.ArgumentParser()
    add_study(parser)
    return plan.plan_of(parser.parse_args(list(map(str, words))), with_images)


def finish(made: Job, size: int = 1000) -> None:
    """Write a job's outputs."""
    for output in made.outputs:
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_bytes(b"0" * size)


def attempt(made: Job, *log: str, **end) -> None:
    """Add an attempt at a job to its record, of an hour that began 62 minutes ago; without `outcome` it has no end."""
    path, now = made.log, time.time()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(log))
    begun = {"started": now - 62 * 60, "host": "elsewhere", "pid": 1, "slurm_job": None, "processes": 1}
    begun |= {key: end.pop(key) for key in set(begun) & set(end)}
    ended = {"seconds": 3600.0, "cpu_seconds": 3600.0, "device": "cpu"} | end
    lines = [begun, ended] if "outcome" in end else [begun]
    with open(beside(path), "a") as file:
        file.writelines(json.dumps(line) + "\n" for line in lines)
    os.utime(beside(path), (now - 2 * 60, now - 2 * 60))


def write_dead_driver(runs: Path, study: str = "of other settings") -> None:
    """Write a driver that has died at work on some results, and was the only one; its lock is free."""
    path = file_of(runs)
    path.parent.mkdir(parents=True, exist_ok=True)
    driver = {"host": here(), "pid": 2**22 + 1, "started": 0, "runs": str(runs), "study": study, "executor": "local"}
    path.write_text(json.dumps(driver) + "\n")

"""What an incomplete study lacks, for the stages that work with what there is.

The workflow writes it down as `unfinished.json` when jobs have failed: below `unfinished`, `classifiers` ([there, all])
and `jobs`, a record each with name, rule, wildcards, outputs and log (null where there is none), `failed`, `cause` (the
name of the failed job: itself or one that it waits for; null where the run ended before) and `why`.
"""

import argparse
from pathlib import Path

import pandas as pd

from ganaug.analysis.results import CELL
from ganaug.files import read_json
from ganaug.layout import augmentation_at, ratio_in
from ganaug.privacy import text_without_folders

COLUMNS = ["stage", *CELL, "why"]


def add_argument(inputs: argparse._ArgumentGroup) -> None:
    inputs.add_argument("--unfinished", type=Path, help="what is missing, .json; only for an incomplete study")


def read_unfinished(path: Path | None) -> dict:
    """`jobs` and `classifiers` of the file; none missing without one."""
    return read_json(path)["unfinished"] if path else {"jobs": [], "classifiers": None}


def missing_files(path: Path | None) -> frozenset[str]:
    """The outputs of the unfinished jobs, whether or not an older file lies there."""
    return frozenset(output for job in read_unfinished(path)["jobs"] for output in job["outputs"])


def missing_table(path: Path) -> pd.DataFrame:
    """stage, augmentation, size, replicate, backbone, why: a row per unfinished job. No folder above the study's."""
    here = [str(Path.cwd())]
    rows = [
        {"stage": job["rule"], **place(job["wildcards"]), "why": text_without_folders(job["why"], here)}
        for job in read_unfinished(path)["jobs"]
    ]
    return pd.DataFrame(rows, columns=COLUMNS)


def place(wildcards: dict[str, str]) -> dict[str, str]:
    """Augmentation, size, replicate and backbone of a job; a synthetic set of another ratio is of `gan@<ratio>`."""
    ratio = ratio_in(wildcards.get("at", ""))
    known = {"augmentation": augmentation_at(ratio)} if ratio else {}
    return known | {name: wildcards[name] for name in CELL if name in wildcards}

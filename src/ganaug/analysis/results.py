"""The study's grid and its tables on disk: what tables, figures and report read alike."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from ganaug.errors import UserError
from ganaug.files import read_csv

# Columns that hold names, which may look like numbers (a class called "1") or be mixed ("all" among sizes).
NAMES = (
    "augmentation",
    "trained_on",
    "tested_on",
    "reference",
    "size",
    "backbone",
    "metric",
    "class",
    "label",
    "predicted",
    "extractor",
    "image",
)

# What a cell is known by, as columns of tables.
CELL = ["augmentation", "size", "replicate", "backbone"]

TOLD = 3  # sizes from which a rank correlation or a law says something: two are always in order and always on a law
ALL = "all"  # in the column of classes of calibration: the highest probability, whatever its class
# Priors of the probabilities, as tables name them, with the words to show for them.
PRIORS = {"training": "as trained", "development": "corrected"}
ALIKE = 0.005  # shares that differ by less are shown as one


def read_table(path: Path, columns: list[str]) -> pd.DataFrame:
    """A CSV with at least the given columns; floats come back exactly as written, names stay text.

    Raises UserError where the file is missing or lacks a column.
    """
    if not path.is_file():
        raise UserError(f"{path}: missing; the job that writes it has not finished. Run the study again")
    table = read_csv(path, dtype=dict.fromkeys(NAMES, str))
    lacking = [c for c in columns if c not in table.columns]
    if lacking:
        raise UserError(f"{path}: has no column {', '.join(lacking)}; delete the file and run the study again")
    return table


def left_out(problems: pd.DataFrame, used: pd.Series) -> pd.DataFrame:
    """The first row of each file among the problems that is not used. class is NaN where a file has none.

    problems: file, class and more. used: names of the used files.
    """
    return problems[~problems["file"].isin(used)].drop_duplicates("file")


def shares_used(data: pd.DataFrame, sizes: Sequence[int | str]) -> dict[str, dict[str, float]]:
    """By size, as text, and class: the share of the development set's images that a subset takes, in (0, 1].

    data: class and pool, the images of the development set; a class without any is left out.
    """
    pools = {name: pool for name, pool in zip(data["class"], data["pool"], strict=True) if pool}
    return {str(s): {name: 1.0 if s == "all" else min(1.0, s / pool) for name, pool in pools.items()} for s in sizes}


def row_of(table: pd.DataFrame, *key: str) -> pd.Series:
    """The one row with this key, a part per index level. Raises ValueError where several have it."""
    row = table.xs(key if len(key) > 1 else key[0])
    if not isinstance(row, pd.Series):
        raise ValueError(f"the table has several rows of {', '.join(key)}")
    return row


def class_of(metric: str) -> str | None:
    """The class of a per-class metric (`sensitivity[COVID]` is of `COVID`), None for an average over classes."""
    return metric.split("[", 1)[1].removesuffix("]") if "[" in metric else None


def readable(metric: str) -> str:
    """A fidelity metric's name in words."""
    return metric.replace("_", " ").replace("frechet", "Fréchet").replace(" mean", ", mean of subsets")


def frechet(metric: str) -> bool:
    """Whether a fidelity metric is a Fréchet distance: the higher the fewer the images, and drawn above its floor."""
    return metric in ("fid", "frechet_distance")


def priors_alike(prevalence: pd.DataFrame) -> bool:
    """Whether the development set's shares are the loss's, so that a correction would repeat what is as trained.

    prevalence: the table of that name.
    """
    return bool((prevalence["weighted"] - prevalence["development"]).abs().max() < ALIKE)

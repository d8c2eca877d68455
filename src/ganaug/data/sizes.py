"""Stage check_sizes: can the pool give every size of the study? Asked before anything is trained."""

import argparse
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from ganaug.errors import UserError
from ganaug.files import read_csv, write_csv


@dataclass(frozen=True)
class Settings:
    """sizes: real images per class, or `all`."""

    sizes: list


def add_arguments(parser: argparse.ArgumentParser) -> None:
    inputs = parser.add_argument_group("inputs")
    inputs.add_argument("--splits", type=Path, required=True)
    outputs = parser.add_argument_group("outputs")
    outputs.add_argument("--sizes", type=Path, required=True)


def run(args: argparse.Namespace) -> None:
    splits = read_csv(args.splits, dtype={"class": str})
    write_csv(args.sizes, check_sizes(splits, Settings(**args.settings).sizes))


def check_sizes(splits: pd.DataFrame, sizes: list) -> pd.DataFrame:
    """size, class, asked, available (images of the class in the pool).

    Raises UserError naming every class that has too few for a size, and what there is.
    """
    available = splits[splits["side"] == "pool"].groupby("class").size()
    rows = [
        {"size": size, "class": name, "asked": n if size == "all" else size, "available": n}
        for size in sizes
        for name, n in available.items()
    ]
    table = pd.DataFrame(rows)
    short = table[table["asked"] > table["available"]]
    if len(short):
        told = "; ".join(f"size {r.size}: class {r[2]!r} has {r.available}" for r in short.itertuples(name="Row"))
        raise UserError(
            f"sizes: the pool, what remains beside the test set, can't give every size: {told}. Write sizes of at most "
            f"{available.min()}, add images, or lower splits.test_share"
        )
    return table

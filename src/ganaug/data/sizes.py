"""Stage check_sizes: can the pool give every size of the study? Asked before anything is trained."""

import argparse
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from ganaug.errors import UserError
from ganaug.files import read_csv, write_csv


@dataclass(frozen=True)
class Settings:
    """sizes: real images per class, or `all`. validation_share: of a subset. least_train, least_test: training and test
    images per class that the study's later stages need."""

    sizes: list
    validation_share: float
    least_train: int
    least_test: int


def add_arguments(parser: argparse.ArgumentParser) -> None:
    inputs = parser.add_argument_group("inputs")
    inputs.add_argument("--splits", type=Path, required=True)
    outputs = parser.add_argument_group("outputs")
    outputs.add_argument("--sizes", type=Path, required=True)


def run(args: argparse.Namespace) -> None:
    settings = Settings(**args.settings)
    splits = read_csv(args.splits, dtype={"class": str})
    table = check_sizes(splits, settings.sizes)
    check_training(table, settings)
    check_test(splits, settings.least_test)
    write_csv(args.sizes, table)


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


def check_training(table: pd.DataFrame, settings: Settings) -> None:
    """Raises UserError where a class is left with fewer than `least_train` training images beside its validation."""
    for size, name, asked in zip(table["size"], table["class"], table["asked"], strict=True):
        train = asked - max(1, round(settings.validation_share * asked))
        if train < settings.least_train:
            raise UserError(
                f"size {size}: class {name!r} has {asked} images, so about {train} to train on, but "
                f"{settings.least_train} are needed (fidelity.kid_subset_size and fidelity.prc_neighborhood ask for "
                "them, where there are GANs). Add images, or lower these settings"
            )


def check_test(splits: pd.DataFrame, least: int) -> None:
    """Raises UserError where a class has fewer than `least` test images."""
    counts = splits[splits["side"] == "test"].groupby("class").size()
    if counts.min() < least:
        raise UserError(
            f"class {counts.idxmin()!r} has {counts.min()} test images, but {least} are needed, since the synthetic "
            "images are compared with them (fidelity.kid_subset_size and fidelity.prc_neighborhood). Add images, raise "
            "splits.test_share, or lower these settings"
        )

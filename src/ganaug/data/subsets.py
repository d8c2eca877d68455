"""Stage make_subset: the images of one (size, replicate), split into train and validation, packed into arrays."""

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ganaug.data.images import pack
from ganaug.data.roles import ordered_pool, take
from ganaug.errors import UserError
from ganaug.files import read_csv


@dataclass(frozen=True)
class Settings:
    """size: real images per class, validation included, or `all`. validation_share: in (0, 0.5]. resolution: pixels.
    classes: their order, which numbers the labels; None for sorted by name."""

    size: int | Literal["all"]
    validation_share: float
    resolution: int
    classes: list[str] | None


def add_arguments(parser: argparse.ArgumentParser) -> None:
    inputs = parser.add_argument_group("inputs")
    inputs.add_argument("--splits", type=Path, required=True)
    inputs.add_argument("--data-root", type=Path, required=True)
    outputs = parser.add_argument_group("outputs")
    for side in ("train", "validation"):
        outputs.add_argument(f"--{side}-images", type=Path, required=True)
        outputs.add_argument(f"--{side}-table", type=Path, required=True)


def run(args: argparse.Namespace) -> None:
    """The seed is the replicate's, whatever the size, so that sizes are nested."""
    settings = Settings(**args.settings)
    splits = read_csv(args.splits, dtype={"class": str})
    classes = settings.classes or sorted(splits["class"].unique())
    subset = take(ordered_pool(splits, settings.validation_share, args.seed), settings.size)
    targets = {
        "train": (args.train_images, args.train_table),
        "validation": (args.validation_images, args.validation_table),
    }
    for side, (images, table) in targets.items():
        rows = subset[subset["side"] == side].reset_index(drop=True)
        lacking = sorted(set(classes) - set(rows["class"]))
        if lacking:
            raise UserError(
                f"size {settings.size}: no {side} image of {lacking}; its groups of near-copies are too large for so "
                "small a size. Write a larger size"
            )
        pack(rows, args.data_root, settings.resolution, classes, images, table)

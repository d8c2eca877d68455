"""Stage make_test_set: the test images, packed into one array. The same for every cell."""

import argparse
from dataclasses import dataclass
from pathlib import Path

from ganaug.data.images import pack
from ganaug.files import read_csv


@dataclass(frozen=True)
class Settings:
    """resolution: pixels. classes: their order, which numbers the labels; None for sorted by name."""

    resolution: int
    classes: list[str] | None


def add_arguments(parser: argparse.ArgumentParser) -> None:
    inputs = parser.add_argument_group("inputs")
    inputs.add_argument("--splits", type=Path, required=True)
    inputs.add_argument("--data-root", type=Path, required=True)
    outputs = parser.add_argument_group("outputs")
    outputs.add_argument("--test-images", type=Path, required=True)
    outputs.add_argument("--test-table", type=Path, required=True)


def run(args: argparse.Namespace) -> None:
    settings = Settings(**args.settings)
    splits = read_csv(args.splits, dtype={"class": str})
    classes = settings.classes or sorted(splits["class"].unique())
    rows = splits[splits["side"] == "test"].reset_index(drop=True)
    pack(rows, args.data_root, settings.resolution, classes, args.test_images, args.test_table)

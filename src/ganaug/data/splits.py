"""Stage make_splits: the fixed test set is set aside; the rest is the pool."""

import argparse
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from ganaug.errors import UserError
from ganaug.files import read_csv, write_csv


@dataclass(frozen=True)
class Settings:
    """test_share: share of each class's images for the test set, in (0, 1)."""

    test_share: float


def add_arguments(parser: argparse.ArgumentParser) -> None:
    inputs = parser.add_argument_group("inputs")
    inputs.add_argument("--manifest", type=Path, required=True)
    outputs = parser.add_argument_group("outputs")
    outputs.add_argument("--splits", type=Path, required=True)


def run(args: argparse.Namespace) -> None:
    settings = Settings(**args.settings)
    write_csv(args.splits, make_splits(read_csv(args.manifest, dtype={"class": str}), settings.test_share, args.seed))


def make_splits(manifest: pd.DataFrame, test_share: float, seed: int) -> pd.DataFrame:
    """The used images with their side: columns file, class, group, pixels_sha256, side (`test` or `pool`), by file.

    A group lies wholly on one side. Groups are drawn in a seeded order that depends on their names (hashes of their
    pixels) alone, and go to the test set while the class of most of their images lacks some; so a class's share is met
    to within one group. Raises UserError where a class would have no image on a side.
    """
    used = manifest[manifest["status"] == "used"].sort_values("file", ignore_index=True)
    owner = owners(used)
    sizes = used.groupby("class").size()
    wanted = {name: max(1, round(test_share * n)) for name, n in sizes.items()}
    taken = dict.fromkeys(wanted, 0)
    test = set()
    for group in shuffled(owner, seed):
        name = owner[group]
        counts = used.loc[used["group"] == group, "class"].value_counts()
        if taken[name] < wanted[name] and fits(counts[name], wanted[name] - taken[name]):
            test.add(group)
            for label, count in counts.items():
                taken[label] += count
    used["side"] = np.where(used["group"].isin(test), "test", "pool")
    for name in sizes.index:
        for side, what in (("test", "test set"), ("pool", "pool")):
            if not ((used["class"] == name) & (used["side"] == side)).any():
                groups = used.loc[used["class"] == name, "group"].nunique()
                raise UserError(
                    f"class {name!r} has no image for the {what}: {sizes[name]} usable images in {groups} groups of "
                    f"near-copies or by data.groups, splits.test_share {test_share}. Add images of it, or change the "
                    "share"
                )
    return used[["file", "class", "group", "pixels_sha256", "side"]]


def fits(images: int, lacking: int) -> bool:
    """Whether a group of near-copies may fill what a side lacks: it may go over, but not by much."""
    return images <= 2 * lacking + 1


def owners(images: pd.DataFrame) -> dict[str, str]:
    """The class of most of a group's images (the first by name where equal), by group."""
    counts = images.groupby(["group", "class"]).size().reset_index(name="n")
    counts = counts.sort_values(["group", "n", "class"], ascending=[True, False, True])
    return dict(counts.drop_duplicates("group")[["group", "class"]].itertuples(index=False))


def shuffled(groups: Iterable[str], seed: int) -> list[str]:
    """Groups in a seeded order, whatever the order they are given in: by a hash of seed and name.

    So one group more or less leaves the order of the others as it was, and the subsets that it is not in.
    """
    return sorted(groups, key=lambda name: hashlib.sha256(f"{seed} {name}".encode()).digest())

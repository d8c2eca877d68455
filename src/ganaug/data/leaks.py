"""Stage check_leaks: no image, copy, near-copy or patient stands on two sides of train, validation and test.

Near-copies are looked for by their hashes anew, and the groups of data.groups in the table's own terms: that the split
kept groups together is not taken for granted.
"""

import argparse
import itertools
from pathlib import Path

import pandas as pd

from ganaug.data.near_copies import near_pairs_between, unpacked
from ganaug.errors import UserError
from ganaug.files import read_csv, read_json, write_json

# What must not be shared, by column of an image set's table.
SHARED = {"image": "the same file", "pixels_sha256": "the same pixels", "group": "the same group"}
SIDES = ("train", "validation", "test")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    inputs = parser.add_argument_group("inputs")
    for side in SIDES:
        inputs.add_argument(f"--{side}-table", type=Path, required=True)
    inputs.add_argument("--manifest", type=Path, required=True, help="with the images' perceptual hashes")
    inputs.add_argument("--near-copies", type=Path, required=True, help="from which distance on images are near-copies")
    outputs = parser.add_argument_group("outputs")
    outputs.add_argument("--report", type=Path, required=True, help="what was compared, .json")


def run(args: argparse.Namespace) -> None:
    tables = {side: read_csv(getattr(args, f"{side}_table"), dtype=str) for side in SIDES}
    manifest = read_csv(args.manifest, dtype=str).set_index("file")
    distance = read_json(args.near_copies)["distance"]
    found = breaches(tables) + near_breaches(tables, manifest["perceptual_hash"], distance)
    known = "known_group" in manifest
    if known:
        found += known_breaches(tables, manifest)
    if found:
        raise UserError("images stand on two sides of the split:\n" + "\n".join(f"  {line}" for line in found))
    images = {side: len(table) for side, table in tables.items()}
    compared = [*SHARED, "perceptual_hash", *(["known_group"] if known else [])]
    write_json(args.report, {"images": images, "compared": compared, "breaches": 0})


def breaches(tables: dict[str, pd.DataFrame]) -> list[str]:
    """One line per pair of sides and kind of breach, naming the files; empty where there is none."""
    lines = []
    for a, b in itertools.combinations(tables, 2):
        for column, what in SHARED.items():
            common = set(tables[a][column]) & set(tables[b][column])
            if common:
                files = [sorted(t.loc[t[column].isin(common), "image"]) for t in (tables[a], tables[b])]
                lines.append(f"{a} and {b}, {what}: {', '.join(files[0])} | {', '.join(files[1])}")
    return lines


def near_breaches(tables: dict[str, pd.DataFrame], hashes: pd.Series, distance: int) -> list[str]:
    """One line per pair of images on two sides whose hashes, by file, differ in at most `distance` bits."""
    own = {side: unpacked(hashes.loc[table["image"]]) for side, table in tables.items()}
    lines = []
    for a, b in itertools.combinations(tables, 2):
        for i, j in near_pairs_between(own[a], own[b], distance):
            lines.append(f"{a} and {b}, near-copies: {tables[a]['image'].iloc[i]} | {tables[b]['image'].iloc[j]}")
    return lines


def known_breaches(tables: dict[str, pd.DataFrame], manifest: pd.DataFrame) -> list[str]:
    """One line per pair of sides that share groups of the table in data.groups, naming the files.

    tables: image and pixels_sha256, by side. manifest: pixels_sha256 and known_group; an image has the groups of all
    its exact copies.
    """
    named = manifest.dropna(subset=["known_group"])[["pixels_sha256", "known_group"]].drop_duplicates()
    own = {side: table[["image", "pixels_sha256"]].merge(named, on="pixels_sha256") for side, table in tables.items()}
    lines = []
    for a, b in itertools.combinations(tables, 2):
        common = set(own[a]["known_group"]) & set(own[b]["known_group"])
        if common:
            files = [sorted(set(t.loc[t["known_group"].isin(common), "image"])) for t in (own[a], own[b])]
            lines.append(f"{a} and {b}, the same group in data.groups: {', '.join(files[0])} | {', '.join(files[1])}")
    return lines

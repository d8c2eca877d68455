"""Stage make_external_set: labelled images from elsewhere, checked and packed, without those of the study itself."""

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pandas as pd

from ganaug.data import manifest
from ganaug.data.images import pack
from ganaug.data.near_copies import copies_of
from ganaug.errors import UserError
from ganaug.files import read_csv, read_json, write_csv


@dataclass(frozen=True)
class Settings:
    """source: layout of the data root. classes: the study's, None for its folders'. resolution: pixels. max_bad_share:
    share of files, in [0, 1], that may be unusable. follow_links: whether links may lead out of the root. not_films: as
    the study's."""

    source: str
    classes: list[str] | None
    resolution: int
    max_bad_share: float
    follow_links: bool = False
    not_films: Literal["leave out", "keep"] = "leave out"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    inputs = parser.add_argument_group("inputs")
    inputs.add_argument("--data-root", type=Path, required=True, help="folder of the images from elsewhere")
    inputs.add_argument("--manifest", type=Path, required=True, help="of the study's own images")
    inputs.add_argument("--near-copies", type=Path, required=True, help="from which distance on images are near-copies")
    outputs = parser.add_argument_group("outputs")
    outputs.add_argument("--images", type=Path, required=True, help="uint8 [N, H, H], .npy")
    outputs.add_argument("--table", type=Path, required=True, help="their image, class, label and group, .csv")
    outputs.add_argument("--problems", type=Path, required=True, help="a row per file converted or left out, .csv")
    outputs.add_argument("--left-out", type=Path, required=True, help="those in the study already, and where, .csv")


def run(args: argparse.Namespace) -> None:
    settings = Settings(**args.settings)
    own = read_csv(args.manifest, dtype={"class": str})
    own = own[own["status"] == "used"]
    classes = settings.classes or sorted(own["class"].unique())
    distance = read_json(args.near_copies)["distance"]
    reading = manifest.Settings(
        source=settings.source,
        classes=None,
        known_classes=classes,
        max_bad_share=settings.max_bad_share,
        near_copy_distance=distance,
        follow_links=settings.follow_links,
        not_films=settings.not_films,
        resolution=settings.resolution,
    )
    found, problems, *_ = manifest.make_manifest(args.data_root, reading, own=own)
    args.listing = manifest.listing_of(found, args.data_root, reading)
    of_own = found[found["reason"] == manifest.COPY_OF_OWN]
    write_csv(args.problems, problems)
    write_csv(args.left_out, copies_of(of_own, own, distance))
    manifest.log_problems(problems)
    check_classes(found, classes)
    manifest.check_share(found, settings.max_bad_share)
    used = found[found["status"] == "used"].reset_index(drop=True)
    if not len(used):
        reasons = ", ".join(f"{reason} ({n})" for reason, n in found["reason"].value_counts().items())
        none = f"none of the {len(found)} files there can be used: {reasons}; name another folder or mend the files"
        raise UserError(f"external_test.data_root: {none}")
    pack(used, args.data_root, settings.resolution, classes, args.images, args.table)


def check_classes(images: pd.DataFrame, classes: list[str]) -> None:
    unknown = sorted(set(images["class"]) - set(classes))
    if unknown:
        raise UserError(
            f"external_test.data_root: the study has no class {', '.join(map(repr, unknown))}; name the folders as its "
            f"classes are named ({', '.join(classes)}) and take out the others"
        )

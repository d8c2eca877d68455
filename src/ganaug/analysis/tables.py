"""Stage make_tables: all cells of a study into tidy tables, one row per observation."""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd

from ganaug.analysis.inference import Evidence, StatisticsSettings
from ganaug.analysis.metrics import Predictions, confusion, read_predictions
from ganaug.analysis.results import Grid, read_table
from ganaug.analysis.scaling import scaling
from ganaug.errors import UserError
from ganaug.files import write_csv
from ganaug.layout import cell_folder, subset_folder


def add_arguments(parser: argparse.ArgumentParser) -> None:
    inputs = parser.add_argument_group("inputs")
    inputs.add_argument("--results", type=Path, required=True, help="folder of the study's results")
    outputs = parser.add_argument_group("outputs")
    for name, what in {
        "cells": "every metric of every cell",
        "summary": "means over replicates with intervals",
        "comparisons": "differences between augmentations, paired by replicate, with intervals, tests and verdicts",
        "scaling": "how quality grows with size, and how many images an augmentation is worth",
        "confusion": "confusion matrix of every cell",
        "data": "images per class: found, left out, test set, pool",
        "subsets": "images per class of every subset",
    }.items():
        outputs.add_argument(f"--{name}", type=Path, required=True, help=what)
    for name, what in {
        "fidelity": "fidelity of every synthetic set",
        "fidelity-curve": "fidelity during each GAN's training",
        "memorisation": "whether synthetic sets repeat training images",
        "gan-training": "training log of every GAN",
    }.items():
        outputs.add_argument(f"--{name}", type=Path, help=what + "; only for a study with GANs")


def run(args: argparse.Namespace) -> None:
    settings = StatisticsSettings(**args.settings)
    predictions = read_cells(args.results, settings)
    first = next(iter(predictions.values()))
    evidence = Evidence(predictions, read_groups(args.results, first), settings, args.seed)
    subsets = count_subsets(args.results, settings)
    tables = {
        args.cells: scored(evidence.scores),
        args.summary: evidence.summary(),
        args.comparisons: evidence.comparisons(),
        args.scaling: scaling(evidence, images_per_class(subsets)),
        args.confusion: confusions(predictions),
        args.data: count_images(args.results, first.classes),
        args.subsets: subsets,
    }
    if args.fidelity:
        tables[args.fidelity] = collect(args.results, settings, "fidelity", "fidelity.csv", FIDELITY)
    if args.fidelity_curve:
        tables[args.fidelity_curve] = collect(args.results, settings, "fidelity", "curve.csv", CURVE)
    if args.memorisation:
        tables[args.memorisation] = collect(
            args.results, settings, "fidelity", "memorisation.csv", ["effect", "copies"]
        )
    if args.gan_training:
        log = collect(args.results, settings, "gan", "training.csv", ["kimg"])
        tidy = log.melt(["size", "replicate", "kimg"], var_name="quantity").dropna(subset="value")
        tables[args.gan_training] = tidy
    for path, table in tables.items():  # once all could be made
        write_csv(path, table)


FIDELITY = ["class", "extractor", "metric", "value"]
CURVE = ["kimg", "extractor", "metric", "value"]


CELL = ["augmentation", "size", "replicate", "backbone"]


def read_cells(results: Path, grid: Grid) -> dict[tuple, Predictions]:
    """The predictions of every (augmentation, size, replicate, backbone).

    Raises UserError where a cell's are missing or are not for the same test images as the others'.
    """
    cells: dict[tuple, Predictions] = {}
    for augmentation in grid.augmentations:
        for size, replicate in grid.subsets:
            for backbone in grid.backbones:
                path = results / cell_folder(augmentation, size, replicate, backbone) / "predictions.csv"
                predictions = read_predictions(path)
                _check_same_test(path, predictions, next(iter(cells.values()), predictions))
                cells[augmentation, size, replicate, backbone] = predictions
    return cells


def read_groups(results: Path, p: Predictions) -> np.ndarray:
    """The group of near-copies of each test image, [N], in the order of the predictions."""
    path = results / "data" / "test.csv"
    groups = read_table(path, ["image", "group"]).set_index("image")["group"]
    if not set(p.images) <= set(groups.index):
        raise UserError(f"{path}: lacks images that the cells predicted; delete the study's `cells` and run it again")
    return groups.loc[p.images].to_numpy()


def scored(scores: dict[tuple, dict[str, float]]) -> pd.DataFrame:
    """augmentation, size, replicate, backbone, metric, value."""
    rows = [(*cell, metric, value) for cell, values in scores.items() for metric, value in values.items()]
    return pd.DataFrame(rows, columns=[*CELL, "metric", "value"])


def confusions(predictions: dict[tuple, Predictions]) -> pd.DataFrame:
    """augmentation, size, replicate, backbone, label, predicted, images."""
    parts = [_insert(confusion(p), **dict(zip(CELL, cell, strict=True))) for cell, p in predictions.items()]
    return pd.concat(parts, ignore_index=True)


def images_per_class(subsets: pd.DataFrame) -> dict[str, float]:
    """Real images per class behind each size, training and validation: the mean over classes and replicates."""
    whole = subsets.groupby(["size", "replicate", "class"])["images"].sum()
    return whole.groupby("size").mean().to_dict()


def _check_same_test(path: Path, p: Predictions, first: Predictions) -> None:
    same = p.classes == first.classes and list(p.images) == list(first.images) and list(p.labels) == list(first.labels)
    if not same:
        raise UserError(
            f"{path}: its test images or classes differ from the other cells'; delete the study's `cells` folder "
            "and run the study again"
        )


def count_images(results: Path, classes: list[str]) -> pd.DataFrame:
    """class, left_out (files), images (usable), groups (of near-copies; an image alone is one), test, pool.

    classes: the order of the rows; a class of which no file was usable follows.
    """
    splits = read_table(results / "data" / "splits.csv", ["file", "class", "group", "side"])
    problems = read_table(results / "data" / "problems.csv", ["file", "class"])
    left_out = problems[~problems["file"].isin(splits["file"])].drop_duplicates("file")
    classes = [*classes, *sorted(set(left_out["class"].dropna()) - set(classes))]
    by_class = splits.groupby("class")
    sides = pd.crosstab(splits["class"], splits["side"])
    table = pd.DataFrame({"class": classes}).set_index("class")
    table["left_out"] = left_out.groupby("class").size()
    table["images"] = by_class.size()
    table["groups"] = by_class["group"].nunique()
    for side in ("test", "pool"):
        table[side] = sides[side]
    return table.fillna(0).astype(int).reset_index()


def count_subsets(results: Path, grid: Grid) -> pd.DataFrame:
    """size, replicate, side (`train`, `validation`), class, images."""
    parts = []
    for size, replicate in grid.subsets:
        for side in ("train", "validation"):
            rows = read_table(results / subset_folder("subsets", size, replicate) / f"{side}.csv", ["class"])
            counts = rows.groupby("class").size().rename("images").reset_index()
            parts.append(_insert(counts, size=size, replicate=replicate, side=side))
    return pd.concat(parts, ignore_index=True)


def collect(results: Path, grid: Grid, stage: str, name: str, columns: list[str]) -> pd.DataFrame:
    """A file that a stage writes per (size, replicate), stacked, with these two as the first columns."""
    parts = []
    for size, replicate in grid.subsets:
        table = read_table(results / subset_folder(stage, size, replicate) / name, columns)
        parts.append(_insert(table, size=size, replicate=replicate))
    return pd.concat(parts, ignore_index=True)


def _insert(table: pd.DataFrame, **values) -> pd.DataFrame:
    for position, (name, value) in enumerate(values.items()):
        table.insert(position, name, value)
    return table

"""Stage make_tables: all cells of a study into tidy tables, one row per observation."""

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from ganaug.analysis.calibration_table import calibrations, reliabilities
from ganaug.analysis.class_priors import prevalence, share
from ganaug.analysis.class_tables import class_rates, confusions
from ganaug.analysis.convergence import classifier_convergence, gan_convergence
from ganaug.analysis.curves import curves
from ganaug.analysis.inference import Evidence, StatisticsSettings
from ganaug.analysis.metrics import Predictions, read_predictions
from ganaug.analysis.missing import add_argument, missing_files, missing_table
from ganaug.analysis.probes import ratio_sweep, shortcut, transfer
from ganaug.analysis.results import CELL, left_out, read_table, shares_used
from ganaug.analysis.scaling import scaling
from ganaug.errors import UserError
from ganaug.files import write_csv
from ganaug.layout import cell_folder, subset_folder
from ganaug.study.grid import Grid

# Tables of every study, then those of some, with what they hold.
ALWAYS = {
    "cells": "every metric of every cell",
    "summary": "means over replicates with intervals",
    "comparisons": "differences between augmentations, paired by replicate, with intervals, tests and verdicts",
    "scaling": "how quality grows with size, and how many images an augmentation is worth",
    "confusion": "confusion matrix of every cell",
    "class-rates": "sensitivity and specificity of every class with Wilson's intervals, by groups of images",
    "reliability": "confidence and share right, by bins of confidence, of the highest probability and of each class's",
    "calibration": "calibration errors as trained and with priors corrected to the development set's prevalence",
    "prevalence": "share of each class in training, development set and test set",
    "curves": "ROC and precision-recall curves of every class",
    "data": "images per class: found, left out, test set, pool",
    "subsets": "images per class of every subset",
    "convergence": "the epoch that every classifier chose, and slopes at the end of its training",
}
SOME = {
    "fidelity": "fidelity of every synthetic set",
    "fidelity-curve": "fidelity during each GAN's training",
    "memorisation": "whether synthetic sets repeat training images",
    "gan-training": "training log of every GAN",
    "gan-convergence": "every GAN's nearest snapshot, and the slope of the distance at the end of its training",
    "ratio-sweep": "gan at several ratios of synthetic to real images",
    "transfer": "training on synthetic and testing on real images, and the other way round",
    "shortcut": "what a classifier reads off the images' border",
    "external-cells": "every metric of every cell on the external images",
    "external-summary": "their means over replicates with intervals",
    "external-comparisons": "differences between augmentations on them",
    "missing": "what an incomplete study lacks, and why",
}


@dataclass(frozen=True, kw_only=True)
class Settings(StatisticsSettings):
    """The statistics' settings; ratio: synthetic images per real one of `gan`."""

    ratio: float


def add_arguments(parser: argparse.ArgumentParser) -> None:
    inputs = parser.add_argument_group("inputs")
    inputs.add_argument("--results", type=Path, required=True, help="folder of the study's results")
    inputs.add_argument("--lineage", type=Path, help="what check_lineage has written; its hash tells which results")
    add_argument(inputs)
    outputs = parser.add_argument_group("outputs")
    for name, what in ALWAYS.items():
        outputs.add_argument(f"--{name}", type=Path, required=True, help=what)
    for name, what in SOME.items():
        outputs.add_argument(f"--{name}", type=Path, help=what + "; only for a study that has this")


def run(args: argparse.Namespace) -> None:
    settings = Settings(**args.settings, missing=missing_files(args.unfinished))
    results = args.results
    predictions = read_cells(results, "cells", settings, settings.trained)
    own = {cell: p for cell, p in predictions.items() if cell[0] in settings.augmentations}
    classes = next(iter(own.values())).classes
    groups = read_groups(results / "data" / "test.csv", next(iter(own.values())))
    subsets, data = count_subsets(results, settings), count_images(results, classes)
    used = shares_used(data, settings.sizes)
    evidence = Evidence(predictions, groups, settings, args.seed, used)
    development = share(data, "pool", classes)
    tables = {
        args.cells: scored({cell: evidence.scores[cell] for cell in own}),
        args.summary: evidence.summary(settings.augmentations, settings.size_names),
        args.comparisons: evidence.comparisons(),
        args.scaling: scaling(evidence, images_per_class(subsets)),
        args.confusion: confusions(own),
        args.class_rates: class_rates(own, groups, settings.confidence),
        args.reliability: reliabilities(own, development),
        args.calibration: calibrations(evidence, development),
        args.prevalence: prevalence(subsets, data, classes),
        args.curves: curves(evidence),
        args.data: data,
        args.subsets: subsets,
        args.convergence: classifier_convergence(results, settings),
    }
    if args.ratio_sweep:
        tables[args.ratio_sweep] = ratio_sweep(evidence, settings.ratio)
    if args.transfer:
        tables[args.transfer] = transfer(evidence, read_scored(results, settings))
    if args.shortcut:
        tables[args.shortcut] = shortcut(evidence, classes)
    if args.external_cells:
        external = read_cells(results, "external", settings, lambda size: settings.augmentations)
        if external:
            groups = read_groups(results / "external" / "images.csv", next(iter(external.values())))
            elsewhere = Evidence(external, groups, settings, args.seed, used)
            tables[args.external_cells] = scored(elsewhere.scores)
            tables[args.external_summary] = elsewhere.summary(settings.augmentations, settings.size_names)
            tables[args.external_comparisons] = elsewhere.comparisons()
        else:  # all of it is missing: the columns without rows
            for name in ("cells", "summary", "comparisons"):
                tables[getattr(args, f"external_{name}")] = tables[getattr(args, name)][:0]
    if args.fidelity:
        fidelity = collect(results, settings, "fidelity", "fidelity.csv", FIDELITY)
        fidelity.insert(list(fidelity.columns).index("floor") + 1, "above_floor", fidelity["value"] - fidelity["floor"])
        tables[args.fidelity] = fidelity
        curve = collect(results, settings, "fidelity", "curve.csv", CURVE)
        tables[args.fidelity_curve] = curve
        tables[args.memorisation] = collect(results, settings, "fidelity", "memorisation.csv", MEMORISATION)
        log = collect(results, settings, "gan", "training.csv", ["kimg"])
        tidy = log.melt(["size", "replicate", "kimg"], var_name="quantity").dropna(subset="value")
        tables[args.gan_training] = tidy
        tables[args.gan_convergence] = gan_convergence(curve, log)
    if args.missing:
        tables[args.missing] = missing_table(args.unfinished)
    for path, table in tables.items():  # once all could be made
        write_csv(path, table)


FIDELITY = ["class", "reference", "extractor", "metric", "value", "floor", "images", "reference_images", "warning"]
CURVE = ["kimg", "extractor", "metric", "value"]
MEMORISATION = ["synthetic", "held_out", "median_distance", "median_distance_held_out", "effect", "p"]
MEMORISATION += ["near_share", "copies", "verdict"]


def read_cells(results: Path, stage: str, grid: Grid, trained: Callable[[str], list[str]]) -> dict[tuple, Predictions]:
    """The predictions by (augmentation, size, replicate, backbone).

    stage: `cells` for the test images, `external` for those from elsewhere. trained: from a size to the names of its
    augmentations. Raises UserError where a cell's should be there and are not, or are not for the same images as the
    others'.
    """
    cells: dict[tuple, Predictions] = {}
    for size, replicate in grid.subsets:
        for augmentation in trained(size):
            for backbone in grid.backbones:
                path = results / cell_folder(augmentation, size, replicate, backbone, stage) / "predictions.csv"
                if not grid.there(path):
                    continue
                predictions = read_predictions(path)
                _check_same_test(path, predictions, next(iter(cells.values()), predictions))
                cells[augmentation, size, replicate, backbone] = predictions
    # Tables list an augmentation at all sizes, and then the next.
    return dict(sorted(cells.items(), key=lambda item: [*grid.augmentations, item[0][0]].index(item[0][0])))


def read_scored(results: Path, grid: Grid) -> dict[tuple, Predictions]:
    """The predictions for each subset's synthetic images, by (size, replicate, backbone)."""
    paths = {
        (size, replicate, backbone): results / subset_folder("synthetic", size, replicate) / f"scored-{backbone}.csv"
        for size, replicate in grid.subsets
        for backbone in grid.backbones
    }
    return {cell: read_predictions(path) for cell, path in paths.items() if grid.there(path)}


def read_groups(path: Path, p: Predictions) -> np.ndarray:
    """The group of near-copies of each image, [N], in the order of the predictions, from the image set's table."""
    groups = read_table(path, ["image", "group"]).set_index("image")["group"]
    if not set(p.images) <= set(groups.index):
        raise UserError(f"{path}: lacks images that the cells predicted; delete the study's `cells` and run it again")
    return groups.loc[p.images].to_numpy()


def scored(scores: dict[tuple, dict[str, float]]) -> pd.DataFrame:
    """augmentation, size, replicate, backbone, metric, value."""
    rows = [(*cell, metric, value) for cell, values in scores.items() for metric, value in values.items()]
    return pd.DataFrame(rows, columns=[*CELL, "metric", "value"])


def images_per_class(subsets: pd.DataFrame) -> dict[str, float]:
    """Real images per class behind each size, training and validation: the mean over classes and replicates."""
    whole = subsets.groupby(["size", "replicate", "class"])["images"].sum()
    return {str(size): float(images) for size, images in whole.groupby("size").mean().items()}


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
    absent = left_out(problems, splits["file"])
    classes = [*classes, *sorted(set(absent["class"].dropna()) - set(classes))]
    by_class = splits.groupby("class")
    sides = pd.crosstab(splits["class"], splits["side"])
    table = pd.DataFrame({"class": classes}).set_index("class")
    table["left_out"] = absent.groupby("class").size()
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
            path = results / subset_folder("subsets", size, replicate) / f"{side}.csv"
            if not grid.there(path):
                continue
            rows = read_table(path, ["class"])
            counts = rows.groupby("class").size().rename("images").reset_index()
            parts.append(_insert(counts, size=size, replicate=replicate, side=side))
    return pd.concat(parts, ignore_index=True)


def collect(results: Path, grid: Grid, stage: str, name: str, columns: list[str]) -> pd.DataFrame:
    """A file that a stage writes per (size, replicate), stacked, with these two as the first columns."""
    parts = []
    for size, replicate in grid.subsets:
        path = results / subset_folder(stage, size, replicate) / name
        if grid.there(path):
            parts.append(_insert(read_table(path, columns), size=size, replicate=replicate))
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=["size", "replicate", *columns])


def _insert(table: pd.DataFrame, **values: int | str) -> pd.DataFrame:
    for position, (name, value) in enumerate(values.items()):
        table.insert(position, name, value)
    return table

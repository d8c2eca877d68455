"""What tables are made from: a study's predictions, images and logs, each read when the first table needs it."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from ganaug.analysis.class_priors import share
from ganaug.analysis.inference import Evidence, StatisticsSettings
from ganaug.analysis.metrics import Predictions, read_predictions
from ganaug.analysis.results import left_out, read_table, shares_used
from ganaug.errors import UserError
from ganaug.layout import cell_folder, subset_folder
from ganaug.study.entries import function_of
from ganaug.study.grid import Grid
from ganaug.study.tables import TABLES

CURVE = ["kimg", "extractor", "metric", "value"]


@dataclass(frozen=True, kw_only=True)
class Settings(StatisticsSettings):
    """The statistics' settings; ratio: synthetic images per real one of `gan`."""

    ratio: float


class Material:
    """The results of a study that tables are made from.

    Attributes:
        results: folder of the study's results.
        settings: the grid and the statistics.
        seed: of the bootstrap.
        unfinished: what an incomplete study lacks, see `ganaug.analysis.missing`; None for a complete one.
    """

    def __init__(self, results: Path, settings: Settings, seed: int, unfinished: Path | None = None):
        self.results, self.settings, self.seed, self.unfinished = results, settings, seed, unfinished
        self._tables: dict[str, pd.DataFrame] = {}

    def table(self, name: str) -> pd.DataFrame:
        """One table of the registry, made once. Raises ValueError where its columns are not those of the entry."""
        if name not in self._tables:
            entry = TABLES[name]
            table = function_of(entry.make)(self)
            if len(table) and " ".join(table.columns) != entry.columns:
                raise ValueError(f"table {name}: its columns are {' '.join(table.columns)!r}, not {entry.columns!r}")
            self._tables[name] = table
        return self._tables[name]

    @cached_property
    def predictions(self) -> dict[tuple, Predictions]:
        """For the test images, by (augmentation, size, replicate, backbone); other ratios and probes too."""
        return read_cells(self.results, "cells", self.settings, self.settings.trained)

    @cached_property
    def own(self) -> dict[tuple, Predictions]:
        """The predictions of the comparison's cells: of the study's augmentations alone."""
        return {cell: p for cell, p in self.predictions.items() if cell[0] in self.settings.augmentations}

    @cached_property
    def classes(self) -> list[str]:
        return next(iter(self.own.values())).classes

    @cached_property
    def groups(self) -> np.ndarray:
        """[N], the group of each test image."""
        return read_groups(self.results / "data" / "test.csv", next(iter(self.own.values())))

    @cached_property
    def evidence(self) -> Evidence:
        """The predictions for the test images with their resampled metrics."""
        return Evidence(self.predictions, self.groups, self.settings, self.seed, self._used)

    @cached_property
    def evidence_elsewhere(self) -> Evidence | None:
        """The same of the images from elsewhere; None where all their predictions are missing."""
        found = read_cells(self.results, "external", self.settings, lambda size: self.settings.augmentations)
        if not found:
            return None
        groups = read_groups(self.results / "external" / "images.csv", next(iter(found.values())))
        return Evidence(found, groups, self.settings, self.seed, self._used)

    @cached_property
    def scored(self) -> dict[tuple, Predictions]:
        """The predictions for each subset's synthetic images, by (size, replicate, backbone)."""
        return read_scored(self.results, self.settings)

    @cached_property
    def data(self) -> pd.DataFrame:
        """See `count_images`."""
        return count_images(self.results, self.classes)

    @cached_property
    def subsets(self) -> pd.DataFrame:
        """See `count_subsets`."""
        return count_subsets(self.results, self.settings)

    @cached_property
    def development(self) -> np.ndarray:
        """[C], each class's share of the development set."""
        return share(self.data, "pool", self.classes)

    @cached_property
    def fidelity_curve(self) -> pd.DataFrame:
        return self.collect("fidelity", "curve.csv", CURVE)

    @cached_property
    def gan_log(self) -> pd.DataFrame:
        return self.collect("gan", "training.csv", ["kimg"])

    def collect(self, stage: str, name: str, columns: list[str]) -> pd.DataFrame:
        """See `collect`."""
        return collect(self.results, self.settings, stage, name, columns)

    @cached_property
    def _used(self) -> dict[str, dict[str, float]]:
        return shares_used(self.data, self.settings.sizes)


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

"""Figures that show images: examples of the classes, real beside generated, a GAN's progress."""

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ganaug.analysis.figure_style import FigureSettings, panels, say_missing, size_title
from ganaug.analysis.results import read_table
from ganaug.layout import subset_folder

EXAMPLES = 8  # per class, in class_examples
SIDE_BY_SIDE = 6  # per class and kind, in real_and_generated
CLOSEST = 10  # pairs, in closest_pairs
SNAPSHOTS = 8  # at most, in gan_progress
GAP = 2  # white pixels between images


def class_examples(results: Path, settings: FigureSettings) -> Figure:
    """The first test images of each class."""
    images, table = _image_set(results / "data" / "test")
    figure, grid = panels(1, 1, 9, 1.13 * table["class"].nunique())
    _mosaic(grid[0][0], *_first_of_each(images, table, _classes(table), EXAMPLES))
    return figure


def real_and_generated(results: Path, settings: FigureSettings) -> Figure:
    """Training images and generated ones of replicate 1: the first of each class, none picked by hand."""
    rows = []
    for size in settings.size_names:
        paths = [results / subset_folder(s, size, 1) / n for s, n in (("subsets", "train"), ("synthetic", "images"))]
        rows.append((size, [_image_set(path) if _there(path, settings) else None for path in paths]))
    classes = next((_classes(real[1]) for _, (real, _) in rows if real), [])
    figure, grid = panels(len(rows), 2, 5.2, 0.8 * len(classes) + 0.3)
    for (size, kinds), pair in zip(rows, grid, strict=True):
        many = size_title(size)
        for axes, found, kind in zip(pair, kinds, ("real, in training", "generated"), strict=True):
            if found:
                _mosaic(axes, *_first_of_each(*found, classes, SIDE_BY_SIDE), names=axes is pair[0])
            else:
                _no_images(axes)
            axes.set_title(f"{many}: {kind}")
    return figure


def closest_pairs(results: Path, settings: FigureSettings) -> Figure:
    """Of replicate 1 the synthetic images that lie nearest to a training image, each above that image."""
    figure, grid = panels(len(settings.sizes), 1, 9, 2.4)
    for size, axes in zip(settings.size_names, grid[:, 0], strict=True):
        path = results / subset_folder("fidelity", size, 1) / "closest.csv"
        axes.set_title(size_title(size))
        if not settings.there(path):
            _no_images(axes)
            continue
        pairs = read_table(path, ["synthetic", "train"])[:CLOSEST]
        generated = np.load(results / subset_folder("synthetic", size, 1) / "images.npy", mmap_mode="r")
        real = np.load(results / subset_folder("subsets", size, 1) / "train.npy", mmap_mode="r")
        rows = {
            "generated": [generated[i] for i in pairs["synthetic"]],
            "in training": [real[i] for i in pairs["train"]],
        }
        side = real.shape[-1]
        _mosaic(axes, rows, side)
        ticks = [f"{share:.1%}" for share in pairs["held_out_nearer"]]
        axes.set_xticks([i * (side + GAP) + side / 2 for i in range(len(pairs))], ticks)
        axes.set_xlabel("share of held-out images that lie nearer to a training image")
    return figure


def gan_progress(results: Path, settings: FigureSettings) -> Figure:
    """What each GAN of replicate 1 made of one latent per class as its training went on."""
    drawn: list[tuple[str, dict[str, list], np.ndarray]] = []
    for size in settings.size_names:
        folder = results / subset_folder("gan", size, 1)
        if not settings.there(folder / "snapshots.npy"):
            drawn.append((size, {}, np.empty(0)))
            continue
        snapshots = np.load(folder / "snapshots.npy", mmap_mode="r")
        table = read_table(folder / "snapshots.csv", ["index", "kimg", "image", "label"])
        kimg = table.drop_duplicates("index").sort_values("index")["kimg"].to_numpy()
        shown = np.unique(np.linspace(0, len(kimg) - 1, SNAPSHOTS).round().astype(int))
        train = read_table(results / subset_folder("subsets", size, 1) / "train.csv", ["class", "label"])
        names = train.drop_duplicates("label").set_index("label")["class"]
        first = table[table["index"] == 0].drop_duplicates("label")
        place = {names[k]: int(image) for k, image in zip(first["label"], first["image"], strict=True)}
        rows = {c: [snapshots[i, place[c]] for i in shown] for c in _classes(train) if c in place}
        drawn.append((size, rows, kimg[shown]))
    figure, grid = panels(len(drawn), 1, 9, 0.75 * max(1, *(len(rows) for _, rows, _ in drawn)) + 0.5)
    for axes, (size, rows, kimg) in zip(grid[:, 0], drawn, strict=True):
        axes.set_title(size_title(size))
        if not rows:
            _no_images(axes)
            continue
        side = next(iter(rows.values()))[0].shape[-1]
        _mosaic(axes, rows, side)
        axes.set_xticks([i * (side + GAP) + side / 2 for i in range(len(kimg))], [f"{k:g}" for k in kimg])
        axes.set_xlabel("kimg")
    return figure


def _there(path: Path, settings: FigureSettings) -> bool:
    return settings.there(path.with_name(path.name + ".npy"))


def _no_images(axes: Axes) -> None:
    axes.set(xticks=[], yticks=[])
    axes.grid(False)
    axes.spines[:].set_visible(False)
    say_missing(axes)


def _image_set(path: Path) -> tuple[np.ndarray, pd.DataFrame]:
    """The memory-mapped images uint8 [N, H, W] and the table of a set stored as path.npy and path.csv."""
    table = read_table(path.with_name(path.name + ".csv"), ["class", "label"])
    return np.load(path.with_name(path.name + ".npy"), mmap_mode="r"), table


def _classes(table: pd.DataFrame) -> list[str]:
    return list(table.assign(index=table["label"].astype(int)).sort_values("index", kind="stable")["class"].unique())


def _first_of_each(
    images: np.ndarray, table: pd.DataFrame, classes: list[str], count: int
) -> tuple[dict[str, list], int]:
    rows = {name: [images[i] for i in np.flatnonzero(table["class"] == name)[:count]] for name in classes}
    return rows, images.shape[-1]


def _mosaic(axes: Axes, rows: dict[str, list], side: int, names: bool = True) -> None:
    """Rows of square images with thin white gaps, each row named on the left."""
    step, columns = side + GAP, max(len(r) for r in rows.values())
    canvas = np.full((len(rows) * step - GAP, columns * step - GAP), 255, np.uint8)
    for i, row in enumerate(rows.values()):
        for j, image in enumerate(row):
            canvas[i * step : i * step + side, j * step : j * step + side] = image
    axes.imshow(canvas, cmap="gray", vmin=0, vmax=255, interpolation="antialiased")
    axes.set_xticks([])
    axes.set_yticks([i * step + side / 2 for i in range(len(rows))], list(rows) if names else [])
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.grid(False)

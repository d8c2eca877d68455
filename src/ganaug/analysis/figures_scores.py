"""Figures of the classifiers' scores: learning curve, paired differences, confusion matrices."""

import itertools
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ganaug.analysis.figure_style import (
    SIZE_LABEL,
    FigureSettings,
    beside,
    counted,
    panels,
    say_missing,
    series_style,
    size_axis,
    size_colours,
    size_positions,
    size_title,
)
from ganaug.analysis.pairs import NO_AUGMENTATION, comparisons, paired_differences
from ganaug.analysis.results import read_table
from ganaug.study.metrics import panel_metrics

SUBSETS = ["size", "replicate", "class", "images"]
CELLS = ["augmentation", "size", "replicate", "backbone", "metric", "value"]
INTERVAL = ["mean", "ci_low", "ci_high", "replicates"]


def learning_curve(results: Path, settings: FigureSettings) -> Figure:
    """Test metrics against the number of real images, a line per augmentation; a row of panels per backbone."""
    points = read_table(results / "tables" / "cells.csv", CELLS)
    means = read_table(results / "tables" / "summary.csv", ["augmentation", "size", "backbone", "metric", *INTERVAL])
    series = {name: (i, {"augmentation": name}) for i, name in enumerate(settings.augmentations)}
    return _against_size(results, settings, points, means, series, "{}")


def differences(results: Path, settings: FigureSettings) -> Figure:
    """Paired differences of test metrics against the number of real images, a line per comparison."""
    cells = read_table(results / "tables" / "cells.csv", CELLS)
    means = read_table(results / "tables" / "comparisons.csv", ["augmentation", "reference", "size", *INTERVAL])
    points = paired_differences(cells, settings.augmentations)
    # An augmentation keeps the style it has in the learning curve; what it adds to another one has its own.
    known = settings.augmentations
    pairs = {(a, b): known.index(a) if b == NO_AUGMENTATION else None for a, b in comparisons(known)}
    more = itertools.count(len(known))
    styles = {pair: next(more) if index is None else index for pair, index in pairs.items()}
    series = {f"{a} − {b}": (index, {"augmentation": a, "reference": b}) for (a, b), index in styles.items()}
    figure = _against_size(results, settings, points, means, series, "difference in {}")
    for axes in figure.axes:
        axes.axhline(0, color="#555555", linewidth=1, zorder=1)
    if not series:
        figure.suptitle("nothing to compare: the study has no two augmentations that differ in one thing")
    return figure


def ratio_sweep(results: Path, settings: FigureSettings) -> Figure:
    """Test metrics of `gan` against the ratio of synthetic to real images, a line per size; 0 is no augmentation."""
    columns = ["ratio", "size", "backbone", "metric", *INTERVAL]
    table = read_table(results / "tables" / "ratio_sweep.csv", columns)
    ratios = sorted(table["ratio"].unique())
    colours = size_colours(settings.size_names)
    metrics = panel_metrics()
    figure, grid = panels(len(settings.backbones), len(metrics), 3.6, 3.1)
    for row, backbone in zip(grid, settings.backbones, strict=True):
        for axes, metric in zip(row, metrics, strict=True):
            for index, size in enumerate(settings.size_names):
                line = _select(table, {"backbone": backbone, "metric": metric.name, "size": size})
                x = line["ratio"].map(ratios.index) + 0.08 * (index - (len(colours) - 1) / 2)
                look = series_style(index) | {"color": colours[size]}
                axes.vlines(x, line["ci_low"], line["ci_high"], color=look["color"], linewidth=1, alpha=0.8)
                axes.plot(x, line["mean"], label=_named(size_title(size), _select(table, {"size": size})), **look)
            axes.set_xticks(range(len(ratios)), [f"{ratio:g}" for ratio in ratios])
            axes.set_ylabel(metric.words)
            if len(settings.backbones) > 1:
                axes.set_title(backbone)
    figure.supxlabel("synthetic images per real training image", fontsize=9)
    handles, names = grid[0][0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside upper center", ncols=min(len(names), 6), title=_counted(settings, False))
    return figure


def _against_size(
    results: Path,
    settings: FigureSettings,
    points: pd.DataFrame,
    means: pd.DataFrame,
    series: dict[str, tuple[int, dict]],
    label: str,
) -> Figure:
    """Panels of backbones x metrics: means with intervals, one line per series, and a faint point per replicate.

    points, means: tables with a row per replicate, and per mean. series: legend text to the number of its style and
    the column values that select it. label: of the y axis, with a place for the metric.
    """
    positions = size_positions(read_table(results / "tables" / "subsets.csv", SUBSETS), settings.size_names)
    metrics = panel_metrics()
    figure, grid = panels(len(settings.backbones), len(metrics), 3.6, 3.3)
    for row, backbone in zip(grid, settings.backbones, strict=True):
        for axes, metric in zip(row, metrics, strict=True):
            for place, (name, (style, columns)) in enumerate(series.items()):
                where = {**columns, "backbone": backbone, "metric": metric.name}
                moved = beside(positions, place, len(series))
                shown = _named(name, _select(means, columns))
                _draw_series(axes, _select(points, where), _select(means, where), moved, shown, style)
            size_axis(axes, positions)
            axes.set_ylabel(label.format(metric.words))
            if len(settings.backbones) > 1:
                axes.set_title(backbone)
    figure.supxlabel(SIZE_LABEL, fontsize=9)
    handles, names = grid[0][0].get_legend_handles_labels()
    if handles:
        figure.legend(handles, names, loc="outside upper center", ncols=len(names), title=_counted(settings))
    return figure


def _draw_series(
    axes: Axes, points: pd.DataFrame, means: pd.DataFrame, positions: dict[str, float], name: str, style: int
) -> None:
    look = series_style(style)
    means = means.set_index("size").reindex(list(positions))
    x, y = np.array(list(positions.values())), means["mean"].to_numpy(float)
    # Limits are NaN for one replicate: no bar is drawn.
    low, high = means["ci_low"].to_numpy(float), means["ci_high"].to_numpy(float)
    axes.scatter(points["size"].map(positions), points["value"], s=11, alpha=0.5, color=look["color"], linewidths=0)
    axes.vlines(x, low, high, color=look["color"], linewidth=1, alpha=0.8)
    axes.plot(x, y, label=name, **look)


def _named(name: str, means: pd.DataFrame) -> str:
    """A series in the legend: marked where all of it is missing."""
    return f"{name} (missing)" if means["mean"].isna().all() else name


def _select(table: pd.DataFrame, where: dict) -> pd.DataFrame:
    for column, value in where.items():
        table = table[table[column] == value]
    return table


def _counted(settings: FigureSettings, points: bool = True) -> str:
    if settings.replicates == 1:
        return "n = 1 replicate: no interval can be given"
    told = f"mean of {counted(settings)}, bars: {settings.confidence:.0%} interval"
    return told + (", points: replicates" if points else "")


def confusion_matrices(results: Path, settings: FigureSettings) -> Figure:
    """Confusion matrices summed over replicates: augmentations (and backbones) down, sizes across.

    Shade and percentage: share of the true class (a row sums to 100 %); below it the number of predictions.
    """
    columns = ["augmentation", "size", "backbone", "label", "predicted", "images"]
    table = read_table(results / "tables" / "confusion.csv", columns)
    classes = list(table["label"].unique())
    counts = table.groupby(columns[:-1])["images"].sum()
    cells = set(zip(table["augmentation"], table["size"], table["backbone"], strict=True))
    rows = [(a, b) for b in settings.backbones for a in settings.augmentations]
    side = max(1.9, 0.52 * len(classes))
    figure, grid = panels(len(rows), len(settings.sizes), side + 0.15, side + 0.15, labels=1.5)
    for i, (augmentation, backbone) in enumerate(rows):
        for j, size in enumerate(settings.size_names):
            axes = grid[i][j]
            if (augmentation, size, backbone) in cells:
                found = counts[augmentation, size, backbone].unstack().reindex(index=classes, columns=classes)
                _draw_matrix(axes, found.to_numpy())
            else:
                axes.set(xlim=(-0.5, len(classes) - 0.5), ylim=(len(classes) - 0.5, -0.5), aspect="equal")
                axes.grid(False)
                axes.spines[:].set_visible(False)
                say_missing(axes)
            names = [_shortened(c) for c in classes]
            axes.set_xticks(range(len(classes)), names if i == len(rows) - 1 else [], rotation=35, ha="right")
            axes.set_yticks(range(len(classes)), names if j == 0 else [])
            axes.tick_params(length=0, labelsize=7.5)
            if i == 0:
                axes.set_title(size_title(size))
            if j == 0:
                axes.set_ylabel(augmentation + (f"\n{backbone}" if len(settings.backbones) > 1 else ""), weight="bold")
    figure.supxlabel(f"predicted class (counts summed over {counted(settings)})", fontsize=9)
    figure.supylabel("true class", fontsize=9)
    return figure


def _draw_matrix(axes: Axes, matrix: np.ndarray) -> None:
    totals = matrix.sum(axis=1, keepdims=True)
    shares = np.divide(matrix, totals, out=np.zeros(matrix.shape), where=totals > 0)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    axes.grid(False)
    axes.spines[:].set_visible(True)
    for (row, column), share in np.ndenumerate(shares):
        colour = "white" if share > 0.55 else "#222222"
        axes.text(column, row - 0.12, f"{share:.0%}", ha="center", va="center", fontsize=7.5, color=colour)
        axes.text(column, row + 0.24, f"{matrix[row, column]}", ha="center", va="center", fontsize=6, color=colour)


def _shortened(name: str, longest: int = 18) -> str:
    return name if len(name) <= longest else name[: longest - 1] + "…"

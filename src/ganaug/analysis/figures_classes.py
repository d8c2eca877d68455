"""Figures of the predicted probabilities: ROC and precision-recall curves by class, reliability."""

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from ganaug.analysis.figure_style import FigureSettings, counted, panels, say_missing, series_style, size_title
from ganaug.analysis.results import PRIORS, priors_alike, read_table

FEWEST = 20  # predictions in a bin of the reliability plot, summed over replicates
CURVES = ["augmentation", "size", "backbone", "class", "curve", "x", "y", "ci_low", "ci_high"]
BINS = ["augmentation", "size", "backbone", "priors", "class", "bin_low", "images", "confidence", "accuracy"]


def roc(results: Path, settings: FigureSettings) -> Figure:
    """ROC curve of each class against the rest, at the smallest and the largest size; bands: pointwise intervals."""
    return _curves(results, settings, "roc", "false-positive rate (1 − specificity)", "sensitivity")


def precision_recall(results: Path, settings: FigureSettings) -> Figure:
    """Precision against sensitivity of each class, at the smallest and the largest size, with pointwise intervals."""
    return _curves(results, settings, "precision_recall", "sensitivity (recall)", "precision")


def _curves(results: Path, settings: FigureSettings, kind: str, x_label: str, y_label: str) -> Figure:
    table = read_table(results / "tables" / "curves.csv", CURVES)
    table = table[table["curve"] == kind]
    classes = list(table["class"].unique())
    rows = _rows(settings)
    figure, grid = panels(len(rows), max(1, len(classes)), 2.3, 2.3)
    for (size, backbone), line in zip(rows, grid, strict=True):
        for axes, name in zip(line, classes, strict=False):
            here = table[table["size"].eq(size) & table["backbone"].eq(backbone) & table["class"].eq(name)]
            for index, augmentation in enumerate(settings.augmentations):
                found, style = here[here["augmentation"] == augmentation], series_style(index)
                del style["marker"]
                axes.fill_between(found["x"], found["ci_low"], found["ci_high"], color=style["color"], alpha=0.12, lw=0)
                axes.plot(found["x"], found["y"], label=augmentation, linewidth=1.2, **style)
            say_missing(axes, _gone(here, settings), len(settings.augmentations))
            axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), aspect="equal")
            axes.set_title(f"{name}, {_titled(size, backbone, settings)}", fontsize=8)
    figure.supxlabel(x_label, fontsize=9)
    figure.supylabel(y_label, fontsize=9)
    title = f"mean of {counted(settings)}, bands: pointwise {settings.confidence:.0%} interval"
    _legend(figure, grid, title if settings.replicates > 1 else "n = 1")
    return figure


def reliability(results: Path, settings: FigureSettings) -> Figure:
    """Share right against probability, a line per augmentation, at the smallest and the largest size.

    Columns: the highest probability, then each class's. Rows: as trained, and with corrected priors where they differ.
    """
    table = read_table(results / "tables" / "reliability.csv", BINS)
    columns = list(table["class"].unique())
    same = priors_alike(read_table(results / "tables" / "prevalence.csv", ["weighted", "development"]))
    kinds = list(PRIORS)[: 1 if same else 2]
    rows = [(size, backbone, priors) for size, backbone in _rows(settings) for priors in kinds]
    figure, grid = panels(len(rows), len(columns), 2.3, 2.3)
    for (size, backbone, priors), line in zip(rows, grid, strict=True):
        cells = table[table["size"].eq(size) & table["backbone"].eq(backbone) & table["priors"].eq(priors)]
        for name, axes in zip(columns, line, strict=True):
            here = cells[cells["class"] == name]
            axes.plot([0, 1], [0, 1], color="#555555", linewidth=1, linestyle=":")
            for index, augmentation in enumerate(settings.augmentations):
                whole = _pooled(here[here["augmentation"] == augmentation])
                axes.plot(whole["confidence"], whole["accuracy"], label=augmentation, **series_style(index))
            say_missing(axes, _gone(here, settings), len(settings.augmentations))
            axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), aspect="equal")
            title = f"{'highest' if name == 'all' else name}, {_titled(size, backbone, settings)}"
            axes.set_title(f"{title}\n{PRIORS[priors]}", fontsize=8)
    figure.supxlabel("probability", fontsize=9)
    figure.supylabel("share right", fontsize=9)
    _legend(figure, grid, f"test predictions of {counted(settings)}; dotted: perfect calibration")
    return figure


def _pooled(bins: pd.DataFrame) -> pd.DataFrame:
    """confidence and accuracy of each bin over the replicates, without the bins of few predictions."""
    sums = bins.assign(confidence=bins["confidence"] * bins["images"], accuracy=bins["accuracy"] * bins["images"])
    whole = sums.groupby("bin_low")[["images", "confidence", "accuracy"]].sum().query("images >= @FEWEST")
    return whole[["confidence", "accuracy"]].div(whole["images"], axis=0)


def _rows(settings: FigureSettings) -> list[tuple[str, str]]:
    """(size, backbone) for the smallest and the largest size: between them the curves would not be told apart."""
    names = settings.size_names
    return [(size, backbone) for backbone in settings.backbones for size in dict.fromkeys([names[0], names[-1]])]


def _gone(rows: pd.DataFrame, settings: FigureSettings) -> list[str]:
    """The augmentations without a row, all of whose cells are missing."""
    return [name for name in settings.augmentations if name not in set(rows["augmentation"])]


def _titled(size: str, backbone: str, settings: FigureSettings) -> str:
    return size_title(size) + (f", {backbone}" if len(settings.backbones) > 1 else "")


def _legend(figure: Figure, grid: np.ndarray, title: str) -> None:
    handles, names = grid[0][0].get_legend_handles_labels()
    if handles:
        figure.legend(handles, names, loc="outside upper center", ncols=min(len(names), 6), title=title)

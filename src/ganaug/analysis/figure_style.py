"""Look of the figures: colours safe for the colour-blind, told apart by marker and dash in grey print too."""

from dataclasses import dataclass
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.typing import LineStyleType, RcKeyType

from ganaug.study.grid import Grid

# Okabe and Ito, "Color Universal Design" (2008), the yellow left out: too faint on white.
COLOURS = ("#000000", "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
DASHES: tuple[LineStyleType, ...] = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (8, 2)), (0, (1, 2)))

STYLE: dict[RcKeyType, Any] = {
    "figure.constrained_layout.use": True,
    "figure.facecolor": "white",
    "text.parse_math": False,  # a dollar sign in a class name is one
    "font.size": 9,
    "axes.titlesize": 9.5,
    "axes.labelsize": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#e4e4e4",
    "grid.linewidth": 0.6,
    "axes.axisbelow": True,
    "axes.edgecolor": "#555555",
    "xtick.color": "#333333",
    "ytick.color": "#333333",
    "legend.frameon": False,
    "legend.fontsize": 9,
    "lines.linewidth": 1.5,
    "lines.markersize": 5,
    "svg.hashsalt": "ganaug",
}


SIZE_LABEL = "real images per class, validation included"


@dataclass(frozen=True)
class FigureSettings(Grid):
    """The grid; confidence: level of the intervals in the tables, for the labels; dpi: of the PNG."""

    confidence: float
    dpi: int


def series_style(index: int) -> dict:
    """Colour, marker and dash of the index-th series."""
    return {
        "color": COLOURS[index % len(COLOURS)],
        "marker": MARKERS[index % len(MARKERS)],
        "linestyle": DASHES[index % len(DASHES)],
    }


def size_colours(sizes: list[str]) -> dict[str, tuple]:
    """A colour per size, dark to light in their order, so that grey print keeps the order."""
    return dict(zip(sizes, matplotlib.colormaps["viridis"](np.linspace(0.05, 0.85, len(sizes))), strict=True))


def size_positions(subsets: pd.DataFrame, sizes: list[str]) -> dict[str, float]:
    """Place of each size on an axis of images per class: the number itself, or for `all` its mean over the classes, and
    none where all its subsets are missing.

    subsets: the subsets table (size, replicate, side, class, images).
    """
    per_class = subsets.groupby(["size", "replicate", "class"])["images"].sum().groupby(level="size").mean()
    known = [size for size in sizes if size != "all" or size in per_class]
    return {size: float(per_class[size]) if size == "all" else float(size) for size in known}


def size_axis(axes: Axes, positions: dict[str, float]) -> None:
    """A logarithmic axis of images per class with a tick at each size."""
    axes.set_xscale("log")
    low, high = min(positions.values()), max(positions.values())
    margin = max(1.15, (high / low) ** 0.09)
    axes.set_xlim(low / margin, high * margin)
    names = [f"all\n(mean {x:.0f})" if size == "all" else size for size, x in positions.items()]
    axes.set_xticks(list(positions.values()), names)
    axes.set_xticks([], minor=True)


def beside(positions: dict[str, float], index: int, count: int) -> dict[str, float]:
    """The positions moved a little for the index-th of count series, so that their intervals do not overlap."""
    spread = max(1.04, (max(positions.values()) / min(positions.values())) ** 0.022)
    return {size: x * spread ** (index - (count - 1) / 2) for size, x in positions.items()}


def panels(rows: int, columns: int, width: float, height: float, labels: float = 0) -> tuple[Figure, np.ndarray]:
    """A figure of rows x columns axes of the given size in inches each, and the axes as a 2-D array.

    labels: inches more on the left and below, for labels that only the outer axes have.
    """
    figure = Figure(figsize=(width * columns + labels, height * rows + labels))
    return figure, figure.subplots(rows, columns, squeeze=False)


def counted(settings: Grid) -> str:
    """The number of replicates in words; in an incomplete study the most that a mean may have."""
    n = settings.replicates
    return f"{'up to ' if settings.missing else ''}n = {n} replicate{'s' if n > 1 else ''}"


def say_missing(axes: Axes, series: list[str] | None = None, of: int = 0) -> None:
    """The word in place of what an incomplete study has nothing of; or, of so many series, those that are missing."""
    look: dict[str, Any] = {"transform": axes.transAxes, "color": "#777777", "style": "italic"}
    if series is None or len(series) == of:
        axes.text(0.5, 0.5, "missing", ha="center", va="center", **look)
    elif series:
        axes.text(0.97, 0.04, "\n".join(["missing:", *series]), ha="right", va="bottom", fontsize=7, **look)


def nothing_there(title: str) -> Figure:
    """A figure of which all is missing."""
    figure, grid = panels(1, 1, 4.2, 1.6)
    grid[0][0].set(xticks=[], yticks=[], title=title)
    say_missing(grid[0][0])
    return figure


def size_title(size: str) -> str:
    """A size in words."""
    return f"{size} per class" if size != "all" else "all images"

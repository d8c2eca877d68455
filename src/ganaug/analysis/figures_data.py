"""Figures of the images that came in: how near copies and different films lie."""

from pathlib import Path

from matplotlib.figure import Figure

from ganaug.analysis.figure_style import FigureSettings, panels, series_style
from ganaug.analysis.results import read_table
from ganaug.files import read_json


def near_copies(results: Path, settings: FigureSettings) -> Figure:
    """Distances of perceptual hashes: of copies made here to their films, and of films to those of other classes."""
    table = read_table(results / "data" / "distances.csv", ["kind", "distance", "pairs"])
    chosen = read_json(results / "data" / "near_copies.json")
    figure, grid = panels(1, 1, 6.6, 3.2)
    axes = grid[0][0]
    kinds = list(table["kind"].unique())[::-1]  # different films, the last, are black and solid
    for index, kind in enumerate(kinds):
        style = series_style(index)
        rows = table[table["kind"] == kind].sort_values("distance")
        shares = rows["pairs"].cumsum() / rows["pairs"].sum()
        label = f"{kind} ({rows['pairs'].sum():,} pairs)"
        del style["marker"]
        axes.step(rows["distance"], shares, where="post", label=label, **style)
    axes.axvline(chosen["distance"], color="#555555", linewidth=1)
    axes.text(chosen["distance"] + 2, 2e-7, f"near-copies:\nup to {chosen['distance']} bits", fontsize=8)
    axes.set(
        yscale="log", xlim=(0, 160), ylim=(1e-7, 2), xlabel="differing bits of 256", ylabel="share of pairs as near"
    )
    axes.yaxis.set_major_formatter(
        lambda share, _: f"{share:g}"
    )  # powers of ten as such are mathematics (figure_style)
    figure.legend(loc="outside right upper", fontsize=8)
    return figure

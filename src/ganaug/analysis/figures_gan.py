"""Figures of the GANs: training curves and fidelity."""

from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ganaug.analysis.figure_style import (
    DASHES,
    SIZE_LABEL,
    FigureSettings,
    beside,
    counted,
    nothing_there,
    panels,
    series_style,
    size_axis,
    size_colours,
    size_positions,
    size_title,
)
from ganaug.analysis.results import frechet, read_table, readable

# What of the training log is drawn, in this order, with its axis label.
TRAINING = {
    "loss_g": "generator loss",
    "loss_d": "discriminator loss",
    "real_score": "discriminator's score, real",
    "fake_score": "discriminator's score, generated",
    "ada_p": "ADA probability p",
    "r_t": "ADA overfitting signal r_t",
    "r1": "R1 penalty",
    "path_length": "path length",
}


def gan_training(results: Path, settings: FigureSettings) -> Figure:
    """Training curves of every GAN against kimg, and the fidelity of its snapshots.

    The snapshots' Fréchet distances are of equally many images along one line; those of other sizes are of more or
    fewer training images, and their levels do not compare.
    """
    log = read_table(results / "tables" / "gan_training.csv", ["size", "replicate", "kimg", "quantity", "value"])
    curve = read_table(results / "tables" / "fidelity_curve.csv", ["size", "replicate", "kimg", "extractor", "value"])
    parts = {label: log[log["quantity"] == q] for q, label in TRAINING.items() if (log["quantity"] == q).any()}
    for key, rows in curve.groupby(["extractor", "metric"], sort=False):
        extractor, metric = map(str, key)
        parts[f"{readable(metric)}\n({extractor};\ncompare along a line)"] = rows
    if not parts:
        return nothing_there("training of the GANs")
    columns = 4
    figure, grid = panels(-(-len(parts) // columns), columns, 2.75, 2.0)
    colours = size_colours(settings.size_names)
    for axes, (label, rows) in zip(grid.flat, parts.items(), strict=False):
        for size, replicate in settings.subsets:
            line = rows[rows["size"].eq(size) & rows["replicate"].eq(replicate)].sort_values("kimg")
            dash = DASHES[(replicate - 1) % len(DASHES)]
            marker = "." if len(line) < 3 else None
            axes.plot(line["kimg"], line["value"], color=colours[size], linestyle=dash, linewidth=1, marker=marker)
        axes.set_title(label)
    for axes in grid.flat[len(parts) :]:
        axes.remove()
    figure.supxlabel("kimg (thousands of real images shown to the discriminator)", fontsize=9)
    sizes = [Line2D([], [], color=colours[s]) for s in colours]
    dashes = [Line2D([], [], color="#555555", linestyle=DASHES[(r - 1) % len(DASHES)]) for r in _few(settings)]
    names = [size_title(size) for size in colours]
    names += [f"replicate {r}" for r in _few(settings)]
    figure.legend([*sizes, *dashes], names, loc="outside upper center", ncols=min(len(names), 6))
    return figure


def _few(settings: FigureSettings) -> range:
    """Replicates to name in the legend: none where there is but one."""
    return settings.replicate_numbers if settings.replicates > 1 else range(0)


def fidelity_title(metric: str) -> str:
    """Of a panel against the size: what is drawn, and what does not compare along its axis."""
    if frechet(metric):
        return f"{readable(metric)} above floor"
    return readable(metric) + (", within a size alone" if metric == "recall" else "")


def fidelity(results: Path, settings: FigureSettings) -> Figure:
    """Fidelity to held-out images against the size, a panel per metric, a line per class, and the floor of all classes.

    The floor: the training images in place of the synthetic ones. A Fréchet distance is the higher the fewer the images
    of a size, so that its panel shows the value minus the floor of the same class, at the same numbers of images.
    Recall, too, is the higher the fewer the images, where these are unlike real ones; since its floor is not, it stays
    as it is.
    """
    needed = ["size", "replicate", "class", "reference", "extractor", "metric", "value", "floor", "above_floor"]
    table = read_table(results / "tables" / "fidelity.csv", needed)
    table = table[table["reference"] == "held out"]
    subsets = read_table(results / "tables" / "subsets.csv", ["size", "replicate", "class", "images"])
    positions = size_positions(subsets, settings.size_names)
    classes = sorted(table["class"].unique(), key=lambda name: (name != "all", name))  # `all` first: black, solid
    measures = table[~table["metric"].str.endswith("_std")]  # a spread is no fidelity
    kinds = measures[["extractor", "metric"]].drop_duplicates().itertuples(index=False)
    parts = {(e, m): table[table["extractor"].eq(e) & table["metric"].eq(m)] for e, m in kinds}
    if not parts:
        return nothing_there("fidelity of the synthetic images")
    columns = 2 if len(parts) == 4 else min(3, len(parts))
    figure, grid = panels(-(-len(parts) // columns), columns, 4.2, 2.7)
    for axes, ((extractor, metric), rows) in zip(grid.flat, parts.items(), strict=False):
        shown = "above_floor" if frechet(metric) else "value"
        for index, name in enumerate(classes):
            ours, style = rows[rows["class"] == name], series_style(index)
            moved = beside(positions, index, len(classes))
            axes.scatter(ours["size"].map(moved), ours[shown], s=9, alpha=0.4, color=style["color"], linewidths=0)
            means = ours.groupby("size")[shown].mean().reindex(list(moved))
            axes.plot(list(moved.values()), means, label="all classes" if name == "all" else name, **style)
        floors = rows[rows["class"] == "all"].groupby("size")["floor"].mean().reindex(list(positions))
        floors = 0 * floors if frechet(metric) else floors
        label = "real images instead, all classes"
        axes.plot(list(positions.values()), floors, label=label, color="#777777", linewidth=1, linestyle=":")
        size_axis(axes, positions)
        axes.set_title(f"{fidelity_title(metric)}\n({extractor})")
    for axes in grid.flat[len(parts) :]:
        axes.remove()
    figure.supxlabel(SIZE_LABEL, fontsize=9)
    handles, names = grid.flat[0].get_legend_handles_labels()
    title = f"mean and points of {counted(settings)}"
    figure.legend(handles, names, loc="outside upper center", ncols=min(len(names), 3), title=title)
    return figure

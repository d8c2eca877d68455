"""Every figure is drawn from a made-up results tree; what it shows is compared with the tables."""

import xml.etree.ElementTree as ET

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from ganaug.analysis import figures_classes, figures_gan, figures_images, figures_scores
from ganaug.analysis.figure_style import FigureSettings, size_positions
from ganaug.analysis.figures import FIGURES
from helpers.results_tree import CLASSES, GRID, make_figure, make_tables, make_tree

TWO_BACKBONES = {
    **GRID,
    "sizes": [25],
    "replicates": 1,
    "augmentations": ["gan", "classical"],
    "backbones": ["resnet18", "densenet121"],
}


@pytest.fixture(scope="module")
def tree(once):
    return once("tree-of-figures", lambda root: make_tables(make_tree(root)))


@pytest.fixture(scope="module")
def bare(once):
    """One size, one replicate, two backbones, no pair to compare; classes whose names say something to a program."""
    odd = ["$a$ $\\frac$", "<b>&amp;--", "1", "100 % {x}\\n"]
    return once("bare-tree", lambda root: make_tables(make_tree(root, TWO_BACKBONES, odd), TWO_BACKBONES))


def settings(grid=GRID):
    return FigureSettings(**grid, confidence=0.95, dpi=60)


@pytest.mark.parametrize("name", FIGURES)
def test_every_figure_is_drawn_twice_to_the_same_bytes(tree, tmp_path, name):
    for folder in ("a", "b"):
        assert make_figure(tree, name, tmp_path / folder) == 0
    for suffix in ("png", "svg"):
        assert (tmp_path / f"a/{name}.{suffix}").read_bytes() == (tmp_path / f"b/{name}.{suffix}").read_bytes()
    picture = np.asarray(Image.open(tmp_path / f"a/{name}.png").convert("L"))
    assert min(picture.shape) > 100 and picture.std() > 5
    assert ET.parse(tmp_path / f"a/{name}.svg").getroot().tag.endswith("svg")


@pytest.mark.parametrize("name", FIGURES)
def test_every_figure_can_be_drawn_of_a_bare_study(bare, tmp_path, name):
    assert make_figure(bare, name, tmp_path, TWO_BACKBONES) == 0


def test_learning_curve_shows_the_summary(tree):
    figure = figures_scores.learning_curve(tree, settings())
    summary = pd.read_csv(tree / "tables/summary.csv")
    axes = figure.axes[0]
    assert axes.get_ylabel() == "balanced accuracy" and axes.get_xscale() == "log"
    lines = {line.get_label(): line for line in axes.get_lines()}
    assert list(lines) == GRID["augmentations"]
    for name, line in lines.items():
        rows = summary[(summary["augmentation"] == name) & (summary["metric"] == "balanced_accuracy")]
        np.testing.assert_allclose(line.get_ydata(), rows["mean"])
    looks = {(line.get_color(), line.get_marker(), line.get_linestyle()) for line in lines.values()}
    assert len(looks) == len({colour for colour, *_ in looks}) == len({dash for *_, dash in looks}) == 4
    low, high = (
        np.array([c.get_segments() for c in axes.collections if hasattr(c, "get_segments")])[..., 1].reshape(-1, 2).T
    )
    drawn = summary[summary["metric"] == "balanced_accuracy"]
    np.testing.assert_allclose(sorted(low), sorted(drawn["ci_low"]))
    np.testing.assert_allclose(sorted(high), sorted(drawn["ci_high"]))


def test_differences_keep_the_colours_of_the_learning_curve(tree):
    curve = {
        line.get_label(): line.get_color() for line in figures_scores.learning_curve(tree, settings()).axes[0].lines
    }
    axes = figures_scores.differences(tree, settings()).axes[0]
    lines = {line.get_label(): line.get_color() for line in axes.lines}
    assert lines["gan − none"] == curve["gan"] and lines["gan+classical − none"] == curve["gan+classical"]
    assert lines["gan+classical − classical"] not in curve.values()


def test_all_stands_at_its_mean_number_of_images():
    subsets = pd.DataFrame(
        [("all", 1, side, c, n) for side in ("train", "validation") for c, n in (("A", 100), ("B", 20))],
        columns=["size", "replicate", "side", "class", "images"],
    )
    assert size_positions(subsets, ["50", "all"]) == {"50": 50, "all": 120}


def test_confusion_matrices_show_pooled_counts_and_shares_of_the_true_class(tree):
    figure = figures_scores.confusion_matrices(tree, settings())
    counts = pd.read_csv(tree / "tables/confusion.csv").query("augmentation == 'none' and size == '25'")
    matrix = counts.groupby(["label", "predicted"])["images"].sum().unstack().loc[CLASSES, CLASSES].to_numpy()
    texts = [t.get_text() for t in figure.axes[0].texts]
    shares = matrix / matrix.sum(axis=1, keepdims=True)
    assert texts[0::2] == [f"{share:.0%}" for share in shares.flat]
    assert texts[1::2] == [str(count) for count in matrix.flat]
    assert matrix.sum() == 60 * len(CLASSES) * GRID["replicates"]


def test_fidelity_shows_frechet_distances_above_their_floor(tree):
    figure = figures_gan.fidelity(tree, settings())
    panels = {axes.get_title().splitlines()[0]: axes for axes in figure.axes}
    titles = [
        "Fréchet distance above floor",
        "kernel distance, mean of subsets",
        "precision",
        "recall, within a size alone",
    ]
    assert list(panels) == titles
    table = pd.read_csv(tree / "tables/fidelity.csv").query("reference == 'held out' and `class` == 'all'")
    table = table.assign(above=table["value"] - table["floor"], size=table["size"].astype(str))
    means = table.groupby(["metric", "size"])[["value", "floor", "above"]].mean()
    for title, metric, shown, floor in (
        (titles[0], "frechet_distance", "above", [0, 0, 0]),
        (titles[1], "kernel_distance_mean", "value", None),
    ):
        rows = means.loc[metric].loc[[str(size) for size in GRID["sizes"]]]
        lines = {line.get_label(): line.get_ydata() for line in panels[title].lines}
        np.testing.assert_allclose(lines["all classes"], rows[shown])
        np.testing.assert_allclose(lines["real images instead, all classes"], rows["floor"] if floor is None else floor)


def test_real_and_generated_shows_the_first_images_unselected(tree):
    figure = figures_images.real_and_generated(tree, settings())
    real, generated = (axes.images[0].get_array() for axes in figure.axes[:2])
    for canvas, path in (
        (real, "subsets/size-25/replicate-1/train"),
        (generated, "synthetic/size-25/replicate-1/images"),
    ):
        images, table = np.load(tree / f"{path}.npy"), pd.read_csv(tree / f"{path}.csv")
        side = images.shape[-1]
        for row, name in enumerate(CLASSES):
            first = images[np.flatnonzero(table["class"] == name)[0]]
            top = row * (side + figures_images.GAP)
            np.testing.assert_array_equal(canvas[top : top + side, :side], first)


def test_gan_progress_follows_one_latent(tree):
    canvas = figures_images.gan_progress(tree, settings()).axes[0].images[0].get_array()
    snapshots = np.load(tree / "gan/size-25/replicate-1/snapshots.npy")
    side = snapshots.shape[-1]
    step = side + figures_images.GAP
    np.testing.assert_array_equal(canvas[step : step + side, 3 * step : 3 * step + side], snapshots[3, 2])


def test_a_missing_table_is_named(tmp_path, capsys):
    assert make_figure(tmp_path, "learning_curve", tmp_path) == 1
    assert "tables/cells.csv: missing" in capsys.readouterr().err
    assert not list(tmp_path.glob("*.png"))


def test_reliability_shows_every_class_as_trained_and_corrected(tree, tmp_path):
    table = pd.read_csv(tree / "tables/reliability.csv")
    assert len(figures_classes.reliability(tree, settings()).axes) == 2 * (1 + len(CLASSES))  # a correction of nothing
    table.loc[table["priors"] == "development", "confidence"] *= 0.9
    (tmp_path / "tables").mkdir()
    table.to_csv(tmp_path / "tables/reliability.csv", index=False)
    prevalence = pd.read_csv(tree / "tables/prevalence.csv")
    prevalence["development"] = prevalence["class"].map(dict(zip(CLASSES, (0.4, 0.3, 0.2, 0.1), strict=True)))
    prevalence.to_csv(tmp_path / "tables/prevalence.csv", index=False)
    figure = figures_classes.reliability(tmp_path, settings())
    assert len(figure.axes) == 2 * 2 * (1 + len(CLASSES))  # sizes, priors, highest probability and classes
    titles = {axes.get_title(): axes for axes in figure.axes}
    for name in (CLASSES[0], "all"):
        axes = titles[f"{'highest' if name == 'all' else name}, 25 per class\ncorrected"]
        lines = {line.get_label(): line for line in axes.get_lines()}
        rows = table[table["class"].eq(name) & table["priors"].eq("development") & table["size"].eq("25")]
        rows = rows[rows["augmentation"] == "gan"]
        drawn = dict(zip(*lines["gan"].get_data(), strict=True))
        for _, bins in rows.groupby("bin_low"):
            if bins["images"].sum() >= figures_classes.FEWEST:
                confidence, accuracy = (np.average(bins[c], weights=bins["images"]) for c in ("confidence", "accuracy"))
                nearest = min(drawn, key=lambda x, at=confidence: abs(x - at))
                assert nearest == pytest.approx(confidence) and drawn[nearest] == pytest.approx(accuracy)

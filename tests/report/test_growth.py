"""What the page says of size: no more than so many sizes tell."""

import math
import shutil

import pandas as pd
import pytest

from ganaug.report.growth import limited
from helpers.pages import build, report
from helpers.results_tree import GRID, SMALL, make_tables, make_tree

NAN = math.nan
THREE = {**GRID, "sizes": [25, 100, "all"], "replicates": 2, "augmentations": ["none", "classical", "mixup"]}
THREE |= {"synthetic": [], "ratios": [], "probes": []}


def row(quantity, value, low=NAN, high=NAN, note="", beyond=False):
    numbers = {"value": value, "ci_low": low, "ci_high": high}
    return pd.Series(numbers | {"note": note, "beyond": beyond}, dtype=object), quantity


@pytest.mark.parametrize(
    ("given", "mean", "interval"),
    [
        (row("spearman", 1.0, note="fewer than three sizes"), "–", "fewer than three sizes"),
        (row("spearman", 1.0, 1.0, 1.0, "interval of no width"), "1.00", "interval of no width"),
        (row("spearman", 0.5, -0.25, 1.0), "0.50", "[−0.25, 1.00]"),
        (row("b", 0.05, 0.05, 0.05, "at the edge of the search"), "≤ 0.05", "at the edge of the search"),
        (row("b", 0.05, 0.05, 0.4, "at the edge of the search"), "≤ 0.05", "[0.05, 0.40] at the edge of the search"),
        (row("b", 3.0, note="at the edge of the search"), "≥ 3.00", "at the edge of the search"),
        (row("c", 0.0, note="fixed at 0: fewer than four sizes"), "0.00", "fixed at 0: fewer than four sizes"),
        (row("multiplier", 2.5, note="fewer than three sizes", beyond=True), "–", "fewer than three sizes"),
        (row("multiplier", math.inf, 1.5, math.inf, beyond=True), "∞†", "[1.50, ∞]"),
        (row("multiplier", NAN), "–", ""),
    ],
)
def test_a_quantity_is_shown_as_what_it_is(given, mean, interval):
    shown = limited(*given)
    assert (shown["mean"], shown["interval"]) == (mean, interval)


@pytest.fixture(scope="module")
def three(once, tmp_path_factory):
    """A page of three sizes; its figures are another study's, for none of them is looked at."""
    root = tmp_path_factory.mktemp("three") / "study"
    make_tree(root, THREE, generated=False)
    assert make_tables(root, THREE, generated=False) == 0
    shutil.copytree(once("tree-of-reports", lambda root: build(root, SMALL)) / "figures", root / "figures")
    return root, report(root, THREE, root.parent, generated=False, source="folder")[0]


def test_three_sizes_have_a_correlation_and_a_law(three):
    root, page = three
    text = " ".join(page.text.split())
    table = pd.read_csv(root / "tables/scaling.csv")
    for one in table.query("quantity == 'spearman'").itertuples():
        assert f"{one.augmentation}: " in text and f"(rank correlation {one.value:.2f}".replace("-", "−") in text
    b = table.query("quantity == 'b' and augmentation == 'none'")["value"].item()
    assert f"{b:.2f}[" in text and "c fixed at 0" in text and "What an augmentation is worth." in text

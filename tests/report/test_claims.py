"""The page says no more than the numbers, and no less: of size, comparisons, augmentations, groups and machines."""

import math
import re
import shutil

import pandas as pd
import pytest
import yaml

from ganaug.analysis.pairs import comparisons
from ganaug.classify.augmentations import AUGMENTATIONS, Augmentation
from ganaug.errors import UserError
from ganaug.files import read_json, write_json
from ganaug.report.growth import limited
from ganaug.report.methods import UNDESCRIBED, augmentations_in_words
from helpers.pages import build, report
from helpers.results_tree import GRID, SMALL, make_tables, make_tree
from helpers.running import ROOT

NAN = math.nan
THREE = {**GRID, "sizes": [25, 100, "all"], "replicates": 2, "augmentations": ["none", "classical", "blur"]}
BLUR = Augmentation(settings="mixup", description="blurred & dimmed by a share of {alpha:g}")
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
    """A page of three sizes and an added augmentation, without GANs; its figures are another study's, not looked at."""
    root = tmp_path_factory.mktemp("three") / "study"
    make_tree(root, THREE, generated=False)
    assert make_tables(root, THREE, generated=False) == 0
    shutil.copytree(once("tree-of-reports", lambda root: build(root, SMALL)) / "figures", root / "figures")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(AUGMENTATIONS, "blur", BLUR)
        return root, report(root, THREE, root.parent, generated=False, source="folder")[0]


@pytest.fixture
def small(once, tmp_path):
    """A study of its own with GANs and two sizes, to be changed."""
    return shutil.copytree(once("tree-of-reports", lambda root: build(root, SMALL)), tmp_path / "study")


def said(page) -> str:
    """The page's text without the settings at its end."""
    return " ".join(page.text.split("All settings of the study")[0].split())


def test_three_sizes_have_a_correlation_and_a_law(three):
    root, page = three
    text = " ".join(page.text.split())
    table = pd.read_csv(root / "tables/scaling.csv")
    for one in table.query("quantity == 'spearman'").itertuples():
        assert f"{one.augmentation}: " in text and f"(rank correlation {one.value:.2f}".replace("-", "−") in text
    b = table.query("quantity == 'b' and augmentation == 'none'")["value"].item()
    assert f"{b:.2f}[" in text and "c fixed at 0" in text and "What an augmentation is worth." in text


def test_an_added_augmentation_is_described_in_methods(three):
    text = said(three[1])
    assert "blur: blurred & dimmed by a share of 0.2. All are in" in text
    assert "classical: each image rotated by up to 10°, shifted by up to 0.05 of its side" in text


def test_every_augmentation_of_ours_has_a_description():
    config = {"classical": {"rotation_degrees": 7.5, "shift": 0, "zoom": 0.1, "brightness": 0.25}}
    config |= {"randaugment": {"operations": 2, "magnitude": 9}, "mixup": {"alpha": 1}, "cutmix": {"alpha": 0.5}}
    rows = {row["name"]: row["text"] for row in augmentations_in_words(list(AUGMENTATIONS), config)}
    assert all(rows.values()) and UNDESCRIBED not in rows.values() and len(set(rows.values())) == len(rows)
    assert "7.5°" in rows["classical"] and "magnitude 9" in rows["randaugment"] and "{" not in "".join(rows.values())


def test_a_description_that_is_lacking_or_wrong_is_told(monkeypatch):
    monkeypatch.setitem(AUGMENTATIONS, "blur", Augmentation())
    assert augmentations_in_words(["blur"], {}) == [{"name": "blur", "text": UNDESCRIBED}]
    monkeypatch.setitem(AUGMENTATIONS, "blur", Augmentation(settings="blur", description="by {sigma}"))
    with pytest.raises(UserError, match=r"the description of blur can't be filled in .*sigma.*the block blur"):
        augmentations_in_words(["blur"], {"blur": {"strength": 1}})


def test_every_comparison_is_answered_in_words(three, small, tmp_path):
    pages = [(THREE, *three), (SMALL, small, report(small, SMALL, tmp_path)[0])]
    for grid, root, page in pages:
        table, text = pd.read_csv(root / "tables/comparisons.csv").query("metric == 'balanced_accuracy'"), said(page)
        assert len(comparisons(grid["augmentations"])) in (2, 5)
        for a, b in comparisons(grid["augmentations"]):
            answer = text.split(f"{a} against {b}: ")[1].split(".")[0]
            for one in table[table["augmentation"].eq(a) & table["reference"].eq(b)].itertuples():
                place = "all images" if one.size == "all" else str(one.size)
                assert place in next(part for part in answer.split(";") if one.verdict in part)


def test_a_study_without_gans_has_its_comparisons_in_the_first_table(three):
    head = said(three[1]).split("Images from one folder per class")[0]
    assert "classical − none" in head and "blur − none" in head
    assert "GAN" not in head and "Does augmentation help" in head


def test_a_published_result_stands_only_where_the_study_names_it(small, tmp_path):
    plain = said(report(small, SMALL, tmp_path, source="radiography")[0])
    assert "The published" not in plain and "best accuracy" not in plain
    words = "Somebody (2020) found <0.9>."
    named = said(report(small, SMALL, tmp_path, report={"published": words})[0])
    assert f"The published result. {words}" in named


def test_weights_that_a_gan_starts_from_are_told(small, tmp_path):
    alone, started = "on the training images of that subset and nothing else", "but from the weights in …/ffhq.pt"
    plain = said(report(small, SMALL, tmp_path)[0])
    assert f"{alone}. " in plain and started not in plain
    begun = said(report(small, SMALL, tmp_path, gan={"init_from": "/home/anna/ffhq.pt"})[0])
    assert f"{alone}, {started}, which have seen other images." in begun


def test_only_the_published_study_names_its_result():
    named = {
        path.stem: study["report"]["published"]
        for path in (ROOT / "config").glob("*.yaml")
        if "published" in (study := yaml.safe_load(path.read_text())).get("report", {})
    }
    assert list(named) == ["paper"] and "0.902" in named["paper"] and "2304.09067" in named["paper"]


def test_a_group_of_two_classes_counts_once_in_the_total(small, tmp_path):
    path = small / "data/splits.csv"
    splits = pd.read_csv(path)
    splits.loc[splits["class"].eq("Normal") & splits["group"].eq("Normal0"), "group"] = "COVID0"
    splits.to_csv(path, index=False)
    assert splits["group"].nunique() == 599
    page = report(small, SMALL, tmp_path)[0]
    total = page.source.split("<th>all</th>")[1].split("</tr>")[0]
    assert re.findall("[0-9]+", total) == ["1", "1200", "599", "240", "960"]
    assert "A group with images of several classes counts in each" in said(page)


def made_on(path, cpu=None, threads=None):
    record = read_json(path)
    record["machine"].pop("cpu", None)
    record["machine"] |= {"cpu": cpu} if cpu else {}
    write_json(path, record | {"threads": threads})


def test_the_cpus_that_made_the_numbers_are_told(small, tmp_path):
    files = read_jobs(small)
    for path in files:
        made_on(path)
    unknown = said(report(small, SMALL, tmp_path)[0])
    assert "give the same bytes; the model of CPU is not recorded here" in unknown
    for path in files:
        made_on(path, "Xeon 8480", 2)
    one = said(report(small, SMALL, tmp_path)[0])
    assert f"CPUXeon 8480 ({len(files)} jobs, 2 threads each)" in one
    assert "Several models" not in one and "not recorded" not in one
    made_on(files[-1], "EPYC 9654", 1)
    two = said(report(small, SMALL, tmp_path)[0])
    assert "; EPYC 9654 (1 job, 1 thread each)" in two and "Several models of CPU made these numbers" in two


def read_jobs(root):
    """The provenance files of the stages that the page counts."""
    return [
        path for stage in ("gan", "synthetic", "fidelity", "cells") for path in (root / stage).rglob("provenance.json")
    ]

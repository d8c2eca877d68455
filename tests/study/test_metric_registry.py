"""The registry of metrics: what an entry says is true of the values, and a new metric takes one entry."""

import dataclasses
import shutil

import numpy as np
import pandas as pd
import pytest

from ganaug.analysis import figures_scores
from ganaug.analysis.figure_style import FigureSettings
from ganaug.analysis.metrics import Predictions, score
from ganaug.analysis.resampling import resampled_scores
from ganaug.analysis.summary import as_text
from ganaug.files import read_csv
from ganaug.study.entries import function_of
from ganaug.study.metrics import METRICS, class_metrics, metric_of, overall_metrics, panel_metrics, shown_metrics
from helpers.evidence import evidence, predictions
from helpers.kappa import KAPPA
from helpers.pages import report
from helpers.results_tree import GRID, make_tables, make_tree
from helpers.running import CLASSES

ONE = {**GRID, "sizes": [25], "replicates": 2, "augmentations": ["none", "classical"]}
ONE |= {"synthetic": [], "ratios": [], "probes": []}


def with_predicted(p, labels, predicted):
    names = np.array(p.classes, object)
    probabilities = np.eye(len(names))[predicted]
    return Predictions(p.images, names[labels], names[predicted], probabilities, p.classes)


def extremes():
    """Predictions that are perfect, always wrong, always the same, of one class alone, and in between."""
    p = predictions()
    labels = np.arange(len(p.images)) % len(p.classes)
    yield "perfect", with_predicted(p, labels, labels)
    yield "always wrong", with_predicted(p, labels, (labels + 1) % len(p.classes))
    yield "always the same", with_predicted(p, labels, np.zeros_like(labels))
    yield "one class", with_predicted(p, np.zeros_like(labels), labels)
    yield "in between", p


@pytest.fixture
def kappa(monkeypatch):
    monkeypatch.setitem(METRICS, "kappa", KAPPA)


@pytest.mark.parametrize(("kind", "p"), [pytest.param(*case, id=case[0]) for case in extremes()])
@pytest.mark.filterwarnings("ignore:A single label")
def test_both_functions_of_every_metric_agree_and_stay_in_its_range(kind, p, kappa):
    found = score(p)
    ones = resampled_scores(p, np.ones((3, len(p.images)), np.float32))
    assert list(found) == list(ones) and "kappa" in found
    for name, value in found.items():
        assert ones[name] == pytest.approx([value] * 3, abs=1e-6, nan_ok=True), name
        assert np.isnan(value) or metric_of(name).low - 1e-9 <= value <= metric_of(name).high + 1e-9, name
    if kind in ("perfect", "always wrong"):  # which end of the range is good
        for entry in overall_metrics():
            good = entry.higher_is_better == (kind == "perfect")
            far = entry.high if good else entry.low
            near = entry.low if good else entry.high
            assert abs(found[entry.name] - far) < abs(found[entry.name] - near), entry.name


def test_resampled_metrics_are_the_metrics_of_the_drawn_images(kappa):
    p = predictions()
    weights = np.random.default_rng(3).integers(0, 4, (5, len(p.images)))
    found = resampled_scores(p, weights.astype(np.float32))
    for b in range(5):
        index = np.repeat(np.arange(len(p.images)), weights[b])
        drawn = Predictions(p.images[index], p.labels[index], p.predicted[index], p.probabilities[index], p.classes)
        assert {name: values[b] for name, values in found.items()} == pytest.approx(score(drawn), abs=1e-6)


def test_entries_are_whole():
    for name, entry in METRICS.items():
        assert name == entry.name and "[" not in name and entry.words and entry.low < entry.high
        assert callable(function_of(entry.score)) and callable(function_of(entry.resampled))
        assert not entry.logit or (entry.low, entry.high) == (0, 1)
        assert not (entry.per_class and (entry.shown or entry.panel)), "only metrics of all classes are compared"
    for chosen, place in ((shown_metrics(), "shown"), (panel_metrics(), "panel")):
        assert [getattr(entry, place) for entry in chosen] == list(range(1, len(chosen) + 1))
    assert len(overall_metrics()) + len(class_metrics()) == len(METRICS)


def test_the_range_of_an_unknown_metric_is_not_guessed():
    assert (metric_of("mcc").low, metric_of("brier").high, metric_of("auroc[a[b]]").name) == (-1, 2, "auroc")
    for name in ("kappa", "kappa[COVID]", "sensitivity", "mcc[COVID]"):
        with pytest.raises(ValueError, match="no such metric; add an entry"):
            metric_of(name)


def worse_than_chance(root):
    """A small study whose classifiers name the next class, and empty files for the figures that its page shows."""
    make_tree(root, ONE, generated=False)
    columns = [f"probability_{name}" for name in CLASSES]
    for path in root.glob("cells/*/*/*/*/predictions.csv"):
        table = pd.read_csv(path)
        table[columns] = table[columns[-1:] + columns[:-1]].to_numpy()
        table["predicted"] = np.array(CLASSES)[table[columns].to_numpy().argmax(1)]
        table.to_csv(path, index=False)
    (root / "figures").mkdir()
    for name in ("near_copies", "learning_curve", "differences", "confusion_matrices", "roc", "precision_recall"):
        (root / f"figures/{name}.svg").write_text("<svg/>")
    (root / "figures/reliability.svg").write_text("<svg/>")
    (root / "figures/class_examples.png").write_bytes(b"")


def test_a_new_metric_takes_one_entry_and_its_functions(once, tmp_path, kappa):
    """Its interval is cut off at its own range, and tables, page, figures and terminal have it."""
    root = shutil.copytree(once("worse-than-chance", worse_than_chance), tmp_path / "study")
    assert make_tables(root, ONE, generated=False) == 0
    summary = read_csv(root / "tables/summary.csv", dtype={"size": str})
    of_kappa = summary[summary["metric"] == "kappa"]
    assert len(of_kappa) == 2 and (of_kappa["mean"] < -0.1).all()
    assert (of_kappa["ci_low"] < of_kappa["mean"]).all() and (of_kappa["ci_low"] >= -1).all()
    assert not of_kappa[["ci_low", "ci_high"]].eq(0).any(axis=None)
    cells = pd.read_csv(root / "tables/cells.csv").query("metric == 'kappa'")
    assert len(cells) == 4 and cells["value"].lt(0).all()
    comparisons = pd.read_csv(root / "tables/comparisons.csv")
    assert comparisons["family"].str.startswith("kappa: ").sum() == 1

    page, _ = report(root, ONE, tmp_path, generated=False)
    assert page.text.count("Cohen's kappa") == 3  # two tables, and how to read the numbers
    assert "Agreement beyond chance." in page.text
    assert f"{of_kappa['mean'].iloc[0]:.3f}".replace("-", "−") in page.text
    settings = FigureSettings(**ONE, confidence=0.95, dpi=60)
    curve = figures_scores.learning_curve(root, settings)
    assert [axes.get_ylabel() for axes in curve.axes][-1] == "Cohen's kappa" and len(curve.axes) == 4
    np.testing.assert_allclose(curve.axes[-1].lines[0].get_ydata(), of_kappa["mean"].iloc[:1])
    assert "difference in Cohen's kappa" in [a.get_ylabel() for a in figures_scores.differences(root, settings).axes]
    assert "Cohen's kappa" in as_text(summary).splitlines()[0]


def test_a_metric_of_which_less_is_better_is_judged_so(monkeypatch):
    monkeypatch.setitem(METRICS, "brier", dataclasses.replace(METRICS["brier"], shown=6))
    skills = {"none": [0.8, 1.2, 1.6, 2.0], "gan": [1.6, 2.0, 2.4, 2.8]}
    table = evidence(5, skills, n=120).comparisons().set_index(["metric", "augmentation", "reference"])
    brier, balanced = (table.loc[(metric, "gan", "none")] for metric in ("brier", "balanced_accuracy"))
    assert (balanced["mean"] > 0).all() and (brier["mean"] < 0).all()
    assert set(brier["verdict"]) == set(balanced["verdict"]) == {"better"}

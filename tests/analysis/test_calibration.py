"""Calibration of simulated classifiers whose truth is known, and the correction of priors."""

import math

import numpy as np
import pandas as pd
import pytest

from ganaug.analysis.calibration_table import calibrations, reliabilities
from ganaug.analysis.class_priors import corrected, prevalence, share
from ganaug.analysis.metrics import Predictions
from ganaug.analysis.reliability import BINS, Gaps, bin_of
from helpers.evidence import CLASSES, evidence, predictions

ALIKE = np.full(3, 1 / 3)


def calibrated(rng, images, films=1):
    """(probabilities [N, 3], labels): each label is drawn with its probabilities; films of one patient are alike."""
    patients = images // films
    logits = rng.normal(0, 1.5, (patients, 3)).repeat(films, 0) + rng.normal(0, 0.3, (images, 3))
    probabilities = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    of_patient = rng.random(patients).repeat(films)
    uniform = np.where(rng.random(images) < 0.7, of_patient, rng.random(images))
    return probabilities, (uniform[:, None] > probabilities.cumsum(1)).sum(1)


@pytest.mark.parametrize("films", [1, 11])
@pytest.mark.parametrize("kind", ["highest", "of a class"])
def test_a_perfectly_calibrated_classifier_has_no_debiased_error(films, kind):
    rng, images, found = np.random.default_rng(1), 352, []
    once = np.ones((1, images // films))
    for _ in range(300):
        probabilities, labels = calibrated(rng, images, films)
        confidence, right = probabilities[:, 0], labels == 0
        if kind == "highest":
            confidence, right = probabilities.max(1), probabilities.argmax(1) == labels
        gaps = Gaps.of(confidence, right, np.arange(images) // films)
        found.append((gaps.error(once)[0], gaps.debiased(once, once)[0], gaps.floor()))
    error, debiased, floor = np.mean(found, 0)
    assert error > 0.05 and floor == pytest.approx(error, rel=0.1)
    assert abs(debiased) < 0.012 and 0.3 < (np.array(found)[:, 1] > 0).mean() < 0.6


def test_an_error_is_found_at_its_size():
    """A confidence of 0.8 that is right in 6 of 10 cases: a mean square of 0.04, at any number of images."""
    rng, found, images = np.random.default_rng(2), [], 50
    for _ in range(1000):
        gaps = Gaps.of(np.full(images, 0.8), rng.random(images) < 0.6, np.arange(images))
        found.append(gaps.debiased(np.ones((1, images)), np.ones((1, images)))[0])
    assert np.mean(np.sign(found) * np.square(found)) == pytest.approx(0.04, abs=0.003)


def test_of_independent_images_it_is_kumars_estimate():
    rng = np.random.default_rng(3)
    confidence = rng.choice([0.35, 0.55, 0.75, 0.95], 200)  # one in a bin, as their estimate supposes
    right = rng.random(200) < confidence - 0.2
    square = 0.0
    for number in range(BINS):
        of = bin_of(confidence) == number
        if of.any():
            n, share_right = of.sum(), right[of].mean()
            square += n / 200 * ((confidence[of][0] - share_right) ** 2 - share_right * (1 - share_right) / (n - 1))
    once = np.ones((1, 200))
    assert Gaps.of(confidence, right, np.arange(200)).debiased(once, once)[0] == pytest.approx(math.sqrt(square))


def test_weights_are_counts_of_groups():
    rng = np.random.default_rng(4)
    group, confidence, right = np.arange(60) // 3, rng.random(60), rng.random(60) < 0.5
    weights = rng.integers(0, 3, (2, 20)).astype(float)
    gaps = Gaps.of(confidence, right, group)
    for number, drawn in enumerate(weights):
        again = np.repeat(np.arange(60), drawn[group].astype(int))  # the copies of a group stay one group
        repeated, once = Gaps.of(confidence[again], right[again], group[again]), np.ones((1, group[again].max() + 1))
        assert gaps.error(weights)[number] == pytest.approx(repeated.error(once)[0])
        assert gaps.debiased(weights, weights**2)[number] == pytest.approx(repeated.debiased(once, once)[0])


def test_one_group_alone_tells_nothing():
    once = np.ones((1, 1))
    gaps = Gaps.of(np.array([0.7, 0.8]), np.array([True, False]), np.array([0, 0]))
    assert math.isnan(gaps.debiased(once, once)[0]) and gaps.error(once)[0] == pytest.approx(0.55)


def ideal(images, prevalence, seed=5):
    """What an ideal classifier says that was trained on as many images of each class: Bayes' rule for normals."""
    rng = np.random.default_rng(seed)
    labels = rng.choice(3, images, p=prevalence)
    centres = 1.3 * np.eye(3)
    seen = centres[labels] + rng.normal(0, 1, (images, 3))
    likelihood = np.exp(-((seen[:, None] - centres) ** 2).sum(2) / 2)
    probabilities = likelihood / likelihood.sum(1, keepdims=True)
    names = np.array(CLASSES, object)
    numbers = np.arange(images).astype(str).astype(object)
    return Predictions(numbers, names[labels], names[probabilities.argmax(1)], probabilities, CLASSES)


def test_a_correction_makes_the_probabilities_of_an_ideal_classifier_true():
    used = np.array([0.7, 0.2, 0.1])
    p = ideal(40_000, used)
    q = corrected(p, ALIKE, used)
    np.testing.assert_allclose(q.probabilities.sum(1), 1)
    shares = [(p.labels == name).mean() for name in CLASSES]
    assert max(abs(p.probabilities.mean(0) - shares)) > 0.1  # as trained: far off
    np.testing.assert_allclose(q.probabilities.mean(0), shares, atol=0.005)
    once = np.ones((1, 40_000))
    for number, name in enumerate(CLASSES):
        before, after = (
            Gaps.of(one.probabilities[:, number], p.labels == name, np.arange(40_000)).debiased(once, once)[0]
            for one in (p, q)
        )
        assert before > 0.08 and abs(after) < 0.01
    assert (q.predicted == q.labels).mean() > (p.predicted == p.labels).mean() + 0.05
    assert set(q.predicted) == set(CLASSES) and (q.predicted == np.array(CLASSES)[q.probabilities.argmax(1)]).all()


def test_a_correction_by_hand():
    p = Predictions(*(np.array(["x"], object),) * 3, np.array([[0.5, 0.3, 0.2]]), CLASSES)
    found = corrected(p, ALIKE, np.array([0.2, 0.2, 0.6]))
    np.testing.assert_allclose(found.probabilities, [[0.1 / 0.28, 0.06 / 0.28, 0.12 / 0.28]])
    assert found.predicted[0] == CLASSES[2]
    np.testing.assert_allclose(corrected(p, ALIKE, ALIKE).probabilities, p.probabilities)
    sure = Predictions(*(np.array(["x"], object),) * 3, np.array([[1.0, 0.0, 0.0]]), CLASSES)
    assert corrected(sure, ALIKE, np.array([0, 0.5, 0.5])).probabilities.tolist() == [[1, 0, 0]]


def test_the_table_agrees_with_the_summary_and_lists_both_priors():
    found = evidence(skills={"none": [0.8, 1.2, 1.6, 2.0], "gan": [1.2, 1.6, 2.0, 2.4]}, replicates=2, n=120)
    table = calibrations(found, np.array([0.6, 0.3, 0.1]))
    key = ["augmentation", "size", "backbone", "metric"]
    of_all = table[table["class"] == "all"].set_index(["priors", *key])
    summary = found.summary(["none", "gan"], found.settings.size_names).set_index(key)
    for metric in ("accuracy", "balanced_accuracy", "ece", "brier"):
        rows = of_all.loc["training"].xs(metric, level="metric")
        for column in ("mean", "ci_low", "ci_high"):
            np.testing.assert_allclose(rows[column], summary.xs(metric, level="metric")[column], atol=1e-6)
    for name, cells in table.groupby("class"):
        assert set(cells["priors"]) == {"training", "development"}
        own = ["accuracy", "balanced_accuracy", "brier"] if name == "all" else ["mean_probability"]
        assert sorted(cells["metric"].unique()) == sorted([*own, "ece", "rms_debiased"])
        assert (cells["floor"].notna() == (cells["metric"] == "ece")).all()
    assert (table["ci_low"] <= table["mean"]).all() and (table["mean"] <= table["ci_high"]).all()
    means = table[table["metric"] == "mean_probability"].groupby(["priors", "augmentation", "size"])["mean"].sum()
    np.testing.assert_allclose(means, 1, atol=0.01)  # helpers.evidence rounds the probabilities


def test_missing_cells_are_left_out():
    found = evidence(skills={"none": [1.0, 1.0, 1.0, 1.0], "gan": [1.0, 1.0, 1.0, 1.0]}, replicates=2, n=60)
    for cell in list(found.predictions):
        if cell[0] == "gan" and (cell[1] == "50" or cell[2] == 1):
            del found.predictions[cell]
    table = calibrations(found, ALIKE).query("metric == 'ece'")
    counts = table.groupby(["augmentation", "size"])["replicates"].unique().map(list).to_dict()
    assert ("gan", "50") not in counts and counts["gan", "100"] == [1] and counts["none", "50"] == [2]


def test_reliability_of_a_class_is_of_all_images():
    p = predictions(90)
    table = reliabilities({("none", "5", 1, "net"): p}, ALIKE).query("priors == 'training'")
    for number, name in enumerate(CLASSES):
        rows = table[table["class"] == name]
        assert rows["images"].sum() == 90
        assert rows["images"] @ rows["accuracy"] == pytest.approx((p.labels == name).sum())
        assert rows["images"] @ rows["confidence"] == pytest.approx(p.probabilities[:, number].sum())


def test_prevalence_is_a_share_of_each_side():
    rows = [
        ("all", r, side, name, n)
        for r in (1, 2)
        for side, counts in (("train", (30, 60 + 10 * r, 10)), ("validation", (1, 1, 1)))
        for name, n in zip(CLASSES, counts, strict=True)
    ]
    subsets = pd.DataFrame(rows, columns=["size", "replicate", "side", "class", "images"])
    data = pd.DataFrame({"class": [*CLASSES, "unusable"], "pool": [50, 40, 10, 0], "test": [6, 3, 1, 0]})
    table = prevalence(subsets, data, CLASSES).set_index("class")
    assert table["development"].tolist() == share(data, "pool", CLASSES).tolist() == [0.5, 0.4, 0.1]
    assert table["test"].tolist() == [0.6, 0.3, 0.1] and table["weighted"].tolist() == [1 / 3] * 3
    assert table["training"].tolist() == pytest.approx([(30 / 110 + 0.25) / 2, (70 / 110 + 80 / 120) / 2, 0.0871212])

"""Curves and calibration against scikit-learn and closed forms."""

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, precision_recall_curve, roc_auc_score, roc_curve

from ganaug.analysis.curves import POINTS, points
from ganaug.analysis.reliability import bin_of, calibration_error, reliability


def scores(n=400, ties=False):
    rng = np.random.default_rng(2)
    positive = rng.random(n) < 0.3
    found = rng.normal(0, 1, n) + 1.2 * positive
    return found.round(1) if ties else found, positive


@pytest.mark.parametrize("ties", [False, True])
def test_curves_are_scikit_learns(ties):
    found, positive = scores(ties=ties)
    roc, pr = points(found, positive, np.ones((1, len(found))))
    false_rate, sensitivity, _ = roc_curve(positive, found, drop_intermediate=False)
    np.testing.assert_allclose(roc[0], np.interp(POINTS, false_rate, sensitivity), atol=1e-12)
    precision, recall, _ = precision_recall_curve(positive, found)  # recall falls
    for x, y in zip(POINTS, pr[0], strict=True):
        assert y == pytest.approx(precision[:-1][recall[:-1] >= x - 1e-12][-1])
    assert np.trapezoid(roc[0], POINTS) == pytest.approx(roc_auc_score(positive, found), abs=0.01)
    assert pr[0].mean() == pytest.approx(average_precision_score(positive, found), abs=0.02)


def test_weights_are_counts_of_images():
    found, positive = scores(ties=True)
    counts = np.random.default_rng(1).integers(0, 3, len(found))
    weighted = points(found, positive, counts[None])
    repeated = points(np.repeat(found, counts), np.repeat(positive, counts), np.ones((1, counts.sum())))
    for one, other in zip(weighted, repeated, strict=True):
        np.testing.assert_allclose(one, other)


def test_a_sample_without_a_class_has_no_curve():
    found, positive = scores()
    roc, pr = points(found, positive, np.stack([1.0 * positive, 1.0 * ~positive, np.ones(len(found))]))
    assert np.isnan(roc[:2]).all() and np.isnan(pr[:2]).all() and not np.isnan(roc[2]).any()


def test_a_calibrated_forecast_has_little_error_and_a_boast_has_its_excess():
    rng = np.random.default_rng(4)
    confidence = rng.uniform(0.5, 1, 40_000)
    right = rng.random(len(confidence)) < confidence
    assert calibration_error(confidence, right)[0] < 0.01
    assert calibration_error(np.ones(len(right)), right)[0] == pytest.approx(1 - right.mean())


def test_bins_hold_their_upper_edge():
    assert list(bin_of(np.array([0.0, 1 / 15, 1 / 15 + 1e-9, 0.5, 1.0]))) == [0, 0, 1, 7, 14]
    table = reliability(np.array([0.55, 0.6, 1.0]), np.array([True, False, True]))
    assert table["images"].tolist() == [2, 1] and table["accuracy"].tolist() == [0.5, 1.0]
    assert table["confidence"].tolist() == pytest.approx([0.575, 1.0])
    assert table["bin_high"].tolist() == pytest.approx([0.6, 1.0])

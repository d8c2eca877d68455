"""Intervals of shares: SciPy's for independent images, and how often they hold the truth for images in groups."""

import math

import numpy as np
import pytest
from scipy.stats import binomtest, norm, t

from ganaug.analysis.class_tables import class_rates, effective_images, wilson
from ganaug.analysis.metrics import Predictions


def predictions(labels, predicted):
    labels, predicted = np.array(labels, object), np.array(predicted, object)
    images = np.arange(len(labels)).astype(str).astype(object)
    return Predictions(images, labels, predicted, np.full((len(labels), 2), 0.5), ["x", "y"])


def rates(said, groups, labels=None):
    """The row of the sensitivity to x; said: per replicate, which images were called x."""
    labels = labels or ["x"] * len(groups)
    cells = {
        ("gan", "5", r, "b"): predictions(labels, np.where(called, "x", "y")) for r, called in enumerate(said, start=1)
    }
    return class_rates(cells, np.asarray(groups), 0.95).set_index(["class", "quantity"]).loc[("x", "sensitivity")]


@pytest.mark.parametrize(("right", "images"), [(0, 10), (10, 10), (7, 10), (181, 200), (1, 3)])
def test_of_images_in_groups_of_their_own_the_interval_is_scipys(right, images):
    expected = binomtest(right, images).proportion_ci(0.95, "wilson")
    assert wilson(right, images, 0.95) == pytest.approx((right / images, expected.low, expected.high))
    row = rates([np.arange(images) < right], np.arange(images))
    assert row[["value", "ci_low", "ci_high"]].tolist() == pytest.approx([right / images, expected.low, expected.high])
    assert row["groups"] == row["images"] == images and row["effective_images"] == pytest.approx(images)


def test_rates_are_means_over_replicates_of_the_same_images():
    labels = ["x"] * 10 + ["y"] * 10
    said = [np.arange(20) < 8, np.arange(20) < 6]
    said[0][10], said[1][10:13] = True, True
    cells = {("gan", "5", r, "b"): predictions(labels, np.where(s, "x", "y")) for r, s in enumerate(said)}
    table = class_rates(cells, np.arange(20), 0.95).set_index(["class", "quantity"])
    assert table.loc["x", "sensitivity"][["value", "ci_low", "ci_high", "images"]].tolist() == pytest.approx(
        [*wilson(7, 10, 0.95), 10]
    )
    assert table.loc["x", "specificity"]["value"] == pytest.approx(0.8) == table.loc["y", "sensitivity"]["value"]
    assert (table["images"] == 10).all() and (table["replicates"] == 2).all()  # not 20 images


def test_patients_whose_films_are_all_alike_count_once_each():
    groups = np.arange(200) // 10
    row = rates([groups < 14], groups)
    assert row["value"] == 0.7 and row["images"] == 200 and row["groups"] == 20
    # Variance of 20 independent shares of 0 or 1, and Student's t instead of the normal.
    assert row["effective_images"] == pytest.approx(200 * 19 / 199 * (t.ppf(0.975, 199) / t.ppf(0.975, 19)) ** 2)


def test_where_nothing_tells_the_design_effect_groups_are_counted():
    groups = np.arange(30) // 10
    assert effective_images(np.ones(30), groups, 0.95) == 3
    assert effective_images(np.zeros(30), groups, 0.95) == 3
    assert effective_images(np.arange(30) < 4, np.zeros(30), 0.95) == 1
    one_right_of_each = effective_images(np.arange(30) % 10 == 0, groups, 0.95)  # no variance between groups at all
    assert 3 < one_right_of_each < 30
    assert effective_images(np.empty(0), np.empty(0), 0.95) == 0 and math.isnan(wilson(0, 0, 0.95)[0])


@pytest.mark.parametrize(("patients", "films", "alike"), [(40, 10, 0.8), (20, 10, 0.7), (300, 1, 0.5)])
def test_the_interval_holds_the_truth_in_95_of_100_studies(patients, films, alike):
    """alike: the part of an image's difficulty, as a standard deviation, that all films of a patient share."""
    rng, groups, studies = np.random.default_rng(7), np.arange(patients * films) // films, 500
    truth, held, held_before = norm.cdf(0.9), 0, 0
    for _ in range(studies):
        difficulty = alike * rng.normal(size=patients)[groups] + math.sqrt(1 - alike**2) * rng.normal(size=len(groups))
        right = difficulty < 0.9
        effective = effective_images(right, groups, 0.95)
        for counted, before in ((effective, False), (len(right), True)):
            _, low, high = wilson(right.mean() * counted, counted, 0.95)
            held_before += before and low <= truth <= high
            held += not before and low <= truth <= high
    assert 0.93 <= held / studies <= 0.97
    assert films == 1 or held_before / studies < 0.85  # images counted as if they were independent

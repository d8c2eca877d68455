"""The shortcut: whether classifiers of the border alone do better than guessing, told of these very classifiers."""

import math

import numpy as np
import pytest

from ganaug.analysis.inference import Evidence, StatisticsSettings
from ganaug.analysis.metrics import Predictions
from ganaug.analysis.probes import shortcut

CLASSES = ["COVID", "Normal", "Viral Pneumonia"]


def right_in(share, per_class, seed):
    """Predictions of which this share of each class is right, the others spread over the other classes."""
    labels = np.repeat(np.arange(3), per_class)
    rng = np.random.default_rng(seed)
    right = np.tile(np.arange(per_class) < round(share * per_class), 3)  # the right ones stand side by side
    predicted = np.where(right, labels, (labels + rng.integers(1, 3, len(labels))) % 3)
    names = np.array(CLASSES, object)
    images = np.array([f"{i}.png" for i in range(len(labels))], object)
    return Predictions(images, names[labels], names[predicted], np.eye(3)[predicted], CLASSES)


def found(border, whole, per_class=200, groups=None):
    settings = StatisticsSettings(
        augmentations=["none"],
        sizes=[100],
        replicates=len(border),
        backbones=["net"],
        probes=["border-only"],
        confidence=0.95,
        bootstrap_samples=400,
        equivalence_margin=0.02,
        validation_share=0.2,
    )
    shares = {"border-only": border, "none": whole}
    cells = {
        (name, "100", r, "net"): right_in(share, per_class, 10 * r + len(name))
        for name, values in shares.items()
        for r, share in enumerate(values, 1)
        if share is not None
    }
    groups = np.arange(3 * per_class) if groups is None else groups
    table = shortcut(Evidence(cells, groups, settings, seed=1, used={}), CLASSES)
    table["above_chance"] = table["images_low"] > table["chance"]
    return table.set_index(["augmentation", "metric"]).loc[("border-only", "balanced_accuracy")]


def test_two_replicates_above_chance_are_told_though_their_interval_holds_chance():
    row = found([0.785, 0.701], [0.833, 0.833])
    assert row["mean"] == pytest.approx(0.743, abs=0.004) and row["chance"] == pytest.approx(1 / 3)
    assert row["ci_low"] < 1 / 3  # of two replicates
    assert row["above_chance"] and 0.70 < row["images_low"] < row["mean"] < row["images_high"] < 0.79


@pytest.mark.parametrize("border", [[0.5], [0.45, 0.45, 0.45], [0.9, 0.3], [None, 0.6], [1.0, 1.0]])
def test_any_number_of_replicates_is_judged_by_the_images(border):
    assert found(border, [0.8] * len(border))["above_chance"]


@pytest.mark.parametrize("border", [[0.335, 0.335], [0.2, 0.25], [1 / 3], [None, None]])
def test_guessing_is_no_shortcut(border):
    row = found(border, [0.8] * len(border))
    assert not row["above_chance"]
    assert math.isnan(row["images_low"]) == (border == [None, None])


def test_images_of_one_patient_count_together():
    alone = found([0.5, 0.5], [0.8, 0.8], per_class=60)
    together = found([0.5, 0.5], [0.8, 0.8], per_class=60, groups=np.repeat(np.arange(12), 15))
    assert alone["above_chance"] and not together["above_chance"]
    assert together["images_low"] < alone["images_low"] < alone["images_high"] < together["images_high"]


def test_few_test_images_leave_it_open():
    assert not found([0.55], [0.8], per_class=3)["above_chance"]

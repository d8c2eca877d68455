"""Classifiers differ in their augmentation alone: images, steps, seeds and weights of classes are the same."""

import numpy as np

from ganaug import files
from ganaug.classify import networks, trainer
from ganaug.classify.augmentations import border
from ganaug.classify.image_sets import ImageSet
from helpers.classifiers import BACKBONE, fit, image_set, run_stage, settings, trained

NONE = dict.fromkeys(["rotation_degrees", "shift", "zoom", "brightness"], 0)


def test_an_augmentation_that_does_nothing_gives_the_predictions_of_none(lite0):
    none, history = trained(lite0)
    nothing, again = trained(lite0, augmentation="classical", augmentation_settings=NONE)
    np.testing.assert_array_equal(none, nothing)
    assert history.equals(again)


def test_an_empty_synthetic_set_gives_the_predictions_of_none(lite0):
    none, _ = trained(lite0)
    empty = ImageSet(np.empty((0, 32, 32), np.uint8), np.empty(0, np.int64), ("a", "b"), ())
    nothing, _ = trained(lite0, augmentation="gan", synthetic=empty)
    np.testing.assert_array_equal(none, nothing)


def test_synthetic_images_are_trained_on_but_buy_no_steps(lite0):
    none, history = trained(lite0, steps_per_epoch=None)
    gan, other = trained(lite0, augmentation="gan", synthetic=image_set(40, 9), steps_per_epoch=None)
    assert list(history["step"]) == list(other["step"]) == [3, 6]  # 20 real images in batches of 8, twice
    assert list(history["learning_rate"]) == list(other["learning_rate"])
    assert not np.array_equal(none, gan)


def test_synthetic_images_alone_have_the_same_budget(lite0):
    """With the real images as the synthetic ones, training on these alone is training on the real ones."""
    none, history = trained(lite0)
    alone, again = trained(lite0, augmentation="synthetic-only", synthetic=image_set(20, 1))
    np.testing.assert_array_equal(none, alone)
    assert history.equals(again)
    other, _ = trained(lite0, augmentation="synthetic-only", synthetic=image_set(20, 9))
    assert not np.array_equal(none, other)


def test_a_classifier_of_the_border_never_sees_the_middle(lite0, tmp_path):
    chosen = {"augmentation_settings": {"border": 0.1}}
    first = run_stage(tmp_path, lite0, "border-only", **chosen)
    images = np.load(tmp_path / "test.npy")
    images[:, 3:29, 3:29] = 255 - images[:, 3:29, 3:29]
    files.write_array(tmp_path / "other.npy", images)
    model, classes, size = networks.load(tmp_path / "model.safetensors")
    masked = ImageSet(border({"border": 0.1})(images), np.zeros(30, int), classes, tuple(first["image"]))
    found = networks.probabilities(model, masked, size)
    np.testing.assert_allclose(found[:, 0], first["probability_a"], atol=1e-6)


def test_seeds_decide_the_bytes(lite0):
    first, _ = trained(lite0)
    again, _ = trained(lite0)
    other, _ = trained(lite0, seed=6)
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_classes_weigh_alike_in_an_unbalanced_set(lite0, monkeypatch):
    seen = []
    monkeypatch.setattr(
        trainer, "cross_entropy", lambda out, labels, weight: seen.append(weight) or (out.sum() * 0 + weight.sum())
    )
    real = image_set(12, 1)
    labels = np.array([0] * 9 + [1] * 3)
    model = networks.pretrained(BACKBONE, lite0, 2, 1)
    fit(model, ImageSet(real.images, labels, real.classes, real.names), real, None, settings(), 1)
    np.testing.assert_allclose(seen[0], [12 / (2 * 9), 12 / (2 * 3)])

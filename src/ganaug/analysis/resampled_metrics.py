"""The metrics of many bootstrap samples of the test images at once: what `metrics` computes of one set of images.

A second, weighted implementation: scikit-learn would take a call per sample. NaN where a metric is undefined, as there.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from ganaug.analysis.metrics import Predictions, label_numbers
from ganaug.analysis.reliability import calibration_error, squared_errors


@dataclass(frozen=True)
class Resampled:
    """Predictions with how often each of B samples holds each test image.

    Attributes:
        p: the predictions of N images and C classes.
        label: int [N], the place of each image's class.
        confusion: float64 [B, C, C], images by true and by predicted class.
        weights: [B, N], how often each image counts; 0 or more.
    """

    p: Predictions
    label: np.ndarray
    confusion: np.ndarray
    weights: np.ndarray

    @classmethod
    def of(cls, p: Predictions, weights: np.ndarray) -> "Resampled":
        count = len(p.classes)
        label, predicted = label_numbers(p), pd.Index(p.classes).get_indexer(pd.Index(p.predicted))
        cells = np.zeros((len(label), count * count), np.float32)
        cells[np.arange(len(label)), label * count + predicted] = 1
        confusion = (weights @ cells).reshape(-1, count, count).astype(np.float64)
        return cls(p, label, confusion, weights)

    @cached_property
    def total(self) -> np.ndarray:
        """[B], images."""
        return self.confusion.sum((1, 2))

    @cached_property
    def of_class(self) -> np.ndarray:
        """[B, C], images of each class."""
        return self.confusion.sum(2)

    @cached_property
    def as_class(self) -> np.ndarray:
        """[B, C], images that are predicted as each class."""
        return self.confusion.sum(1)

    @cached_property
    def right(self) -> np.ndarray:
        """[B, C], images of each class that are predicted as the class."""
        return np.diagonal(self.confusion, axis1=1, axis2=2)

    @cached_property
    def areas(self) -> np.ndarray:
        """[B, C], the area under the ROC curve of each class against the rest."""
        probabilities = self.p.probabilities
        found = [_area(probabilities[:, k], self.label == k, self.weights) for k in range(len(self.p.classes))]
        return np.stack(found, 1)

    def mean(self, values: np.ndarray) -> np.ndarray:
        """[B], the mean of values [B, C] over the classes that have images."""
        return np.nanmean(np.where(self.of_class > 0, values, np.nan), 1)


def accuracy(s: Resampled) -> np.ndarray:
    return s.right.sum(1) / s.total


def balanced_accuracy(s: Resampled) -> np.ndarray:
    return s.mean(sensitivity(s))


def macro_precision(s: Resampled) -> np.ndarray:
    return s.mean(np.where(s.as_class > 0, s.right / s.as_class, 0))


def macro_f1(s: Resampled) -> np.ndarray:
    return s.mean(2 * s.right / (s.of_class + s.as_class))


def mcc(s: Resampled) -> np.ndarray:
    product = (s.of_class * s.as_class).sum(1)
    spread = (s.total**2 - (s.of_class**2).sum(1)) * (s.total**2 - (s.as_class**2).sum(1))
    return np.where(spread > 0, (s.right.sum(1) * s.total - product) / np.sqrt(spread), 0.0)


def macro_auroc(s: Resampled) -> np.ndarray:
    defined = (s.of_class > 0) & ~np.isnan(s.areas)
    return np.where(defined, s.areas, 0).sum(1) / defined.sum(1)


def ece(s: Resampled) -> np.ndarray:
    return calibration_error(s.p.probabilities.max(1), s.p.labels == s.p.predicted, s.weights)


def brier(s: Resampled) -> np.ndarray:
    return s.weights @ squared_errors(s.p.probabilities, s.label) / s.total


def sensitivity(s: Resampled) -> np.ndarray:
    return s.right / s.of_class


def specificity(s: Resampled) -> np.ndarray:
    others = s.total[:, None] - s.of_class
    return (others - s.as_class + s.right) / others


def auroc(s: Resampled) -> np.ndarray:
    return s.areas


def _area(scores: np.ndarray, positive: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Weighted area under the ROC curve, [B]: the share of (positive, negative) pairs in order, ties half."""
    order = np.argsort(scores, kind="stable")
    starts = np.flatnonzero(np.diff(scores[order], prepend=-np.inf))
    weights = weights[:, order]
    positives = np.add.reduceat(weights * positive[order], starts, axis=1, dtype=np.float64)
    negatives = np.add.reduceat(weights * ~positive[order], starts, axis=1, dtype=np.float64)
    below = np.cumsum(negatives, 1) - negatives / 2
    return (positives * below).sum(1) / (positives.sum(1) * negatives.sum(1))

"""Whether predicted probabilities are true: calibration error, Brier score and what a reliability plot shows.

A confidence is the highest probability of an image, which is right where that class is the true one (top label); or the
probability of one class, which is right where the image is of that class (class-wise; Kull et al. 2019).
"""

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd

BINS = 15  # of equal width over (0, 1], as in Guo et al. 2017


def bin_of(confidence: np.ndarray) -> np.ndarray:
    """Number, from 0, of the bin of each confidence in [0, 1]; a bin holds its upper edge and the first also 0."""
    return np.clip(np.ceil(confidence * BINS).astype(int) - 1, 0, BINS - 1)


def calibration_error(confidence: np.ndarray, right: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
    """Expected calibration error, in [0, 1] (Naeini et al. 2015; Guo et al. 2017, equation 3).

    Mean over the images of the difference between the share right and the mean confidence in an image's bin.
    confidence: [N] in [0, 1]. right: bool [N]. weights: [B, N] for as many weighted sets of the images, whose errors
    come as [B]; None for the images as they are, whose error comes as [1].
    """
    weights = np.ones((1, len(right))) if weights is None else weights
    return Gaps.of(confidence, right, np.arange(len(right))).error(weights)


@dataclass(frozen=True)
class Gaps:
    """Sums per group of images and bin of confidence, float64 [G, BINS]: of confidence less right, of the images, and
    of confidence times its complement, the variance of a right one.

    Weights, [B, G]: how often each group counts in each of B sets of images; results are [B].
    """

    gaps: np.ndarray
    images: np.ndarray
    variances: np.ndarray

    @classmethod
    def of(cls, confidence: np.ndarray, right: np.ndarray, group: np.ndarray) -> "Gaps":
        """confidence: [N] in [0, 1]. right: bool [N]. group: int [N] from 0, the number of each image's group."""
        count, cell = group.max() + 1, group * BINS + bin_of(confidence)
        sums = (confidence - right, np.ones(len(group)), confidence * (1 - confidence))
        return cls(*(np.bincount(cell, values, count * BINS).reshape(count, BINS) for values in sums))

    def error(self, weights: np.ndarray) -> np.ndarray:
        """Expected calibration error; see `calibration_error`."""
        return np.abs(weights @ self.gaps).sum(1) / (weights @ self.images.sum(1))

    def debiased(self, weights: np.ndarray, squared: np.ndarray) -> np.ndarray:
        """Root mean square calibration error without what chance adds, in [-1, 1]; about 0 for a perfect classifier.

        The debiased estimate of Kumar et al. 2019 (section 5) for images in groups. The squared gap of a bin is
        estimated by the mean product of the gaps of two of its images of different groups, which are independent; the
        mean is over the images. Where chance makes that negative, no error is found: the result is minus the root of
        its absolute value. Bins without two groups are left out; NaN where no bin has two. squared: the squares of the
        weights, which take longer than all else.
        """
        gaps, images = weights @ self.gaps, weights @ self.images
        products = gaps**2 - squared @ self.gaps**2
        pairs = images**2 - squared @ self.images**2
        told = pairs > 0
        squares = np.where(told, products / np.where(told, pairs, 1), 0)
        shares = np.where(told, images, 0)
        with np.errstate(invalid="ignore"):
            mean = (shares * squares).sum(1) / shares.sum(1)
        return np.sign(mean) * np.sqrt(np.abs(mean))

    def floor(self) -> float:
        """The expected calibration error that chance alone would give a perfectly calibrated classifier, in [0, 1].

        One with these confidences, for as many images in as many groups. Chance moves a bin's sum of gaps by a normal
        with the variance of so many groups, or of as many independent images where that is more; the mean size of a
        normal is √(2 / π) of its standard deviation (cf. Bröcker and Smith 2007, who simulate the floor).
        """
        images, groups = self.images.sum(0), (self.images > 0).sum(0)
        off = self.gaps - self.images * self.gaps.sum(0) / np.maximum(images, 1)
        of_groups = (off**2).sum(0) * np.where(groups > 1, groups / np.maximum(groups - 1, 1), 0)
        deviations = np.sqrt(np.maximum(of_groups, self.variances.sum(0)))
        return float(math.sqrt(2 / math.pi) * deviations.sum() / images.sum())


def squared_errors(probabilities: np.ndarray, label: np.ndarray) -> np.ndarray:
    """Per image the squared distance of the probabilities, [N, C], from the truth, int [N]: in [0, 2].

    Their mean is the Brier score (Brier 1950, with all classes).
    """
    return ((probabilities - np.eye(probabilities.shape[1])[label]) ** 2).sum(1)


def reliability(confidence: np.ndarray, right: np.ndarray) -> pd.DataFrame:
    """bin_low, bin_high, images, confidence (mean), accuracy (share right): a row per bin that holds images."""
    bins = bin_of(confidence)
    images = np.bincount(bins, minlength=BINS)
    held = np.flatnonzero(images)
    sums = (np.bincount(bins, values, BINS)[held] / images[held] for values in (confidence, right.astype(float)))
    columns = (held / BINS, (held + 1) / BINS, images[held], *sums)
    return pd.DataFrame(dict(zip(["bin_low", "bin_high", "images", "confidence", "accuracy"], columns, strict=True)))

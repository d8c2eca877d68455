"""Tests of a mean paired difference that hold both of its errors: of trainings, and of test images."""

import math
from functools import lru_cache

import numpy as np
from scipy.stats import norm, t

from ganaug.analysis.resampling import Errors

NODES = 20_000  # quantiles of Student's t over which a normal is averaged: p of 1e-4 to about 1 %


def difference_test(difference: float, errors: Errors) -> float:
    """Two-sided p of no difference; NaN with fewer than two replicates.

    The difference's error is a sum of Student's t, for the trainings, and a normal, for the test images (the
    Behrens-Fisher distribution; Fisher 1935). So p is of other trainings on other test images. It is never smaller
    than for these classifiers on other test images, which trainings that happen to agree would else make it.
    """
    if errors.degrees < 1:
        return math.nan
    return min(1.0, 2 * _tail(abs(difference), errors))


def equivalence_test(difference: float, errors: Errors, margin: float) -> float:
    """p of |difference| >= margin: the larger of two one-sided tests by the same distribution (Schuirmann 1987, TOST).

    NaN with fewer than two replicates.
    """
    return math.nan if errors.degrees < 1 else _tail(margin - abs(difference), errors)


def _tail(distance: float, errors: Errors) -> float:
    """Chance that the error exceeds a distance, which may be negative."""
    return max(_both(distance, errors), _normal(distance, errors.of_these))


def _both(distance: float, errors: Errors) -> float:
    if errors.replicates == 0:
        return _normal(distance, errors.images)
    if errors.images == 0:
        return float(t.sf(distance / errors.replicates, errors.degrees))
    return float(norm.sf((distance - errors.replicates * _quantiles(errors.degrees)) / errors.images).mean())


def _normal(distance: float, error: float) -> float:
    if error == 0:
        return float(distance <= 0) if distance else 0.5
    return float(norm.sf(distance / error))


@lru_cache(maxsize=32)
def _quantiles(degrees: int) -> np.ndarray:
    return t.ppf((np.arange(NODES) + 0.5) / NODES, degrees)


def holm(p: np.ndarray) -> np.ndarray:
    """Holm's step-down adjusted p values [M], in the order given; NaN, a test that could not be made, stays NaN."""
    out = np.full(len(p), math.nan)
    made = np.flatnonzero(~np.isnan(p))
    order = made[np.argsort(p[made], kind="stable")]
    out[order] = np.maximum.accumulate(p[order] * (len(made) - np.arange(len(made)))).clip(max=1)
    return out

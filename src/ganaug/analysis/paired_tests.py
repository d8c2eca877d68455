"""Tests of a paired difference: over replicates, over test images, for equivalence; and Holm's correction."""

import itertools
import math

import numpy as np
from scipy.stats import norm, t

from ganaug.analysis.metrics import Predictions

MOST_EXACT = 14  # replicates up to which all sign changes are counted
RANDOM_SIGNS = 20000


def replicates_needed(tests: int, alpha: float) -> int:
    """The fewest replicates with which a permutation test can pass Holm's first step: tests · 2 / 2^R <= alpha."""
    return math.ceil(math.log2(2 * tests / alpha))


def permutation_test(differences: np.ndarray, seed: int) -> float:
    """Two-sided p of a mean of paired differences [R] being 0, by changing their signs.

    All 2^R changes up to 14 replicates, else 20,000 at random, the observed one counted among them (Phipson and Smyth
    2010).
    """
    n = len(differences)
    if n <= MOST_EXACT:
        signs = np.array(list(itertools.product((1, -1), repeat=n)))
    else:
        signs = np.random.default_rng(seed).choice((1, -1), (RANDOM_SIGNS, n))
        signs[0] = 1
    means = np.abs(signs @ differences)
    return float((means >= means[0] * (1 - 1e-12)).mean())


def influence(p: Predictions, metric: str) -> np.ndarray:
    """Each test image's influence on the metric, float64 [N], with mean 0: what it adds to N times the metric's error.

    accuracy: whether it is right. balanced_accuracy: the same, weighted by class. macro_auroc: DeLong's structural
    components, averaged over one-vs-rest areas (DeLong et al. 1988).
    """
    right = (p.labels == p.predicted).astype(float)
    n, present = len(right), [c for c in p.classes if (p.labels == c).any()]
    if metric == "accuracy":
        return right - right.mean()
    out = np.zeros(n)
    for k, name in enumerate(p.classes):
        of_class = p.labels == name
        if name not in present:
            continue
        if metric == "balanced_accuracy":
            out[of_class] = (right[of_class] - right[of_class].mean()) * n / of_class.sum() / len(present)
        else:
            scores, positives, negatives = p.probabilities[:, k], of_class.sum(), n - of_class.sum()
            component = np.empty(n)
            component[of_class] = _share_below(scores[of_class], scores[~of_class])
            component[~of_class] = 1 - _share_below(scores[~of_class], scores[of_class])
            for side, count in ((of_class, positives), (~of_class, negatives)):
                out[side] += (component[side] - component[side].mean()) * n / count / len(present)
    return out


def _share_below(values: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Per value the share of `others` below it, equal ones half."""
    ordered = np.sort(others)
    return (np.searchsorted(ordered, values, "left") + np.searchsorted(ordered, values, "right")) / 2 / len(others)


def image_test(difference: float, influences: np.ndarray, groups: np.ndarray) -> tuple[float, float]:
    """(p, standard error) of a difference between classifiers on the same test images, two-sided.

    influences: [N], of the one minus of the other, averaged over replicates. groups: [N]; images of a group count as
    one observation. For accuracy this is McNemar's test for clustered pairs (Durkalski et al. 2003) without its null
    variance, for areas DeLong's (Obuchowski 1997). It holds for these trained classifiers: what another training
    would give is not in it.
    """
    _, group = np.unique(groups, return_inverse=True)
    sums = np.bincount(group, influences)
    error = math.sqrt((sums**2).sum()) / len(influences)
    return normal_test(difference, error), error


def normal_test(difference: float, error: float) -> float:
    """Two-sided p of 0 for a normal difference with that standard error; without any, whether it is 0."""
    if error == 0:
        return 1.0 if difference == 0 else 0.0
    return float(2 * norm.sf(abs(difference) / error))


def equivalence_test(differences: np.ndarray, image_error: float, margin: float) -> float:
    """p of |difference| >= margin: the larger of two one-sided t tests (Schuirmann 1987, TOST) over replicates [R].

    image_error: standard error from the choice of test images, which all replicates share; it adds to the one between
    replicates. NaN with fewer than two.
    """
    n = len(differences)
    if n < 2:
        return math.nan
    error = math.hypot(differences.std(ddof=1) / math.sqrt(n), image_error)
    if error == 0:
        return float(abs(differences.mean()) >= margin)
    return float(t.sf((margin - abs(differences.mean())) / error, n - 1))


def holm(p: np.ndarray) -> np.ndarray:
    """Holm's step-down adjusted p values [M], in the order given; NaN, a test that could not be made, stays NaN."""
    out = np.full(len(p), math.nan)
    made = np.flatnonzero(~np.isnan(p))
    order = made[np.argsort(p[made], kind="stable")]
    out[order] = np.maximum.accumulate(p[order] * (len(made) - np.arange(len(made)))).clip(max=1)
    return out

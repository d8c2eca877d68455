"""How quality grows with the number of real images, and how many of them an augmentation is worth."""

import math
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.stats import rankdata

from ganaug.analysis.inference import Evidence
from ganaug.analysis.pairs import NO_AUGMENTATION

METRIC = "balanced_accuracy"
EXPONENTS = np.arange(0.05, 3.0001, 0.01)  # searched for the power law's
FULL_LAW = 4  # sizes from which the error that no number of images removes can be told from the rest


class PowerLaw(NamedTuple):
    """error = a · n^-b + c. Each [B], NaN where there is no fit."""

    a: np.ndarray
    b: np.ndarray
    c: np.ndarray

    def images(self, error: np.ndarray) -> np.ndarray:
        """The n with that error: inf at c or below it, NaN where the law does not fall."""
        with np.errstate(divide="ignore", invalid="ignore"):
            n = ((error - self.c) / self.a) ** (-1 / self.b)
            return np.where(self.a > 0, np.where(error > self.c, n, np.inf), np.nan)


def fit_power_law(n: np.ndarray, errors: np.ndarray) -> PowerLaw:
    """Least squares for error = a · n^-b + c with a, c >= 0 and b in [0.05, 3], row by row.

    n: [S] images, errors: [B, S] in [0, 1]. b by search in steps of 0.01, a and c in closed form. With fewer than four
    sizes c is 0; with one there is no fit.
    """
    count = len(errors)
    best = np.full(count, np.inf)
    fit = PowerLaw(*(np.full(count, np.nan) for _ in range(3)))
    if len(n) < 2:
        return fit
    for b in EXPONENTS:
        x = n**-b
        candidates = [((errors @ x) / (x @ x), np.zeros(count))]
        if len(n) >= FULL_LAW:
            slope = (errors - errors.mean(1, keepdims=True)) @ (x - x.mean()) / ((x - x.mean()) ** 2).sum()
            candidates.append((slope, errors.mean(1) - slope * x.mean()))
        for a, c in candidates:
            loss = ((a[:, None] * x + c[:, None] - errors) ** 2).sum(1)
            better = (loss < best) & (a >= 0) & (c >= 0)
            best[better] = loss[better]
            for parameter, value in zip(fit, (a, np.full(count, b), c), strict=True):
                parameter[better] = value[better]
    return fit


def scaling(evidence: Evidence, per_class: dict[str, float]) -> pd.DataFrame:
    """augmentation, backbone, metric, quantity, size, value, ci_low, ci_high.

    per_class: real images per class of each size. Quantities: `spearman`, of size and balanced accuracy over all
    replicates; `a`, `b`, `c` of the power law of the mean error 1 - balanced accuracy, and `multiplier` at each size:
    how many times the real images it would take without augmentation, by that law, to be as good. Percentile intervals
    of the two-level bootstrap; NaN where a quantity is undefined. A multiplier is an extrapolation where it leads
    beyond the study's sizes (column `beyond`).
    """
    s, rows = evidence.settings, []
    sizes = sorted(s.size_names, key=per_class.get)
    n = np.array([per_class[size] for size in sizes], float)
    for backbone in s.backbones:
        found = {a: _values(evidence, a, sizes, backbone) for a in s.augmentations}
        laws = {a: [fit_power_law(n, 1 - v.mean(2)) for v in both] for a, both in found.items()}
        for augmentation, both in found.items():
            cell = {"augmentation": augmentation, "backbone": backbone, "metric": METRIC}
            quantities = {("spearman", ""): [_spearman(n, v) for v in both]}
            quantities |= {(name, ""): [getattr(law, name) for law in laws[augmentation]] for name in ("a", "b", "c")}
            if NO_AUGMENTATION in laws and augmentation != NO_AUGMENTATION:
                for k, size in enumerate(sizes):
                    pairs = zip(laws[NO_AUGMENTATION], both, strict=True)
                    quantities["multiplier", size] = [law.images(1 - v[:, k].mean(1)) / n[k] for law, v in pairs]
            for (quantity, size), (value, samples) in quantities.items():
                low, high = _limits(samples, s.confidence) if s.replicates > 1 else (math.nan, math.nan)
                row = {"quantity": quantity, "size": size, "value": float(value[0]), "ci_low": low, "ci_high": high}
                equal = row["value"] * per_class.get(size, math.nan)
                beyond = quantity == "multiplier" and not n.min() <= equal <= n.max()
                rows.append(cell | row | {"beyond": beyond})
    return pd.DataFrame(rows)


def _values(evidence: Evidence, augmentation: str, sizes: list[str], backbone: str) -> tuple[np.ndarray, np.ndarray]:
    """([1, S, R], [B, S, R]): the metric by size and replicate, as it is and resampled at both levels."""
    found = [evidence.values(augmentation, size, backbone, METRIC) for size in sizes]
    values = np.stack([value for value, _ in found])[None]
    drawn = evidence.draws.replicates
    return values, np.stack([np.take_along_axis(samples, drawn, 1) for _, samples in found], 1)


def _spearman(n: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Rank correlation of n [S] with values [B, S, R], over all S · R points, [B]; NaN where one does not vary."""
    x = rankdata(np.repeat(n, values.shape[2]))
    y = rankdata(values.reshape(len(values), -1), axis=1)
    x, y = x - x.mean(), y - y.mean(1, keepdims=True)
    with np.errstate(invalid="ignore"):
        return y @ x / np.sqrt((x @ x) * (y * y).sum(1))


def _limits(samples: np.ndarray, confidence: float) -> tuple[float, float]:
    samples = samples[~np.isnan(samples)]
    if not len(samples):
        return math.nan, math.nan
    low, high = np.quantile(samples, [(1 - confidence) / 2, (1 + confidence) / 2], method="nearest")
    return float(low), float(high)

"""How quality grows with the number of real images, and how many of them an augmentation is worth."""

import itertools
import math
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.stats import rankdata

from ganaug.analysis.inference import Evidence
from ganaug.analysis.pairs import NO_AUGMENTATION
from ganaug.analysis.resampling import mean_interval
from ganaug.analysis.results import TOLD

METRIC = "balanced_accuracy"
COLUMNS = ["augmentation", "backbone", "metric", "quantity", "size", "value", "ci_low", "ci_high", "interval", "p"]
COLUMNS += ["beyond", "note"]
EXPONENTS = np.arange(0.05, 3.0001, 0.01)  # searched for the power law's
ORDERS = 20000  # drawn for the test of growth
UNDEFINED = 0.05  # share of a quantity's bootstrap draws that may be undefined
FULL_LAW = 4  # sizes from which the error that no number of images removes can be told from the rest
# Why a quantity is no estimate, or its interval none.
FEW_SIZES = "fewer than three sizes"
FIXED = "fixed at 0: fewer than four sizes"
EDGE = "at the edge of the search"
NO_WIDTH = "interval of no width"
ALIKE = "all replicates alike"


class PowerLaw(NamedTuple):
    """error = a · n^-b + c. Each [B], NaN where there is no fit."""

    a: np.ndarray
    b: np.ndarray
    c: np.ndarray

    def images(self, error: np.ndarray) -> np.ndarray:
        """The n with that error: inf at c or below it, NaN where the law does not fall."""
        with np.errstate(divide="ignore", invalid="ignore"):
            n = ((error - self.c) / self.a) ** (-1 / self.b)
            falls = (self.a > 0) & (self.b > EXPONENTS[0])  # at the edge of the search the error does not fall
            return np.where(falls, np.where(error > self.c, n, np.inf), np.nan)

    def ratio(self, error: np.ndarray, other: np.ndarray) -> np.ndarray:
        """How many times as many images the one error takes as the other; NaN where that takes infinitely many."""
        with np.errstate(invalid="ignore"):
            n = self.images(error)
            return np.where((error == other) & ~np.isnan(n), 1.0, n / self.images(other))


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
    """augmentation, backbone, metric, quantity, size, value, ci_low, ci_high, interval, p, beyond, note.

    per_class: real images per class of each size. Quantities: `spearman`, the mean over replicates of the rank
    correlation of size and balanced accuracy, with the interval of `mean_interval` and p, two-sided, of no order (all
    orders of the sizes within the replicates); `a`, `b`, `c` of the power law of the mean error 1 - balanced accuracy;
    and `multiplier` at each size: how many times as many real images it would take without augmentation to be as good,
    by the law of `none`, from where that law puts the error of `none` itself, so that it is 1 for an augmentation that
    changes nothing however well the law fits. Their intervals are percentiles of the two-level bootstrap, and rough
    with few replicates; none is given where more than one draw in 20 is undefined, as where the error does not fall. A
    multiplier is an extrapolation where it leads beyond the study's sizes (column `beyond`).

    note: empty, or why the value is no estimate or has no interval. `fewer than three sizes`: two sizes are always in
    order, and always on a law. `fixed at 0: fewer than four sizes`: c was not fitted. `at the edge of the search`: the
    law's b is 0.05 or 3, and the best one may lie beyond; b alone keeps its interval. `interval of no width`: no draw
    changes the value, which tells of too few distinct values, not of certainty. `all replicates alike`: their rank
    correlations, which have few distinct values, do not differ, so that their spread tells nothing; p does.

    Of an incomplete study a size counts with the replicates that are there; a multiplier takes those with both cells, a
    correlation those with all the sizes that any replicate has.
    """
    s, rows = evidence.settings, []
    sizes = sorted((size for size in s.size_names if size in per_class), key=lambda size: per_class[size])
    n = np.array([per_class[size] for size in sizes], float)
    for backbone in s.backbones:
        found = {a: _values(evidence, a, sizes, backbone) for a in s.augmentations}
        laws = {a: _laws(n, *both) for a, both in found.items()}
        count = {a: int((~np.isnan(values).all((0, 2))).sum()) for a, (values, _) in found.items()}
        for augmentation, both in found.items():
            cell = {"augmentation": augmentation, "backbone": backbone, "metric": METRIC}
            rows.append(_noted(cell | _growth(evidence, augmentation, sizes, n, backbone), laws, count))
            quantities = {(name, ""): [getattr(law, name) for law in laws[augmentation]] for name in ("a", "b", "c")}
            if NO_AUGMENTATION in laws and augmentation != NO_AUGMENTATION:
                for k, size in enumerate(sizes):
                    pairs = zip(laws[NO_AUGMENTATION], both, found[NO_AUGMENTATION], strict=True)
                    quantities["multiplier", size] = [_worth(law, v[:, k], base[:, k]) for law, v, base in pairs]
                for size in (size for size in s.size_names if size not in sizes):
                    quantities["multiplier", size] = [np.full(1, np.nan)] * 2
            for (quantity, size), (value, samples) in quantities.items():
                low, high = _limits(samples, s.confidence) if s.replicates > 1 else (math.nan, math.nan)
                row = {"quantity": quantity, "size": size, "value": float(value[0]), "ci_low": low, "ci_high": high}
                row |= {"interval": "none" if math.isnan(low) else "percentile", "p": math.nan}
                equal = float(value[0]) * per_class.get(size, math.nan)
                beyond = quantity == "multiplier" and not n.min() <= equal <= n.max()
                rows.append(_noted(cell | row | {"beyond": beyond}, laws, count))
    return pd.DataFrame(rows, columns=COLUMNS)


def _noted(row: dict, laws: dict[str, list[PowerLaw]], count: dict[str, int]) -> dict:
    """The row with its note, unless it has one. count: the sizes of each augmentation's law."""
    of = NO_AUGMENTATION if row["quantity"] == "multiplier" else row["augmentation"]
    note = "" if math.isnan(row["value"]) else _note(row["quantity"], laws[of][0], count[of])
    if note and (note, row["quantity"]) != (EDGE, "b"):
        row |= {"ci_low": math.nan, "ci_high": math.nan, "interval": "none"}
    no_width = NO_WIDTH if row["ci_low"] == row["ci_high"] else ""
    return row | {"note": note or row.get("note", no_width)}


def _note(quantity: str, law: PowerLaw, sizes: int) -> str:
    if sizes < TOLD:
        return FEW_SIZES
    if quantity == "spearman":
        return ""
    if quantity == "c" and sizes < FULL_LAW:
        return FIXED
    return EDGE if law.b[0] in (EXPONENTS[0], EXPONENTS[-1]) else ""


def _values(evidence: Evidence, augmentation: str, sizes: list[str], backbone: str) -> tuple[np.ndarray, np.ndarray]:
    """([1, S, R], [B, S, R]): the metric by size and replicate, as it is and resampled at both levels."""
    found = [evidence.values(augmentation, size, backbone, METRIC) for size in sizes]
    values = np.stack([value for value, _ in found])[None]
    drawn = evidence.draws.replicates
    return values, np.stack([np.take_along_axis(samples, drawn, 1) for _, samples in found], 1)


def _laws(n: np.ndarray, values: np.ndarray, samples: np.ndarray) -> list[PowerLaw]:
    """The laws of values [1, S, R] and of samples [B, S, R], by the sizes of which a replicate is there."""
    there = ~np.isnan(values).all((0, 2))
    return [fit_power_law(n[there], np.compress(there, 1 - _mean(v), 1)) for v in (values, samples)]


def _worth(law: PowerLaw, values: np.ndarray, base: np.ndarray) -> np.ndarray:
    """The multiplier, [B], of values [B, R] against those without augmentation, by the replicates that have both."""
    apart = np.isnan(values) | np.isnan(base)
    return law.ratio(1 - _mean(np.where(apart, np.nan, values)), 1 - _mean(np.where(apart, np.nan, base)))


def _mean(values: np.ndarray) -> np.ndarray:
    """Means over the last axis without its NaNs; NaN of nothing else."""
    defined = ~np.isnan(values)
    with np.errstate(invalid="ignore"):
        return np.where(defined, values, 0).sum(-1) / defined.sum(-1)


def _growth(evidence: Evidence, augmentation: str, sizes: list[str], n: np.ndarray, backbone: str) -> dict:
    """The row `spearman` of an augmentation."""
    found = [evidence.values(augmentation, size, backbone, METRIC) for size in sizes]
    values, samples = np.stack([v for v, _ in found]), np.stack([s for _, s in found], 1)  # [S, R], [B, S, R]
    there = ~np.isnan(values).all(1)
    if not there.any():
        row = dict.fromkeys(("value", "ci_low", "ci_high"), math.nan) | {"interval": "none", "p": math.nan}
        return {"quantity": "spearman", "size": ""} | row | {"beyond": False}
    n, values, samples = n[there], np.compress(there, values, 0), np.compress(there, samples, 1)
    own, drawn = _spearman(n, values[None])[0], _spearman(n, samples)
    mean, low, high, method = mean_interval(own, drawn, evidence.draws, evidence.settings.confidence)
    low, high = np.clip([low, high], -1, 1)
    row = {"quantity": "spearman", "size": "", "value": mean, "ci_low": low, "ci_high": high, "interval": method}
    if method != "none" and np.ptp(own[~np.isnan(own)]) < 1e-12:
        row |= {"ci_low": math.nan, "ci_high": math.nan, "interval": "none", "note": ALIKE}
    whole = ~np.isnan(values).any(0)
    return row | {"p": order_test(n, np.compress(whole, values, 1), evidence.seed), "beyond": False}


def _spearman(n: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Rank correlation of n [S] with values [B, S, R] within each replicate, [B, R]; NaN where one does not vary."""
    x, y = rankdata(n), rankdata(values, axis=1)
    x, y = x - x.mean(), y - y.mean(1, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.einsum("s,bsr->br", x, y) / np.sqrt((x @ x) * (y * y).sum(1))


def order_test(n: np.ndarray, values: np.ndarray, seed: int) -> float:
    """Two-sided p of the mean rank correlation of n [S] with values [S, R] being 0.

    Against 20,000 draws of the order of the sizes within each replicate, the observed one counted among them (Phipson
    and Smyth 2010); all orders there are, where that is fewer. NaN with one size or without replicates.
    """
    sizes, replicates = values.shape
    if sizes < 2 or not replicates:
        return math.nan
    ranks = rankdata(values, axis=0)
    if math.factorial(sizes) ** replicates <= ORDERS:
        orders = list(itertools.permutations(range(sizes)))
        drawn = np.stack([np.stack(chosen, 1) for chosen in itertools.product(orders, repeat=replicates)])
    else:
        rng = np.random.default_rng(seed)
        drawn = rng.random((ORDERS, sizes, replicates)).argsort(1)
        drawn[0] = np.arange(sizes)[:, None]
    means = np.abs(np.nan_to_num(_spearman(n, np.take_along_axis(ranks[None], drawn, 1))).mean(1))
    observed = abs(float(np.nan_to_num(_spearman(n, ranks[None])).mean()))
    return float((means >= observed - 1e-12).mean())


def _limits(samples: np.ndarray, confidence: float) -> tuple[float, float]:
    undefined = np.isnan(samples)
    if undefined.mean() > UNDEFINED:
        return math.nan, math.nan
    samples = samples[~undefined]
    low, high = np.quantile(samples, [(1 - confidence) / 2, (1 + confidence) / 2], method="nearest")
    return float(low), float(high)

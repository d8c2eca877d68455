"""Means over replicates with confidence intervals, and differences between augmentations paired by replicate."""

import math

import numpy as np
import pandas as pd
from scipy.stats import t

NO_AUGMENTATION = "none"


def mean_interval(values, confidence: float) -> tuple[float, float, float, int]:
    """Mean, lower and upper limit of its Student-t interval, and the number of values that are not NaN.

    mean ± t((1 + confidence) / 2, n - 1) · s / √n, s with n - 1 in the denominator. It covers what varies between
    replicates (draw of the images, seeds), not the choice of test images. It assumes roughly normal values, is very
    wide for two or three values (t = 12.7 and 4.3 at 95 %). One value gives NaN limits, since nothing is known of its
    spread; no value gives NaN throughout.
    """
    values = np.asarray(values, dtype=np.float64)
    values = values[~np.isnan(values)]
    n = len(values)
    if n == 0:
        return math.nan, math.nan, math.nan, 0
    mean = float(values.mean())
    if n == 1:
        return mean, math.nan, math.nan, 1
    half = half_width(n, confidence) * float(values.std(ddof=1))
    return mean, mean - half, mean + half, n


def half_width(n: int, confidence: float) -> float:
    """Half the width of the Student-t interval of a mean of n >= 2 values, in their standard deviations."""
    return float(t.ppf((1 + confidence) / 2, n - 1)) / math.sqrt(n)


def summarise(table: pd.DataFrame, confidence: float) -> pd.DataFrame:
    """One row per group of `table`'s columns other than replicate and value, in the order in which they first appear.

    Adds mean, ci_low, ci_high, replicates (how many values there were). Limits are cut off where the metric's range, or
    for differences (a table with the column reference) twice its width, ends: what lies beyond is no possible mean.
    """
    keys = [c for c in table.columns if c not in ("replicate", "value")]
    rows = [(*key, *mean_interval(group, confidence)) for key, group in table.groupby(keys, sort=False)["value"]]
    summary = pd.DataFrame(rows, columns=[*keys, "mean", "ci_low", "ci_high", "replicates"])
    low = np.where(summary["metric"] == "mcc", -1.0, 0.0)
    low, high = (low - 1, 1 - low) if "reference" in keys else (low, 1.0)
    return summary.assign(ci_low=summary["ci_low"].clip(low, high), ci_high=summary["ci_high"].clip(low, high))


def comparisons(augmentations: list[str]) -> list[tuple[str, str]]:
    """The (augmentation, reference) pairs that answer the study's question.

    Each augmentation against `none`; each `A+B` against `B`: what A adds where B is used anyway; and `gan` against
    `classical`, the published claim.
    """
    pairs = [(a, NO_AUGMENTATION) for a in augmentations if NO_AUGMENTATION in augmentations and a != NO_AUGMENTATION]
    pairs += [(a, b) for a in augmentations if (b := a.partition("+")[2]) in augmentations]
    return pairs + ([("gan", "classical")] if {"gan", "classical"} <= set(augmentations) else [])


def paired_differences(cells: pd.DataFrame, augmentations: list[str]) -> pd.DataFrame:
    """Differences of a metric between two augmentations of the same size, replicate and backbone.

    cells: augmentation, size, replicate, backbone, metric, value. Returns augmentation, reference, size, replicate,
    backbone, metric, value (augmentation minus reference). Pairs share subset and seeds, so their difference varies
    less than either does.
    """
    same = ["size", "replicate", "backbone", "metric"]
    parts = []
    for augmentation, reference in comparisons(augmentations):
        ours = cells[cells["augmentation"] == augmentation]
        theirs = cells.loc[cells["augmentation"] == reference, [*same, "value"]]
        both = ours.merge(theirs, on=same, suffixes=("", "_reference"), validate="one_to_one")
        both["value"] -= both["value_reference"]
        parts.append(both.assign(reference=reference))
    columns = ["augmentation", "reference", *same, "value"]
    return pd.concat(parts)[columns].reset_index(drop=True) if parts else pd.DataFrame(columns=columns)

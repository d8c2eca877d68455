"""Tables of the predictions class by class: confusion, sensitivity and specificity."""

import math
from collections.abc import Mapping

import numpy as np
import pandas as pd
from scipy.stats import norm, t

from ganaug.analysis.metrics import Predictions, confusion
from ganaug.analysis.results import CELL

GROUP = ["augmentation", "size", "backbone"]


def confusions(predictions: Mapping[tuple, Predictions]) -> pd.DataFrame:
    """augmentation, size, replicate, backbone, label, predicted, images."""
    parts = []
    for cell, p in predictions.items():
        part, key = confusion(p), dict(zip(CELL, cell, strict=True))
        parts.append(part.assign(**key)[[*key, *part.columns]])
    return pd.concat(parts, ignore_index=True)


def class_rates(predictions: Mapping[tuple, Predictions], groups: np.ndarray, confidence: float) -> pd.DataFrame:
    """augmentation, size, backbone, class, quantity, value, ci_low, ci_high, images, groups, effective_images, and
    replicates.

    quantity: `sensitivity` or `specificity`, a share of images in [0, 1], the mean over the replicates. images: test
    images of the class, or not of the class. groups: those that the images make, which are drawn whole: near-copies,
    or patients. effective_images: see `effective_images`. The interval is Wilson's (1927) for so many images, whatever
    the replicates: they share the test images, so they do not make them more. What other trainings would give is not
    in the interval, but in summary.csv. No row where all cells are missing.
    groups (argument): [N], of the test images.
    """
    cells: dict[tuple, list[Predictions]] = {}
    for (augmentation, size, _, backbone), p in predictions.items():
        cells.setdefault((augmentation, size, backbone), []).append(p)
    rows = []
    for key, found in cells.items():
        for name in found[0].classes:
            said = np.mean([p.predicted == name for p in found], 0)
            positive = found[0].labels == name
            for quantity, right, of in (("sensitivity", said, positive), ("specificity", 1 - said, ~positive)):
                rate = dict(zip(GROUP, key, strict=True)) | {"class": name, "quantity": quantity}
                rows.append(rate | _share(right[of], groups[of], confidence) | {"replicates": len(found)})
    return pd.DataFrame(rows)


def _share(right: np.ndarray, groups: np.ndarray, confidence: float) -> dict:
    effective = effective_images(right, groups, confidence)
    value = float(right.mean()) if len(right) else math.nan
    _, low, high = wilson(effective * value, effective, confidence)
    row = {"value": value, "ci_low": low, "ci_high": high, "images": len(right), "groups": len(np.unique(groups))}
    return row | {"effective_images": effective}


def effective_images(right: np.ndarray, groups: np.ndarray, confidence: float) -> float:
    """How many images in groups of their own would tell a share as exactly, for a two-sided interval.

    right: [N] in [0, 1], of each image. groups: [N]; images of one group are not independent. The number of images
    over their design effect (Kish 1965), the variance of the share between groups over that of independent images, but
    no more than the images; times the squared ratio of Student's quantiles for N - 1 and for groups - 1 degrees of
    freedom, since few groups tell the variance badly (Korn and Graubard 1998; Dean and Pagano 2015, with Wilson's
    interval). Where all are right or all wrong no design effect can be told: the number of groups. One group: 1.
    """
    images, share = len(right), right.mean() if len(right) else 0.0
    _, group = np.unique(groups, return_inverse=True)
    count = group.max() + 1 if images else 0
    if count < 2 or share in (0, 1):
        return float(count)
    between = (np.bincount(group, right - share) ** 2).sum() * count / (count - 1) / images**2
    independent = share * (1 - share) / (images - 1)
    level = (1 + confidence) / 2
    few = t.ppf(level, images - 1) / t.ppf(level, count - 1)
    return float(images * min(1.0, independent / between) * few**2) if between > 0 else float(images * few**2)


def wilson(right: float, images: float, confidence: float) -> tuple[float, float, float]:
    """(share, low, high): Wilson's score interval (1927) of a share; NaN of no images.

    right, images: numbers that need not be whole, as means over replicates and effective numbers are not.
    """
    if not images:
        return math.nan, math.nan, math.nan
    z2, share = norm.ppf((1 + confidence) / 2) ** 2, right / images
    centre = (share + z2 / (2 * images)) / (1 + z2 / images)
    half = math.sqrt(z2 * (share * (1 - share) / images + z2 / (4 * images**2))) / (1 + z2 / images)
    return share, max(0.0, centre - half), min(1.0, centre + half)

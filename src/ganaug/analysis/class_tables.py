"""Tables of the predictions class by class and bin by bin: confusion, sensitivity and specificity, reliability."""

import math
from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd
from scipy.stats import norm

from ganaug.analysis.metrics import Predictions, confusion
from ganaug.analysis.reliability import reliability
from ganaug.analysis.results import CELL

GROUP = ["augmentation", "size", "backbone"]


def confusions(predictions: Mapping[tuple, Predictions]) -> pd.DataFrame:
    """augmentation, size, replicate, backbone, label, predicted, images."""
    return _stacked(predictions, confusion)


def class_rates(confusions: pd.DataFrame, confidence: float) -> pd.DataFrame:
    """augmentation, size, backbone, class, quantity, value, ci_low, ci_high, images, replicates.

    quantity: `sensitivity` or `specificity`, the mean over the replicates. images: test images of the class, or not of
    it. The interval is Wilson's (1927) for that share of so many images, whatever the replicates: they share the test
    images, so they do not make them more. What other trainings would give is not in it, but in summary.csv. No row
    where all cells are missing.
    """
    rows = []
    of_cell = confusions.assign(right=confusions["images"].where(confusions["label"] == confusions["predicted"], 0))
    for key, cell in of_cell.groupby(GROUP, sort=False):
        replicates = cell["replicate"].nunique()
        total = cell["images"].sum() / replicates
        for name in cell["label"].unique():
            positive = cell["label"] == name
            images = cell.loc[positive, "images"].sum() / replicates
            hits = cell.loc[positive, "right"].sum() / replicates
            false_alarms = cell.loc[~positive & (cell["predicted"] == name), "images"].sum() / replicates
            for quantity, right, of in (
                ("sensitivity", hits, images),
                ("specificity", total - images - false_alarms, total - images),
            ):
                value, low, high = wilson(right, of, confidence)
                row = {"class": name, "quantity": quantity, "value": value, "ci_low": low, "ci_high": high}
                rows.append(dict(zip(GROUP, key, strict=True)) | row | {"images": int(of), "replicates": replicates})
    return pd.DataFrame(rows)


def wilson(right: float, images: float, confidence: float) -> tuple[float, float, float]:
    """(share, low, high): Wilson's score interval (1927) of a share; NaN of no images. right: a mean count too."""
    if not images:
        return math.nan, math.nan, math.nan
    z2, share = norm.ppf((1 + confidence) / 2) ** 2, right / images
    centre = (share + z2 / (2 * images)) / (1 + z2 / images)
    half = math.sqrt(z2 * (share * (1 - share) / images + z2 / (4 * images**2))) / (1 + z2 / images)
    return share, max(0.0, centre - half), min(1.0, centre + half)


def reliabilities(predictions: Mapping[tuple, Predictions]) -> pd.DataFrame:
    """augmentation, size, replicate, backbone and, per bin, bin_low, bin_high, images, confidence, accuracy."""
    return _stacked(predictions, lambda p: reliability(p.probabilities, np.asarray(p.labels == p.predicted)))


def _stacked(predictions: Mapping[tuple, Predictions], table: Callable[[Predictions], pd.DataFrame]) -> pd.DataFrame:
    parts = []
    for cell, p in predictions.items():
        part = table(p)
        for position, (name, value) in enumerate(zip(CELL, cell, strict=True)):
            part.insert(position, name, value)
        parts.append(part)
    return pd.concat(parts, ignore_index=True)

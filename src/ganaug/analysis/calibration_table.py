"""Table of calibration: of all probabilities and class by class, as trained and with corrected priors."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ganaug.analysis.class_priors import corrected
from ganaug.analysis.inference import Evidence
from ganaug.analysis.metrics import Predictions, label_numbers
from ganaug.analysis.reliability import Gaps, reliability, squared_errors
from ganaug.analysis.resampling import mean_interval
from ganaug.analysis.results import ALL, CELL, PRIORS
from ganaug.study.metrics import metric_of

COLUMNS = ["augmentation", "size", "backbone", "priors", "class", "metric", "mean", "ci_low", "ci_high", "replicates"]
COLUMNS += ["interval", "floor"]


@dataclass(frozen=True)
class Drawn:
    """group: int [N] from 0, of each test image. weights: float64 [1 + B, G], how often each group counts: once in the
    images as they are, then in the drawn ones. squared: their squares."""

    group: np.ndarray
    weights: np.ndarray
    squared: np.ndarray


def with_priors(p: Predictions, priors: str, development: np.ndarray) -> Predictions:
    """`training`: the predictions as they are. `development`: corrected to the development set's prevalence.

    Training weights classes by the inverse of their share, so that all count alike. development: [C] shares of the
    development set, which tell nothing of the test images' labels.
    """
    alike = np.full(len(p.classes), 1 / len(p.classes))
    return p if priors == "training" else corrected(p, alike, development)


def reliabilities(predictions: Mapping[tuple, Predictions], development: np.ndarray) -> pd.DataFrame:
    """augmentation, size, replicate, backbone, priors, class and, per bin, bin_low, bin_high, images, confidence
    (mean), accuracy (share right).

    priors: see `with_priors`. class: `all`, for the highest probability of each image; or a class, for its probability
    of every image, which is right where the image is of that class.
    """
    parts = {
        (*cell, priors, name): reliability(confidence, right)
        for cell, trained in predictions.items()
        for priors in PRIORS
        for name, confidence, right in _confidences(with_priors(trained, priors, development))
    }
    key = [*CELL, "priors", "class"]
    return pd.concat(parts, names=key).reset_index(level=key).reset_index(drop=True)


def calibrations(evidence: Evidence, development: np.ndarray) -> pd.DataFrame:
    """augmentation, size, backbone, priors, class, metric, mean, ci_low, ci_high, replicates, interval (method), floor.

    A row's mean is over the replicates, with the interval of `mean_interval`. priors: see `with_priors`. metric, of the
    class `all`: `accuracy` and `balanced_accuracy` in [0, 1], `brier` in [0, 2], and the calibration of the highest
    probability; of a class: `mean_probability` in [0, 1], to be compared with the class's share of the test set, and
    the calibration of its probability. Calibration: `ece` in [0, 1] (`calibration_error`), with the mean `floor` of a
    perfectly calibrated classifier (`Gaps.floor`), and `rms_debiased` in [-1, 1] (`Gaps.debiased`). No row where all
    cells are missing.
    """
    s, rows = evidence.settings, []
    _, first, group = np.unique(evidence.groups, return_index=True, return_inverse=True)
    as_they_are = np.ones((1, len(first)))
    weights = np.concatenate([as_they_are, evidence.draws.images[:, first]])  # a group's images are drawn together
    drawn = Drawn(group, weights, weights**2)
    for augmentation in s.augmentations:
        for size in s.size_names:
            for backbone in s.backbones:
                cells = [evidence.predictions.get((augmentation, size, r, backbone)) for r in s.replicate_numbers]
                key = {"augmentation": augmentation, "size": size, "backbone": backbone}
                for priors in PRIORS:
                    there = [p and with_priors(p, priors, development) for p in cells]
                    rows += [key | {"priors": priors} | row for row in _rows(there, evidence, size, drawn)]
    return pd.DataFrame(rows, columns=COLUMNS)


def _rows(cells: list[Predictions | None], evidence: Evidence, size: str, drawn: Drawn) -> Iterator[dict]:
    """Of the replicates' predictions, None where missing."""
    measured = [None if p is None else _measures(p, drawn) for p in cells]
    floors = [{name: gaps.floor() for name, gaps, _ in _gaps(p, drawn.group)} for p in cells if p is not None]
    nothing = np.full(len(evidence.draws.uniform) + 1, np.nan)
    for name, metric in next((m for m in measured if m is not None), {}):
        found = np.stack([nothing if m is None else m[name, metric] for m in measured], 1)
        values, samples = found[0], found[1:]
        overlap = evidence.overlap(size, None if name == ALL else name)
        confidence, limits = evidence.settings.confidence, (metric_of(metric).low, metric_of(metric).high)
        mean, low, high, method = mean_interval(values, samples, evidence.draws, confidence, overlap)
        row = {"class": name, "metric": metric, "mean": mean}
        row |= {"ci_low": float(np.clip(low, *limits)), "ci_high": float(np.clip(high, *limits))}
        row |= {"replicates": int((~np.isnan(values)).sum()), "interval": method}
        yield row | {"floor": np.mean([f[name] for f in floors]) if metric == "ece" else np.nan}


def _measures(p: Predictions, drawn: Drawn) -> dict[tuple[str, str], np.ndarray]:
    """(class, metric) to [1 + B]."""
    group, weights = drawn.group, drawn.weights

    def total(values: np.ndarray) -> np.ndarray:
        return weights @ np.bincount(group, values)

    right, label, images = p.labels == p.predicted, label_numbers(p), total(np.ones(len(group)))
    with np.errstate(invalid="ignore"):
        sensitivities = [total(right & (label == k)) / total(label == k) for k in range(len(p.classes))]
    found = {
        (ALL, "accuracy"): total(right) / images,
        (ALL, "balanced_accuracy"): np.nanmean(sensitivities, 0),
        (ALL, "brier"): total(squared_errors(p.probabilities, label)) / images,
    }
    for name, gaps, confidence in _gaps(p, group):
        if name != ALL:
            found[name, "mean_probability"] = total(confidence) / images
        found[name, "ece"] = gaps.error(weights)
        found[name, "rms_debiased"] = gaps.debiased(weights, drawn.squared)
    return found


def _gaps(p: Predictions, group: np.ndarray) -> Iterator[tuple[str, Gaps, np.ndarray]]:
    """(class, gaps, probability [N])."""
    for name, confidence, right in _confidences(p):
        yield name, Gaps.of(confidence, right, group), confidence


def _confidences(p: Predictions) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """(class, probability [N], whether it is right [N]) of the highest probabilities and of each class's."""
    yield ALL, p.probabilities.max(1), p.labels == p.predicted
    for position, name in enumerate(p.classes):
        yield name, p.probabilities[:, position], p.labels == name

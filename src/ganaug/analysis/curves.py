"""ROC and precision-recall curves of each class, averaged over replicates, with bootstrap bands."""

import numpy as np
import pandas as pd

from ganaug.analysis.inference import Evidence
from ganaug.analysis.resampling import Draws, mean_interval

POINTS = np.linspace(0, 1, 51)  # of the horizontal axis
SAMPLES = 500  # bootstrap draws: a band needs fewer than a test
KINDS = ("roc", "precision_recall")


def curves(evidence: Evidence) -> pd.DataFrame:
    """augmentation, size, backbone, class, curve, x, y, ci_low, ci_high.

    curve: `roc`, x the false-positive rate and y the sensitivity; or `precision_recall`, x the sensitivity and y the
    precision. y: the mean over replicates at that x, with the pointwise interval of `mean_interval` on at most 500
    draws. A class without test images, or without others, has none; nor have cells that are missing altogether.
    """
    s = evidence.settings
    draws = Draws.make(evidence.groups, s.replicates, min(SAMPLES, s.bootstrap_samples), evidence.seed)
    parts = []
    for augmentation in s.augmentations:
        for size in s.size_names:
            for backbone in s.backbones:
                cells = [evidence.predictions.get((augmentation, size, r, backbone)) for r in s.replicate_numbers]
                first = next((p for p in cells if p is not None), None)
                if first is None:
                    continue
                for k, name in enumerate(first.classes):
                    overlap = evidence.overlap(size, name)
                    positive = first.labels == name
                    if positive.all() or not positive.any():
                        continue
                    scores = [None if p is None else p.probabilities[:, k] for p in cells]
                    for kind, found in _of_class(scores, positive, draws).items():
                        rows = [
                            mean_interval(v, b, draws, s.confidence, overlap)[:3] for v, b in zip(*found, strict=True)
                        ]
                        part = pd.DataFrame(np.clip(rows, 0, 1), columns=["y", "ci_low", "ci_high"])
                        cell = {"augmentation": augmentation, "size": size, "backbone": backbone}
                        cell |= {"class": name, "curve": kind}
                        parts.append(pd.concat([pd.DataFrame({**cell, "x": POINTS}), part], axis=1))
    columns = ["augmentation", "size", "backbone", "class", "curve", "x", "y", "ci_low", "ci_high"]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=columns)


def _of_class(scores: list[np.ndarray | None], positive: np.ndarray, draws: Draws) -> dict[str, tuple]:
    """Per kind of curve (values [G, R], samples [G, B, R]) on the points, from the replicates' scores, [N] each; NaN of
    a missing replicate."""

    def drawn_points(weights: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
        nothing = np.full((len(weights), len(POINTS)), np.nan)
        return [(nothing, nothing) if s is None else points(s, positive, weights) for s in scores]

    own, drawn = drawn_points(np.ones((1, len(positive)))), drawn_points(draws.images)
    return {
        kind: (np.stack([o[i][0] for o in own], 1), np.stack([d[i] for d in drawn], 2).transpose(1, 0, 2))
        for i, kind in enumerate(KINDS)
    }


def points(scores: np.ndarray, positive: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(sensitivity at each false-positive rate, precision at each sensitivity) of POINTS, [B, G] each.

    scores: [N]. positive: bool [N]. weights: [B, N], how often each image counts. The ROC curve is linear between its
    thresholds; the precision is that of the highest threshold that reaches the sensitivity, for between two it is not
    linear (Davis and Goadrich 2006). NaN for a sample without images on one side.
    """
    order = np.argsort(-scores, kind="stable")
    last = np.flatnonzero(np.diff(scores[order], append=np.nan) != 0)  # of images with equal scores
    hits, alarms = (
        np.cumsum(weights[:, order] * side[order], 1, dtype=np.float64)[:, last] for side in (positive, ~positive)
    )
    with np.errstate(invalid="ignore", divide="ignore"):
        sensitivity, false_rate = hits / hits[:, -1:], alarms / alarms[:, -1:]
        precision = hits / (hits + alarms)
    roc, pr = np.full((2, len(weights), len(POINTS)), np.nan)
    for b in np.flatnonzero((hits[:, -1] > 0) & (alarms[:, -1] > 0)):
        roc[b] = np.interp(POINTS, np.append(0, false_rate[b]), np.append(0, sensitivity[b]))
        pr[b] = precision[b, np.searchsorted(sensitivity[b], POINTS - 1e-12)]
    return roc, pr

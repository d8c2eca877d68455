"""Whether predicted probabilities are true: calibration error, Brier score and what a reliability plot shows."""

import numpy as np
import pandas as pd

BINS = 15  # of equal width over (0, 1], as in Guo et al. 2017


def bin_of(confidence: np.ndarray) -> np.ndarray:
    """Number, from 0, of the bin of each confidence in [0, 1]; a bin holds its upper edge and the first also 0."""
    return np.clip(np.ceil(confidence * BINS).astype(int) - 1, 0, BINS - 1)


def calibration_error(
    probabilities: np.ndarray, right: np.ndarray, weights: np.ndarray | None = None
) -> np.ndarray | float:
    """Expected calibration error, in [0, 1] (Naeini et al. 2015; Guo et al. 2017, equation 3).

    Mean over the images of the difference between the share of right predictions and the mean confidence, the highest
    probability, in an image's bin. probabilities: [N, C]. right: bool [N]. weights: [B, N] for as many weighted sets
    of the images, whose errors come as [B]; None for the images as they are.
    """
    confidence = probabilities.max(1)
    gaps = np.zeros((len(confidence), BINS))
    gaps[np.arange(len(confidence)), bin_of(confidence)] = confidence - right
    if weights is None:
        return float(np.abs(gaps.sum(0)).sum() / len(confidence))
    return np.abs(weights @ gaps).sum(1) / weights.sum(1)


def squared_errors(probabilities: np.ndarray, label: np.ndarray) -> np.ndarray:
    """Per image the squared distance of the probabilities, [N, C], from the truth, int [N]: in [0, 2].

    Their mean is the Brier score (Brier 1950, with all classes).
    """
    return ((probabilities - np.eye(probabilities.shape[1])[label]) ** 2).sum(1)


def reliability(probabilities: np.ndarray, right: np.ndarray) -> pd.DataFrame:
    """bin_low, bin_high, images, confidence (mean), accuracy (share right): a row per bin that holds images."""
    confidence = probabilities.max(1)
    table = pd.DataFrame({"bin": bin_of(confidence), "confidence": confidence, "accuracy": right.astype(float)})
    found = table.groupby("bin").agg(
        images=("bin", "size"), confidence=("confidence", "mean"), accuracy=("accuracy", "mean")
    )
    found.insert(0, "bin_low", found.index / BINS)
    found.insert(1, "bin_high", (found.index + 1) / BINS)
    return found.reset_index(drop=True)

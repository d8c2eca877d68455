"""Cohen's kappa: a metric that the study does not have, for tests that add one."""

import numpy as np
from sklearn.metrics import cohen_kappa_score

from ganaug.analysis.metrics import Predictions
from ganaug.analysis.resampled_metrics import Resampled
from ganaug.study.metrics import Metric

KAPPA = Metric(
    name="kappa",
    words="Cohen's kappa",
    low=-1,
    high=1,
    shown=6,
    panel=4,
    meaning="Agreement beyond chance.",
    score="helpers.kappa:kappa",
    resampled="helpers.kappa:resampled_kappa",
)


def kappa(p: Predictions) -> float:
    return cohen_kappa_score(p.labels, p.predicted)


def resampled_kappa(s: Resampled) -> np.ndarray:
    chance = (s.of_class * s.as_class).sum(1) / s.total**2
    return (s.right.sum(1) / s.total - chance) / (1 - chance)

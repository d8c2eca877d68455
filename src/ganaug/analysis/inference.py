"""What the cells say about the augmentations: means with intervals, and comparisons with tests and verdicts."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ganaug.analysis.metrics import Predictions, score
from ganaug.analysis.paired_tests import difference_test, equivalence_test, holm
from ganaug.analysis.pairs import comparisons
from ganaug.analysis.resampling import Draws, errors_of, mean_interval, overlap_of, resampled_scores
from ganaug.analysis.results import class_of
from ganaug.study.grid import Grid
from ganaug.study.metrics import Metric, metric_of, shown_metrics

TEST = "trainings and test images"


@dataclass(frozen=True, kw_only=True)
class StatisticsSettings(Grid):
    """The grid; confidence: level of the intervals, in (0, 1), and 1 minus the level of the tests. bootstrap_samples:
    draws. equivalence_margin: the difference, in units of the metrics, below which two augmentations are comparable.
    validation_share: of each cell's real images, in (0, 1)."""

    confidence: float
    bootstrap_samples: int
    equivalence_margin: float
    validation_share: float


class Evidence:
    """All cells' predictions with their resampled metrics.

    predictions: by (augmentation, size, replicate, backbone), all on the same test images in one order; a cell that
    is not among them is missing. groups: [N] of the test images: near-copies, or patients. used: by size and class, the
    share of the development set's images that a subset takes, see `shares_used`; a size without shares has
    independent replicates.
    """

    def __init__(
        self,
        predictions: Mapping[tuple, Predictions],
        groups: np.ndarray,
        settings: StatisticsSettings,
        seed: int,
        used: Mapping[str, Mapping[str, float]],
    ):
        self.predictions, self.groups, self.settings, self.seed = predictions, groups, settings, seed
        self.used = used
        self.draws = Draws.make(groups, settings.replicates, settings.bootstrap_samples, seed)
        self.scores = {cell: score(p) for cell, p in predictions.items()}
        self.samples = {cell: resampled_scores(p, self.draws.images) for cell, p in predictions.items()}

    def values(self, augmentation: str, size: str, backbone: str, metric: str) -> tuple[np.ndarray, np.ndarray]:
        """([R], [B, R]): the metric of every replicate, on the test images and on the drawn ones; NaN if missing."""
        cells = [(augmentation, size, replicate, backbone) for replicate in self.settings.replicate_numbers]
        nothing = np.full(len(self.draws.uniform), np.nan)
        values = np.array([self.scores[cell][metric] if cell in self.scores else np.nan for cell in cells])
        samples = np.stack([self.samples[cell][metric] if cell in self.samples else nothing for cell in cells], 1)
        return values, samples

    def replicates(self, size: str, backbone: str, *augmentations: str) -> list[int]:
        """The replicates whose cells of all these augmentations are there."""
        numbers = self.settings.replicate_numbers
        return [r for r in numbers if all((a, size, r, backbone) in self.predictions for a in augmentations)]

    def overlap(self, size: str, class_name: str | None = None) -> float:
        """`overlap_of` the subsets of a size; 0 for a size without shares.

        class_name: of a metric of one class, whose share is taken; None for a metric of all classes, where the mean of
        the shares is taken. At a numbered size all classes have as many images, so that the mean is right where each
        class adds as much to the variance.
        """
        shares = self.used.get(size, {})
        of_class = [share for name, share in shares.items() if class_name in (name, None)]
        return overlap_of(float(np.mean(of_class)) if of_class else 0.0, self.settings.validation_share)

    def summary(self, augmentations: Sequence[str], sizes: Sequence[str], metrics: Sequence[str] = ()) -> pd.DataFrame:
        """augmentation, size, backbone, metric, mean, ci_low, ci_high, replicates (with a value), interval (method).

        metrics: those wanted, all by default. Empty values and 0 replicates where all cells are missing.
        """
        rows = []
        metrics = metrics or list(next(iter(self.scores.values())))
        for augmentation in augmentations:
            for size in sizes:
                for backbone in self.settings.backbones:
                    cell = {"augmentation": augmentation, "size": size, "backbone": backbone}
                    for metric in metrics:
                        found = self.values(augmentation, size, backbone, metric)
                        entry, overlap = metric_of(metric), self.overlap(size, class_of(metric))
                        mean = self._mean(*found, overlap, entry.low, entry.high, entry.logit)
                        rows.append(cell | {"metric": metric} | mean)
        return pd.DataFrame(rows)

    def comparisons(self) -> pd.DataFrame:
        """augmentation, reference, size, backbone, metric, mean (the paired difference, over the replicates that have
        both) and its interval; then

        test: what p is of, `trainings and test images`: that other trainings on other test images would differ as much
        by chance. p: two-sided, of no difference. family: the tests that p_holm and p_equivalence_holm are corrected
        for, those of one metric. margin, p_equivalence: of a difference as large as the margin (TOST). verdict: see
        `verdict`; `missing`, with the test `none`, where no replicate has both.
        """
        s, pairs, families = self.settings, comparisons(self.settings.augmentations), []
        for metric in shown_metrics():
            rows = [
                self._compare(a, b, size, backbone, metric)
                for backbone in s.backbones
                for a, b in pairs
                for size in s.size_names
            ]
            tests = sum(not math.isnan(row["p"]) for row in rows)
            families += self._judge(rows, f"{metric.name}: {tests} tests", metric) if rows else []
        columns = ["augmentation", "reference", "size", "backbone", "metric", "mean", "ci_low", "ci_high", "replicates"]
        columns += ["interval", "test", "p", "family", "p_holm", "margin", "p_equivalence", "p_equivalence_holm"]
        columns.append("verdict")
        return pd.DataFrame(families, columns=columns)

    def _mean(
        self,
        values: np.ndarray,
        samples: np.ndarray,
        overlap: float,
        lowest: float,
        highest: float,
        logit: bool = False,
    ) -> dict:
        mean, low, high, method = mean_interval(values, samples, self.draws, self.settings.confidence, overlap, logit)
        limits = {"ci_low": float(np.clip(low, lowest, highest)), "ci_high": float(np.clip(high, lowest, highest))}
        return {"mean": mean, **limits, "replicates": int((~np.isnan(values)).sum()), "interval": method}

    def _compare(self, a: str, b: str, size: str, backbone: str, metric: Metric) -> dict:
        s = self.settings
        ours, theirs = self.values(a, size, backbone, metric.name), self.values(b, size, backbone, metric.name)
        differences, drawn, width = ours[0] - theirs[0], ours[1] - theirs[1], metric.high - metric.low
        row = {"augmentation": a, "reference": b, "size": size, "backbone": backbone, "metric": metric.name}
        overlap = self.overlap(size)
        difference = self._mean(differences, drawn, overlap, -width, width)
        errors = errors_of(differences, drawn, overlap)
        return (
            row
            | difference
            | {
                "test": TEST if self.replicates(size, backbone, a, b) else "none",
                "p": difference_test(difference["mean"], errors),
                "margin": s.equivalence_margin,
                "p_equivalence": equivalence_test(difference["mean"], errors, s.equivalence_margin),
            }
        )

    def _judge(self, rows: list[dict], family: str, metric: Metric) -> list[dict]:
        p = np.array([row["p"] for row in rows])
        equivalence = np.array([row["p_equivalence"] for row in rows])
        for row, p_holm, p_equivalence_holm in zip(rows, holm(p), holm(equivalence), strict=True):
            row |= {"family": family, "p_holm": float(p_holm), "p_equivalence_holm": float(p_equivalence_holm)}
            judged = verdict(row, 1 - self.settings.confidence, metric.higher_is_better)
            row["verdict"] = judged if row["test"] != "none" else "missing"
        return rows


def verdict(row: dict, alpha: float, higher_is_better: bool = True) -> str:
    """What a row of comparisons lets one say of augmentation against reference, at level alpha.

    higher_is_better: whether the metric is greater for a better classifier.

    better, worse: p after Holm's correction is below alpha, and the interval, which is not corrected, excludes 0.
    equivalent: p_equivalence after Holm's correction is below alpha. A difference can be both; then it is `better` or
    `worse`, by less than the margin in all likelihood. undecided: neither, always with one replicate, and with two
    nearly always.
    """
    if row["replicates"] < 2:
        return "undecided"
    if row["p_holm"] < alpha and (row["ci_low"] > 0 or row["ci_high"] < 0):
        return "better" if (row["mean"] > 0) == higher_is_better else "worse"
    return "equivalent" if row["p_equivalence_holm"] < alpha else "undecided"

"""What the classifiers beside the comparison tell: other ratios of synthetic images, their worth alone, shortcuts."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from ganaug.analysis.inference import Evidence
from ganaug.analysis.metrics import Predictions, score
from ganaug.analysis.pairs import NO_AUGMENTATION
from ganaug.analysis.resampling import mean_interval
from ganaug.analysis.results import class_of
from ganaug.layout import augmentation_at
from ganaug.study.metrics import metric_of, overall_metrics

INTERVAL = ["mean", "ci_low", "ci_high", "replicates", "interval"]


def ratio_sweep(evidence: Evidence, own_ratio: float) -> pd.DataFrame:
    """ratio, augmentation, size, backbone, metric and the mean with its interval.

    ratio: synthetic images per real one; 0 is `none`. own_ratio: the study's, of `gan`.
    """
    s = evidence.settings
    ratios = {augmentation_at(ratio): float(ratio) for ratio in s.ratios} | {"gan": own_ratio}
    ratios |= {NO_AUGMENTATION: 0.0} if NO_AUGMENTATION in s.augmentations else {}
    table = evidence.summary(
        sorted(ratios, key=lambda name: ratios[name]), s.size_names, [m.name for m in overall_metrics()]
    )
    table.insert(0, "ratio", table["augmentation"].map(ratios))
    return table


def transfer(evidence: Evidence, scored: Mapping[tuple, Predictions]) -> pd.DataFrame:
    """trained_on, tested_on (`real` or `synthetic`), size, backbone, metric and the mean with its interval.

    scored: the predictions for the synthetic images of classifiers trained on real ones, by (size, replicate,
    backbone). Their `sensitivity[C]` is the share of the images made as class C that are labelled C. Those sets are a
    replicate's own, so that their interval is over replicates alone. (Esteban et al. 2017; Ravuri and Vinyals 2019.)
    """
    s, parts = evidence.settings, []
    for name, trained_on in ((NO_AUGMENTATION, "real"), ("synthetic-only", "synthetic")):
        if name in (*s.augmentations, *s.probes):
            table = evidence.summary([name], s.size_names).drop(columns="augmentation")
            parts.append(table.assign(trained_on=trained_on, tested_on="real"))
    rows = []
    for size in s.size_names:
        for backbone in s.backbones:
            cells = [(size, replicate, backbone) for replicate in s.replicate_numbers]
            scores = [score(scored[cell]) if cell in scored else {} for cell in cells]
            for metric in next(iter(evidence.scores.values())):
                values = np.array([one.get(metric, np.nan) for one in scores])
                same = np.broadcast_to(values, (len(evidence.draws.uniform), len(values)))
                overlap = evidence.overlap(size, class_of(metric))
                mean, *limits, method = mean_interval(values, same, evidence.draws, s.confidence, overlap)
                low, high = np.clip(limits, metric_of(metric).low, metric_of(metric).high)
                cell = {"size": size, "backbone": backbone, "metric": metric}
                counted = int((~np.isnan(values)).sum())
                rows.append(cell | dict(zip(INTERVAL, (mean, low, high, counted, method), strict=True)))
    parts.append(pd.DataFrame(rows).assign(trained_on="real", tested_on="synthetic"))
    table = pd.concat(parts, ignore_index=True)
    return table[["trained_on", "tested_on", "size", "backbone", "metric", *INTERVAL]]


def shortcut(evidence: Evidence, classes: list[str]) -> pd.DataFrame:
    """augmentation (`none`, `border-only`), size (the largest), backbone, metric, mean with interval, chance, share,
    images_low, images_high.

    Of the balanced accuracy and the sensitivity of each class. chance: what guessing gives, 1 / classes. share: of what
    `none` is above chance, how much is left when only the images' border is seen; empty where `none` is not above it.
    images_low, images_high: the interval of the mean of these very classifiers on other test images, see `of_images`.
    A balanced accuracy whose images_low is above chance is a shortcut: whether these classifiers read the class from
    the border is a question about these; an interval over two replicates holds chance whatever they do. (One class's
    sensitivity says nothing by itself: who always names a class has all of its images.)
    """
    s = evidence.settings
    names = [name for name in (NO_AUGMENTATION, "border-only") if name in (*s.augmentations, *s.probes)]
    table = evidence.summary(names, s.size_names[-1:])
    kept = (table["metric"] == "balanced_accuracy") | table["metric"].str.startswith("sensitivity")
    table = table[kept & table["metric"].map(lambda m: class_of(m) in (None, *classes))].reset_index(drop=True)
    table["chance"] = 1 / len(classes)
    above = (table["mean"] - table["chance"]).to_numpy()
    whole = table[table["augmentation"] == NO_AUGMENTATION].set_index(["backbone", "metric"])
    base = (whole["mean"] - whole["chance"]).reindex(pd.MultiIndex.from_frame(table[["backbone", "metric"]])).to_numpy()
    with np.errstate(divide="ignore", invalid="ignore"):
        table["share"] = np.where(base > 0, above / base, np.nan)
    limits = [of_images(evidence, *row) for row in table[["augmentation", "size", "backbone", "metric"]].to_numpy()]
    table[["images_low", "images_high"]] = np.array(limits)
    return table


def of_images(evidence: Evidence, augmentation: str, size: str, backbone: str, metric: str) -> tuple[float, float]:
    """Percentile interval of the mean over the replicates, for other test images and no other classifiers.

    By the bootstrap of the test images, whole groups at a time. With one replicate too; NaN where none is there.
    """
    _, samples = evidence.values(augmentation, size, backbone, metric)
    there = samples[:, ~np.isnan(samples).all(0)]
    if not there.size:
        return np.nan, np.nan
    confidence = evidence.settings.confidence
    low, high = np.nanquantile(there.mean(1), [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)

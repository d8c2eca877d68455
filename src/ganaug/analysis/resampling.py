"""Two-level bootstrap: replicates, and within them test images by group of near-copies or patient.

One set of draws serves all cells, so that a difference between two augmentations is resampled in pairs: the same
replicates, the same test images. (Davison and Hinkley 1997, chapters 3.8 and 5.)
"""

import math
from dataclasses import dataclass

import numpy as np
from scipy.special import expit
from scipy.special import logit as scipy_logit
from scipy.stats import norm, t

from ganaug.analysis.metrics import Predictions
from ganaug.analysis.resampled_metrics import Resampled
from ganaug.study.entries import function_of
from ganaug.study.metrics import class_metrics, overall_metrics

BCA_REPLICATES = 20  # from so many on, replicates can be resampled, and their skewness told


@dataclass(frozen=True)
class Draws:
    """images: float32 [B, N], how often each test image is drawn. replicates: int [B, R], those drawn, from 0 on.
    uniform: [B] in (0, 1), for distributions that stand for a resampling.
    """

    images: np.ndarray
    replicates: np.ndarray
    uniform: np.ndarray

    @classmethod
    def make(cls, groups: np.ndarray, replicates: int, samples: int, seed: int) -> "Draws":
        """groups: [N] group of each test image; groups are drawn whole. samples: B. seed: of NumPy's generator."""
        rng = np.random.default_rng(seed)
        _, group = np.unique(groups, return_inverse=True)
        count = group.max() + 1
        images = rng.multinomial(count, np.full(count, 1 / count), samples).astype(np.float32)[:, group]
        uniform = (rng.permutation(samples) + 0.5) / samples
        return cls(images, rng.integers(0, replicates, (samples, replicates)), uniform)


def resampled_scores(p: Predictions, weights: np.ndarray) -> dict[str, np.ndarray]:
    """The metrics of `score` with every test image counted `weights` times: name to float64 [B].

    weights: [B, N], 0 or more. NaN where a metric is undefined. A sample without images of a class leaves the class out
    of its averages.
    """
    samples = Resampled.of(p, weights)
    with np.errstate(invalid="ignore", divide="ignore"):
        values = {m.name: function_of(m.resampled)(samples) for m in overall_metrics()}
        of_classes = {m.name: function_of(m.resampled)(samples) for m in class_metrics()}
    classes = enumerate(p.classes)
    return values | {f"{name}[{c}]": found[:, k] for k, c in classes for name, found in of_classes.items()}


@dataclass(frozen=True)
class Errors:
    """Standard errors of a metric's mean over replicates, in its units.

    replicates: from the trainings, with `degrees` of freedom (0 or less: not known). images: from the choice of test
    images, of what they change in all replicates alike. of_these: of the mean of these very classifiers, from the
    choice of test images alone.
    """

    replicates: float
    degrees: int
    images: float
    of_these: float


def errors_of(values: np.ndarray, samples: np.ndarray, overlap: float = 0.0) -> Errors:
    """The errors that `mean_interval` reckons with; its arguments."""
    defined = ~np.isnan(values)
    n = int(defined.sum())
    if n < 2:
        return Errors(math.nan, n - 1, math.nan, math.nan)
    own, drawn = values[defined], samples[:, defined]
    return Errors(
        replicates=own.std(ddof=1) * math.sqrt(1 / n + overlap),
        degrees=n - 1,
        images=float(np.nanstd(_of_all_replicates(drawn))),
        of_these=float(np.nanstd(_means(drawn), ddof=1)),
    )


def mean_interval(
    values: np.ndarray,
    samples: np.ndarray,
    draws: Draws,
    confidence: float,
    overlap: float = 0.0,
    logit: bool = False,
) -> tuple[float, float, float, str]:
    """(mean, low, high, method) of a metric over replicates.

    values: [R] on the test images, NaN where undefined. samples: [B, R] on the drawn test images. overlap: what sharing
    their images takes from the replicates' spread, see `overlap_of`. logit: whether the interval is made on the logit
    scale, for a mean near the end of [0, 1].
    A bootstrap mean is the mean, plus what the drawn test images and what the drawn replicates change in it. What
    images change in one replicate and not in the others is in both; so the images' part is shrunk to what they change
    in all alike (the variance components of a crossed design). With 20 defined values or more the interval is BCa
    (Efron 1987), its acceleration from leaving out one replicate at a time, and the replicates' part is widened by
    √(R / (R - 1)) and by Student's quantile over the normal one, which resampling lacks (Hesterberg 2015). With fewer,
    too few to be resampled, what another set of replicates would change is drawn from Student's t with their standard
    error, and the interval is the percentile one. It is never narrower than for these classifiers on other test images,
    as that of replicates that happen to agree would be. With one the limits are NaN: nothing is known of what another
    training would give.
    """
    defined = ~np.isnan(values)
    own = values[defined]
    n, mean = len(own), float(own.mean()) if defined.any() else math.nan
    of_images = _of_all_replicates(samples[:, defined]) if n else np.empty(0)
    usable = ~np.isnan(of_images)
    if n < 2 or not usable.any():
        return mean, math.nan, math.nan, "none"
    tails = np.array([(1 - confidence) / 2, (1 + confidence) / 2])
    errors, normal = errors_of(values, samples, overlap), norm.ppf(tails[1])
    if n < BCA_REPLICATES:
        of_replicates = t.ppf(draws.uniform, n - 1) * errors.replicates
        levels, method = tails, "percentile, Student t for replicates"
        changes = (of_images + of_replicates)[usable]
    else:
        widened = math.sqrt(n / (n - 1) * (1 + n * overlap)) * t.ppf(tails[1], n - 1) / normal
        of_replicates = (_means(values[draws.replicates]) - mean) * widened
        changes, method = (of_images + of_replicates)[usable], "BCa"
        levels = _bca_levels(mean, own, mean + changes, tails)
    least = normal * errors.of_these
    low, high = np.quantile(changes, levels)
    low, high = min(low, -least), max(high, least)
    if logit and 0 < mean < 1:
        slope = 1 / (mean * (1 - mean))
        low, high = expit(scipy_logit(mean) + slope * np.array([low, high]))
        return mean, float(low), float(high), method
    return mean, mean + float(low), mean + float(high), method


def overlap_of(used: float, validation_share: float) -> float:
    """What is to be added to 1 / R where replicates share images: ρ / (1 - ρ), of two replicates' correlation ρ.

    used: the share n / N of the development set's images that a subset takes, in [0, 1]. validation_share: in (0, 1).

    A mean of R values of variance σ² and correlation ρ has the variance σ² (ρ + (1 - ρ) / R), and the variance between
    them is σ² (1 - ρ) on average. So the latter times 1 / R + ρ / (1 - ρ) is right for the mean (Nadeau and Bengio
    2003, lemma 1 and section 3). What its images change in a classifier is taken for a sum of what each changes, the
    first term of any symmetric statistic (Hoeffding 1948). Two subsets of n of N images, drawn without replacement,
    have n² / N in common on average, and such sums of them have the correlation n / N. So ρ = φ n / N: φ is the images'
    part of the variance between trainings, and the rest, from seeds and order, is drawn anew in each replicate.

    Replicates of one size can't tell φ. Here φ is the validation share, as Nadeau and Bengio take the share held out
    for the correlation of repeated random splits of all images: a convention. Where more is from the images, intervals
    of sizes that use most of them are too narrow.
    """
    correlation = validation_share * used
    return correlation / (1 - correlation)


def _of_all_replicates(samples: np.ndarray) -> np.ndarray:
    """What the drawn images change in the mean of all replicates alike, [B], from [B, R]; centred at 0."""
    means, n = _means(samples), samples.shape[1]
    means = means - np.nanmean(means) if not np.isnan(means).all() else means
    if n < 2:
        return means
    own = samples - _means(samples)[:, None]  # of single replicates, less 1 / R of it
    single = np.nanvar(own, axis=0).mean() * n / (n - 1) / n
    whole = np.nanvar(means)
    return means * math.sqrt(max(0.0, 1 - single / whole)) if whole > 0 else means


def _means(samples: np.ndarray) -> np.ndarray:
    """Means of rows without their NaNs; NaN for a row of nothing else."""
    defined = ~np.isnan(samples)
    with np.errstate(invalid="ignore"):
        return np.where(defined, samples, 0).sum(1) / defined.sum(1)


def _bca_levels(mean: float, values: np.ndarray, means: np.ndarray, tails: np.ndarray) -> np.ndarray:
    """Levels of the bootstrap's quantiles that correct for its bias and skewness."""
    left_out = (values.sum() - values) / (len(values) - 1)
    deviations = left_out.mean() - left_out
    scale = (deviations**2).sum() ** 1.5
    acceleration = (deviations**3).sum() / (6 * scale) if scale > 0 else 0.0
    below = (means < mean).mean() + (means == mean).mean() / 2
    shift = norm.ppf(np.clip(below, 1 / len(means), 1 - 1 / len(means)))
    z = shift + norm.ppf(tails)
    return norm.cdf(shift + z / (1 - acceleration * z))

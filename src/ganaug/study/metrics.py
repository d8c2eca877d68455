"""The metrics of a study: of each its range, its words, where it is shown, and the functions that compute it.

A new metric is one entry here and two functions; docs/extending.md shows how. `score` computes the metric of the test
images as they are, and `resampled` of all bootstrap samples at once; a test compares the two for every entry.
"""

from dataclasses import dataclass

from ganaug.study.entries import by_name


@dataclass(frozen=True, kw_only=True)
class Metric:
    """One metric of a classifier's predictions.

    Attributes:
        name: in tables; small letters and underscores. Of a metric per class, `name[C]` is that of class C.
        words: the name for people.
        low: the least value that the metric can have; intervals are cut off there.
        high: the greatest.
        higher_is_better: whether a classifier with a greater value is the better one.
        per_class: whether every class has a value of its own.
        shown: place among the metrics that are compared and shown side by side, from 1 on; 0 for a metric that is in
            cells.csv and summary.csv alone.
        panel: place among the panels of the learning curve and of the figures like it, from 1 on; 0 for none.
        logit: whether intervals of the mean are made on the logit scale; for a metric in [0, 1] that nears its end.
        score: `module:function` of a `ganaug.analysis.metrics.Predictions` to the value, NaN where undefined; to [C],
            a value per class, where the metric is per class.
        resampled: `module:function` of a `ganaug.analysis.resampled_metrics.Resampled` to the values of all B samples,
            [B]; or [B, C].
        short: the name for a narrow column; the words where empty.
        meaning: what the value says, for the page's notes on how to read the numbers; may be empty.
    """

    name: str
    words: str
    low: float
    high: float
    higher_is_better: bool = True
    per_class: bool = False
    shown: int = 0
    panel: int = 0
    logit: bool = False
    score: str = ""
    resampled: str = ""
    short: str = ""
    meaning: str = ""


# Of every cell, in the order of tables: first those of all classes.
_ENTRIES = (
    Metric(
        name="accuracy",
        words="accuracy",
        low=0,
        high=1,
        shown=2,
        score="ganaug.analysis.metrics:accuracy",
        resampled="ganaug.analysis.resampled_metrics:accuracy",
    ),
    Metric(
        name="balanced_accuracy",
        words="balanced accuracy",
        low=0,
        high=1,
        shown=1,
        panel=1,
        score="ganaug.analysis.metrics:balanced_accuracy",
        resampled="ganaug.analysis.resampled_metrics:balanced_accuracy",
    ),
    Metric(
        name="macro_precision",
        words="macro precision",
        low=0,
        high=1,
        score="ganaug.analysis.metrics:macro_precision",
        resampled="ganaug.analysis.resampled_metrics:macro_precision",
    ),
    Metric(
        name="macro_recall",  # by definition the balanced accuracy; both names are in use
        words="macro recall",
        low=0,
        high=1,
        score="ganaug.analysis.metrics:balanced_accuracy",
        resampled="ganaug.analysis.resampled_metrics:balanced_accuracy",
    ),
    Metric(
        name="macro_f1",
        words="macro F1",
        low=0,
        high=1,
        shown=3,
        panel=3,
        score="ganaug.analysis.metrics:macro_f1",
        resampled="ganaug.analysis.resampled_metrics:macro_f1",
    ),
    Metric(
        name="mcc",
        words="MCC",
        low=-1,
        high=1,
        shown=5,
        score="ganaug.analysis.metrics:mcc",
        resampled="ganaug.analysis.resampled_metrics:mcc",
        meaning="Matthews correlation coefficient, multi-class: 0 for guessing, 1 for perfect.",
    ),
    Metric(
        name="macro_auroc",
        words="AUROC",
        low=0,
        high=1,
        shown=4,
        panel=2,
        logit=True,
        score="ganaug.analysis.metrics:macro_auroc",
        resampled="ganaug.analysis.resampled_metrics:macro_auroc",
    ),
    Metric(
        name="ece",
        words="calibration error",
        low=0,
        high=1,
        higher_is_better=False,
        score="ganaug.analysis.metrics:ece",
        resampled="ganaug.analysis.resampled_metrics:ece",
    ),
    Metric(
        name="brier",
        words="Brier score",
        low=0,
        high=2,
        higher_is_better=False,
        score="ganaug.analysis.metrics:brier",
        resampled="ganaug.analysis.resampled_metrics:brier",
    ),
    Metric(
        name="sensitivity",
        words="sensitivity",
        short="sens.",
        low=0,
        high=1,
        per_class=True,
        score="ganaug.analysis.metrics:sensitivity",
        resampled="ganaug.analysis.resampled_metrics:sensitivity",
    ),
    Metric(
        name="specificity",
        words="specificity",
        short="spec.",
        low=0,
        high=1,
        per_class=True,
        score="ganaug.analysis.metrics:specificity",
        resampled="ganaug.analysis.resampled_metrics:specificity",
    ),
    Metric(
        name="auroc",
        words="AUROC",
        low=0,
        high=1,
        per_class=True,
        logit=True,
        score="ganaug.analysis.metrics:auroc",
        resampled="ganaug.analysis.resampled_metrics:auroc",
    ),
)

METRICS = by_name(_ENTRIES)

# Of the table of calibration alone, whose functions also know of corrected priors (ganaug.analysis.calibration_table).
OF_CALIBRATION = {
    "rms_debiased": Metric(name="rms_debiased", words="debiased error", low=-1, high=1, higher_is_better=False),
    "mean_probability": Metric(name="mean_probability", words="mean probability", low=0, high=1),
}


def metric_of(name: str) -> Metric:
    """The entry of a metric by its name in tables, as `mcc` or `sensitivity[COVID]`.

    Raises ValueError where no entry has the name: the range of an unknown metric must not be guessed.
    """
    base = name.partition("[")[0]
    found = METRICS.get(base) or OF_CALIBRATION.get(base)
    if found is None or ("[" in name) != found.per_class:
        raise ValueError(f"{name}: no such metric; add an entry to METRICS in ganaug/study/metrics.py")
    return found


def overall_metrics() -> list[Metric]:
    """Those with one value for all classes, in the order of tables."""
    return [entry for entry in METRICS.values() if not entry.per_class]


def class_metrics() -> list[Metric]:
    """Those with a value per class, in the order of tables."""
    return [entry for entry in METRICS.values() if entry.per_class]


def shown_metrics() -> list[Metric]:
    """Those that are compared and shown side by side, in that order."""
    return sorted((entry for entry in METRICS.values() if entry.shown), key=lambda entry: entry.shown)


def panel_metrics() -> list[Metric]:
    """Those that have a panel in figures, in that order."""
    return sorted((entry for entry in METRICS.values() if entry.panel), key=lambda entry: entry.panel)

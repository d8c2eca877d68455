"""Classification metrics of one cell, from its predictions on the test set.

Counts and averages are scikit-learn's. What is undefined is decided here, on purpose:

- A class without test images has no sensitivity and no AUROC (NaN), and averages over classes leave it out. A class
  that is the only one in the test set has no specificity and no AUROC.
- A class that is never predicted has precision 0 and F1 0: missing all its images is a failure, not a gap.
- MCC is 0 where it is 0/0 (a classifier that always says the same).
- `macro_recall` is `balanced_accuracy` by definition; both names are given since both are in use.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.metrics import (
    accuracy_score,
    f1_score,
    matthews_corrcoef,
    multilabel_confusion_matrix,
    precision_score,
    roc_auc_score,
)

from ganaug.analysis.reliability import calibration_error, squared_errors
from ganaug.analysis.results import read_table
from ganaug.errors import UserError

PROBABILITY = "probability_"


@dataclass(frozen=True)
class Predictions:
    """images, labels, predicted: [N] text; probabilities: float64 [N, C] in [0, 1]; classes: the C names in order."""

    images: np.ndarray
    labels: np.ndarray
    predicted: np.ndarray
    probabilities: np.ndarray
    classes: list[str]


def read_predictions(path: Path) -> Predictions:
    """A cell's predictions.csv: image, label, predicted, and `probability_<class>` per class, which sets their order.

    Raises UserError where labels and columns do not fit together or a probability is none.
    """
    table = read_table(path, ["image", "label", "predicted"])
    columns = [c for c in table.columns if c.startswith(PROBABILITY)]
    classes = [c.removeprefix(PROBABILITY) for c in columns]
    unknown = sorted((set(table["label"]) | set(table["predicted"])) - set(classes), key=str)
    if unknown:
        raise UserError(f"{path}: class {unknown[0]!r} has no column {PROBABILITY}{unknown[0]}; run the cell again")
    probabilities = table[columns].to_numpy(np.float64)
    if not len(table) or not ((probabilities >= 0) & (probabilities <= 1)).all():
        raise UserError(f"{path}: no predictions, or a probability outside 0 to 1; run the cell again")
    text = {c: table[c].to_numpy(object) for c in ("image", "label", "predicted")}
    return Predictions(text["image"], text["label"], text["predicted"], probabilities, classes)


def score(p: Predictions) -> dict[str, float]:
    """Metric name to value: averages first, then `sensitivity[C]`, `specificity[C]` and `auroc[C]` of each class C.

    `macro_…` are unweighted means over the classes with test images; `macro_auroc` is the mean of one-vs-rest areas.
    All lie in [0, 1], but for `mcc` (Matthews, multi-class after Gorodkin 2004) in [-1, 1] and `brier` in [0, 2]. High
    is good, but for `ece` (expected calibration error) and `brier` (Brier score). NaN where undefined.
    """
    present = [c for c in p.classes if c in set(p.labels)]
    averages = {"labels": present, "average": "macro", "zero_division": 0}
    per_class = _per_class(p)
    balanced_accuracy = float(np.mean([per_class[f"sensitivity[{c}]"] for c in present]))
    areas = [area for c in present if not np.isnan(area := per_class[f"auroc[{c}]"])]
    return {
        "accuracy": float(accuracy_score(p.labels, p.predicted)),
        "balanced_accuracy": balanced_accuracy,
        "macro_precision": float(precision_score(p.labels, p.predicted, **averages)),
        "macro_recall": balanced_accuracy,
        "macro_f1": float(f1_score(p.labels, p.predicted, **averages)),
        "mcc": float(matthews_corrcoef(p.labels, p.predicted)),
        "macro_auroc": float(np.mean(areas)) if areas else float("nan"),
        "ece": float(calibration_error(p.probabilities.max(1), p.labels == p.predicted)[0]),
        "brier": float(squared_errors(p.probabilities, label_numbers(p)).mean()),
        **per_class,
    }


def label_numbers(p: Predictions) -> np.ndarray:
    """The place of each image's class among the classes, int [N]."""
    return pd.Index(p.classes).get_indexer(pd.Index(p.labels))


def _per_class(p: Predictions) -> dict[str, float]:
    values = {}
    counts = multilabel_confusion_matrix(p.labels, p.predicted, labels=p.classes)
    for i, (name, ((tn, fp), (fn, tp))) in enumerate(zip(p.classes, counts, strict=True)):
        is_class = p.labels == name
        both = is_class.any() and not is_class.all()
        values[f"sensitivity[{name}]"] = float(tp / (tp + fn)) if tp + fn else float("nan")
        values[f"specificity[{name}]"] = float(tn / (tn + fp)) if tn + fp else float("nan")
        values[f"auroc[{name}]"] = float(roc_auc_score(is_class, p.probabilities[:, i])) if both else float("nan")
    return values


def confusion(p: Predictions) -> pd.DataFrame:
    """Counts in tidy form: label, predicted, images; every pair of classes in their order, zeros included."""
    pairs = pd.MultiIndex.from_product([p.classes, p.classes], names=["label", "predicted"])
    counts = pd.Series(1, index=pd.MultiIndex.from_arrays([p.labels, p.predicted])).groupby(level=[0, 1]).sum()
    return counts.reindex(pairs, fill_value=0).rename("images").reset_index()

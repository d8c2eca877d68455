"""Classification metrics of one cell, from its predictions on the test set. Of all samples: `resampled_metrics`.

Counts and averages are scikit-learn's. What is undefined is decided here, on purpose:

- A class without test images has no sensitivity and no AUROC (NaN), and averages over classes leave it out. A class
  that is the only one in the test set has no specificity and no AUROC.
- A class that is never predicted has precision 0 and F1 0: missing all its images is a failure, not a gap.
- MCC is 0 where it is 0/0 (a classifier that always says the same).
- `macro_recall` is `balanced_accuracy` by definition; both names are given since both are in use.
"""

from dataclasses import dataclass
from functools import cached_property
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
from ganaug.study.entries import function_of
from ganaug.study.metrics import class_metrics, overall_metrics

PROBABILITY = "probability_"


@dataclass(frozen=True)
class Predictions:
    """images, labels, predicted: [N] text; probabilities: float64 [N, C] in [0, 1]; classes: the C names in order."""

    images: np.ndarray
    labels: np.ndarray
    predicted: np.ndarray
    probabilities: np.ndarray
    classes: list[str]

    @cached_property
    def counts(self) -> np.ndarray:
        """int [2, 2, C]: of each class against the rest ((tn, fp), (fn, tp))."""
        return np.moveaxis(multilabel_confusion_matrix(self.labels, self.predicted, labels=self.classes), 0, -1)

    @cached_property
    def areas(self) -> np.ndarray:
        """[C], the area under the ROC curve of each class against the rest; NaN where one side has no images."""
        sides = [self.labels == name for name in self.classes]
        both = [side.any() and not side.all() for side in sides]
        found = zip(sides, both, self.probabilities.T, strict=True)
        return np.array([roc_auc_score(side, of) if defined else np.nan for side, defined, of in found])


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
    """Metric name to value, of every metric of the registry: averages first, then class by class, as `sensitivity[C]`.

    Values lie in the ranges that the registry states (`ganaug.study.metrics`). NaN where undefined.
    """
    values = {m.name: float(function_of(m.score)(p)) for m in overall_metrics()}
    of_classes = {m.name: function_of(m.score)(p) for m in class_metrics()}
    classes = enumerate(p.classes)
    return values | {f"{name}[{c}]": float(found[k]) for k, c in classes for name, found in of_classes.items()}


def accuracy(p: Predictions) -> float:
    """Share of the images that are right."""
    return accuracy_score(p.labels, p.predicted)


def balanced_accuracy(p: Predictions) -> float:
    """Mean sensitivity of the classes with test images."""
    return np.mean(sensitivity(p)[_has_images(p)])


def macro_precision(p: Predictions) -> float:
    """Mean precision of the classes with test images."""
    return precision_score(p.labels, p.predicted, **_averages(p))


def macro_f1(p: Predictions) -> float:
    """Mean F1 score of the classes with test images."""
    return f1_score(p.labels, p.predicted, **_averages(p))


def mcc(p: Predictions) -> float:
    """Matthews correlation coefficient, multi-class after Gorodkin 2004."""
    return matthews_corrcoef(p.labels, p.predicted)


def macro_auroc(p: Predictions) -> float:
    """Mean of the one-vs-rest areas of the classes that have one."""
    areas = auroc(p)[_has_images(p)]
    return np.mean(areas[~np.isnan(areas)]) if not np.isnan(areas).all() else np.nan


def ece(p: Predictions) -> float:
    """Expected calibration error of the highest probability; see `calibration_error`."""
    return calibration_error(p.probabilities.max(1), p.labels == p.predicted)[0]


def brier(p: Predictions) -> float:
    """Brier score, the mean squared distance of the probabilities from the truth."""
    return squared_errors(p.probabilities, label_numbers(p)).mean()


def sensitivity(p: Predictions) -> np.ndarray:
    """[C], of the images of each class the share that is predicted as that class."""
    (_, _), (fn, tp) = p.counts
    return _share(tp, tp + fn)


def specificity(p: Predictions) -> np.ndarray:
    """[C], of the images of other classes the share that is not predicted as the class."""
    (tn, fp), (_, _) = p.counts
    return _share(tn, tn + fp)


def auroc(p: Predictions) -> np.ndarray:
    """[C], the area under the ROC curve of each class against the rest."""
    return p.areas


def _averages(p: Predictions) -> dict:
    """How scikit-learn averages over the classes with test images."""
    return {"labels": list(np.array(p.classes, object)[_has_images(p)]), "average": "macro", "zero_division": 0}


def _has_images(p: Predictions) -> np.ndarray:
    """bool [C], whether each class has test images."""
    return np.isin(np.arange(len(p.classes)), label_numbers(p))


def _share(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.divide(part, whole, out=np.full(len(whole), np.nan), where=whole > 0)


def label_numbers(p: Predictions) -> np.ndarray:
    """The place of each image's class among the classes, int [N]."""
    return pd.Index(p.classes).get_indexer(pd.Index(p.labels))


def confusion(p: Predictions) -> pd.DataFrame:
    """Counts in tidy form: label, predicted, images; every pair of classes in their order, zeros included."""
    pairs = pd.MultiIndex.from_product([p.classes, p.classes], names=["label", "predicted"])
    counts = pd.Series(1, index=pd.MultiIndex.from_arrays([p.labels, p.predicted])).groupby(level=[0, 1]).sum()
    return counts.reindex(pairs, fill_value=0).rename("images").reset_index()

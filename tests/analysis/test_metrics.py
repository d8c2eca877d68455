"""Metrics and paired differences against formulas written out here."""

import math

import numpy as np
import pandas as pd
import pytest

from ganaug.analysis.metrics import Predictions, confusion, read_predictions, score
from ganaug.analysis.pairs import comparisons, paired_differences
from ganaug.analysis.results import class_of
from ganaug.errors import UserError

CLASSES = ["Normal", "Viral Pneumonia", "a[b]"]


def predictions(labels, predicted, probabilities=None, classes=CLASSES):
    n = len(labels)
    if probabilities is None:
        probabilities = np.random.default_rng(0).dirichlet(np.ones(len(classes)), n)
    images = np.array([f"{i}.png" for i in range(n)], object)
    names = np.array(classes, object)
    return Predictions(images, names[list(labels)], names[list(predicted)], np.asarray(probabilities), list(classes))


def area_by_pairs(positive, negative):
    """AUROC as the share of (positive, negative) pairs in the right order, ties counting half."""
    wins = np.sign(np.subtract.outer(positive, negative))
    return ((wins + 1) / 2).mean()


def calibration_error_by_bins(labels, predicted, probabilities, bins=15):
    """The definition's sum over bins, image by image."""
    total = 0
    for k in range(bins):
        inside = [i for i, row in enumerate(probabilities) if k / bins < max(row) <= (k + 1) / bins]
        if inside:
            right = sum(labels[i] == predicted[i] for i in inside) / len(inside)
            total += len(inside) * abs(right - sum(max(probabilities[i]) for i in inside) / len(inside))
    return total / len(labels)


def test_every_metric_agrees_with_its_formula():
    rng = np.random.default_rng(3)
    labels = rng.integers(0, 3, 90)
    probabilities = rng.dirichlet([1, 1, 1], 90).round(1)  # rounded: there are ties
    probabilities[np.arange(90), labels] += 0.2
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    predicted = probabilities.argmax(axis=1)
    found = score(predictions(labels, predicted, probabilities))

    matrix = np.zeros((3, 3))
    np.add.at(matrix, (labels, predicted), 1)
    n, hits = matrix.sum(), np.diag(matrix)
    recall, precision = hits / matrix.sum(axis=1), hits / matrix.sum(axis=0)
    f1 = 2 * precision * recall / (precision + recall)
    true, said = matrix.sum(axis=1), matrix.sum(axis=0)
    mcc = (hits.sum() * n - true @ said) / math.sqrt((n**2 - said @ said) * (n**2 - true @ true))
    areas = [area_by_pairs(probabilities[labels == c, c], probabilities[labels != c, c]) for c in range(3)]
    expected = {
        "accuracy": hits.sum() / n,
        "balanced_accuracy": recall.mean(),
        "macro_precision": precision.mean(),
        "macro_recall": recall.mean(),
        "macro_f1": f1.mean(),
        "mcc": mcc,
        "macro_auroc": np.mean(areas),
        "ece": calibration_error_by_bins(labels, predicted, probabilities),
        "brier": np.mean(
            [sum((q - (c == y)) ** 2 for c, q in enumerate(row)) for y, row in zip(labels, probabilities, strict=True)]
        ),
    }
    for c, name in enumerate(CLASSES):
        false_alarms = said[c] - hits[c]
        expected[f"sensitivity[{name}]"] = recall[c]
        expected[f"specificity[{name}]"] = 1 - false_alarms / (n - true[c])
        expected[f"auroc[{name}]"] = areas[c]
    assert list(found) == list(expected)
    assert found == pytest.approx(expected, abs=1e-12)


def test_by_hand():
    """Two of three Normal right, both Viral Pneumonia right, the third class never seen in the test set."""
    found = score(predictions([0, 0, 0, 1, 1], [0, 0, 1, 1, 1]))
    assert found["accuracy"] == 0.8
    assert found["balanced_accuracy"] == pytest.approx((2 / 3 + 1) / 2)
    assert found["specificity[Normal]"] == 1
    assert found["specificity[Viral Pneumonia]"] == pytest.approx(2 / 3)
    assert found["macro_precision"] == pytest.approx((1 + 2 / 3) / 2)


def test_a_class_without_test_images_is_left_out():
    found = score(predictions([0, 0, 1, 1], [0, 2, 1, 1]))
    assert math.isnan(found["sensitivity[a[b]]"]) and math.isnan(found["auroc[a[b]]"])
    assert found["specificity[a[b]]"] == 0.75
    assert found["balanced_accuracy"] == found["macro_recall"] == 0.75
    assert found["macro_auroc"] == pytest.approx((found["auroc[Normal]"] + found["auroc[Viral Pneumonia]"]) / 2)


def test_a_class_never_predicted_counts_as_failure():
    found = score(predictions([0, 1, 2], [0, 1, 1]))
    assert found["sensitivity[a[b]]"] == 0
    assert found["macro_precision"] == pytest.approx((1 + 1 / 2 + 0) / 3)
    assert found["macro_f1"] == pytest.approx((1 + 2 / 3 + 0) / 3)


def test_a_constant_answer_has_mcc_zero_and_one_class_alone_has_no_auroc():
    assert score(predictions([0, 1, 2], [0, 0, 0]))["mcc"] == 0
    alone = score(predictions([1, 1], [1, 0]))
    assert math.isnan(alone["macro_auroc"]) and math.isnan(alone["specificity[Viral Pneumonia]"])
    assert alone["balanced_accuracy"] == 0.5


def test_confusion_counts_every_pair():
    table = confusion(predictions([0, 0, 1], [0, 1, 1]))
    counts = {(r.label, r.predicted): r.images for r in table.itertuples()}
    assert len(counts) == 9 and sum(counts.values()) == 3
    assert counts["Normal", "Viral Pneumonia"] == 1 and counts["a[b]", "Normal"] == 0


@pytest.mark.parametrize("classes", [["1", "2"], ["NA", "None"], ["Viral Pneumonia", "Größe, ein „Wort“"]])
def test_odd_class_names_survive_the_file(tmp_path, classes):
    table = pd.DataFrame({"image": ["007", "1e5"], "label": classes, "predicted": classes[::-1]})
    table[[f"probability_{c}" for c in classes]] = [[0.1 + 0.2, 0.7], [1 / 3, 2 / 3]]
    table.to_csv(tmp_path / "predictions.csv", index=False)
    found = read_predictions(tmp_path / "predictions.csv")
    assert found.classes == classes and list(found.labels) == classes and list(found.images) == ["007", "1e5"]
    assert found.probabilities[0, 0] == 0.1 + 0.2  # to the last bit
    assert score(found)["accuracy"] == 0


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (lambda t: t.assign(label="Cardiomegaly"), "Cardiomegaly"),
        (lambda t: t.assign(probability_A=1.5), "probability"),
        (lambda t: t.assign(probability_A=float("nan")), "probability"),
        (lambda t: t.drop(columns="predicted"), "predicted"),
        (lambda t: t[:0], "no predictions"),
    ],
)
def test_broken_predictions_are_refused(tmp_path, change, word):
    path = tmp_path / "predictions.csv"
    good = pd.DataFrame(
        {"image": ["x"], "label": ["A"], "predicted": ["B"], "probability_A": 0.4, "probability_B": 0.6}
    )
    change(good).to_csv(path, index=False)
    with pytest.raises(UserError, match=word) as error:
        read_predictions(path)
    assert str(path) in str(error.value)


def test_class_of():
    assert class_of("sensitivity[a[b]]") == "a[b]"
    assert class_of("macro_f1") is None


def test_comparisons_answer_the_question():
    assert comparisons(["none", "classical", "gan", "gan+classical"]) == [
        ("classical", "none"),
        ("gan", "none"),
        ("gan+classical", "none"),
        ("gan+classical", "classical"),
        ("gan", "classical"),
    ]
    assert comparisons(["gan+classical", "other"]) == []


def test_differences_are_paired_by_replicate():
    """What varies alike for both augmentations between replicates drops out of the difference."""
    base = [0.5, 0.7, 0.9]
    rows = [("none", r, v) for r, v in enumerate(base)] + [
        ("gan", r, v + 0.1) for r, v in reversed(list(enumerate(base)))
    ]
    cells = pd.DataFrame(rows, columns=["augmentation", "replicate", "value"])
    cells = cells.assign(size="5", backbone="b", metric="mcc")
    differences = paired_differences(cells, ["none", "gan"])
    assert differences["value"].to_list() == pytest.approx([0.1] * 3)

"""The report's numbers about probabilities: prevalence of the classes, calibration as trained and with other priors."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from ganaug.analysis.results import ALL, PRIORS, priors_alike, read_table, row_of
from ganaug.report.content import INTERVAL, MISSING, number, shown
from ganaug.report.fidelity import percent
from ganaug.study.grid import Grid
from ganaug.study.metrics import metric_of

SHARES = ["training", "weighted", "development", "test"]
# Metrics of all classes and of each.
OF_ALL = ("accuracy", "balanced_accuracy", "ece", "rms_debiased", "brier")
OF_CLASS = ("mean_probability", "rms_debiased")


def probabilities(tables: Path, grid: Grid) -> dict:
    """prevalence, rows and their columns, of_classes; alike: whether the development set's shares are the loss's, so
    that rows with corrected priors would repeat the others and are left out."""
    prevalence = read_table(tables / "prevalence.csv", ["size", "class", *SHARES])
    cells = read_table(tables / "calibration.csv", ["augmentation", "size", "backbone", "priors", "metric", *INTERVAL])
    same = priors_alike(prevalence)
    priors = list(PRIORS)[: 1 if same else 2]
    return {
        "prevalence": prevalence_rows(prevalence, grid),
        "alike": same,
        "columns": [metric_of(metric).words for metric in OF_ALL],
        "rows": calibration_rows(cells, grid, priors),
        "of_classes": class_rows(cells, prevalence, grid, priors),
    }


def prevalence_rows(prevalence: pd.DataFrame, grid: Grid) -> list[dict]:
    """Per class the shares as text; those of training at the largest size, `missing` where none is there."""
    trained = prevalence[prevalence["size"] == grid.size_names[-1]].set_index("class")["training"]
    return [
        {"class": row["class"]}
        | {side: _percent(row[side]) for side in SHARES}
        | {"training": _percent(trained[row["class"]]) if row["class"] in trained else "missing"}
        for _, row in prevalence.drop_duplicates("class").iterrows()
    ]


def calibration_rows(cells: pd.DataFrame, grid: Grid, priors: Sequence[str]) -> list[dict]:
    """Backbone, size, augmentation, priors and the metrics of all classes as text."""
    of_all = cells[cells["class"] == ALL].set_index(["backbone", "size", "augmentation", "priors", "metric"])
    return [
        {"backbone": b, "size": s, "augmentation": a, "priors": PRIORS[kind]}
        | {"values": [_cell(of_all, (b, s, a, kind, metric), grid) for metric in OF_ALL]}
        for b in grid.backbones
        for s in grid.size_names
        for a in grid.augmentations
        for kind in priors
    ]


def class_rows(cells: pd.DataFrame, prevalence: pd.DataFrame, grid: Grid, priors: Sequence[str]) -> list[dict]:
    """Backbone, class, share of the test set, quantity, priors and a value per augmentation; at the largest size."""
    largest = cells[cells["size"] == grid.size_names[-1]]
    largest = largest.set_index(["backbone", "class", "augmentation", "priors", "metric"])
    tested = prevalence.drop_duplicates("class").set_index("class")["test"]
    return [
        {
            "backbone": b,
            "class": c,
            "test": number(tested[c]),
            "quantity": metric_of(metric).words,
            "priors": PRIORS[kind],
        }
        | {"values": [_cell(largest, (b, c, a, kind, metric), grid) for a in grid.augmentations]}
        for b in grid.backbones
        for c in tested.index
        for metric in OF_CLASS
        for kind in priors
    ]


def _cell(cells: pd.DataFrame, key: tuple[str, ...], grid: Grid) -> dict:
    """A mean with its interval and, where it has one, its floor."""
    if key not in cells.index:
        return MISSING
    row = row_of(cells, *key)
    cell = shown(row)
    fewer = grid.missing and row["replicates"] != grid.replicates
    notes = [cell["interval"], f"n = {row['replicates']}" if fewer else ""]
    notes.append("" if pd.isna(row["floor"]) else f"floor {number(row['floor'])}")
    return cell | {"interval": " ".join(filter(None, notes))}


def _percent(share: float) -> str:
    return percent(round(share, 3))

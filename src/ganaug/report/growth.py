"""The report's numbers on size: whether quality grows with it, and how many images an augmentation is worth."""

import math
from pathlib import Path

import pandas as pd

from ganaug.analysis.pairs import NO_AUGMENTATION
from ganaug.analysis.results import TOLD, read_table, row_of
from ganaug.report.content import INTERVAL, MISSING, lost, number
from ganaug.study.grid import Grid

COLUMNS = ["augmentation", "backbone", "quantity", "size", "value", "ci_low", "ci_high", "p", "beyond", "note"]


def growth(tables: Path, grid: Grid, alpha: float) -> dict:
    """growth, worth: rows of the page; law_told: whether the study has sizes enough for more than a p of growth."""
    scaling = read_table(tables / "scaling.csv", COLUMNS)
    scaling["note"] = scaling["note"].astype(object).fillna("")
    summary = read_table(tables / "summary.csv", ["augmentation", "size", "backbone", "metric", *INTERVAL])
    told = len(grid.sizes) >= TOLD
    return {
        "growth": growth_rows(scaling, summary, grid, alpha),
        "worth": worth_rows(scaling, summary, grid) if told else [],
        "law_told": told,
    }


def growth_rows(scaling: pd.DataFrame, summary: pd.DataFrame, grid: Grid, alpha: float) -> list[dict]:
    """Per backbone and augmentation the rank correlation of size and quality, whether that is growth, and the law."""
    gone = lost(summary, ["backbone", "augmentation", "size"])
    cells = scaling[scaling["size"].isna()].set_index(["backbone", "augmentation", "quantity"])
    return [
        {
            "backbone": b,
            "augmentation": a,
            "values": [limited(row_of(cells, b, a, quantity), quantity) for quantity in ("spearman", "a", "b", "c")],
            "growth": _growth(row_of(cells, b, a, "spearman"), alpha),
            "p": _p(row_of(cells, b, a, "spearman")["p"]),
        }
        if not all((b, a, s) in gone for s in grid.size_names)
        else {"backbone": b, "augmentation": a, "values": [MISSING] * 4, "growth": "missing", "p": "missing"}
        for b in grid.backbones
        for a in grid.augmentations
    ]


def _growth(row: pd.Series, alpha: float) -> str:
    if not row["p"] < alpha:  # NaN, too
        return "undecided"
    return "yes" if row["value"] > 0 else "no, it falls"


def worth_rows(scaling: pd.DataFrame, summary: pd.DataFrame, grid: Grid) -> list[dict]:
    """Per backbone and augmentation the multiplier at every size as text; nothing in a study without `none`."""
    cells = scaling[scaling["quantity"] == "multiplier"]
    there = set(zip(cells["backbone"], cells["augmentation"], strict=True))
    cells = cells.set_index(["backbone", "augmentation", "size"])
    gone = lost(summary, ["backbone", "augmentation", "size"])

    def cell(b: str, a: str, s: str) -> dict:
        return MISSING if {(b, a, s), (b, NO_AUGMENTATION, s)} & gone else limited(row_of(cells, b, a, s))

    return [
        {"backbone": b, "augmentation": a, "values": [cell(b, a, s) for s in grid.size_names]}
        for b in grid.backbones
        for a in grid.augmentations
        if (b, a) in there
    ]


def limited(row: pd.Series, quantity: str = "multiplier") -> dict:
    """A quantity of scaling.csv and its limits with two decimals; a dagger where it leads beyond the study's sizes.

    What is no estimate is an en dash with the reason; an estimate at the edge of the search is at most, or at least,
    so much; an interval of no width is told as such.
    """
    value, low, high, note = row["value"], row["ci_low"], row["ci_high"], row["note"]
    if note.startswith("fewer"):
        return {"mean": "–", "interval": note, "verdict": ""}
    text = "–" if math.isnan(value) else _two(value)
    if quantity == "b" and note.startswith("at the edge"):
        text = ("≤ " if value < 1 else "≥ ") + text
    interval = "" if math.isnan(low) or low == high else f"[{_two(low)}, {_two(high)}]"
    interval = " ".join(part for part in (interval, note) if part)
    return {"mean": text + ("†" if row["beyond"] and text != "–" else ""), "interval": interval, "verdict": ""}


def _p(value: float) -> str:
    return "below 0.001" if value < 0.001 else number(value)


def _two(value: float) -> str:
    return f"{value:.2f}".replace("inf", "∞").replace("-", "−")

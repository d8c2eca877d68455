"""The report's numbers about calibration, classes, synthetic images and what stands beside the comparison."""

import math
from pathlib import Path

import pandas as pd

from ganaug.analysis.results import left_out, read_table, row_of
from ganaug.report.calibration import probabilities
from ganaug.report.content import INTERVAL, MISSING, difference_rows, lost, number, problem_rows, shown, summary_rows
from ganaug.report.fidelity import percent
from ganaug.report.films import COLUMNS, films_elsewhere
from ganaug.study.grid import Grid
from ganaug.study.metrics import shown_metrics

RATES = ["augmentation", "size", "backbone", "class", "quantity", "value", "ci_low", "ci_high", "images", "groups"]
DOUBTED = 0.2  # share of the whole image's gain from which a border that chance may explain is told


def extras(results: Path, grid: Grid, tables: list[str]) -> dict:
    """What the template shows of the tables that a study may have; None for those it has not."""
    folder = results / "tables"
    return {
        "probabilities": probabilities(folder, grid),
        "rates": rate_rows(read_table(folder / "class_rates.csv", RATES), grid),
        "transfer": transfer_rows(folder / "transfer.csv", grid) if "transfer" in tables else None,
        "faithfulness": faithfulness_rows(folder / "transfer.csv", grid) if "transfer" in tables else None,
        "shortcut": shortcut_rows(folder / "shortcut.csv") if "shortcut" in tables else None,
        "external": external(results, grid) if "external_summary" in tables else None,
    }


def rate_rows(rates: pd.DataFrame, grid: Grid) -> list[dict]:
    """Backbone, class, images, groups; per augmentation sensitivity and specificity, with intervals; largest size."""
    cells = rates[rates["size"] == grid.size_names[-1]].rename(columns={"value": "mean"})
    counts = cells.groupby(["class", "quantity"])[["images", "groups"]].first().to_dict("index")
    cells = cells.set_index(["backbone", "class", "augmentation", "quantity"])

    def cell(*key: str) -> dict:
        return shown(row_of(cells, *key)) if key in cells.index else MISSING

    return [
        {"backbone": b, "class": c, "quantity": q}
        | counts.get((c, q), {"images": "missing", "groups": "missing"})
        | {"values": [cell(b, c, a, q) for a in grid.augmentations]}
        for b in grid.backbones
        for c in rates["class"].unique()
        for q in ("sensitivity", "specificity")
    ]


def transfer_rows(path: Path, grid: Grid) -> list[dict]:
    """Backbone, size, and balanced accuracy trained and tested on real images, across, and the other way across."""
    table = read_table(path, ["trained_on", "tested_on", "size", "backbone", "metric", *INTERVAL])
    cells = table[table["metric"] == "balanced_accuracy"].set_index(["backbone", "size", "trained_on", "tested_on"])
    ways = [("real", "real"), ("synthetic", "real"), ("real", "synthetic")]

    def cell(*key: str) -> dict | None:
        return _there(row_of(cells, *key)) if key in cells.index else None

    return [
        {"backbone": b, "size": s, "values": [cell(b, s, *way) for way in ways]}
        for b in grid.backbones
        for s in grid.size_names
    ]


def faithfulness_rows(path: Path, grid: Grid) -> list[dict]:
    """Backbone, size, and per class the share of its synthetic images that a real-image classifier gives that class."""
    table = read_table(path, ["trained_on", "tested_on", "size", "backbone", "metric", *INTERVAL])
    table = table[table["tested_on"].eq("synthetic")]
    gone = lost(table, ["backbone", "size"])
    table = table[table["metric"].str.startswith("sensitivity[")]
    cells = table.set_index(["backbone", "size", "metric"])

    def cell(b: str, s: str, metric: str) -> dict:
        return MISSING if (b, s) in gone else shown(row_of(cells, b, s, metric))

    return [
        {"backbone": b, "size": s, "values": [cell(b, s, m) for m in table["metric"].unique()]}
        for b in grid.backbones
        for s in grid.size_names
    ]


def shortcut_rows(path: Path) -> list[dict]:
    """Per backbone: balanced accuracy on the border alone and on whole images, chance, and the share that remains.

    of_images: its interval over other test images. warning: `sure` where that lies above chance; `doubt` where it holds
    chance and the border has kept a fifth or more of what the whole image gives; else empty.
    """
    columns = ["chance", "share", "images_low", "images_high"]
    table = read_table(path, ["augmentation", "size", "backbone", "metric", *INTERVAL, *columns])
    rows = []
    for backbone, cells in table[table["metric"] == "balanced_accuracy"].groupby("backbone", sort=False):
        by_name = cells.set_index("augmentation")
        border = row_of(by_name, "border-only")
        whole = _there(row_of(by_name, "none")) if "none" in by_name.index else None
        share = "" if math.isnan(border["share"]) else percent(round(max(0.0, border["share"]), 2))
        row = {"backbone": backbone, "size": border["size"], "border": _there(border), "whole": whole, "share": share}
        images = f"[{number(border['images_low'])}, {number(border['images_high'])}]"
        rows.append(row | {"chance": number(border["chance"]), "of_images": images, "warning": _warning(border)})
    return rows


def _there(row: pd.Series) -> dict:
    """A mean of balanced accuracy, which every cell has."""
    return shown(row) if row["replicates"] else MISSING


def _warning(border: pd.Series) -> str:
    if border["images_low"] > border["chance"]:  # not where it is NaN
        return "sure"
    return "doubt" if border["share"] >= DOUBTED else ""


def external(results: Path, grid: Grid) -> dict:
    """What was found in the images, summary and differences as for the test set; images None where all is missing."""
    folder = results / "tables"
    if read_table(folder / "external_cells.csv", ["value"]).empty:
        return {"images": None}
    images = read_table(results / "external" / "images.csv", ["image", "class"])
    problems = read_table(results / "external" / "problems.csv", COLUMNS)
    data = external_data(images, problems, list(read_table(folder / "data.csv", ["class"])["class"]))
    summary = read_table(folder / "external_summary.csv", ["augmentation", "size", "backbone", "metric", *INTERVAL])
    differences = read_table(folder / "external_comparisons.csv", ["augmentation", "reference", "size", *INTERVAL])
    return {
        "images": len(images),
        "left_out": int(data["left_out"].sum()),
        "copies": read_table(results / "external" / "left_out.csv", ["file"])["file"].nunique(),
        "data": data.reset_index().to_dict("records"),
        "films": films_elsewhere(problems, data),
        "problems": (rows := problem_rows(results / "external" / "problems.csv")),
        "skipped": any(row["problem"].startswith("in a folder ") for row in rows),
        "columns": [entry.words for entry in shown_metrics()],
        "summary": summary_rows(summary, grid),
        "differences": difference_rows(differences, grid),
    }


def external_data(images: pd.DataFrame, problems: pd.DataFrame, classes: list[str]) -> pd.DataFrame:
    """left_out (files) and images (used) by class, where there are any; first the study's classes, in their order."""
    absent = left_out(problems, images["image"])["class"].value_counts()
    table = pd.DataFrame({"left_out": absent, "images": images["class"].value_counts()}).fillna(0).astype(int)
    others = table.index.difference(classes)
    return table.reindex([*(name for name in classes if name in table.index), *others]).rename_axis("class")

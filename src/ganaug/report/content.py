"""The report's tables and the numbers in its text, from the tables on disk, as plain values ready to be shown."""

import math
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from ganaug.analysis.pairs import NO_AUGMENTATION, comparisons
from ganaug.analysis.results import class_of, read_table, row_of, shares_used
from ganaug.files import read_json
from ganaug.report import convergence
from ganaug.report.fidelity import fidelity_rows, memorisation_rows, percent
from ganaug.study.grid import Grid
from ganaug.study.metrics import class_metrics, shown_metrics

PRIMARY = "balanced_accuracy"
INTERVAL = ["mean", "ci_low", "ci_high", "replicates", "interval"]
VERDICTS = ("better", "worse", "equivalent", "undecided", "missing")
MISSING = {"mean": "missing", "interval": "", "verdict": ""}


def numbers(results: Path, grid: Grid, synthetic: list[str], confidence: float) -> dict:
    """Everything of the template that comes from tables/ and data/problems.csv, by the names used there."""
    tables = results / "tables"
    summary = read_table(tables / "summary.csv", ["augmentation", "size", "backbone", "metric", *INTERVAL])
    differences = read_table(tables / "comparisons.csv", ["augmentation", "reference", "size", "backbone", *INTERVAL])
    data = read_table(tables / "data.csv", ["class", "left_out", "images", "groups", "test", "pool"])
    test_images = int(data["test"].sum())
    typical = float(summary.loc[summary["metric"] == "accuracy", "mean"].mean())
    return {
        "level": percent(confidence),
        "chance": percent(1 - confidence),
        "shown": shown_metrics(),
        "of_classes": class_metrics(),
        "classes": list(data["class"]),
        "data": data.to_dict("records"),
        "data_total": data.drop(columns="class").sum().to_dict() | {"groups": count_groups(results)},
        "near_copies": near_copies(results / "data" / "near_copies.json"),
        "problems": (problems := problem_rows(results / "data" / "problems.csv")),
        "skipped": any(row["problem"].startswith("in a folder ") for row in problems),
        "subsets": subset_rows(read_table(tables / "subsets.csv", ["size", "side", "class", "images"]), grid),
        "used": used_rows(data, grid),
        "test_images": test_images,
        "typical_accuracy": f"{typical:.2f}",
        "test_error": f"{math.sqrt(typical * (1 - typical) / test_images):.3f}",
        "interval_methods": list(summary["interval"].unique()),
        "margin": number(float(differences["margin"].iloc[0])) if len(differences) else None,
        "summary": summary_rows(summary, grid),
        "differences": difference_rows(differences, grid),
        "per_class": per_class_rows(summary, grid, list(data["class"])),
        "answers": answers(differences, grid, synthetic),
        "answers_tests": tests_made(differences),
        "short": short_rows(summary, differences, grid, synthetic),
        "fidelity": fidelity_rows(tables / "fidelity.csv", grid) if synthetic else None,
        "memorisation": memorisation_rows(tables / "memorisation.csv", grid) if synthetic else None,
        "convergence": convergence.classifiers(tables / "convergence.csv", grid),
        "gan_convergence": convergence.gans(tables / "gan_convergence.csv") if synthetic else None,
        "short_columns": [f"{a} − {b}" for a, b in short_comparisons(grid, synthetic)],
    }


def used_rows(data: pd.DataFrame, grid: Grid) -> list[dict]:
    """Sizes with the share of the development set's images that a subset takes: the mean over classes, and the largest.

    data: images of each class in the development set, in the column pool.
    """
    shares = {size: list(of_class.values()) for size, of_class in shares_used(data, grid.sizes).items()}
    return [
        {"size": size, "share": percent(round(float(np.mean(s)), 2)), "most": percent(round(max(s), 2))}
        for size, s in shares.items()
    ]


def count_groups(results: Path) -> int:
    """The groups of all usable images. Fewer than the classes' together where a group has images of several classes."""
    return int(read_table(results / "data" / "splits.csv", ["group"])["group"].nunique())


def tests_made(differences: pd.DataFrame) -> int:
    """The tests of balanced accuracy, which its p are corrected for."""
    return int((differences["metric"].eq(PRIMARY) & differences["p"].notna()).sum())


def gan_comparisons(grid: Grid, synthetic: list[str]) -> list[tuple[str, str]]:
    """The (augmentation, reference) pairs that differ in the synthetic images alone."""
    pairs = comparisons(grid.augmentations)
    plain = [(a, b) for a, b in pairs if b == NO_AUGMENTATION and "+" not in a]
    added = [(a, b) for a, b in pairs if a.partition("+")[2] == b]
    return [(a, b) for a, b in plain + added if a in synthetic and b not in synthetic]


def short_comparisons(grid: Grid, synthetic: list[str]) -> list[tuple[str, str]]:
    """Those of the page's first table: what GAN images change, and against `classical`; without GAN images all."""
    claim = ("gan", "classical")
    of_gan = gan_comparisons(grid, synthetic) + ([claim] if claim in comparisons(grid.augmentations) else [])
    return of_gan or comparisons(grid.augmentations)


def worded_comparisons(grid: Grid, synthetic: list[str]) -> list[tuple[str, str]]:
    """All that the study makes, those of the first table first."""
    first = short_comparisons(grid, synthetic)
    return first + [pair for pair in comparisons(grid.augmentations) if pair not in first]


def near_copies(path: Path) -> dict:
    """The threshold of near-copies and what it finds, as text."""
    found = read_json(path)
    kinds = [f"{kind} ({percent(round(share, 3))})" for kind, share in found["found"].items()]
    pairs = {name: f"{found[name]:,}" for name in ("different_pairs", "different_within")}
    return {"distance": found["distance"], "chosen": found["chosen"], "kinds": kinds} | pairs


def problem_rows(path: Path) -> list[dict]:
    """problem, class, action and the number of files; what is one file's is left out of the action."""
    problems = read_table(path, ["file", "class", "problem", "action"])
    problems["action"] = [re.split(" in group | by the window ", action)[0] for action in problems["action"]]
    problems["class"] = problems["class"].fillna("")  # of what belongs to none
    counts = problems.groupby(["problem", "class", "action"], sort=False).size().rename("files")
    return counts.reset_index().to_dict("records")


def subset_rows(subsets: pd.DataFrame, grid: Grid) -> list[dict]:
    """Per size the images per class in train and validation, as a range over classes and replicates."""
    ranges = subsets.groupby(["size", "side"])["images"].agg(["min", "max"])

    def shown(size: str, side: str) -> str:
        if (size, side) not in ranges.index:
            return "missing"
        low, high = row_of(ranges, size, side)
        return f"{low}" if low == high else f"{low}–{high}"

    return [{"size": s, "train": shown(s, "train"), "validation": shown(s, "validation")} for s in grid.size_names]


def summary_rows(summary: pd.DataFrame, grid: Grid, metrics: Sequence[str] = ()) -> list[dict]:
    """Backbone, size, augmentation and, per metric, mean and interval as text; of the metrics shown by default."""
    metrics = metrics or [entry.name for entry in shown_metrics()]
    cells = summary.set_index(["backbone", "size", "augmentation", "metric"])
    gone = lost(summary, ["backbone", "size", "augmentation"])

    def cell(key: tuple[str, str, str], metric: str) -> dict:
        return MISSING if key in gone else _counted(shown(row := row_of(cells, *key, metric)), row, grid)

    return [
        {"backbone": b, "size": s, "augmentation": a, "values": [cell((b, s, a), m) for m in metrics]}
        for b in grid.backbones
        for s in grid.size_names
        for a in grid.augmentations
    ]


def difference_rows(differences: pd.DataFrame, grid: Grid) -> list[dict]:
    """Like summary_rows for each pair; a value tells too whether its interval excludes zero."""
    cells = differences.set_index(["backbone", "size", "augmentation", "reference", "metric"])
    return [
        {
            "backbone": b,
            "size": s,
            "pair": f"{a} − {r}",
            "values": [_judged(row_of(cells, b, s, a, r, m.name), grid) for m in shown_metrics()],
        }
        for b in grid.backbones
        for s in grid.size_names
        for a, r in comparisons(grid.augmentations)
    ]


def per_class_rows(summary: pd.DataFrame, grid: Grid, classes: list[str]) -> list[dict]:
    """Backbone, size, augmentation and per class the mean of every metric of one class as text."""
    cells = summary[summary["metric"].map(class_of).notna()]
    means = cells.set_index(["backbone", "size", "augmentation", "metric"])["mean"]
    gone = lost(summary, ["backbone", "size", "augmentation"])

    def cell(key: tuple[str, str, str], metric: str) -> str:
        return "missing" if key in gone else number(means[*key, metric])

    kinds = [entry.name for entry in class_metrics()]
    return [
        {
            "backbone": b,
            "size": s,
            "augmentation": a,
            "values": [cell((b, s, a), f"{kind}[{c}]") for c in classes for kind in kinds],
        }
        for b in grid.backbones
        for s in grid.size_names
        for a in grid.augmentations
    ]


def answers(differences: pd.DataFrame, grid: Grid, synthetic: list[str]) -> list[dict]:
    """Per comparison of the study the sizes (and backbones) by their verdict on balanced accuracy."""
    several = len(grid.backbones) > 1
    out = []
    for augmentation, reference in worded_comparisons(grid, synthetic):
        found: dict[str, list[str]] = {}
        rows = _primary(differences, [(augmentation, reference)])
        for size, backbone, verdict in zip(rows["size"], rows["backbone"], rows["verdict"], strict=True):
            found.setdefault(verdict, []).append(f"{size} ({backbone})" if several else str(size))
        verdicts = [{"verdict": v, "places": found[v]} for v in VERDICTS if v in found]
        out.append({"augmentation": augmentation, "reference": reference, "verdicts": verdicts})
    return out


def short_rows(summary: pd.DataFrame, differences: pd.DataFrame, grid: Grid, synthetic: list[str]) -> list[dict]:
    """Per backbone and size: the primary metric without augmentation, and what GAN images changed."""
    pairs = short_comparisons(grid, synthetic)
    cells = _primary(differences, pairs).set_index(["backbone", "size", "augmentation", "reference"])
    base = {
        (row["backbone"], row["size"]): row["values"][0]
        for row in summary_rows(summary, grid, [PRIMARY])
        if row["augmentation"] == NO_AUGMENTATION
    }
    return [
        {
            "backbone": b,
            "size": s,
            "base": base.get((b, s)),
            "changes": [_judged(row_of(cells, b, s, *pair), grid) for pair in pairs],
        }
        for b in grid.backbones
        for s in grid.size_names
    ]


def _primary(differences: pd.DataFrame, pairs: list[tuple[str, str]]) -> pd.DataFrame:
    wanted = [pair in pairs for pair in zip(differences["augmentation"], differences["reference"], strict=True)]
    return differences[pd.Series(wanted, dtype=bool) & differences["metric"].eq(PRIMARY)]


def lost(table: pd.DataFrame, key: list[str]) -> set[tuple]:
    """The rows of means, by the columns of the key, without a replicate: accuracy is defined wherever there is one."""
    nothing = table["metric"].eq("accuracy") & table["replicates"].eq(0)
    return set(table.loc[nothing, key].itertuples(index=False, name=None))


def shown(row: pd.Series, signed: bool = False) -> dict:
    """mean and interval as text, the latter empty where there is none, and no numbers where it has no width."""
    low, high = row["ci_low"], row["ci_high"]
    interval = "no spread" if low == high else "" if math.isnan(low) else f"[{number(low)}, {number(high)}]"
    return {"mean": number(row["mean"], signed), "interval": interval, "verdict": ""}


def _judged(row: pd.Series, grid: Grid) -> dict:
    """A comparison: its difference, interval and verdict."""
    if row["verdict"] == "missing":
        return MISSING
    return _counted(shown(row, True), row, grid) | {"verdict": row["verdict"]}


def _counted(cell: dict, row: pd.Series, grid: Grid) -> dict:
    """In an incomplete study a mean over fewer replicates than the study has is marked by their number."""
    if not grid.missing or row["replicates"] == grid.replicates:
        return cell
    return cell | {"interval": f"{cell['interval']} n = {row['replicates']}".strip()}


def number(value: float, signed: bool = False) -> str:
    """Three decimals, a true minus sign; an en dash where undefined."""
    if math.isnan(value):
        return "–"
    return f"{value:{'+' if signed else ''}.3f}".replace("-", "−")

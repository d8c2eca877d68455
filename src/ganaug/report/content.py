"""The report's tables and the numbers in its text, from the tables on disk, as plain values ready to be shown."""

import math
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from ganaug.analysis.pairs import NO_AUGMENTATION, comparisons
from ganaug.analysis.results import OVERALL, SHOWN, Grid, class_of, read_table, readable
from ganaug.files import read_json

PRIMARY = "balanced_accuracy"
INTERVAL = ["mean", "ci_low", "ci_high", "replicates", "interval"]
VERDICTS = ("better", "worse", "equivalent", "undecided")
LIMITS = ["value", "ci_low", "ci_high"]


def numbers(results: Path, grid: Grid, synthetic: list[str], confidence: float) -> dict:
    """Everything of the template that comes from tables/ and data/problems.csv, by the names used there."""
    tables = results / "tables"
    summary = read_table(tables / "summary.csv", ["augmentation", "size", "backbone", "metric", *INTERVAL])
    differences = read_table(tables / "comparisons.csv", ["augmentation", "reference", "size", "backbone", *INTERVAL])
    scaling = read_table(
        tables / "scaling.csv", ["augmentation", "backbone", "quantity", "size", *LIMITS, "p", "beyond"]
    )
    data = read_table(tables / "data.csv", ["class", "left_out", "images", "groups", "test", "pool"])
    test_images = int(data["test"].sum())
    typical = float(summary.loc[summary["metric"] == "accuracy", "mean"].mean())
    return {
        "level": percent(confidence),
        "chance": percent(1 - confidence),
        "shown": {metric: OVERALL[metric] for metric in SHOWN},
        "classes": list(data["class"]),
        "data": data.to_dict("records"),
        "data_total": data.drop(columns="class").sum().to_dict(),
        "near_copies": near_copies(results / "data" / "near_copies.json"),
        "problems": problem_rows(results / "data" / "problems.csv"),
        "subsets": subset_rows(read_table(tables / "subsets.csv", ["size", "side", "class", "images"]), grid),
        "test_images": test_images,
        "typical_accuracy": f"{typical:.2f}",
        "test_error": f"{math.sqrt(typical * (1 - typical) / test_images):.3f}",
        "interval_methods": list(summary["interval"].unique()),
        "margin": number(float(differences["margin"].iloc[0])) if len(differences) else None,
        "tests": [test for test in differences["test"].unique() if test != "none"],
        "summary": summary_rows(summary, grid),
        "differences": difference_rows(differences, grid),
        "per_class": per_class_rows(summary, grid, list(data["class"])),
        "answers": answers(differences, grid, synthetic),
        "answers_tests": len(comparisons(grid.augmentations)) * len(grid.sizes),
        "growth": growth_rows(scaling, grid, 1 - confidence),
        "worth": worth_rows(scaling, grid),
        "short": short_rows(summary, differences, grid, synthetic),
        "fidelity": fidelity_rows(tables / "fidelity.csv", grid) if synthetic else None,
        "memorisation": memorisation_rows(tables / "memorisation.csv", grid) if synthetic else None,
        "short_columns": [f"{a} − {b}" for a, b in short_comparisons(grid, synthetic)],
    }


def gan_comparisons(grid: Grid, synthetic: list[str]) -> list[tuple[str, str]]:
    """The (augmentation, reference) pairs that differ in the synthetic images alone."""
    pairs = comparisons(grid.augmentations)
    plain = [(a, b) for a, b in pairs if b == NO_AUGMENTATION and "+" not in a]
    added = [(a, b) for a, b in pairs if a.partition("+")[2] == b]
    return [(a, b) for a, b in plain + added if a in synthetic and b not in synthetic]


def short_comparisons(grid: Grid, synthetic: list[str]) -> list[tuple[str, str]]:
    """Those of the page's first table: what GAN images change, and the published claim about them."""
    claim = ("gan", "classical")
    return gan_comparisons(grid, synthetic) + ([claim] if claim in comparisons(grid.augmentations) else [])


def near_copies(path: Path) -> dict:
    """The threshold of near-copies and what it finds, as text."""
    found = read_json(path)
    kinds = [f"{kind} ({percent(round(share, 3))})" for kind, share in found["found"].items()]
    pairs = {name: f"{found[name]:,}" for name in ("different_pairs", "different_within")}
    return {"distance": found["distance"], "chosen": found["chosen"], "kinds": kinds} | pairs


def problem_rows(path: Path) -> list[dict]:
    """problem, class, action and the number of files; a group's name is left out of the action."""
    problems = read_table(path, ["file", "class", "problem", "action"])
    problems["action"] = [action.partition(" in group ")[0] for action in problems["action"]]
    counts = problems.groupby(["problem", "class", "action"], sort=False).size().rename("files")
    return counts.reset_index().to_dict("records")


def subset_rows(subsets: pd.DataFrame, grid: Grid) -> list[dict]:
    """Per size the images per class in train and validation, as a range over classes and replicates."""
    ranges = subsets.groupby(["size", "side"])["images"].agg(["min", "max"])

    def shown(size, side):
        low, high = ranges.loc[(size, side)]
        return f"{low}" if low == high else f"{low}–{high}"

    return [{"size": s, "train": shown(s, "train"), "validation": shown(s, "validation")} for s in grid.size_names]


def summary_rows(summary: pd.DataFrame, grid: Grid, metrics: Sequence[str] = SHOWN) -> list[dict]:
    """Backbone, size, augmentation and, per metric, mean and interval as text."""
    cells = summary.set_index(["backbone", "size", "augmentation", "metric"])
    return [
        {"backbone": b, "size": s, "augmentation": a, "values": [shown(cells.loc[(b, s, a, m)]) for m in metrics]}
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
            "values": [_judged(cells.loc[(b, s, a, r, m)]) for m in SHOWN],
        }
        for b in grid.backbones
        for s in grid.size_names
        for a, r in comparisons(grid.augmentations)
    ]


def per_class_rows(summary: pd.DataFrame, grid: Grid, classes: list[str]) -> list[dict]:
    """Backbone, size, augmentation and per class the mean sensitivity, specificity and AUROC as text."""
    cells = summary[summary["metric"].map(class_of).notna()]
    means = cells.set_index(["backbone", "size", "augmentation", "metric"])["mean"]
    kinds = ("sensitivity", "specificity", "auroc")
    return [
        {
            "backbone": b,
            "size": s,
            "augmentation": a,
            "values": [number(means[b, s, a, f"{kind}[{c}]"]) for c in classes for kind in kinds],
        }
        for b in grid.backbones
        for s in grid.size_names
        for a in grid.augmentations
    ]


def answers(differences: pd.DataFrame, grid: Grid, synthetic: list[str]) -> list[dict]:
    """Per pair of the page's first table the sizes (and backbones) by their verdict on balanced accuracy."""
    several = len(grid.backbones) > 1
    out = []
    for augmentation, reference in short_comparisons(grid, synthetic):
        found = {}
        for row in _primary(differences, [(augmentation, reference)]).itertuples():
            place = f"{row.size} ({row.backbone})" if several else str(row.size)
            found.setdefault(row.verdict, []).append(place)
        verdicts = [{"verdict": v, "places": found[v]} for v in VERDICTS if v in found]
        out.append({"augmentation": augmentation, "reference": reference, "verdicts": verdicts})
    return out


def growth_rows(scaling: pd.DataFrame, grid: Grid, alpha: float) -> list[dict]:
    """Per backbone and augmentation the rank correlation of size and quality, whether that is growth, and the law."""
    cells = scaling[scaling["size"].isna()].set_index(["backbone", "augmentation", "quantity"])
    return [
        {
            "backbone": b,
            "augmentation": a,
            "values": [_limited(cells.loc[(b, a, quantity)]) for quantity in ("spearman", "a", "b", "c")],
            "growth": _growth(cells.loc[(b, a, "spearman")], alpha),
            "p": number(cells.loc[(b, a, "spearman"), "p"]),
        }
        for b in grid.backbones
        for a in grid.augmentations
    ]


def _growth(row: pd.Series, alpha: float) -> str:
    if not row["p"] < alpha:  # NaN, too
        return "undecided"
    return "yes" if row["value"] > 0 else "no, it falls"


def worth_rows(scaling: pd.DataFrame, grid: Grid) -> list[dict]:
    """Per backbone and augmentation the multiplier at every size as text; nothing in a study without `none`."""
    cells = scaling[scaling["quantity"] == "multiplier"].set_index(["backbone", "augmentation", "size"])
    return [
        {"backbone": b, "augmentation": a, "values": [_limited(cells.loc[(b, a, s)]) for s in grid.size_names]}
        for b in grid.backbones
        for a in grid.augmentations
        if (b, a) in cells.index.droplevel("size")
    ]


def short_rows(summary: pd.DataFrame, differences: pd.DataFrame, grid: Grid, synthetic: list[str]) -> list[dict]:
    """Per backbone and size: the primary metric without augmentation, and what GAN images changed."""
    pairs = short_comparisons(grid, synthetic)
    cells = _primary(differences, pairs).set_index(["backbone", "size", "augmentation", "reference"])
    means = summary[summary["metric"] == PRIMARY].set_index(["backbone", "size", "augmentation"])
    return [
        {
            "backbone": b,
            "size": s,
            "base": shown(means.loc[(b, s, NO_AUGMENTATION)]) if NO_AUGMENTATION in grid.augmentations else None,
            "changes": [_judged(cells.loc[(b, s, *pair)]) for pair in pairs],
        }
        for b in grid.backbones
        for s in grid.size_names
    ]


def _primary(differences: pd.DataFrame, pairs: list[tuple[str, str]]) -> pd.DataFrame:
    wanted = [pair in pairs for pair in zip(differences["augmentation"], differences["reference"], strict=True)]
    return differences[pd.Series(wanted, dtype=bool) & differences["metric"].eq(PRIMARY)]


def fidelity_rows(path: Path, grid: Grid) -> dict:
    """columns (metrics); rows per size, class and reference, each metric's mean over replicates and floor as text, the
    kernel distance with its standard deviation over subsets; warnings."""
    key = ["size", "class", "reference"]
    table = read_table(path, [*key, "replicate", "extractor", "metric", "value", "floor", "warning"])
    kinds = [m for m in table["metric"].unique() if not m.endswith("_std")]
    means = table.groupby([*key, "metric"])[["value", "floor"]].mean()
    rows = [
        {"size": s, "class": c, "reference": r, "values": [_with_floor(means.loc[(s, c, r)], m) for m in kinds]}
        for s in grid.size_names
        for c in table["class"].unique()
        for r in table["reference"].unique()
    ]
    warned = table.dropna(subset="warning")
    warnings = [
        f"{readable(metric)}: {warning} (all of {len(cells)} values)"
        if len(cells) == table["metric"].eq(metric).sum()
        else f"{readable(metric)}: {warning} ({len(cells)} of {table['metric'].eq(metric).sum()} values)"
        for (metric, warning), cells in warned.groupby(["metric", "warning"])
    ]
    return {"columns": [readable(metric).removesuffix(" mean") for metric in kinds], "rows": rows, "warnings": warnings}


def _with_floor(metrics: pd.DataFrame, metric: str) -> dict:
    shown = {name: _magnitude(metrics.loc[metric, name]) for name in ("value", "floor")}
    spread = metric.replace("_mean", "_std")
    if spread != metric:
        shown = {name: f"{text} ± {_magnitude(metrics.loc[spread, name])}" for name, text in shown.items()}
    return shown


def memorisation_rows(path: Path, grid: Grid) -> list[dict]:
    """Per size over the replicates: effect, share of near images, and how many of the GANs repeat training images."""
    columns = ["size", "effect", "near_share", "copies", "median_distance", "median_distance_held_out"]
    table = read_table(path, columns)
    rows = []
    for size in grid.size_names:
        here = table[table["size"] == size]
        row = {"size": size, "copies": int(here["copies"].sum()), "near": percent(round(here["near_share"].mean(), 4))}
        row |= {name: f"{here[name].mean():.2f}" for name in columns[1:] if name not in ("near_share", "copies")}
        rows.append(row)
    return rows


def shown(row: pd.Series, signed: bool = False) -> dict:
    """mean and interval as text, the latter empty where there is none."""
    low, high = row["ci_low"], row["ci_high"]
    interval = "" if math.isnan(low) else f"[{number(low)}, {number(high)}]"
    return {"mean": number(row["mean"], signed), "interval": interval, "verdict": ""}


def _limited(row: pd.Series) -> dict:
    """A quantity of scaling.csv and its limits with two decimals; a dagger where it leads beyond the study's sizes."""
    low, high = (f"{limit:.2f}".replace("inf", "∞") for limit in (row["ci_low"], row["ci_high"]))
    interval = "" if math.isnan(row["ci_low"]) else f"[{low}, {high}]".replace("-", "−")
    text = "–" if math.isnan(row["value"]) else f"{row['value']:.2f}".replace("inf", "∞").replace("-", "−")
    shown = {"mean": text + ("†" if row["beyond"] else ""), "interval": interval, "verdict": ""}
    return shown | {"low": None if math.isnan(row["ci_low"]) else row["ci_low"], "high": row["ci_high"]}


def _judged(row: pd.Series) -> dict:
    """A comparison: its difference, interval and verdict."""
    return shown(row, True) | {"verdict": row["verdict"]}


def number(value: float, signed: bool = False) -> str:
    """Three decimals, a true minus sign; an en dash where undefined."""
    if math.isnan(value):
        return "–"
    return f"{value:{'+' if signed else ''}.3f}".replace("-", "−")


def percent(share: float) -> str:
    return f"{100 * share:.4g}%"


def _magnitude(value: float) -> str:
    """A number of unknown size with a fixed count of decimals, so that a column lines up."""
    return f"{value:.4f}" if abs(value) < 1 else f"{value:.2f}"

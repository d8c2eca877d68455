"""The report's numbers about the synthetic images: fidelity and nearness to the training images."""

from pathlib import Path

import pandas as pd

from ganaug.analysis.results import frechet, read_table, readable, row_of
from ganaug.study.grid import Grid

COPY_VERDICTS = {"flagged": "flagged", "blind": "not informative", "clear": "not flagged"}


def fidelity_rows(path: Path, grid: Grid) -> dict:
    """columns (metrics); rows per size, class and reference, each metric's mean over replicates and floor as text, the
    kernel distance with its spread over subsets, the Fréchet distance above its floor with both below; warnings."""
    key = ["size", "class", "reference"]
    table = read_table(path, [*key, "replicate", "extractor", "metric", "value", "floor", "above_floor", "warning"])
    kinds = [m for m in table["metric"].unique() if not m.endswith("_std")]
    means = table.groupby([*key, "metric"])[["value", "floor", "above_floor"]].mean()
    sizes = set(table["size"])

    def cell(s: str, c: str, r: str, metric: str) -> dict:
        return _with_floor(means, (s, c, r), metric) if s in sizes else {"value": "missing", "floor": ""}

    rows = [
        {"size": s, "class": c, "reference": r, "values": [cell(s, c, r, m) for m in kinds]}
        for s in grid.size_names
        for c in table["class"].unique()
        for r in table["reference"].unique()
    ]
    warned = table.dropna(subset="warning")
    warnings = []
    for pair, cells in warned.groupby(["metric", "warning"]):
        metric, warning = map(str, pair)
        of = table["metric"].eq(metric).sum()
        many = f"all of {len(cells)}" if len(cells) == of else f"{len(cells)} of {of}"
        warnings.append(f"{readable(metric)}: {warning} ({many} values)")
    return {"columns": [_heading(metric) for metric in kinds], "rows": rows, "warnings": warnings}


def _heading(metric: str) -> str:
    if frechet(metric):
        return f"{readable(metric)} above floor"
    return readable(metric.removesuffix("_mean")) + (" ± spread of subsets" if metric.endswith("_mean") else "")


def _with_floor(means: pd.DataFrame, key: tuple[str, str, str], metric: str) -> dict:
    mean = row_of(means, *key, metric)
    shown = {name: _magnitude(mean[name]) for name in ("value", "floor")}
    if frechet(metric):
        return {"value": _magnitude(mean["above_floor"]), "floor": f"{shown['value']} − {shown['floor']}"}
    spread = metric.replace("_mean", "_subset_std")
    if spread != metric:
        deviation = row_of(means, *key, spread)
        shown = {name: f"{text} ± {_magnitude(deviation[name])}" for name, text in shown.items()}
    return shown


def memorisation_rows(path: Path, grid: Grid) -> list[dict]:
    """Per size over the replicates: effect, share of near images, and of how many GANs each verdict is."""
    shown = ["effect", "median_distance", "median_distance_held_out"]
    table = read_table(path, ["size", "near_share", "verdict", *shown])
    rows = []
    for size in grid.size_names:
        here = table[table["size"] == size]
        counts = {"of": len(here)} | {name: int(here["verdict"].eq(text).sum()) for name, text in COPY_VERDICTS.items()}
        if here.empty:
            rows.append({"size": size} | counts | dict.fromkeys(["near", *shown], "missing"))
            continue
        row = {"size": size, "near": percent(round(here["near_share"].mean(), 4))} | counts
        rows.append(row | {name: f"{here[name].mean():.2f}" for name in shown})
    return rows


def _magnitude(value: float) -> str:
    """A number of unknown size with a fixed count of decimals, so that a column lines up."""
    return (f"{value:.4f}" if abs(value) < 1 else f"{value:.2f}").replace("-", "−")


def percent(share: float) -> str:
    return f"{100 * share:.4g}%"

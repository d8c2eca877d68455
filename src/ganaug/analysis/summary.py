"""Stage print_summary: the study's main numbers as a text table on standard output."""

import argparse
import math
from pathlib import Path

import pandas as pd

from ganaug.analysis.missing import add_argument, read_unfinished
from ganaug.analysis.results import read_table, row_of
from ganaug.study.metrics import shown_metrics


def add_arguments(parser: argparse.ArgumentParser) -> None:
    inputs = parser.add_argument_group("inputs")
    inputs.add_argument("--summary", type=Path, required=True, help="tables/summary.csv")
    add_argument(inputs)


def run(args: argparse.Namespace) -> None:
    columns = ["augmentation", "size", "backbone", "metric", "mean", "ci_low", "ci_high", "replicates"]
    print(as_text(read_table(args.summary, columns)))
    if args.unfinished:
        unfinished = read_unfinished(args.unfinished)
        there, of = unfinished["classifiers"]
        failed = [f"  {job['name']}: {job['why']}" for job in unfinished["jobs"] if job["failed"]]
        print(
            f"\nIncomplete: {there} of {of} classifiers are there.{' What failed:' if failed else ''}",
            *failed,
            sep="\n",
        )


def as_text(summary: pd.DataFrame) -> str:
    """One line per backbone, size and augmentation: mean [interval] of the main metrics; n is the replicates."""
    several, metrics = summary["backbone"].nunique() > 1, shown_metrics()
    rows = [[*(["backbone"] if several else []), "size", "augmentation", *(m.words for m in metrics), "n"]]
    for backbone in summary["backbone"].unique():
        for size in summary["size"].unique():
            for augmentation in summary["augmentation"].unique():
                here = summary["backbone"].eq(backbone) & summary["size"].eq(size)
                cell = summary[here & summary["augmentation"].eq(augmentation)].set_index("metric")
                if len(cell):
                    names = [*([backbone] if several else []), size, augmentation]
                    n = cell.loc[metrics[0].name, "replicates"]
                    shown = [_shown(row_of(cell, m.name)) if n else "missing" for m in metrics]
                    rows.append([*names, *shown, str(n)])
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = ["  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    lines.insert(1, "-" * max(map(len, lines)))
    return "\n".join(lines)


def _shown(row: pd.Series) -> str:
    if math.isnan(row["mean"]):
        return "undefined"
    interval = "" if math.isnan(row["ci_low"]) else f" [{_short(row['ci_low'])} {_short(row['ci_high'])}]"
    return f"{_short(row['mean'])}{interval}"


def _short(value: float) -> str:
    """Three decimals without the leading zero: .873, 1.02, -.012."""
    return f"{value:.3f}".replace("0.", ".", 1) if abs(value) < 1 else f"{value:.2f}"

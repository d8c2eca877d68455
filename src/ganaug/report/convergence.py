"""The report's words on whether trainings had converged."""

from pathlib import Path

import pandas as pd

from ganaug.analysis.results import read_table
from ganaug.study.grid import Grid

MANY = 1 / 3  # share of the classifiers; above it the report warns


def classifiers(path: Path, grid: Grid) -> dict | None:
    """How the classifiers' trainings ended, from tables/convergence.csv; None where none is there.

    last of count: those that chose their last epoch. warned: whether those are more than a third. falling of sloped:
    those whose validation loss still fell over their last end_epochs epochs, of those that have a slope. loss and
    accuracy: the mean slopes of all per epoch, as text. names: what was trained. rows: backbone, size and per name how
    many of those that are there chose their last epoch, with the mean slope of their validation loss.
    """
    slopes = ["validation_loss_per_epoch", "validation_balanced_accuracy_per_epoch"]
    cell = ["augmentation", "size", "backbone"]
    table = read_table(path, [*cell, "epochs", "epoch_chosen", "chose_last", "end_epochs", *slopes])
    if table.empty:
        return None
    loss, accuracy = (table[name] for name in slopes)
    names = list(dict.fromkeys(table["augmentation"]))
    groups = dict(list(table.groupby(cell)))

    def shown(*key: str) -> dict:
        here = groups.get(key)
        if here is None:
            return {"mean": "–", "interval": "", "verdict": ""}
        chosen = f"{int(here['chose_last'].sum())} of {len(here)}"
        return {"mean": chosen, "interval": _slope(here[slopes[0]]), "verdict": ""}

    return {
        "last": int(table["chose_last"].sum()),
        "count": len(table),
        "warned": bool(table["chose_last"].mean() > MANY),
        "epochs": int(table["epochs"].max()),
        "end_epochs": int(table["end_epochs"].max()),
        "falling": int((loss < 0).sum()),
        "sloped": int(loss.notna().sum()),
        "loss": _slope(loss),
        "accuracy": _slope(accuracy),
        "names": names,
        "rows": [
            {"backbone": b, "size": s, "values": [shown(a, s, b) for a in names]}
            for b in grid.backbones
            for s in grid.size_names
        ],
    }


def gans(path: Path) -> dict | None:
    """How many GANs were nearest to their training images at their last snapshot, from tables/gan_convergence.csv.

    last of count, of those with two snapshots or more; kimg of the longest training as text; None without such a GAN.
    """
    table = read_table(path, ["kimg", "snapshots", "nearest_is_last"])
    table = table[table["snapshots"] > 1]
    if table.empty:
        return None
    return {"last": int(table["nearest_is_last"].sum()), "count": len(table), "kimg": f"{table['kimg'].max():g}"}


def _slope(values: pd.Series) -> str:
    """The mean of slopes with a sign; empty without one."""
    mean = values.mean()
    return "" if pd.isna(mean) else f"{mean:+.3f}".replace("-", "−")

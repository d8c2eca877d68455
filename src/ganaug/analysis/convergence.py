"""Whether trainings had converged: the epoch that each classifier chose, and what still changed at the end."""

import math
from pathlib import Path

import pandas as pd

from ganaug.analysis.results import CELL, read_table
from ganaug.layout import cell_folder
from ganaug.study.grid import Grid

END = 0.25  # share of a training that is its end
LEAST = 3  # epochs or snapshots of an end, where there are as many
MEASURES = ("train_loss", "validation_loss", "validation_balanced_accuracy")


def classifier_convergence(results: Path, grid: Grid) -> pd.DataFrame:
    """A row per trained classifier, probes and other ratios too, from its history.

    Columns: augmentation, size, replicate, backbone; epochs, of the training; epoch_chosen, the one with the lowest
    validation loss; chose_last; end_epochs, the number of the last epochs that the slopes are of: a quarter of all, at
    least three; train_loss_per_epoch, validation_loss_per_epoch (nats) and validation_balanced_accuracy_per_epoch
    (share): slopes of a least-squares line through these epochs, NaN where there is but one.

    Raises UserError where a history is missing.
    """
    rows = []
    for size, replicate in grid.subsets:
        for augmentation in grid.trained(size):
            for backbone in grid.backbones:
                path = results / cell_folder(augmentation, size, replicate, backbone) / "history.csv"
                if grid.there(path):
                    history = read_table(path, ["epoch", "selected", *MEASURES])
                    cell = dict(zip(CELL, (augmentation, size, replicate, backbone), strict=True))
                    rows.append(cell | _of_history(history))
    slopes = [f"{measure}_per_epoch" for measure in MEASURES]
    return pd.DataFrame(rows, columns=[*CELL, "epochs", "epoch_chosen", "chose_last", "end_epochs", *slopes])


def _of_history(history: pd.DataFrame) -> dict:
    epochs, count = history["epoch"], end_length(len(history))
    chosen = int(epochs[history["selected"]].iloc[0])
    row = {"epochs": len(history), "epoch_chosen": chosen, "chose_last": chosen == epochs.max(), "end_epochs": count}
    return row | {f"{measure}_per_epoch": slope(epochs[-count:], history[measure][-count:]) for measure in MEASURES}


def gan_convergence(curve: pd.DataFrame, log: pd.DataFrame) -> pd.DataFrame:
    """A row per GAN, from its training log and the Fréchet distances of its snapshots to its training images.

    curve: size, replicate, kimg, extractor, metric, value. log: size, replicate, kimg. Columns: size, replicate; kimg,
    thousands of images shown in all; extractor, metric; snapshots, how many; nearest_kimg, the snapshot with the lowest
    distance; nearest_is_last; end_snapshots, the last ones that the slope is of; value_per_kimg, the slope of a
    least-squares line through them, NaN where there is but one. The GAN's last state makes the synthetic images,
    whichever is the nearest.
    """
    trained = log.groupby(["size", "replicate"])["kimg"].max()
    rows = []
    for key, snapshots in curve.groupby(["size", "replicate", "extractor", "metric"], sort=False):
        size, replicate, extractor, metric = key
        kimg, count = snapshots["kimg"], end_length(len(snapshots))
        nearest = float(kimg.to_numpy()[snapshots["value"].to_numpy().argmin()])
        cell = {"size": size, "replicate": replicate, "kimg": trained.get((size, replicate), math.nan)}
        cell |= {"extractor": extractor, "metric": metric, "snapshots": len(snapshots), "nearest_kimg": nearest}
        cell |= {"nearest_is_last": nearest == kimg.max(), "end_snapshots": count}
        rows.append(cell | {"value_per_kimg": slope(kimg[-count:], snapshots["value"][-count:])})
    columns = ["size", "replicate", "kimg", "extractor", "metric", "snapshots", "nearest_kimg", "nearest_is_last"]
    return pd.DataFrame(rows, columns=[*columns, "end_snapshots", "value_per_kimg"])


def end_length(count: int) -> int:
    """How many of so many epochs or snapshots are the end: a quarter, at least three, never more than there are."""
    return min(count, max(LEAST, round(END * count)))


def slope(x: pd.Series, y: pd.Series) -> float:
    """Of the least-squares line through the points [N] and [N]; NaN of fewer than two."""
    if len(x) < 2:
        return math.nan
    centred = x.to_numpy(float) - x.mean()
    return float((centred * y.to_numpy(float)).sum() / (centred**2).sum())

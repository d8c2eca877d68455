"""Whether trainings had converged, from their histories."""

import math
import shutil

import numpy as np
import pandas as pd
import pytest

from ganaug.analysis.convergence import classifier_convergence, end_length, gan_convergence
from ganaug.errors import UserError
from ganaug.study.grid import Grid
from helpers.results_tree import GRID, history, make_tree

SMALL = {**GRID, "sizes": [25, "all"], "replicates": 2, "augmentations": ["none", "gan"]}
CELL = "cells/none/size-25/replicate-1/tf_efficientnet_lite0/history.csv"


@pytest.fixture(scope="module")
def tree(once):
    def make(root):
        make_tree(root, SMALL, generated=False)

    return once("tree-of-convergence", make)


@pytest.fixture
def one(tree, tmp_path):
    """A function: the table's row of a cell whose history is the given one."""

    def row_of(table):
        shutil.copytree(tree / "cells", tmp_path / "cells", dirs_exist_ok=True)
        table.to_csv(tmp_path / CELL, index=False)
        return classifier_convergence(tmp_path, Grid(**SMALL)).iloc[0]

    return row_of


def test_every_trained_classifier_has_a_row(tree):
    table = classifier_convergence(tree, Grid(**SMALL))
    trained = {a for size in SMALL["sizes"] for a in Grid(**SMALL).trained(str(size))}
    assert set(table["augmentation"]) == trained == {"none", "gan", "gan@0.5", "gan@3", "synthetic-only", "border-only"}
    assert len(table) == 2 * 2 * 5 + 2  # border-only at the largest size alone
    assert not table.duplicated(["augmentation", "size", "replicate", "backbone"]).any()
    assert (table["chose_last"] == (table["size"] == "all")).all()
    assert (table["epoch_chosen"] == table["size"].map({"25": 4, "all": 6})).all() and (table["epochs"] == 6).all()


def test_slopes_are_those_of_the_end_per_epoch(tree):
    table = classifier_convergence(tree, Grid(**SMALL))
    assert (table["end_epochs"] == 3).all()
    end = table["size"].map({"25": 0.2, "all": -0.1})  # rises after the best epoch; falls to the end
    np.testing.assert_allclose(table["validation_loss_per_epoch"], end)
    np.testing.assert_allclose(table["train_loss_per_epoch"], -0.05)
    np.testing.assert_allclose(table["validation_balanced_accuracy_per_epoch"], 0.02)


@pytest.mark.parametrize(("epochs", "last"), [(1, 1), (2, 2), (3, 3), (12, 3), (20, 5), (100, 25)])
def test_the_end_is_a_quarter_and_at_least_three(epochs, last):
    assert end_length(epochs) == last


def test_one_epoch_has_no_slope_and_is_the_last(one):
    row = one(history(best=1, epochs=1))
    assert row["chose_last"] and row["end_epochs"] == 1 and math.isnan(row["validation_loss_per_epoch"])


def test_two_epochs_have_the_slope_between_them(one):
    row = one(history(best=2, epochs=2))
    assert row["validation_loss_per_epoch"] == pytest.approx(-0.1) and row["end_epochs"] == 2


def test_what_does_not_change_has_a_slope_of_nothing(one):
    table = history(best=6).assign(validation_loss=[1.3, 0.9, 0.8, 0.7, 0.7, 0.7])
    assert one(table)["validation_loss_per_epoch"] == 0


def test_a_missing_history_is_named_unless_the_study_is_incomplete(tree, tmp_path):
    root = shutil.copytree(tree / "cells", tmp_path / "cells").parent
    (root / CELL).unlink()
    with pytest.raises(UserError, match=r"none/size-25/replicate-1/tf_efficientnet_lite0/history\.csv: missing"):
        classifier_convergence(root, Grid(**SMALL))
    table = classifier_convergence(root, Grid(**SMALL, missing=frozenset([str(root / CELL)])))
    assert len(table) == 21


def test_gans_tell_their_nearest_snapshot():
    values = {1: [9, 5, 4, 3, 2], 2: [9, 5, 4, 5, 6], 3: [7]}
    rows = [
        {"size": "25", "replicate": r, "kimg": 10 * (k + 1), "extractor": "e", "metric": "fid", "value": v}
        for r, found in values.items()
        for k, v in enumerate(found)
    ]
    log = pd.DataFrame([{"size": "25", "replicate": r, "kimg": 52} for r in values])
    table = gan_convergence(pd.DataFrame(rows), log).set_index("replicate")
    assert table["nearest_is_last"].to_dict() == {1: True, 2: False, 3: True}
    assert table["nearest_kimg"].to_dict() == {1: 50, 2: 30, 3: 10} and set(table["kimg"]) == {52}
    np.testing.assert_allclose(table["value_per_kimg"], [-0.1, 0.1, np.nan])

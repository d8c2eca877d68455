"""The tables of a made-up results tree, and what happens when a part of it is missing."""

import json
import math
import shutil
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from ganaug.analysis.inference import Evidence, StatisticsSettings
from ganaug.analysis.material import read_cells, read_groups
from ganaug.analysis.results import CELL
from ganaug.analysis.summary import as_text
from ganaug.cli import main
from ganaug.files import read_csv
from ganaug.study.tables import TABLES, tables_of
from helpers.results_tree import CLASSES, GRID, STATISTICS, make_tables, make_tree
from helpers.running import ROOT

SMALL = {**GRID, "sizes": [25, "all"], "replicates": 2, "augmentations": ["none", "gan"]}


@pytest.fixture(scope="module")
def tree(once):
    return once("tree-of-tables", lambda root: make_tables(make_tree(root, SMALL), SMALL))


def table(root, name):
    return read_csv(root / "tables" / f"{name}.csv", dtype={"size": str})


def test_columns_are_the_promised_ones(tree):
    assert sorted(path.stem for path in (tree / "tables").glob("*.csv")) == sorted(set(TABLES) - {"missing"})
    for name in set(TABLES) - {"missing"}:
        assert (tree / f"tables/{name}.csv").read_text().splitlines()[0].split(",") == TABLES[name].columns.split()
    assert " ".join(["stage", *CELL, "why"]) == TABLES["missing"].columns


def test_probes_and_other_ratios_are_no_augmentations_of_the_comparison(tree):
    for name in ("cells", "summary", "comparisons", "confusion", "curves", "class_rates", "reliability", "calibration"):
        assert set(table(tree, name)["augmentation"]) <= set(SMALL["augmentations"]), name


def test_other_ratios_stand_in_order_with_none_at_zero(tree):
    sweep = table(tree, "ratio_sweep").query("size == '25' and metric == 'accuracy'")
    assert list(zip(sweep["ratio"], sweep["augmentation"], strict=True)) == [
        (0, "none"),
        (0.5, "gan@0.5"),
        (1, "gan"),
        (3, "gan@3"),
    ]
    summary = table(tree, "summary").set_index(["augmentation", "size", "metric"])["mean"]
    assert sweep.set_index("augmentation")["mean"]["gan"] == summary["gan", "25", "accuracy"]


def test_transfer_goes_both_ways(tree):
    found = table(tree, "transfer").query("size == 'all'").set_index(["trained_on", "tested_on", "metric"])
    cell = "size-all/replicate-{}/tf_efficientnet_lite0"
    shares = []
    for replicate in (1, 2):
        p = pd.read_csv(tree / f"synthetic/{cell.format(replicate).replace('/tf_', '/scored-tf_')}.csv")
        shares.append((p[p["label"] == "COVID"]["predicted"] == "COVID").mean())
    row = found.loc["real", "synthetic", "sensitivity[COVID]"]
    assert row["mean"] == pytest.approx(np.mean(shares))
    # Student's t of two replicates that share all images, so that 1 / 2 becomes 1 / 2 + 0.2 / 0.8
    half = 12.706205 * abs(shares[0] - shares[1]) / 2 * math.sqrt(1.5)
    assert row["ci_low"] == pytest.approx(max(0, np.mean(shares) - half), abs=0.01 * half)
    p = [pd.read_csv(tree / f"cells/synthetic-only/{cell.format(r)}/predictions.csv") for r in (1, 2)]
    accuracy = np.mean([(one["label"] == one["predicted"]).mean() for one in p])
    assert found.loc["synthetic", "real", "accuracy"]["mean"] == pytest.approx(accuracy)


def test_the_shortcut_is_a_share_of_what_is_above_chance(tree):
    found = table(tree, "shortcut").set_index(["augmentation", "metric"])
    whole, border = (found.loc[name, "balanced_accuracy"] for name in ("none", "border-only"))
    assert set(found["size"]) == {"all"} and border["chance"] == 0.25 and whole["share"] == 1
    assert border["share"] == pytest.approx((border["mean"] - 0.25) / (whole["mean"] - 0.25))
    assert 0 < border["share"] < 1


def test_reliability_bins_hold_every_image_once(tree):
    key = ["augmentation", "size", "replicate", "backbone", "priors", "class"]
    bins = table(tree, "reliability").groupby(key)["images"].sum()
    assert (bins == 60 * len(CLASSES)).all()


def test_intervals_are_widened_by_the_share_of_the_development_set(tree):
    """25 of 240 images of each class, and all of them."""
    settings = StatisticsSettings(**SMALL, **STATISTICS)
    predictions = read_cells(tree, "cells", settings, lambda _: settings.augmentations)
    groups = read_groups(tree / "data/test.csv", next(iter(predictions.values())))
    used = {"25": dict.fromkeys(CLASSES, 25 / 240), "all": dict.fromkeys(CLASSES, 1.0)}
    expected = Evidence(predictions, groups, settings, 1, used).comparisons()
    found = table(tree, "comparisons")
    for column in ("ci_low", "ci_high", "p"):
        assert found[column].to_numpy() == pytest.approx(expected[column].to_numpy(), abs=1e-12), column
    without = Evidence(predictions, groups, settings, 1, {}).comparisons()
    assert (found["p"] > without["p"]).all()


def test_a_cell_can_be_recomputed_from_its_predictions(tree):
    p = pd.read_csv(tree / "cells/gan/size-all/replicate-2/tf_efficientnet_lite0/predictions.csv")
    cells = table(tree, "cells").query("augmentation == 'gan' and size == 'all' and replicate == 2")
    values = cells.set_index("metric")["value"]
    assert values["accuracy"] == (p["label"] == p["predicted"]).mean()
    recalls = [(p[p["label"] == c]["predicted"] == c).mean() for c in CLASSES]
    assert values["balanced_accuracy"] == pytest.approx(np.mean(recalls), abs=1e-15)
    counts = table(tree, "confusion").query("augmentation == 'gan' and size == 'all' and replicate == 2")
    assert counts["images"].sum() == len(p)


def test_the_summary_is_over_replicates(tree):
    cells, summary = table(tree, "cells"), table(tree, "summary")
    assert len(summary) * 2 == len(cells)
    row = summary.query("augmentation == 'none' and size == '25' and metric == 'mcc'").iloc[0]
    values = cells.query("augmentation == 'none' and size == '25' and metric == 'mcc'")["value"].to_numpy()
    assert row["mean"] == pytest.approx(values.mean(), abs=1e-15)
    half = 12.706205 * abs(values[0] - values[1]) / 2  # Student's t of two replicates; the test images add to it
    assert row["ci_low"] <= max(-1, values.mean() - 0.9 * half) and row["ci_high"] >= min(1, values.mean() + 0.9 * half)
    assert row["interval"] == "percentile, Student t for replicates"
    change = table(tree, "comparisons").query("size == '25' and metric == 'mcc'").iloc[0]
    means = summary.query("size == '25' and metric == 'mcc'").set_index("augmentation")["mean"]
    assert change["mean"] == pytest.approx(means["gan"] - means["none"], abs=1e-15)


def test_images_are_counted(tree):
    data = table(tree, "data").set_index("class")
    assert list(data.index) == CLASSES
    assert data.loc["COVID"].to_dict() == {"left_out": 1, "images": 300, "groups": 150, "test": 60, "pool": 240}
    assert data.loc["Normal", "left_out"] == 0
    subsets = table(tree, "subsets").query("size == '25' and replicate == 1 and `class` == 'Normal'")
    assert dict(zip(subsets["side"], subsets["images"], strict=True)) == {"train": 20, "validation": 5}


def test_a_file_listed_as_a_problem_but_used_is_not_left_out(tmp_path):
    grid = {**SMALL, "sizes": [25], "replicates": 1, "augmentations": ["none"], "ratios": [], "probes": []}
    root = make_tree(tmp_path, grid, generated=False)
    problems = pd.read_csv(root / "data/problems.csv")
    assert len(problems) == 10  # one file was left out, the others were converted or grouped
    pd.concat([problems, problems]).to_csv(root / "data/problems.csv", index=False)  # two problems in one file
    assert make_tables(root, grid, generated=False) == 0
    assert table(root, "data").set_index("class")["left_out"].to_dict() == dict.fromkeys(CLASSES, 0) | {"COVID": 1}
    assert not (root / "tables/fidelity.csv").exists()


def test_one_replicate_has_no_interval(tmp_path):
    grid = {**SMALL, "sizes": [25], "replicates": 1}
    root = make_tree(tmp_path, grid)
    assert make_tables(root, grid) == 0
    summary = table(root, "summary")
    assert summary["ci_low"].isna().all() and summary["ci_high"].isna().all() and summary["mean"].notna().all()
    assert (summary["replicates"] == 1).all()
    assert "[" not in as_text(summary)


def test_the_same_inputs_give_the_same_bytes(tree, tmp_path):
    other = tmp_path / "other"
    shutil.copytree(tree, other)
    shutil.rmtree(other / "tables")
    assert make_tables(other, SMALL) == 0
    for path in sorted((tree / "tables").iterdir()):
        assert path.read_bytes() == (other / "tables" / path.name).read_bytes(), path.name


@pytest.mark.parametrize(
    "missing",
    [
        "cells/gan/size-all/replicate-2/tf_efficientnet_lite0/predictions.csv",
        "fidelity/size-25/replicate-1/curve.csv",
        "data/splits.csv",
    ],
)
def test_a_missing_file_is_named_and_nothing_is_written(tree, tmp_path, missing, capsys):
    other = tmp_path / "other"
    shutil.copytree(tree, other)
    shutil.rmtree(other / "tables")
    (other / missing).unlink()
    assert make_tables(other, SMALL) == 1
    shown = capsys.readouterr().err
    assert missing in shown and "Traceback" not in shown
    assert not (other / "tables").exists()


def test_cells_tested_on_different_images_are_refused(tree, tmp_path, capsys):
    other = tmp_path / "other"
    shutil.copytree(tree, other)
    path = other / "cells/gan/size-25/replicate-1/tf_efficientnet_lite0/predictions.csv"
    pd.read_csv(path)[1:].to_csv(path, index=False)
    assert make_tables(other, SMALL) == 1
    assert "test images" in capsys.readouterr().err


def test_print_summary_fits_a_terminal(tree, capsys):
    assert main(["print_summary", "--summary", str(tree / "tables/summary.csv")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2 + len(SMALL["sizes"]) * len(SMALL["augmentations"])
    assert max(map(len, lines)) <= 120
    mean = table(tree, "summary").query("augmentation == 'none' and size == '25' and metric == 'mcc'")["mean"].iloc[0]
    assert f"{mean:.3f}".removeprefix("0") in lines[2]


def test_print_summary_shows_what_is_undefined():
    row = {"augmentation": "none", "size": "5", "backbone": "b", "replicates": 2}
    metrics = ["balanced_accuracy", "accuracy", "macro_f1", "macro_auroc", "mcc"]
    values = [(0.5, 0.25, 0.75), (1.0, 1.0, 1.0), (0.0, -0.5, 0.5), (math.nan, math.nan, math.nan), (-0.1, math.nan, 0)]
    rows = [
        row | {"metric": m, "mean": v, "ci_low": lo, "ci_high": hi}
        for m, (v, lo, hi) in zip(metrics, values, strict=True)
    ]
    line = as_text(pd.DataFrame(rows)).splitlines()[-1]
    assert line.split("  ")[0] == "5"
    for text in (".500 [.250 .750]", "1.00 [1.00 1.00]", ".000 [-.500 .500]", "undefined", "-.100"):
        assert text in line


def test_the_stage_runs_alone_with_provenance(tree, tmp_path):
    """As its own process, and without loading torch or matplotlib."""
    outputs = [part for n in tables_of([]) for part in (f"--{n.replace('_', '-')}", str(tmp_path / f"{n}.csv"))]
    settings = json.dumps({**SMALL, **STATISTICS, "ratio": 1})
    command = ["make_tables", "--results", str(tree), "--settings", settings, "--seed", "1"]
    command += [*outputs, "--provenance", str(tmp_path / "provenance.json"), "--log", str(tmp_path / "log")]
    code = (
        "import sys; from ganaug.cli import main; status = main(sys.argv[1:]);"
        "print([m for m in ('torch', 'matplotlib') if m in sys.modules]); sys.exit(status)"
    )
    source = ROOT / "src"
    done = subprocess.run(
        [sys.executable, "-c", code, *command], env={"PYTHONPATH": str(source)}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"
    assert (tmp_path / "cells.csv").read_bytes() == (tree / "tables/cells.csv").read_bytes()
    assert json.loads((tmp_path / "provenance.json").read_text())["settings"]["confidence"] == 0.95

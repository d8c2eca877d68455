"""An incomplete study: means, pairs and tests over what there is; tables, figures and report that say what is not."""

import json
import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from ganaug.analysis.curves import curves
from ganaug.analysis.figures import FIGURES
from ganaug.analysis.inference import Evidence
from ganaug.analysis.metrics import Predictions
from ganaug.analysis.scaling import scaling
from ganaug.analysis.summary import as_text
from ganaug.files import read_csv, write_json
from ganaug.joblog import NO_OUTPUT, WITHOUT_A_WORD, why_failed
from helpers.evidence import evidence, predictions
from helpers.pages import OF_GAN, report
from helpers.results_tree import GRID, make_figure, make_tables, make_tree

NETWORK = "tf_efficientnet_lite0"


def planted(replicates: int, sizes=(50, 100), gone=()) -> Evidence:
    """The evidence of two augmentations without some cells."""
    whole = evidence(1, n=30).settings
    settings = replace(whole, augmentations=["none", "gan"], sizes=list(sizes), replicates=replicates)
    cells = {
        (a, str(size), r, "net"): predictions(30, size / 50 + (a == "gan"), 1000 * size + r)
        for a in settings.augmentations
        for size in sizes
        for r in settings.replicate_numbers
    }
    return Evidence({c: p for c, p in cells.items() if c not in gone}, np.arange(30), settings, 1, {})


def exactly(right: int) -> Predictions:
    """Ten images of two classes, the first so many of them right."""
    labels = np.array(["a", "b"] * 5, object)
    predicted = np.where(np.arange(10) < right, labels, np.where(labels == "a", "b", "a"))
    sure = np.where(predicted == "a", 0.9, 0.1)
    images = np.array([f"{i}.png" for i in range(10)], object)
    return Predictions(images, labels, predicted, np.stack([sure, 1 - sure], 1), ["a", "b"])


def by_hand() -> Evidence:
    """Accuracies by hand, in tenths and by replicate; all of gan is missing at size 20."""
    right = {("none", "10"): (5, None, 8), ("gan", "10"): (7, 9, None), ("none", "20"): (6, 6, 9)}
    cells = {
        (*cell, r, NETWORK): exactly(n) for cell, ns in right.items() for r, n in enumerate(ns, 1) if n is not None
    }
    settings = replace(planted(3).settings, sizes=[10, 20], backbones=[NETWORK])
    return Evidence(cells, np.arange(10), settings, 1, {})


def test_means_pairs_and_tests_by_hand():
    found = by_hand()
    summary = found.summary(["none", "gan"], ["10", "20"], ["accuracy"]).set_index(["augmentation", "size"])
    assert summary["mean"].tolist() == pytest.approx([0.65, 0.7, 0.8, math.nan], nan_ok=True)
    assert summary["replicates"].tolist() == [2, 3, 2, 0]
    assert summary["ci_low"].isna().tolist() == [False, False, False, True]
    rows = found.comparisons().query("metric == 'accuracy'").set_index("size")
    one, none = rows.loc["10"], rows.loc["20"]
    assert one["mean"] == pytest.approx(0.2) and one["replicates"] == 1  # of replicate 1, which alone has both
    assert math.isnan(one["ci_low"]) and math.isnan(one["p_equivalence"]) and one["verdict"] == "undecided"
    assert one["family"] == "accuracy: 0 tests" and one["test"] == "trainings and test images"
    assert one[["p", "p_holm"]].isna().all()  # of one replicate nothing is known
    assert none[["mean", "p", "p_holm"]].isna().all() and none["replicates"] == 0
    assert none["test"] == "none" and none["verdict"] == "missing"


def test_growth_and_worth_by_hand():
    table = scaling(by_hand(), {"10": 10.0, "20": 20.0}).set_index(["augmentation", "quantity", "size"])
    # Of `none` replicate 2 lacks a size; 1 and 3 grow. Of `gan` one size is left: no order, no law.
    assert table.loc[("none", "spearman", ""), "value"] == 1
    assert table.loc[("gan", ["spearman", "a", "b", "c"], ""), "value"].isna().all()
    law = {name: table.loc[("none", name, ""), "value"] for name in "abc"}
    b = math.log(0.35 / 0.3) / math.log(2)  # mean errors: (0.5 + 0.2) / 2 at 10, (0.4 + 0.4 + 0.1) / 3 at 20
    assert law["b"] == pytest.approx(b, abs=0.005) and law["c"] == 0
    worth = table.loc[("gan", "multiplier", "10"), "value"]
    assert worth == pytest.approx((0.3 / 0.5) ** (-1 / law["b"]))  # errors of replicate 1
    assert math.isnan(table.loc[("gan", "multiplier", "20"), "value"])


def test_what_is_left_of_three_replicates_is_a_study_of_two():
    two = planted(2)
    left = planted(3, gone=[(a, size, 3, "net") for a in ("none", "gan") for size in ("50", "100")])
    assert left.predictions.keys() == two.predictions.keys()
    names = ["none", "gan"]
    pd.testing.assert_frame_equal(
        left.summary(names, left.settings.size_names), two.summary(names, two.settings.size_names)
    )
    pd.testing.assert_frame_equal(left.comparisons(), two.comparisons())
    pd.testing.assert_frame_equal(curves(left), curves(two))
    per_class = {size: float(size) for size in left.settings.size_names}
    columns = ["augmentation", "quantity", "size", "value", "p"]
    pd.testing.assert_frame_equal(scaling(left, per_class)[columns], scaling(two, per_class)[columns])


def test_p_is_of_the_replicates_that_have_both():
    for gone, replicates in (
        ([], [7, 7]),
        ([("gan", "50", 7, "net")], [6, 7]),
        ([("gan", "50", r, "net") for r in range(1, 8)] + [("none", "100", 2, "net")], [0, 6]),
    ):
        rows = planted(7, gone=gone).comparisons().query("metric == 'accuracy'")
        assert rows["replicates"].tolist() == replicates
        assert rows["p"].isna().tolist() == [count < 2 for count in replicates]


def test_why_a_job_failed(tmp_path):
    log, at = tmp_path / "job.log", "2026-01-01 10:00:00,000"
    begun = f"{at} INFO $ python -m ganaug train_gan\n"
    traced = f'{at} ERROR train_gan failed\nTraceback (most recent call last):\n  File "x.py"\nOSError: full\n'
    for text, why in (
        (
            begun + f"{at} ERROR train_gan: device: cuda was asked\nfor, and is not there\n",
            "device: cuda was asked for",
        ),
        (begun + traced, "OSError: full"),
        (begun, WITHOUT_A_WORD),
        (begun + f"{at} INFO train_gan done in 3.0 s\n", NO_OUTPUT),
    ):
        log.write_text(text)
        assert why_failed(log).startswith(why) and "\n" not in why_failed(log)
    assert why_failed(tmp_path) == why_failed(None) == WITHOUT_A_WORD


SMALL = {**GRID, "sizes": [25, "all"], "replicates": 2, "augmentations": ["none", "gan"], "ratios": ["0.5"]}
SMALL["synthetic"] = ["gan", "synthetic-only"]


def outputs(root, *patterns):
    return sorted(str(path) for pattern in patterns for path in root.glob(pattern) if path.is_file())


def unfinished(root, *jobs):
    """The workflow's record: jobs of (rule, wildcards, outputs, cause, why)."""
    records = []
    for rule, wildcards, files, cause, why in jobs:
        name = " ".join([rule, *(f"{k}={v}" for k, v in wildcards.items())])
        records.append(
            {"name": name, "rule": rule, "wildcards": wildcards, "outputs": files, "log": f"logs/{rule}.log"}
        )
        records[-1] |= {"failed": cause is None, "cause": cause or name, "why": why}
    path = root / "unfinished.json"
    write_json(path, {"study": "s", "unfinished": {"classifiers": [3, 17], "jobs": records}})
    for record in records[1:]:  # what the first has left lies there still, and is no result
        for file in record["outputs"]:
            (root / file).unlink()
    return path


def build(root, path):
    assert make_tables(root, SMALL, unfinished=path) == 0
    for name in FIGURES:
        assert make_figure(root, name, root / "figures", SMALL, unfinished=path) == 0
    return " ".join(report(root, SMALL, root, unfinished=path, gan={"kimg": 40})[0].text.split())


@pytest.mark.slow
def test_tables_figures_and_report_of_what_there_is(tmp_path):
    root = make_tree(tmp_path, SMALL)
    place, gan = {"size": "25", "replicate": "1"}, "train_gan size=25 replicate=1"
    lost = [f"{a}/size-25/replicate-1/*/*" for a in ("gan", "gan@0.5", "synthetic-only")]
    jobs = [("train_gan", place, outputs(root, "gan/size-25/replicate-1/*"), None, "no space in /a/b")]
    jobs += [("sample_gan", place | {"at": ""}, outputs(root, "synthetic/size-25/replicate-1/images.*"), gan, "waits")]
    jobs += [("measure_fidelity", place, outputs(root, "fidelity/size-25/replicate-1/*"), gan, "waits")]
    scored = outputs(root, "synthetic/size-25/replicate-1/scored*", "synthetic/size-25/replicate-1/provenance.json")
    jobs += [("score_synthetic", place | {"backbone": NETWORK}, scored, gan, "waits")]
    for files in lost:
        cell = {"augmentation": files.partition("/")[0], **place, "backbone": NETWORK}
        jobs.append(("train_classifier", cell, outputs(root, f"cells/{files}", f"external/{files}"), gan, "waits"))
    for replicate in (1, 2):
        cell = {"augmentation": "none", "size": "all", "replicate": str(replicate), "backbone": NETWORK}
        files = f"none/size-all/replicate-{replicate}/*/*"
        files = outputs(root, f"cells/{files}", f"external/{files}")
        jobs.append(("train_classifier", cell, files, None, f"no memory in {files[0]}"))
    text = build(root, unfinished(root, *jobs))

    missing = read_csv(root / "tables/missing.csv", dtype=str)
    assert list(missing) == ["stage", "augmentation", "size", "replicate", "backbone", "why"]
    assert len(missing) == len(jobs) and missing["stage"].value_counts()["train_classifier"] == 5
    summary = read_csv(root / "tables/summary.csv", dtype={"size": str}).set_index(["augmentation", "size", "metric"])
    assert summary.loc[("gan", "25", "accuracy"), "replicates"] == 1
    assert summary.loc[("none", "all")]["replicates"].eq(0).all() and summary.loc[("none", "all")]["mean"].isna().all()
    cells = read_csv(root / "tables/cells.csv", dtype={"size": str})
    assert len(cells[cells["metric"] == "accuracy"]) == 5  # of 2 x 2 x 2
    fidelity = read_csv(root / "tables/fidelity.csv", dtype={"size": str})
    assert set(zip(fidelity["size"], fidelity["replicate"], strict=True)) == {("25", 2), ("all", 1), ("all", 2)}
    verdicts = read_csv(root / "tables/comparisons.csv", dtype={"size": str}).set_index("size")["verdict"]
    assert set(verdicts["all"]) == {"missing"} and set(verdicts["25"]) == {"undecided"}
    assert "missing" in as_text(summary.reset_index()).split("all   none")[1].splitlines()[0]

    head = text.split("In short Data")[0]
    assert "Incomplete: 3 of 17 classifiers are there." in head and "no space in …/b" in head
    assert "1 × train_gan" in head and "1 × sample_gan, 1 × measure_fidelity, 1 × score_synthetic, 3 × train_c" in head
    assert "2 × train_classifier" in head and "none, size all, replicate 1" in head  # one reason but for its path
    assert "gan against none: undecided at 25; missing at all images" in text
    assert "allnonemissingmissingmissingmissingmissing" in text.replace(" images", "").replace(" ", "")
    assert "nan" not in text.split() and f"{summary.loc[('gan', '25', 'accuracy'), 'mean']:.3f}n = 1" in text


@pytest.mark.slow
def test_one_classifier_alone_makes_a_report(tmp_path):
    root = make_tree(tmp_path, SMALL)
    kept = "none/size-25/replicate-1"
    everything = outputs(root, "gan/**/*", "synthetic/**/*", "fidelity/**/*", "external/**/*", "subsets/size-all/**/*")
    cells = [path for path in outputs(root, "cells/**/*") if kept not in path]
    jobs = [("make_external_set", {}, [], None, "no such folder"), ("x", {}, everything + cells, None, "gone")]
    text = build(root, unfinished(root, *jobs))
    assert "no classifier has scored the external images" in text and "nan" not in text.split()
    scores = read_csv(root / "tables/cells.csv").query("metric == 'balanced_accuracy'")
    assert len(scores) == 1 and f"{scores['value'].item():.3f}n = 1" in text
    assert pd.read_csv(root / "tables/external_summary.csv").empty and pd.read_csv(root / "tables/fidelity.csv").empty
    assert set(OF_GAN) <= {path.stem for path in (root / "figures").iterdir()}
    assert json.loads((root / "unfinished.json").read_text())["unfinished"]["classifiers"] == [3, 17]

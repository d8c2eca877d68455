"""Results of several studies in one folder are refused, however they came there: by Snakemake, on a finished study.

As users have met it: settings changed under `--rerun-triggers mtime`, `--touch` after that, results copied from another
machine or left by another version.
"""

import re
import shlex
import shutil

import pytest
import yaml

from ganaug.files import read_json, write_json
from helpers.running import dry_run, planned, snakemake
from helpers.tiny import STUDY

pytestmark = pytest.mark.slow
CELL = "cells/none/size-10/replicate-1/tf_efficientnet_lite0"
OTHER = STUDY | {"replicates": 2, "classifier": STUDY["classifier"] | {"epochs": 3}}
ANALYSIS = {"check_lineage": 1, "make_tables": 1, "make_report": 1, "all": 1}
BY_TIME = ("--rerun-triggers", "mtime")


@pytest.fixture
def study(undisturbed, tmp_path):
    """Folder of the finished small study, which a test may change; times are kept."""
    return shutil.copytree(undisturbed, tmp_path / "study")


def run(folder, study, *arguments, **how):
    (folder / "study.yaml").write_text(yaml.safe_dump(study))
    return snakemake(folder, "--cores", "2", "--configfile", "study.yaml", *arguments, **how)


def commanded(told):
    """The options that a refusal names."""
    return shlex.split(re.search(r"^ *(--forcerun .*)$", told, re.MULTILINE)[1])


def without_figures(output):
    return {rule: count for rule, count in planned(output).items() if rule != "make_figure"}


def test_settings_changed_under_mtime_are_refused_before_any_job(study):
    before = {path: path.stat().st_mtime_ns for path in (study / "results").rglob("*.csv")}
    told = run(study, OTHER, *BY_TIME, fails=True)  # and not "Nothing to be done"
    assert "results/lab holds results that are not of this study" in told and "Traceback" not in told
    assert told.count("epochs is 2, asked for is 3") == 3
    assert commanded(told) == ["--forcerun", "train_classifier"]
    assert before == {path: path.stat().st_mtime_ns for path in (study / "results").rglob("*.csv")}
    assert planned(dry_run(study, *BY_TIME, *commanded(told), study=OTHER))["train_classifier"] == 6


def test_results_of_other_settings_are_not_touched(study):
    other = STUDY | {"classifier": STUDY["classifier"] | {"epochs": 4}, "statistics": {"bootstrap_samples": 200}}
    told = run(study, other, "--touch", fails=True)
    assert told.count("epochs is 2, asked for is 4") == 3
    assert "make_tables: bootstrap_samples is 100, asked for is 200" in told
    assert commanded(told) == ["--forcerun", "train_classifier", "check_lineage", "make_tables"]
    assert without_figures(dry_run(study, study=other)) == {"train_classifier": 3} | ANALYSIS  # Snakemake knows still


def test_copied_results_of_other_code_are_named(study):
    """Without Snakemake's notes on them: of another version, and of one that did not write its code down."""
    shutil.rmtree(study / ".snakemake")
    cells = [study / "results/lab" / CELL.replace("none", name) / "provenance.json" for name in ("none", "gan")]
    newer, older = map(read_json, cells)
    write_json(cells[0], newer | {"code": "0" * 64})
    write_json(cells[1], {key: value for key, value in older.items() if key != "code"})
    told = run(study, STUDY, "--forcerun", "make_tables", fails=True)
    assert told.count("the code is another") == told.count("the code is not known") == 1
    assert "must be made anew" in told
    assert commanded(told) == ["--forcerun", *(str(path.relative_to(study)) for path in sorted(cells))]


def test_results_that_were_moved_are_the_studys_own(study, tmp_path):
    """Without Snakemake's notes, with new times, and of another machine: nothing is refused, and nothing is to do."""
    moved = tmp_path / "elsewhere"
    shutil.copytree(study / "results", moved / "results", copy_function=shutil.copyfile)
    record = moved / "results/lab" / CELL / "provenance.json"
    content = read_json(record)
    machine = content["machine"] | {"cpu": "another", "device": "a GPU"}
    write_json(record, content | {"threads": 64, "machine": machine})
    run(moved, STUDY, "--touch")
    assert planned(dry_run(moved, *BY_TIME, study=STUDY)) == planned(dry_run(moved, study=STUDY)) == {}

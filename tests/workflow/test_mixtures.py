"""Results of several studies in one folder are refused, however they came there: by Snakemake, on a finished study.

As users have met it: settings changed under `--rerun-triggers mtime`, `--touch` after that, results copied from another
machine or left by another version.
"""

import os
import re
import shlex
import shutil

import pytest
import yaml

from ganaug.files import read_json, write_json
from helpers import miniature
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
    assert commanded(told) == ["--forcerun", *(str(path.relative_to(study)) for path in cells)]  # in the grid's order


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


@pytest.fixture
def of_files(finished, tmp_path):
    """Folder of the finished miniature, whose images are files of the user's; a test may change it. Times are kept."""
    return shutil.copytree(finished, tmp_path / "miniature")


def rewrite(path, change):
    """A JSON file with a change, that Snakemake does not see: the time is kept."""
    status = path.stat()
    write_json(path, change(read_json(path)))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def test_other_images_or_checks_than_were_read_are_refused_before_any_job(of_files):
    """Under `--rerun-triggers mtime`: an image less, another one under its name, and leaks.json of another split."""
    subset = of_files / "results/mini/subsets/size-10/replicate-1"
    sorted((of_files / "radiographs/Normal/images").iterdir())[5].unlink()
    first, second = sorted((of_files / "elsewhere/Normal").iterdir())[:2]
    shutil.copyfile(second, first)
    rewrite(subset / "leaks.json", lambda told: told | {"images": {"test": 1}})
    rewrite(subset.parents[1] / "size-20/replicate-1/leaks.provenance.json", of_another_split)
    told = run(of_files, miniature.STUDY, *BY_TIME, fails=True)
    for rule in ("make_manifest", "make_external_set"):
        assert f"  {rule}: the images of its data root are others than it read\n" in told
    leaks = "subsets/size-10/replicate-1/leaks.json is not what the job wrote"
    assert f"  check_leaks size=10 replicate=1: {leaks}\n" in told
    assert "  check_leaks size=20 replicate=1: read another data/test.csv\n" in told and "Traceback" not in told
    assert commanded(told) == ["--forcerun", "make_manifest", "check_leaks", "make_external_set"]


def of_another_split(provenance):
    inputs = {
        path: "0" * 64 if path.endswith("data/test.csv") else digest for path, digest in provenance["inputs"].items()
    }
    return provenance | {"inputs": inputs}


def test_a_study_that_was_moved_with_its_images_is_the_same(of_files):
    (of_files / "far").mkdir()
    (of_files / "radiographs").rename(of_files / "far/films")
    moved = miniature.STUDY | {"data_root": "far/films"}
    assert without_figures(dry_run(of_files, *BY_TIME, study=moved)) == {}


def test_of_what_was_asked_for_the_last_is_kept(study):
    """A dry run of other settings leaves its own; the next run deletes it, but none of another study of the folder."""
    (study / ".snakemake/asked/another").mkdir()
    others = study / ".snakemake/asked/another/1.json"
    write_json(others, {})
    dry_run(study, study=OTHER)
    here = study / ".snakemake/asked/lab"
    assert len(list(here.iterdir())) == 2
    run(study, STUDY, "--forcerun", "make_report")
    (left,) = here.iterdir()
    assert left.stem == read_json(study / "results/lab/cells/lineage.json")["asked"] and others.exists()

"""A study in which jobs fail, by Snakemake: the report of what there is, completed by the next run."""

import shutil

import pytest

from ganaug.files import read_csv, read_json
from helpers.running import planned, snakemake
from helpers.tiny import STUDY

pytestmark = pytest.mark.slow
NETWORK = STUDY["backbones"][0]


def run(folder, *arguments, **how):
    return snakemake(folder, "--cores", "2", "--configfile", "study.yaml", *arguments, **how)


def results(folder):
    """The bytes of what a study ends with, and of what its classifiers said."""
    root = folder / "results/lab"
    patterns = ("tables/*.csv", "figures/*", "report.html", "cells/**/predictions.csv", "gan/**/*.safetensors")
    paths = [path for pattern in patterns for path in root.glob(pattern)]
    # The report tells times and memory as well.
    return {str(path.relative_to(root)): path.read_bytes() for path in paths if path.name != "report.html"}


def plant(path):
    """A folder where a file must be written."""
    path.unlink(missing_ok=True)
    path.mkdir(parents=True)
    (path / "in_the_way").touch()


def test_failed_jobs_leave_a_report_that_the_next_run_completes(tmp_path, undisturbed, survived):
    folder = shutil.copytree(undisturbed, tmp_path / "study")
    whole, root = results(undisturbed), folder / "results/lab"
    gan = "size-10/replicate-1"
    cell, other = f"classical/{gan}/{NETWORK}", f"none/{gan}/{NETWORK}"

    again = [f"gan/{gan}/generator.safetensors", *(f"cells/{c}/predictions.csv" for c in (cell, other))]
    plant(root / f"logs/train_gan/{gan}.log")  # so that its attempt is short
    plant(root / f"cells/{cell}/model.safetensors")
    told = run(folder, "--keep-going", "--forcerun", *(f"results/lab/{path}" for path in again), fails=True)
    assert "At least one job did not complete successfully." in told
    assert "Incomplete: 1 of 3 classifiers are there." in told and "No partial report" not in told

    part = root / "incomplete"
    jobs = {job["name"]: job for job in read_json(part / "unfinished.json")["unfinished"]["jobs"]}
    failed = {name.split()[0]: job["why"] for name, job in jobs.items() if job["failed"]}
    assert failed.keys() == {"train_gan", "train_classifier"}
    assert "without a word" in failed["train_gan"] and "model.safetensors" in failed["train_classifier"]
    missing = read_csv(part / "tables/missing.csv", dtype=str).fillna("")
    assert missing["stage"].value_counts().to_dict() == {"train_classifier": 2} | dict.fromkeys(
        ["train_gan", "sample_gan", "check_synthetic", "measure_fidelity"], 1
    )
    stale = missing[missing["augmentation"] == "gan"].squeeze()
    assert "waits for train_gan size=10 replicate=1, which failed" in stale["why"]
    assert (root / f"cells/gan/{gan}/{NETWORK}/predictions.csv").is_file()  # of before: no result
    assert set(read_csv(part / "tables/cells.csv")["augmentation"]) == {"none"}
    assert read_csv(part / "tables/comparisons.csv")["verdict"].eq("missing").all()
    report = (part / "report.html").read_text()
    assert "Incomplete: 1 of 3 classifiers are there." in report and "1 × train_gan" in report
    # What Snakemake takes for the outputs of its rules is as it was; and the old page does not look like this study's.
    of_rules = {name: content for name, content in whole.items() if name.startswith(("tables", "figures"))}
    assert results(folder).items() >= of_rules.items() and not (root / "report.html").exists()
    assert (root / f"cells/{other}/predictions.csv").read_bytes() == whole[f"cells/{other}/predictions.csv"]

    shutil.rmtree(root / f"logs/train_gan/{gan}.log")
    shutil.rmtree(root / f"cells/{cell}/model.safetensors")
    told = run(folder)
    assert "Incomplete" not in told and "Incomplete" not in (root / "report.html").read_text()
    assert results(folder) == whole
    assert not list(root.glob("incomplete")) and not list(root.glob("report.before.html"))
    assert planned(run(folder, "-n")) == {}
    survived("failed jobs, made good by the next run", 2)
    # Where a run ended early: the old report is put aside, and then a missing file is missed through all that it made.
    for path in [root / "report.html", *root.glob("weights/*")]:
        path.unlink()
    assert planned(run(folder, "-n")).items() >= {"prepare_weights": 1, "train_classifier": 3}.items()

"""Which jobs of a finished study count as done when files are gone, are older, or are of other settings."""

import shutil
from pathlib import Path

import pytest

from ganaug.cli import main
from ganaug.overview.unfinished import failed_logs, is_whole, records_of, unfinished_jobs
from ganaug.study.images import listings_of
from ganaug.study.jobs import jobs_of
from helpers.planned import attempt
from helpers.studies import study_of
from helpers.tiny import STUDY

pytestmark = pytest.mark.slow
NETWORK = STUDY["backbones"][0]
CELL = f"cells/gan/size-10/replicate-1/{NETWORK}"


@pytest.fixture
def study(undisturbed, tmp_path, monkeypatch):
    monkeypatch.chdir(shutil.copytree(undisturbed, tmp_path / "study"))
    return study_of(STUDY)


def unfinished(study) -> set[str]:
    return {job.name for job in unfinished_jobs(study, listings_of(study))}


def names(study, *rules) -> set[str]:
    return {job.name for job in jobs_of(study) if job.rule in rules}


def test_a_finished_study_is_whole(study):
    assert unfinished(study) == set() and is_whole(study, listings_of(study))


def test_a_missing_file_is_missed_by_all_that_was_made_from_it(study):
    Path(study.results, "gan/size-10/replicate-1/generator.safetensors").unlink()
    gan = names(study, "train_gan", "sample_gan", "check_synthetic", "measure_fidelity")
    assert unfinished(study) == gan | {f"train_classifier augmentation=gan size=10 replicate=1 backbone={NETWORK}"}
    assert not is_whole(study, listings_of(study))


def test_results_of_other_settings_are_not_this_studys(study):
    other = study_of(STUDY | {"gan": STUDY["gan"] | {"learning_rate": 0.001}})
    assert "train_gan size=10 replicate=1" in unfinished(other) and unfinished(study) == set()
    later = study_of(STUDY | {"statistics": {"bootstrap_samples": 101}})
    assert unfinished(later) == set() and not is_whole(later, {})  # the tables alone are of other settings


def test_a_page_older_than_its_tables_is_not_theirs(study):
    Path(study.results, "tables/provenance.json").touch()
    assert unfinished(study) == set() and not is_whole(study, listings_of(study))


def test_a_failed_job_is_the_cause_for_those_that_wait(study):
    Path(study.results, "weights", f"{NETWORK}.safetensors").unlink()
    Path(study.results, CELL, "model.safetensors").unlink()
    jobs, missing = jobs_of(study), unfinished_jobs(study, listings_of(study))
    (weights,) = (job for job in missing if job.rule == "prepare_weights")
    told = {record["name"]: record for record in records_of(missing, jobs, {str(weights.log)})}
    assert told[weights.name]["failed"] and told[weights.name]["cause"] == weights.name
    waiting = [record for name, record in told.items() if name != weights.name]
    assert {record["cause"] for record in waiting} == {weights.name} and not any(job["failed"] for job in waiting)
    assert all("waits for prepare_weights" in record["why"] for record in waiting)
    assert all("not begun" in record["why"] for record in records_of(missing, jobs, set()))


def test_what_failed_is_told_by_snakemakes_words_or_by_the_last_attempts(study):
    cell, gan = (next(job for job in jobs_of(study) if job.rule == rule) for rule in ("train_classifier", "train_gan"))
    said = (
        f"Error in rule {cell.rule}:\n    message: None\n    jobid: 4\n    input: a, b\n    output: c\n"
        f"    log: {cell.log} (check log file(s) for error details)\n    shell:\n        python -m ganaug\n\n"
    )
    assert failed_logs([cell, gan], said) == {str(cell.log)}
    assert failed_logs([cell, gan], None) == set()  # both ended well
    attempt(gan, outcome="failed")
    assert failed_logs([cell, gan], None) == {str(gan.log)} and failed_logs([cell, gan], "") == set()


def test_a_report_of_what_is_there_can_be_had_by_hand(study, capfd):
    shutil.rmtree(Path(study.results, CELL))
    command = ["report", "--partial", "--configfile", "study.yaml"]
    assert main(command) == 0
    told = capfd.readouterr().out
    assert "Incomplete: 2 of 3 classifiers are there." in told and "1 × train_classifier" in page(study)
    for folder in Path(study.results, "cells").iterdir():
        shutil.rmtree(folder) if folder.is_dir() else None
    assert main(command) == 1
    assert "report: no classifier of the comparison is there yet" in capfd.readouterr().err
    assert not Path(study.results, "report.html").exists()  # put aside


def page(study) -> str:
    return Path(study.results, "report.html").read_text()

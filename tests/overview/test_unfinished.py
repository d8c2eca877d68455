"""Which jobs of a finished study count as done when files are gone, are older, or are of other settings."""

import shutil
import time
from pathlib import Path

import pytest

from ganaug.cli import main
from ganaug.drivers import Driver
from ganaug.overview.partial import put_aside
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
    Path(study.results, "synthetic/size-10/replicate-1/images.npy").unlink()
    made = names(study, "sample_gan", "check_synthetic", "measure_fidelity")
    made |= {f"train_classifier augmentation=gan size=10 replicate=1 backbone={NETWORK}"}
    assert unfinished(study) == made
    Path(study.results, "gan/size-10/replicate-1/generator.safetensors").unlink()
    assert unfinished(study) == made | names(study, "train_gan")
    Path(study.results, CELL, "predictions.csv").unlink()
    assert unfinished(study) == made | names(study, "train_gan")
    Path(study.results, "tables/cells.csv").unlink()
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
    Path(study.results, CELL, "predictions.csv").unlink()
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
    assert failed_logs([cell, gan]) == set()  # both ended well
    attempt(gan, outcome="failed")
    assert failed_logs([cell, gan]) == {str(gan.log)} and failed_logs([cell, gan], said) == {
        str(cell.log),
        str(gan.log),
    }
    assert failed_logs([cell, gan], since=time.time()) == set() == failed_logs([gan], said, time.time())


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
    assert not Path(study.results, "incomplete/report.html").exists()


def page(study) -> str:
    return Path(study.results, "incomplete/report.html").read_text()


def test_a_file_that_nobody_reads_any_more_may_be_gone(study):
    """As the weights of classifiers that another machine has trained."""
    for path in Path(study.results).glob("cells/**/model.safetensors"):
        path.unlink()
    assert unfinished(study) == set() and is_whole(study, listings_of(study))
    Path(study.results, CELL, "predictions.csv").unlink()  # which the tables read
    assert unfinished(study) == {f"train_classifier augmentation=gan size=10 replicate=1 backbone={NETWORK}"}


def test_an_older_page_is_put_aside_where_the_study_is_another(study):
    before = Path(study.results, "report.html").read_bytes()
    put_aside(study, listings_of(study))
    assert Path(study.results, "report.html").read_bytes() == before
    put_aside(study_of(STUDY | {"statistics": {"bootstrap_samples": 101}}), {})
    assert not Path(study.results, "report.html").exists()
    assert Path(study.results, "report.before.html").read_bytes() == before


def test_a_report_by_hand_waits_for_nobody(study, capfd):
    shutil.rmtree(Path(study.results, CELL))
    driver = Driver(study.results, "a study", "local")
    assert main(["report", "--partial", "--configfile", "study.yaml"]) == 1
    assert "results/lab is being made at this moment" in capfd.readouterr().err
    del driver
    assert not Path(study.results, "incomplete").exists()

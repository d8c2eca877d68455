"""Memory and time that jobs ask for, attempt by attempt."""

import json

import pytest

from ganaug.attempts import beside
from ganaug.study.jobs import jobs_of
from ganaug.study.resources import MEGABYTES, MINUTES, Needs
from ganaug.study.rules import RULES
from helpers.studies import study_of

STUDY = {"study": "lab", "sizes": [20, "all"], "replicates": 1, "augmentations": ["none", "gan"]}
STUDY |= {"fidelity": {"kid_subset_size": 10}}
IMAGES = dict.fromkeys("abcd", 5000)
CELL = {"augmentation": "none", "size": "20", "replicate": "1", "backbone": "resnet18"}
GAN = {"size": "20", "replicate": "1"}


def needs(**more) -> Needs:
    return Needs(study_of(STUDY | more), IMAGES)


def test_every_rule_has_an_amount_of_memory_and_of_time():
    assert set(MEGABYTES) == set(RULES) and set(MINUTES) < set(RULES)
    found = needs()
    for job in jobs_of(found.study):
        assert found.megabytes(job.rule, job.wildcards) >= 1000 and found.minutes(job.rule, job.wildcards) >= 10


@pytest.mark.parametrize("attempt", [1, 2, 3, 4, 9])
def test_memory_and_time_grow_up_to_the_third_attempt(attempt):
    found, times = needs(), min(attempt, 3)
    assert found.megabytes("make_tables", {}, attempt) == 2000 * times
    assert found.minutes("make_manifest", {}, attempt) == 120 * times
    assert found.megabytes("train_classifier", CELL, attempt) == times * found.megabytes("train_classifier", CELL)


def test_a_training_goes_on_in_slots_of_a_day():
    long = needs(gan={"kimg": 10**6, "snapshot_kimg": 1000, "log_kimg": 1000}, device="cpu")
    assert long.minutes("train_gan", GAN) == long.minutes("train_gan", GAN, 4) == 1440


def test_an_attempt_of_a_gan_that_a_signal_has_ended_lacked_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = needs()
    first = found.megabytes("train_gan", GAN)
    (log,) = (job.log for job in jobs_of(found.study) if job.rule == "train_gan" and job.wildcards == GAN)
    log.parent.mkdir(parents=True)

    begun = {"started": 1.0, "host": "here", "pid": 1, "slurm_job": None, "processes": 1}

    def after(*outcomes: str) -> int:
        lines = [part for outcome in outcomes for part in (begun, {"outcome": outcome, "seconds": 1.0})]
        beside(log).write_text("".join(json.dumps(line) + "\n" for line in lines))
        return found.megabytes("train_gan", GAN, len(outcomes) + 1) // first

    assert after("stopped", "stopped") == 1
    assert after("stopped", "failed") == 2
    assert after("failed", "failed", "failed") == 3
    apart = Needs(found.study, IMAGES, records_are_here=False)
    assert apart.megabytes("train_gan", GAN, 3) == 3 * first  # nobody knows, so that each attempt counts


def test_classifiers_ask_for_what_the_largest_size_needs():
    """A job array asks for what its first cell does."""
    found = needs()
    for ask in (found.megabytes, found.minutes):
        assert ask("train_classifier", CELL) == ask("train_classifier", CELL | {"size": "all"})
    assert found.megabytes("sample_gan", GAN | {"at": ""}) < found.megabytes(
        "sample_gan", GAN | {"size": "all", "at": ""}
    )

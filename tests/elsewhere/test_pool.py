"""A pool of forks: jobs wait for others, one that fails stops only those, and the time limit holds."""

import json
import subprocess
import sys
import time

import pytest

from ganaug.elsewhere.jobs import Job
from ganaug.elsewhere.pool import DONE, FAILED, STOPPED, WAITING, Pool, prepare
from ganaug.errors import UserError
from ganaug.files import read_json
from helpers.running import ROOT


def phantoms(name: str, images: int, after=(), replicate: int = 1, rule: str = "train_gan") -> Job:
    """A job of a stage that is quick to start and takes as long as is asked."""
    settings = json.dumps({"images_per_class": images, "resolution": 16})
    out, provenance, log = (f"results/{name}/{end}" for end in ("images", "provenance.json", "log"))
    words = ["make_phantoms", "--settings", settings, "--seed", "1", "--out", out]
    words += ["--provenance", provenance, "--log", log]
    return Job(name, rule, replicate, words, [provenance], log, list(after))


def run(jobs: list[Job], folder, seconds: float = 100, trainings: int = 2, others: int = 2, anew: bool = False):
    folder.mkdir(exist_ok=True)
    lines: list[str] = []
    pool = Pool(jobs, folder, trainings, others, time.monotonic() + seconds, anew, lines.append)
    return {attempt.job.name: attempt for attempt in pool.run()}, lines


@pytest.mark.parametrize("anew", [False, True])
def test_jobs_run_by_their_commands_after_those_that_they_wait_for(tmp_path, anew):
    jobs = [phantoms("later", 2, ["first"], rule="sample_gan"), phantoms("first", 2)]
    tried, lines = run(jobs, tmp_path, anew=anew)
    assert {name: attempt.outcome for name, attempt in tried.items()} == {"first": DONE, "later": DONE}
    first, later = tried["first"], tried["later"]
    assert later.began >= first.began + first.seconds
    assert len(lines) == 2
    assert read_json(tmp_path / "results/first/provenance.json")["stage"] == "make_phantoms"
    assert "$ python -m ganaug make_phantoms" in (tmp_path / "results/first/log").read_text()


def test_a_job_that_fails_stops_only_those_that_wait_for_it(tmp_path):
    bad = phantoms("bad", 2)
    bad.arguments[bad.arguments.index("--settings") + 1] = '{"nonsense": 1}'
    tried, lines = run([bad, phantoms("waits", 2, ["bad"]), phantoms("free", 2)], tmp_path)
    assert "nonsense" in "".join(lines)
    assert {name: attempt.outcome for name, attempt in tried.items()} == {
        "bad": FAILED,
        "waits": WAITING,
        "free": DONE,
    }


@pytest.mark.slow
def test_what_runs_at_the_limit_is_stopped_and_nothing_more_is_begun(tmp_path):
    jobs = [phantoms("short", 2), phantoms("endless", 500_000), phantoms("next", 2, ["endless"])]
    began = time.monotonic()
    tried, _ = run(jobs, tmp_path, seconds=15)
    assert {name: a.outcome for name, a in tried.items()} == {"short": DONE, "endless": STOPPED, "next": WAITING}
    assert time.monotonic() - began >= 15
    assert not (tmp_path / "results/endless/provenance.json").exists()


def test_no_more_jobs_run_at_a_time_than_there_are_places(tmp_path):
    jobs = [phantoms(f"{rule}-{i}", 20, rule=rule) for i in range(3) for rule in ("train_gan", "sample_gan")]
    tried, _ = run(jobs, tmp_path, trainings=1, others=2)
    for rule, places in (("train_gan", 1), ("sample_gan", 2)):
        spans = [(a.began, a.began + a.seconds) for a in tried.values() if a.job.rule == rule]
        assert max(sum(start <= begin < end for start, end in spans) for begin, _ in spans) == places


def test_a_second_pool_in_the_same_folder_does_only_what_is_left(tmp_path):
    run([phantoms("a", 2)], tmp_path)
    tried, lines = run([phantoms("a", 2), phantoms("b", 2, ["a"])], tmp_path)
    assert tried["a"].outcome == tried["b"].outcome == DONE
    assert tried["a"].seconds is None
    assert len(lines) == 1


def test_jobs_of_different_numbers_of_threads_are_refused():
    jobs = [phantoms("a", 2), phantoms("b", 2)]
    for threads, job in enumerate(jobs, 1):
        job.arguments.extend(["--threads", str(threads)])
    with pytest.raises(UserError, match="threads"):
        prepare(jobs)


def test_forks_go_on_after_what_is_imported_before():
    """In a process of its own, which changes no other test's imports. Without a GPU it can't fail for one."""
    told = "from ganaug.elsewhere.pool import prepare; print(prepare([]))"
    done = subprocess.run([sys.executable, "-c", told], cwd=ROOT / "src", capture_output=True, text=True, check=True)
    assert done.stdout == "True\n"


@pytest.mark.parametrize("seconds", [0, -5])
def test_without_time_nothing_is_begun(tmp_path, seconds):
    tried, _ = run([phantoms("a", 2)], tmp_path, seconds)
    assert tried["a"].outcome == WAITING

"""Every attempt at a job leaves its record, however it ends."""

import json
import os
import signal
import subprocess
import sys
import time

from ganaug import attempts
from ganaug.cli import main
from helpers.running import ROOT
from helpers.waiting import says, until

PHANTOMS = json.dumps({"images_per_class": 500, "resolution": 64})


def begin(log) -> subprocess.Popen:
    """A stage of half a minute, whose log has named the stage."""
    command = [sys.executable, "-m", "ganaug", "make_phantoms", "--settings", PHANTOMS, "--seed", "1", "--log", log]
    command += ["--out", log.parent / "phantoms"]
    process = subprocess.Popen(map(str, command), env=os.environ | {"PYTHONPATH": str(ROOT / "src")})
    until(says(log, "make_phantoms"), process)
    return process


def half_written(folder):
    return [path for path in folder.iterdir() if path.name.startswith(".")]


def test_those_that_may_have_lacked_memory_are_counted_among_the_last(tmp_path):
    log, lines = tmp_path / "job.log", []
    assert attempts.lacking(log, 0) == attempts.lacking(log, 3) == 0  # no record: a signal came before the stage began
    begun = {"started": 0.0, "host": "elsewhere", "pid": 1, "slurm_job": None, "processes": 1}
    for outcome in ("stopped", "stopped", "failed", "lost", "stopped", None):
        lines += [json.dumps(begun)] + ([json.dumps({"outcome": outcome})] if outcome else [])
    attempts.beside(log).write_text("\n".join(lines))
    assert [attempts.lacking(log, count) for count in range(8)] == [0, 1, 1, 2, 3, 3, 3, 3]


def test_success_and_failure_are_recorded(tmp_path):
    log = tmp_path / "logs/job.log"
    wrong = ["print_summary", "--summary", str(tmp_path / "none.csv"), "--log", str(log)]
    assert main(wrong) == 1
    few = ["--settings", '{"images_per_class": 1, "resolution": 32}', "--seed", "1"]
    assert main(["make_phantoms", *few, "--out", str(tmp_path / "phantoms"), "--log", str(log)]) == 0
    failed, done = attempts.read(log)
    assert (failed.outcome, done.outcome) == (attempts.FAILED, attempts.DONE)
    assert done.pid == os.getpid() and done.host == attempts.here() and done.device == "cpu"
    assert done.seconds >= 0 and done.cpu_seconds > 0


def test_a_stage_ended_by_sigterm_says_so_and_leaves_nothing_half_written(tmp_path):
    process = begin(tmp_path / "job.log")
    until(lambda: half_written(tmp_path), process)
    process.send_signal(signal.SIGTERM)
    assert process.wait(1500) == 1
    assert attempts.read(tmp_path / "job.log")[-1].outcome == attempts.STOPPED
    assert "ERROR make_phantoms: ended by SIGTERM" in (tmp_path / "job.log").read_text()
    assert not half_written(tmp_path)


def test_a_killed_attempt_counts_until_it_was_last_heard_of(tmp_path):
    log = tmp_path / "job.log"
    process = begin(log)
    process.kill()
    process.wait()
    (lost,) = attempts.read(log)
    assert lost.outcome is None and lost.pid == process.pid
    log.unlink()  # as Snakemake does before the next attempt
    with open(attempts.beside(log), "a") as file:
        file.write('{"outco')  # and the power went
    os.utime(attempts.beside(log), (lost.started + 100, lost.started + 100))
    main(["print_summary", "--summary", str(tmp_path / "none.csv"), "--log", str(log)])
    before, after = attempts.read(log)
    assert (before.outcome, before.seconds) == (attempts.LOST, 100)
    assert after.outcome == attempts.FAILED and after.started > before.started


def test_an_attempt_is_heard_of_as_long_as_it_lives(tmp_path, monkeypatch):
    monkeypatch.setattr(attempts, "BEAT_SECONDS", 0.01)
    log = tmp_path / "job.log"
    with attempts.recorded(log):
        os.utime(attempts.beside(log), (0, 0))
        until(lambda: time.time() - attempts.read(log)[-1].heard < 60)


def test_without_a_log_nothing_is_recorded(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    main(["print_summary", "--summary", "none.csv"])
    assert not list(tmp_path.iterdir())

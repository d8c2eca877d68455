"""How far a study is, told from files alone."""

import os
import re
import subprocess
import sys
import time

import pytest

from ganaug import attempts
from ganaug.cli import main
from ganaug.drivers import Driver
from ganaug.overview.status import report
from helpers.planned import attempt, finish, job, plan_of, write_dead_driver
from helpers.running import ROOT

BEGUN = "2026-01-01 10:00:00,000 INFO $ python -m ganaug train_gan"
BROKEN = "2026-01-01 10:00:00,000 ERROR train_gan: device: cuda was asked for"


@pytest.fixture
def lab(tmp_path):
    return tmp_path / "results/lab"


def shown(lab, jobs, **study) -> str:
    return report(plan_of(lab, jobs, **study), time.time())


def counts(text: str, rule: str) -> list[int]:
    """jobs, done, running, failed, waiting."""
    line = next(line for line in text.splitlines() if line.split()[:1] == [rule])
    return [0 if cell == "-" else int(cell) for cell in line.split()[1:6]]


def test_each_state_is_told_from_the_files(lab):
    jobs = [job(lab, "train_gan", size=20, replicate=n) for n in range(1, 8)]
    done, running, failed, lost, stopped, gone, _ = jobs
    attempt(done, BEGUN, outcome="done")
    finish(done)
    attempt(running, BEGUN)
    attempt(failed, BEGUN, BROKEN, outcome="failed")
    attempt(lost, BEGUN, host=attempts.here(), pid=2**22 + 1)  # above what Linux gives out
    attempt(stopped, BEGUN, outcome="stopped")
    attempt(gone, BEGUN, outcome="done")  # and its outputs were deleted since
    text = shown(lab, jobs)
    assert counts(text, "train_gan") == counts(text, "all") == [7, 1, 1, 2, 3]
    assert f"failed: train_gan size=20 replicate=3 (attempt 1, begun 62 min ago on elsewhere)\n  {failed.log}:" in text
    assert BROKEN in text
    assert "ended without a word: train_gan size=20 replicate=4" in text
    assert "stopped by a signal, and to go on:\n  train_gan size=20 replicate=5" in text


def test_a_living_process_is_running_and_a_killed_one_is_not(lab):
    made = job(lab, "train_gan", size=20, replicate=1)
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    attempt(made, BEGUN, host=attempts.here(), pid=process.pid, started=time.time())
    assert counts(shown(lab, [made]), "train_gan") == [1, 0, 1, 0, 0]
    process.kill()
    process.wait()
    assert counts(shown(lab, [made]), "train_gan") == [1, 0, 0, 1, 0]


def test_a_number_that_another_process_has_now_is_not_the_job(lab):
    made = job(lab, "train_gan", size=20, replicate=1)
    attempt(made, BEGUN, host=attempts.here(), pid=os.getpid(), started=1000.0)
    assert counts(shown(lab, [made]), "train_gan") == [1, 0, 0, 1, 0]


def test_slurm_is_asked_for_jobs_of_other_nodes(lab, tmp_path, monkeypatch):
    squeue = tmp_path / "bin/squeue"  # SLURM's part is to print the numbers of those that it still has
    squeue.parent.mkdir()
    squeue.write_text('#!/bin/sh\necho "$@" >"$0.asked"\necho 71\n')
    squeue.chmod(0o755)
    monkeypatch.setenv("PATH", f"{squeue.parent}{os.pathsep}{os.environ['PATH']}")
    jobs = [job(lab, "train_gan", size=20, replicate=n) for n in (1, 2)]
    for made, number in zip(jobs, ("71", "72"), strict=True):
        attempt(made, BEGUN, slurm_job=number)
    assert counts(shown(lab, jobs), "train_gan") == [2, 0, 1, 1, 0]
    assert "--jobs=71,72" in (tmp_path / "bin/squeue.asked").read_text()
    squeue.write_text("#!/bin/sh\necho 'slurm_load_jobs error: Unable to contact slurm controller' >&2\nexit 1\n")
    assert counts(shown(lab, jobs), "train_gan") == [2, 0, 2, 0, 0]


def test_where_nothing_can_be_asked_a_job_runs_as_long_as_it_is_heard_of(lab):
    made = job(lab, "train_gan", size=20, replicate=1)
    attempt(made, BEGUN)
    os.utime(made.log, (0, 0))  # the log may be silent
    for minutes, running in ((9, 1), (11, 0)):
        heard = time.time() - 60 * minutes
        os.utime(attempts.beside(made.log), (heard, heard))
        assert counts(shown(lab, [made]), "train_gan") == [1, 0, running, 1 - running, 0]
    assert (
        "ended without a word: train_gan size=20 replicate=1 (attempt 1, begun 62 min ago on elsewhere, lasted 51"
        in (shown(lab, [made]))
    )


def test_hours_of_all_attempts_count_as_used_and_towards_what_is_left(lab):
    jobs = [job(lab, "train_gan", gpus=2, size=20, replicate=n) for n in (1, 2)]
    for outcome in ("stopped", "lost", "done"):
        attempt(jobs[0], outcome=outcome, device="NVIDIA H100", processes=2)
    finish(jobs[0])
    attempt(jobs[1], outcome="stopped", device="NVIDIA H100", processes=2)
    line = next(line for line in shown(lab, jobs).splitlines() if line.startswith("train_gan"))
    # Three hours on two GPUs have made the one; the other has had the first of such three.
    assert line.split()[6:] == ["8.0", "h", "4.0", "h", "8.0", "h", "4.0", "h"]


def test_failed_jobs_under_a_driver_may_be_tried_again(lab, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    made = job(lab, "train_gan", size=20, replicate=1)
    attempt(made, BROKEN, outcome="failed")
    assert "may try these again" not in shown(lab, [made])
    write_dead_driver(lab)
    other = Driver("results/other", "another study", "local")  # in the same folder
    assert "may try these again" not in shown(lab, [made])
    other.leave()
    driver = Driver(lab, "a study", "local")
    assert "may try these again" in shown(lab, [made])
    del driver  # dead
    assert "may try these again" not in shown(lab, [made])


def test_the_table_is_no_wider_than_a_terminal(lab):
    jobs = [job(lab, "train_classifier", size=20, replicate=n, backbone="resnet18") for n in range(1000)]
    attempt(jobs[0], outcome="done", seconds=4e5, cpu_seconds=4e6, device="GPU")
    finish(jobs[0])
    assert max(map(len, shown(lab, jobs).splitlines())) <= 100


PAPER = ["--configfile", str(ROOT / "config/paper.yaml"), "--config", "replicates=2"]


def test_the_command_needs_no_images_where_the_study_has_a_manifest(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["status", *PAPER]) == 1
    assert "status: data_root: data/COVID-19_Radiography_Dataset is not a folder" in capsys.readouterr().err
    manifest = tmp_path / "results/paper/data/manifest.csv"
    manifest.parent.mkdir(parents=True)
    manifest.write_text("file,class\n" + "".join(f'"{i}, a.png",{i % 4}\n' for i in range(8000)))
    assert main(["status", *PAPER]) == 0
    told = capsys.readouterr().out
    assert counts(told, "train_gan") == [6, 0, 0, 0, 6]
    assert main(["estimate", *PAPER, "--gpus", "1"]) == 0
    assert re.search(r"^train_gan +6 .* guess$", capsys.readouterr().out, flags=re.MULTILINE)

"""What show_status tells from files."""

import json
import os
import time

import pytest

from ganaug.cli import main
from ganaug.status import DONE, FAILED, RUNNING, WAITING, Job, report, state

END = "2026-01-01 10:00:00,000 INFO train_gan done in 3.0 s\n"
BEGUN = "2026-01-01 10:00:00,000 INFO $ python -m ganaug train_gan\n"
BROKEN = "2026-01-01 10:00:00,000 ERROR train_gan: device: cuda was asked for\n"


def job(folder, number, log=None, record=None, stage="train_gan"):
    made = Job(stage, folder / f"{stage}/{number}/provenance.json", folder / f"logs/{stage}/{number}.log")
    made.output.parent.mkdir(parents=True)
    made.log.parent.mkdir(parents=True, exist_ok=True)
    if log:
        made.log.write_text(log)
    if record:
        made.output.write_text(json.dumps(record))
    return made


def record(hours, device):
    return {"wall_seconds": hours * 3600, "cpu_seconds": 2 * hours * 3600, "machine": {"device": device}}


@pytest.fixture
def jobs(tmp_path):
    return [
        job(tmp_path, 1, BEGUN + END, record(2, "NVIDIA H100")),
        job(tmp_path, 2, BEGUN),
        job(tmp_path, 3, BEGUN + BROKEN),
        job(tmp_path, 4),
        job(tmp_path, 5, BEGUN + END),  # finished, and its output deleted since
        job(tmp_path, 1, BEGUN + END, record(1, "cpu"), "train_classifier"),
        job(tmp_path, 2, stage="train_classifier"),
        job(tmp_path, 1, stage="measure_fidelity"),
    ]


def test_the_state_of_a_job_is_in_its_files(jobs):
    assert [state(j) for j in jobs[:5]] == [DONE, RUNNING, FAILED, WAITING, WAITING]


def test_the_table_counts_and_estimates_by_stage(jobs, capsys):
    shown = report(jobs, time.time())
    lines = {line.split()[0]: line.split()[1:] for line in shown.splitlines() if line and not line.startswith(" ")}
    assert lines["train_gan"][:9] == ["5", "1", "1", "1", "2", "2.00", "4.00", "8.00", "16.00"]
    assert lines["train_classifier"][:9] == ["2", "1", "0", "0", "1", "0.00", "2.00", "0.00", "2.00"]
    assert lines["measure_fidelity"][7:9] == ["?", "?"]  # none has finished: nothing is known
    assert lines["all"][:5] == ["8", "2", "1", "1", "4"] and lines["all"][5:9] == ["2.00", "6.00", "8.00", "18.00"]
    assert "device: cuda was asked for" in shown and str(jobs[2].log) in shown and "silent" not in shown


def test_a_log_that_has_been_silent_for_long_is_named(jobs):
    hour_ago = time.time() - 3660
    os.utime(jobs[1].log, (hour_ago, hour_ago))
    assert f"silent for 61 minutes, ended without a word perhaps: {jobs[1].log}" in report(jobs, time.time())


def test_the_command_reads_the_plan(jobs, tmp_path, capsys):
    plan = {"jobs": [{"stage": j.stage, "output": str(j.output), "log": str(j.log)} for j in jobs]}
    (tmp_path / "plan.json").write_text(json.dumps(plan))
    assert main(["show_status", "--plan", str(tmp_path / "plan.json")]) == 0
    assert "train_classifier" in capsys.readouterr().out

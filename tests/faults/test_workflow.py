"""The workflow and its jobs, killed at random moments and started again, end with the bytes of an undisturbed run."""

import contextlib
import os
import random
import subprocess
import time
from pathlib import Path

import psutil
import pytest

from helpers.tiny import SMALL, command, differing, results

pytestmark = pytest.mark.slow
# Jobs that are killed in the workflow, the first that run for long. test_jobs.py kills every kind.
KINDS = ["prepare_weights", "train_gan", "train_classifier"]
LOADING = 1.5  # CPU seconds that they have at least, for PyTorch alone
KILLS = 3  # of the workflow


TO_THE_TABLES = ["--until", "make_tables", "--retries", "3"]


def start(folder: Path, *arguments) -> subprocess.Popen:
    with open(folder / "driver.log", "a") as log:
        return subprocess.Popen(
            command(folder, SMALL, "--cores", "2", *arguments), cwd=folder, stdout=log, stderr=subprocess.STDOUT
        )


def running(driver: subprocess.Popen) -> list[tuple[str, psutil.Process]]:
    """(stage, process) of the driver's jobs."""
    found = []
    with contextlib.suppress(psutil.Error):
        for process in psutil.Process(driver.pid).children(recursive=True):
            line = process.cmdline()
            if line[1:3] == ["-m", "ganaug"]:
                found.append((line[3], process))
    return found


def cpu_seconds(driver: subprocess.Popen) -> float:
    """Of a driver and its jobs so far. Unlike seconds, they tell how far it is however busy the machine."""
    total = 0.0
    with contextlib.suppress(psutil.Error):
        process = psutil.Process(driver.pid)
        for part in [process, *process.children(recursive=True)]:
            with contextlib.suppress(psutil.Error):
                total += sum(part.cpu_times()[:4])  # its own, and that of children which have ended
    return total


def kill_jobs(driver: subprocess.Popen, due: dict[str, float]) -> None:
    """Kill a job of each stage that is due, once it has had so many CPU seconds, and strike the stage off."""
    for stage, process in running(driver):
        with contextlib.suppress(psutil.Error):  # it was quicker: the next of its kind
            if stage in due and sum(process.cpu_times()[:2]) >= due[stage]:
                process.kill()
                del due[stage]


def test_kills_at_random_moments_lose_nothing(tmp_path, undisturbed, rng: random.Random, survived):
    due = {stage: rng.uniform(0, LOADING) for stage in KINDS}
    driver = start(tmp_path, *TO_THE_TABLES)
    while due:
        assert driver.poll() is None, (tmp_path / "driver.log").read_text()[-3000:]
        kill_jobs(driver, due)
        time.sleep(0.01)
    lives = cpu_seconds(driver) + rng.uniform(0, 5)
    for _ in range(KILLS):
        while cpu_seconds(driver) < lives:
            assert driver.poll() is None, (tmp_path / "driver.log").read_text()[-3000:]
            time.sleep(0.01)
        driver.kill()
        driver.wait()
        driver, lives = start(tmp_path, *TO_THE_TABLES), rng.uniform(3, 15)
    assert driver.wait(3000) == 0, (tmp_path / "driver.log").read_text()[-3000:]
    assert (tmp_path / "results/lab/tables/comparisons.csv").is_file() and made_as(undisturbed, tmp_path)
    assert "unlock" not in (tmp_path / "driver.log").read_text()
    survived("SIGKILL of the workflow, at random moments", KILLS)
    survived("SIGKILL of jobs, of each kind, at random moments", len(KINDS))


def test_a_second_workflow_in_the_folder_is_refused(tmp_path, undisturbed, survived):
    first = start(tmp_path, "--until", "train_gan")
    try:
        end = time.time() + 1500
        while not running(first):
            assert time.time() < end
            time.sleep(0.1)
        second = subprocess.run(command(tmp_path, SMALL, "--cores", "1"), cwd=tmp_path, capture_output=True, text=True)
        assert second.returncode and "cannot be locked" in second.stderr
        assert first.wait(1500) == 0
    finally:
        first.kill()
    assert made_as(undisturbed, tmp_path)
    survived("a spoilt file, a second workflow in the folder")


def made_as(undisturbed, folder):
    """Whether there are results, and they are those of the undisturbed run as far as they go."""
    made, whole = results(folder), results(undisturbed)
    return bool(made) and not differing(made, {name: whole.get(name) for name in made})


def test_a_corrupt_output_is_named_and_made_again(begun, undisturbed, survived):
    """A file that a crash of the machine has left, whole in length and wrong in content."""
    subset = begun / "results/lab/subsets/size-10/replicate-1"
    (subset / "leaks.json").unlink()
    table = subset / "train.csv"
    content, before = bytearray(table.read_bytes()), table.stat()
    content[-3] ^= 4
    table.write_bytes(content)
    os.utime(table, ns=(before.st_atime_ns, before.st_mtime_ns))
    again = command(begun, SMALL, "--cores", "2", "--until", "check_leaks")
    broken = subprocess.run(again, cwd=begun, capture_output=True, text=True)
    assert broken.returncode and "train.csv is not what make_subset wrote" in broken.stdout + broken.stderr
    assert not (subset / "leaks.json").exists()
    table.unlink()
    subprocess.run(again, cwd=begun, check=True, capture_output=True)
    assert (subset / "leaks.json").is_file() and made_as(undisturbed, begun)
    survived("a spoilt file, a second workflow in the folder")

"""The workflow and its jobs, killed at random moments and started again, end with the bytes of an undisturbed run."""

import contextlib
import os
import random
import signal
import subprocess
import time
from pathlib import Path

import psutil
import pytest

from ganaug import attempts
from helpers.tiny import STUDY, command, differing, results, without_figures
from helpers.waiting import until

pytestmark = pytest.mark.slow
# Jobs that are killed in the workflow, the first that run for long. test_jobs.py kills every kind.
KINDS = ["prepare_weights", "train_gan", "train_classifier"]
KILLS = 3  # of the workflow
# Figures and report read what is there by then, and are killed by test_jobs.py too.
TO_THE_TABLES = ["--until", "make_tables", "--retries", "3"]
NOT_MADE = ("make_figure", "make_report", "print_summary")


def start(folder: Path, *arguments) -> subprocess.Popen:
    with open(folder / "driver.log", "a") as log:
        return subprocess.Popen(
            command(folder, STUDY, "--cores", "2", *arguments), cwd=folder, stdout=log, stderr=subprocess.STDOUT
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
    """Moments are shares of the CPU seconds that the undisturbed jobs took, so that they hit alike on any machine."""
    took = spent(undisturbed)
    due = {stage: rng.uniform(0, 0.7 * min(took[stage])) for stage in KINDS}
    whole = sum(sum(seconds) for stage, seconds in took.items() if stage not in NOT_MADE)
    driver = start(tmp_path, *TO_THE_TABLES)
    try:
        while due:
            assert driver.poll() is None, (tmp_path / "driver.log").read_text()[-3000:]
            kill_jobs(driver, due)
            time.sleep(0.01)
        lives = cpu_seconds(driver) + rng.uniform(0, 0.05 * whole)
        for _ in range(KILLS):
            while cpu_seconds(driver) < lives:
                assert driver.poll() is None, (tmp_path / "driver.log").read_text()[-3000:]
                time.sleep(0.01)
            driver.kill()
            assert driver.wait() == -signal.SIGKILL
            driver, lives = start(tmp_path, *TO_THE_TABLES), rng.uniform(0.03, 0.15) * whole
        assert driver.wait(3000) == 0, (tmp_path / "driver.log").read_text()[-3000:]
    finally:
        driver.kill()
    log = (tmp_path / "driver.log").read_text()
    assert log.count("Trying to restart job") >= len(KINDS) and "unlock" not in log
    assert not differing(results(tmp_path), without_figures(results(undisturbed)))
    survived("SIGKILL of the workflow, at random moments", KILLS)
    survived("SIGKILL of jobs, of each kind, at random moments", len(KINDS))


def spent(folder: Path) -> dict[str, list[float]]:
    """CPU seconds of the jobs of each stage."""
    took: dict[str, list[float]] = {}
    logs = folder / "results/lab/logs"
    for path in logs.rglob("*.log"):
        if records := [record for record in attempts.read(path) if record.outcome == attempts.DONE]:
            stage = path.relative_to(logs).parts[0].removesuffix(".log")
            took.setdefault(stage, []).append(records[-1].cpu_seconds)
    return took


def test_a_second_workflow_in_the_folder_is_refused(tmp_path, undisturbed, survived):
    first = start(tmp_path, "--until", "train_gan")
    try:
        jobs = until(lambda: running(first), first)
        jobs[0][1].suspend()  # so that the first is not over too soon
        second = subprocess.run(command(tmp_path, STUDY, "--cores", "1"), cwd=tmp_path, capture_output=True, text=True)
        jobs[0][1].resume()
        assert second.returncode and f"is being made already, by process {first.pid} on" in second.stderr
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
    """A file that a crash of the machine has left, whole in length and wrong in content. No GAN is trained on it."""
    images = begun / "results/lab/subsets/size-10/replicate-1/train.npy"
    content, before = bytearray(images.read_bytes()), images.stat()
    content[-100] ^= 4
    images.write_bytes(content)
    os.utime(images, ns=(before.st_atime_ns, before.st_mtime_ns))
    broken = command(begun, STUDY, "--cores", "2", "--until", "train_gan")
    broken = subprocess.run(broken, cwd=begun, capture_output=True, text=True)
    assert broken.returncode and "train.npy is not what make_subset wrote" in broken.stdout + broken.stderr
    assert not (begun / "results/lab/gan").exists()
    images.unlink()
    again = command(begun, STUDY, "--cores", "2", "--until", "check_leaks")
    subprocess.run(again, cwd=begun, check=True, capture_output=True)
    assert images.is_file() and made_as(undisturbed, begun)
    survived("a spoilt file, a second workflow in the folder")

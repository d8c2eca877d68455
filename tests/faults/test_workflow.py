"""The workflow and its jobs, killed at random moments and started again, end with the bytes of an undisturbed run."""

import contextlib
import json
import os
import random
import signal
import subprocess
import time
from pathlib import Path

import psutil
import pytest

from ganaug.cli import main
from helpers.tiny import STUDY, command, differing, results

pytestmark = pytest.mark.slow
# Long enough a training to be killed in its midst.
LONGER = STUDY | {"gan": STUDY["gan"] | {"kimg": 2}, "external_test": {"data_root": "elsewhere"}}
KINDS = ["make_phantoms", "make_manifest", "make_splits", "check_sizes", "make_test_set", "make_subset", "check_leaks"]
KINDS += ["prepare_weights", "train_gan", "sample_gan", "check_synthetic", "measure_fidelity", "train_classifier"]
KINDS += ["score_images", "make_external_set", "check_lineage", "make_tables", "make_figure", "make_report"]
WORKFLOW_KILLS = 5


def start(folder: Path, study: dict, *arguments) -> subprocess.Popen:
    with open(folder / "driver.log", "a") as log:
        return subprocess.Popen(
            command(folder, study, "--cores", "2", *arguments), cwd=folder, stdout=log, stderr=subprocess.STDOUT
        )


def running(driver: subprocess.Popen) -> list[tuple[str, psutil.Process]]:
    """(stage, process) of the driver's jobs."""
    found = []
    try:
        for process in psutil.Process(driver.pid).children(recursive=True):
            line = process.cmdline()
            if line[1:3] == ["-m", "ganaug"]:
                found.append((line[3], process))
    except psutil.Error:
        pass
    return found


def make_elsewhere(folder: Path) -> None:
    """Images for the external test."""
    settings = json.dumps({"images_per_class": 3, "resolution": 32})
    assert main(["make_phantoms", "--seed", "9", "--settings", settings, "--out", str(folder / "elsewhere")]) == 0


@pytest.fixture(autouse=True)
def elsewhere(tmp_path):
    make_elsewhere(tmp_path)


def cpu_seconds(process: psutil.Process) -> float:
    """Which, unlike seconds, tell how far a process is however busy the machine."""
    return sum(process.cpu_times()[:2])


@pytest.fixture(scope="module")
def watched(tmp_path_factory):
    """An undisturbed run: its results, and the CPU seconds of each stage's shortest job."""
    folder, spent = tmp_path_factory.mktemp("undisturbed"), {}
    make_elsewhere(folder)
    driver = start(folder, LONGER)
    while driver.poll() is None:
        for stage, process in running(driver):
            with contextlib.suppress(psutil.Error):
                spent.setdefault(stage, {})[process.pid] = cpu_seconds(process)
        time.sleep(0.02)
    assert driver.returncode == 0, (folder / "driver.log").read_text()[-3000:]
    return results(folder), {stage: min(jobs.values()) for stage, jobs in spent.items()}


@pytest.fixture(scope="module")
def undisturbed(watched):
    return watched[0]


def test_kills_at_random_moments_lose_nothing(tmp_path, watched, capsys):
    """Every kind of job once, and the workflow five times in between."""
    undisturbed, takes = watched
    random_number, killed, due = random.Random(20), [], {}
    while True:
        driver = start(tmp_path, LONGER, "--retries", "3")
        lives_until = time.time() + random_number.uniform(4, 20)
        while driver.poll() is None:
            for stage, process in running(driver):
                if stage in KINDS and stage not in killed:
                    if process.pid not in due:
                        due[process.pid] = random_number.uniform(0, 0.7 * takes.get(stage, 0))
                    with contextlib.suppress(psutil.Error):  # it was quicker: the next of its kind
                        if cpu_seconds(process) >= due[process.pid]:
                            process.kill()
                            killed.append(stage)
            if time.time() > lives_until and killed.count("workflow") < WORKFLOW_KILLS:
                driver.kill()
                killed.append("workflow")
                break
            time.sleep(0.02)
        if driver.wait() == 0:
            break
        assert driver.returncode == -signal.SIGKILL, (tmp_path / "driver.log").read_text()[-3000:]
    lost = differing(results(tmp_path), undisturbed)
    with capsys.disabled():
        print(f"\nkilled {len(killed)}: {', '.join(killed)}; bytes that differ afterwards: in {len(lost)} files")
    assert not lost
    assert len(killed) >= WORKFLOW_KILLS + len(KINDS) - 4  # some jobs last no longer than it takes to see them
    assert "unlock" not in (tmp_path / "driver.log").read_text()


def test_a_second_workflow_in_the_folder_is_refused(tmp_path, undisturbed):
    first = start(tmp_path, LONGER, "--until", "train_gan")
    try:
        end = time.time() + 300
        while not running(first):
            assert time.time() < end
            time.sleep(0.1)
        second = subprocess.run(command(tmp_path, LONGER, "--cores", "1"), cwd=tmp_path, capture_output=True, text=True)
        assert second.returncode and "cannot be locked" in second.stderr
        assert first.wait(1500) == 0
    finally:
        first.kill()
    assert made_as(undisturbed, tmp_path)


def made_as(undisturbed, folder):
    """Whether there are results, and they are those of the undisturbed run as far as they go."""
    made = results(folder)
    return bool(made) and not differing(made, {name: undisturbed.get(name) for name in made})


def test_a_corrupt_output_is_named_and_made_again(tmp_path, undisturbed):
    """A file that a crash of the machine has left, whole in length and wrong in content."""
    subprocess.run(
        command(tmp_path, LONGER, "--cores", "2", "--until", "make_subset"),
        cwd=tmp_path,
        check=True,
        capture_output=True,
    )
    images = tmp_path / "results/lab/subsets/size-10/replicate-1/train.npy"
    content = bytearray(images.read_bytes())
    content[-100] ^= 4
    before = images.stat()
    images.write_bytes(content)
    os.utime(images, ns=(before.st_atime_ns, before.st_mtime_ns))
    broken = subprocess.run(command(tmp_path, LONGER, "--cores", "2"), cwd=tmp_path, capture_output=True, text=True)
    assert broken.returncode and "train.npy is not what make_subset wrote" in broken.stdout + broken.stderr
    assert not (tmp_path / "results/lab/gan").exists()
    images.unlink()
    again = command(tmp_path, LONGER, "--cores", "2", "--until", "train_gan")
    subprocess.run(again, cwd=tmp_path, check=True, capture_output=True)
    assert (tmp_path / "results/lab/gan/size-10/replicate-1/generator.safetensors").is_file()
    assert made_as(undisturbed, tmp_path)

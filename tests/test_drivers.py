"""The lock on a study, and what its file says of the drivers."""

import errno
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from ganaug.attempts import here
from ganaug.drivers import PATIENCE, Driver, file_of, lives, of_results, records
from ganaug.errors import UserError
from helpers.planned import write_dead_driver
from helpers.running import ROOT

LAB, OTHER = Path("results/lab"), Path("results/other")
# A driver that has started a job, which outlives it.
HOLDER = """
import subprocess, sys, time
from ganaug.drivers import Driver
driver = Driver("results/lab", "a study", "slurm")
job = subprocess.Popen(["sleep", "600"], stdout=subprocess.DEVNULL)
print(job.pid, flush=True)
time.sleep(600)
"""


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def holder(folder):
    """A process that is the driver of LAB."""
    paths = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    process = subprocess.Popen([sys.executable, "-c", HOLDER], stdout=subprocess.PIPE, text=True, env=paths)
    job = int(process.stdout.readline())
    yield process
    process.kill()
    process.wait()
    process.stdout.close()
    os.kill(job, signal.SIGKILL)


def test_a_second_driver_is_told_who_the_first_is_and_takes_over_once_that_is_dead(holder):
    assert lives(LAB) and of_results(LAB) == file_of(LAB)
    with pytest.raises(
        UserError, match=f"results/lab is being made already, by process {holder.pid} on {here()}; wait"
    ):
        Driver(LAB, "a study", "local")
    assert [told["pid"] for told in records(LAB)] == [holder.pid]
    holder.kill()
    holder.wait()  # its job lives, and has no part in the lock
    assert not lives(LAB) and of_results(LAB)
    driver = Driver(LAB, "a study", "local")
    assert lives(LAB) and [(dead["pid"], dead["executor"]) for dead in driver.dead] == [(holder.pid, "slurm")]


def test_the_dead_are_remembered_until_they_are_settled():
    write_dead_driver(LAB)
    dead = records(LAB)
    first = Driver(LAB, "a study", "local")
    assert first.dead == dead and records(LAB) == [*dead, first.record]
    first.leave()  # as one that SIGTERM ends before it has settled
    assert records(LAB) == dead and lives(LAB)
    del first
    second = Driver(LAB, "a study", "local")
    second.settled()
    assert records(LAB) == [second.record] and second.dead == []
    second.leave()
    assert records(LAB) == [] and of_results(LAB) is None


@pytest.mark.parametrize("torn", [b'{"host": "a", "pi', b"\0" * 512, b"[1]\n", b"{}\n", b"\xff\n"])
def test_a_spoilt_line_is_passed_over(torn):
    write_dead_driver(LAB)
    (dead,) = records(LAB)
    with open(file_of(LAB), "ab") as file:
        file.write(torn)
    driver = Driver(LAB, "a study", "local")
    assert driver.dead == [dead] and records(LAB) == [dead, driver.record]
    driver.settled()
    assert records(LAB) == [driver.record]


def test_two_studies_in_a_folder_do_not_hinder_each_other():
    first = Driver(LAB, "a study", "local")
    assert not first.beside()
    second = Driver(OTHER, "another", "local")
    assert first.beside() and second.beside() and not second.dead
    del second
    assert not first.beside()


def test_who_only_looks_keeps_no_driver_from_starting():
    over = threading.Event()
    write_dead_driver(LAB)

    def look():
        while not over.wait(PATIENCE / 1000):
            lives(LAB)

    onlookers = [threading.Thread(target=look) for _ in range(3)]
    for thread in onlookers:
        thread.start()
    try:
        for _ in range(20):
            driver = Driver(LAB, "a study", "local")
            driver.leave()
            del driver
    finally:
        over.set()
        for thread in onlookers:
            thread.join()


def test_a_file_system_without_locks_is_told_in_words(monkeypatch):
    """As Lustre is where it is mounted without `flock`."""

    def flock(*_):
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

    monkeypatch.setattr("ganaug.drivers.fcntl.flock", flock)
    with pytest.raises(
        UserError, match=r"the file system of \.snakemake/drivers has no locks \(Function not impl.*--dir"
    ):
        Driver(LAB, "a study", "local")
    assert not lives(LAB)  # a table for who only looks


def test_what_is_never_run_has_no_driver_and_gets_no_file(folder):
    assert not lives(LAB) and records(LAB) == [] and of_results(LAB) is None
    assert not list(folder.iterdir())


def test_a_record_of_an_older_ganaug_is_not_passed_over():
    """That one knows no lock: whether it lives, or what it has left in SLURM's queue, can't be told."""
    older = file_of(LAB).with_name("login1-4711.json")
    older.parent.mkdir(parents=True)
    older.write_text('{"host": "login1", "pid": 4711, "started": 1.0, "study": "s", "runs": "results/lab"}')
    with pytest.raises(
        UserError, match=r"login1-4711\.json is of .* process 4711 on login1; end .* then delete the file"
    ):
        Driver(LAB, "a study", "local")
    Driver(OTHER, "a study", "local")
    older.unlink()
    Driver(LAB, "a study", "local")

"""Fixtures and environment of all tests."""

import os
import resource
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

# Small tensors gain nothing from more threads and lose much on a busy machine.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# Where SLURM is installed and its controller is silent, each start of Snakemake waits nine seconds in a plugin for it.
os.environ["SLURM_CONF"] = os.devnull  # the tests that use SLURM (cluster) take it away


@pytest.fixture(scope="session")
def lite0(tmp_path_factory):
    """File with the packaged ImageNet weights of tf_efficientnet_lite0."""
    from ganaug.files import write_tensors
    from ganaug.weights import Settings, weights

    path = tmp_path_factory.mktemp("weights") / "lite0.safetensors"
    write_tensors(path, weights(Settings("tf_efficientnet_lite0", "package", None)))
    return path


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """Folder of the finished miniature (helpers/miniature.py); not to be changed."""
    from helpers.miniature import make_miniature

    folder = tmp_path_factory.mktemp("miniature")
    make_miniature(folder)
    return folder


@pytest.fixture(scope="session")
def gan_inputs(tmp_path_factory):
    """Folder of a GAN training's inputs: train.npy and train.csv."""
    import numpy as np
    import pandas as pd

    from helpers.trainings import images_in_hand

    folder, data = tmp_path_factory.mktemp("gan_inputs"), images_in_hand()
    np.save(folder / "train.npy", data.images)
    names = [data.class_names[k] for k in data.labels]
    pd.DataFrame({"image": range(30), "class": names, "label": data.labels}).to_csv(folder / "train.csv", index=False)
    return folder


@pytest.fixture
def disk(tmp_path):
    """An empty disk of 512 KiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", str(folder)]
    mounted = subprocess.run(command, capture_output=True, text=True)
    if mounted.returncode:
        pytest.skip(f"a small disk to fill can't be mounted here, which takes root: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.fixture
def ask(tmp_path):
    """study.py, run in tmp_path; returns what it says."""
    from helpers.running import ROOT

    def run(*arguments, fails=False) -> str:
        command = [sys.executable, ROOT / "study.py", *arguments]
        done = subprocess.run(list(map(str, command)), cwd=tmp_path, capture_output=True, text=True, timeout=1500)
        assert (done.returncode != 0) == fails, done.stdout + done.stderr
        return done.stdout + done.stderr

    return run


@pytest.fixture
def no_network(monkeypatch):
    """Fails the test that looks up or calls another machine, or this one."""
    tried = []

    def refuse(*arguments, **_):
        tried.append(arguments)
        raise OSError("no network in this test")

    for name in ("getaddrinfo", "create_connection"):
        monkeypatch.setattr(socket, name, refuse)
    for name in ("connect", "connect_ex"):
        monkeypatch.setattr(socket.socket, name, refuse)
    yield
    assert not tried


@pytest.fixture
def bounded():
    """A minute, and 1.5 GB on top of what the process has."""
    had = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    limits = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (had + 1_500_000_000, limits[1]))
    previous = signal.signal(signal.SIGALRM, lambda *_: pytest.fail("it hangs"))
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, previous)
    resource.setrlimit(resource.RLIMIT_AS, limits)


def pytest_terminal_summary(terminalreporter):
    """How many faults were tried and survived: each test of one compares what is left with an undisturbed run."""
    tried = [
        report
        for outcome in ("passed", "failed")
        for report in terminalreporter.stats.get(outcome, [])
        if report.when == "call" and "test_faults_" in report.nodeid
    ]
    if tried:
        survived = sum(report.passed for report in tried)
        terminalreporter.write_line(f"faults: {len(tried)} tests of them, {survived} survived without a byte lost")

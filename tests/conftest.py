"""Options, order and fixtures of all tests."""

import os
import random
import resource
import shutil
import signal
import socket
import subprocess
from collections import Counter
from pathlib import Path

import psutil
import pytest
from filelock import FileLock

# Small tensors gain nothing from more threads and lose much on a busy machine.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# The tests are of the CPU, and a fork of a process that has used a GPU can't use PyTorch's gradients.
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")
os.environ.setdefault("TRITON_INTERPRET", "1")  # so that the kernels for GPUs run on the CPU, as they are written
# Where SLURM is installed and its controller is silent, each start of Snakemake waits nine seconds in a plugin for it.
os.environ["SLURM_CONF"] = os.devnull  # the tests in cluster/ take it away


def pytest_addoption(parser):
    told = "seed of the random tests, a whole number or `new` for one that is drawn (default: 0)"
    parser.addoption("--seed", default="0", help=told)
    told = "fail where README's table of faults states other numbers than this run has tried and survived"
    parser.addoption("--faults-as-stated", action="store_true", help=told)


def pytest_configure(config):
    if config.option.seed == "new":  # the processes of pytest-xdist get the number from here
        config.option.seed = str(random.SystemRandom().randrange(2**31))
    try:
        int(config.option.seed)
    except ValueError:
        raise pytest.UsageError(f"--seed takes a whole number or `new`, not {config.option.seed!r}") from None


def pytest_xdist_auto_num_workers(config):
    """No workers for the one cluster of SLURM, nor for tests that are named one by one."""
    return 0 if config.option.markexpr == "slurm" or any("::" in name for name in config.args) else None


def pytest_report_header(config):
    return f"seed of the random tests: {config.option.seed} (again by --seed {config.option.seed})"


def pytest_collection_modifyitems(items):
    """The slow tests come first, so that no worker ends alone with one of them."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)


@pytest.fixture(scope="session")
def seed(pytestconfig) -> int:
    """Of the random tests."""
    return int(pytestconfig.option.seed)


@pytest.fixture
def rng(request, seed):
    """A random.Random for this test; a test that fails prints how to have the same draws again."""
    print(f"random draws: --seed {seed}")
    return random.Random(f"{seed} {request.node.name}")


@pytest.fixture
def survived(record_property):
    """survived(fault, times): tells that so many faults of a kind left the bytes, or tensors, of an undisturbed run.

    fault: as README's table of faults calls it.
    """
    from helpers.faults import stated

    def tell(fault: str, times: int = 1) -> None:
        assert fault in stated()
        record_property("survived", (fault, times))

    return tell


LAST_FAILURES, LAST_LINES = 10, 15
SURVIVED: Counter[str] = Counter()  # faults that were followed by a comparison
OTHERWISE: list[str] = []  # where README states other numbers


def pytest_runtest_logreport(report):
    if report.failed and "PYTEST_XDIST_WORKER" not in os.environ:
        print(f"\nFAILED, of which the end tells more: {report.nodeid}", flush=True)  # a long run may be ended here
    if report.passed and report.when == "call":
        for name, value in report.user_properties:
            if name == "survived":
                fault, times = value
                SURVIVED[fault] += times


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session):
    from helpers.faults import stated

    if session.config.option.faults_as_stated and "PYTEST_XDIST_WORKER" not in os.environ:
        slurm = session.config.option.markexpr == "slurm"
        wanted = {fault: times for fault, times in stated().items() if fault.startswith("on SLURM") == slurm}
        for fault in sorted(name for name in wanted.keys() | SURVIVED if wanted.get(name, 0) != SURVIVED[name]):
            session.exitstatus = pytest.ExitCode.TESTS_FAILED
            states = f"README states {wanted.get(fault, 0)} × {fault}; this run survived {SURVIVED[fault]}"
            OTHERWISE.append(f"{states}: a test failed or was skipped, or the table is old")


@pytest.hookimpl(wrapper=True)
def pytest_terminal_summary(terminalreporter, config):
    """Last of all the faults survived, and of the tests that failed their names, their seed and what they said last."""
    yield
    tell = terminalreporter.write_line
    if SURVIVED:
        tell(f"faults survived without a difference: {SURVIVED.total()}")
        for fault, times in sorted(SURVIVED.items()):
            tell(f"{times:6} × {fault}")
    failed = [report for key in ("failed", "error") for report in terminalreporter.stats.get(key, [])]
    for number, report in enumerate(failed):
        tell(f"\n{report.nodeid} failed in its {report.when} (--seed {config.option.seed})")
        for line in report.longreprtext.splitlines()[-LAST_LINES:] if number < LAST_FAILURES else []:
            tell(f"    {line}")
    for states in OTHERWISE:
        tell(states)


@pytest.fixture(scope="session")
def once(tmp_path_factory):
    """once(name, make): a folder that make(folder) fills, one for all processes of a test run; not to be changed.

    make: returns nothing, or an exit status.
    """
    root = tmp_path_factory.getbasetemp()
    root = root.parent if "PYTEST_XDIST_WORKER" in os.environ else root

    def made(name: str, make) -> Path:
        folder, whole = root / name, root / f"{name}.whole"
        with FileLock(f"{folder}.lock"):
            if not whole.exists():
                assert not folder.exists(), f"{folder} could not be made; another test's failure says why"
                folder.mkdir()
                assert make(folder) in (None, 0)
                whole.touch()
        return folder

    return made


@pytest.fixture(scope="session")
def lite0(once):
    """File with the packaged ImageNet weights of tf_efficientnet_lite0."""
    from ganaug.files import write_tensors
    from ganaug.weights import Settings, weights

    def make(folder):
        tensors = weights(Settings("tf_efficientnet_lite0", "package", None))
        write_tensors(folder / "lite0.safetensors", tensors)

    return once("weights", make) / "lite0.safetensors"


@pytest.fixture(scope="session")
def finished(once):
    """Folder of the finished miniature on phantoms (helpers/miniature.py)."""
    from helpers.miniature import draw_phantoms, make_miniature

    return once("miniature", lambda folder: make_miniature(folder, draw_phantoms))


@pytest.fixture(scope="session")
def miniature(finished, tmp_path_factory):
    """This process's own copy of `finished`, in which Snakemake may look and leave its notes."""
    return shutil.copytree(finished, tmp_path_factory.mktemp("copy") / "miniature")


@pytest.fixture(scope="session")
def undisturbed(once):
    """Folder of the finished small study (helpers/tiny.py), made without a fault."""
    return once("undisturbed", make_small)


@pytest.fixture
def begun(once, tmp_path):
    """A folder in which the small study's data and subsets have been made. A test may change it."""
    return shutil.copytree(
        once("begun", lambda folder: make_small(folder, "--until", "check_leaks")), tmp_path / "begun"
    )


def make_small(folder: Path, *arguments) -> None:
    from helpers.running import run
    from helpers.tiny import STUDY

    run(folder, STUDY, *arguments)


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
    """A test that hangs fails by an alarm that it sets; it has 1.5 GB on top of what the process has."""
    had = psutil.Process().memory_info().vms
    limits = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (had + 1_500_000_000, limits[1]))
    previous = signal.signal(signal.SIGALRM, lambda *_: pytest.fail("it hangs"))
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, previous)
    resource.setrlimit(resource.RLIMIT_AS, limits)

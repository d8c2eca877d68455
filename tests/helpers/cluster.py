"""A real SLURM of virtual nodes on this machine: a controller, and a daemon a node. It takes root and Debian."""

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import psutil

from helpers import waiting
from helpers.running import ROOT

until = partial(waiting.until, pause=1)  # each look at SLURM starts a process
SETTINGS = ROOT / "tests" / "cluster"
PLACE = Path("/etc/slurm")  # not elsewhere: a job's Snakemake drops SLURM_CONF
CONFIGS = [PLACE / "slurm.conf", PLACE / "gres.conf"]
NAME = "ganaug-tests"
NODES = ("c1", "c2", "g1", "f1")
PACKAGES = ["slurm-wlm", "slurm-wlm-basic-plugins", "munge"]
MARK = "GANAUG_TEST_PROCESS"  # in the environment of daemons, drivers and their jobs


def why_none() -> str:
    """Why there can be no cluster here; empty where there can. Installs what it takes."""
    if "PYTEST_XDIST_WORKER" in os.environ:
        return "SLURM's tests run in one process: `pytest -m slurm`"
    if CONFIGS[0].exists() and f"ClusterName={NAME}\n" not in CONFIGS[0].read_text():
        return f"this machine is of another SLURM cluster, whose {CONFIGS[0]} would be lost"
    if os.geteuid() or not install():
        return "SLURM is not here and can't be installed: it takes root and apt-get with Debian's packages"
    return ""


def install() -> bool:
    """Install SLURM where it is missing; whether it is here then."""
    if shutil.which("sbatch") and shutil.which("munged"):
        return True
    if not shutil.which("apt-get"):
        return False
    apt = ["apt-get", "-o", "DPkg::Lock::Timeout=300", "-qq"]
    quiet = {"capture_output": True, "env": os.environ | {"DEBIAN_FRONTEND": "noninteractive"}}
    steps = (["update"], ["install", "-y", "--no-install-recommends", *PACKAGES])
    return all(subprocess.run([*apt, *step], **quiet).returncode == 0 for step in steps)


def succeeds(*command) -> bool:
    return subprocess.run(command, capture_output=True).returncode == 0


def told(*command) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def marked(name: str) -> dict[str, str]:
    """The environment of a process that is to end with the cluster."""
    return os.environ | {MARK: name}


class Cluster:
    """folder: for what the daemons keep and log."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.daemons: dict[str, subprocess.Popen] = {}

    def start(self) -> None:
        PLACE.mkdir(exist_ok=True)
        for path in CONFIGS:
            text = (SETTINGS / path.name).read_text()
            path.write_text(text.format(name=NAME, host=socket.gethostname().partition(".")[0], folder=self.folder))
        if not succeeds("munge", "-n"):
            subprocess.run(["install", "-d", "-o", "munge", "-g", "munge", "/run/munge"], check=True)
            begin = ["runuser", "-u", "munge", "--", "munged", "--foreground"]
            self._begin("munge", begin, lambda: succeeds("munge", "-n"))
        self.start_controller()
        for node in NODES:
            self.boot(node)

    def stop(self) -> None:
        kill(lambda environment: MARK in environment)
        for path in CONFIGS:  # else each start of Snakemake would wait for the controller
            path.unlink(missing_ok=True)

    def start_controller(self) -> None:
        (self.folder / "controller").mkdir(exist_ok=True)
        self._begin("controller", ["slurmctld", "-D"], lambda: succeeds("scontrol", "ping"))

    def end_controller(self) -> None:
        self.daemons["controller"].terminate()
        self.daemons["controller"].wait()

    def boot(self, node: str) -> None:
        """Its daemon starts, knows of no earlier job, and hears of what the controller wanted ended meanwhile.

        A job that began before that would be ended, too: SLURM itself lets it wait for two minutes.
        """
        shutil.rmtree(self.folder / node, ignore_errors=True)
        (self.folder / node).mkdir()
        state = ["sinfo", "--noheader", "--nodes", node, "--format", "%t"]
        self._begin(node, ["slurmd", "-D", "-N", node], lambda: told(*state).strip() in ("idle", "mix", "alloc"))
        until(lambda: set(re.findall(r"Agent (?:queue size|count):\s+(\d+)", told("sdiag"))) == {"0"})

    def cut_power(self, node: str) -> None:
        """All its processes end at once."""
        kill(lambda environment: node in (environment.get(MARK), environment.get("SLURMD_NODENAME")))
        self.daemons[node].wait()

    def _begin(self, name: str, command: list[str], ready) -> None:
        with open(self.folder / f"{name}.log", "a") as log:
            daemon = subprocess.Popen(
                command,
                cwd=self.folder,
                stdout=log,
                stderr=log,
                env=marked(name),
                start_new_session=True,  # Ctrl-C is not for it
            )
        self.daemons[name] = daemon
        until(lambda: daemon.poll() is not None or ready(), pause=0.1)
        assert daemon.poll() is None, (self.folder / f"{name}.log").read_text()


def kill(chosen) -> None:
    """Ends all processes whose environment is chosen, and with jobs SLURM's own process for each, which hides its own.

    They stand still first, so that none reports another's end.
    """
    for number in (signal.SIGSTOP, signal.SIGKILL):
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if chosen(process.environ()):
                    keepers = [parent for parent in process.parents() if parent.name() == "slurmstepd"]
                    for each in [*keepers, process]:
                        each.send_signal(number)


@contextlib.contextmanager
def running(folder: Path) -> Iterator[Cluster]:
    cluster = Cluster(folder)
    cluster.stop()  # what a killed run has left
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()

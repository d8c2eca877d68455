"""The oldest releases of Snakemake and of the SLURM plugin that the project names plan what the pinned ones plan."""

import os
import re
import subprocess
import sys

import pytest

from helpers.running import ROOT, dry_run, planned, planned_jobs

pytestmark = pytest.mark.slow
OLDEST = ROOT / "envs" / "requirements-oldest.txt"
PINS = dict(re.findall(r"^(\S+)==(\S+) \\$", OLDEST.read_text(), flags=re.MULTILINE))
UNREACHABLE = re.compile(
    r"No matching distribution|Could not find a version|Connection|Max retries|timed out", re.IGNORECASE
)
VERSIONS = "import importlib.metadata as m, sys; print(*map(m.version, sys.argv[1:]))"


@pytest.fixture(scope="session")
def oldest(once):
    """Environment variables with which Python finds the oldest releases first, and the pinned packages beside them."""

    def install(folder):
        command = [sys.executable, "-m", "pip", "install", "--no-deps", "--require-hashes", "--no-compile"]
        command += ["--retries", "1", "--timeout", "20", "--target", str(folder / "packages"), "-r", str(OLDEST)]
        done = subprocess.run(command, capture_output=True, text=True)
        (folder / "status").write_text(str(done.returncode))
        (folder / "told").write_text(done.stdout + done.stderr)

    folder = once("oldest", install)
    told = (folder / "told").read_text()
    if (folder / "status").read_text() != "0":
        if UNREACHABLE.search(told):
            pytest.skip(f"pip can't install the oldest releases here: {told.strip().splitlines()[-1]}")
        pytest.fail(told)
    return os.environ | {"PYTHONPATH": str(folder / "packages")}


def test_the_oldest_releases_are_those_that_are_tried(oldest):
    versions = subprocess.run([sys.executable, "-c", VERSIONS, *PINS], env=oldest, capture_output=True, text=True)
    assert versions.stdout.split() == list(PINS.values())


@pytest.mark.parametrize("how", [["--cores", "2"], ["--workflow-profile", ROOT / "profiles" / "slurm"]])
def test_the_oldest_releases_plan_the_jobs_that_the_pinned_ones_plan(oldest, tmp_path, how):
    """Of the quickstart."""
    for name in ("pinned", "oldest"):
        (tmp_path / name).mkdir()
    pinned = dry_run(tmp_path / "pinned", *how)
    old = [sys.executable, "-m", "snakemake", "--snakefile", ROOT / "Snakefile", "-n", *how]
    old = subprocess.run(old, cwd=tmp_path / "oldest", env=oldest, capture_output=True, text=True)
    assert old.returncode == 0, old.stderr
    output = old.stdout + old.stderr
    assert planned(output) == planned(pinned) != {}
    assert planned_jobs(output) == planned_jobs(pinned)

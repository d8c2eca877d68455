"""Run Snakemake on this checkout, for the tests of the workflow."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
CLASSES = ["COVID", "Lung_Opacity", "Normal", "Viral Pneumonia"]


def snakemake(folder: Path, *arguments, fails=False, checkout: Path = ROOT):
    """Run Snakemake on a checkout's workflow, this one's by default, with `folder` as the working directory."""
    command = [sys.executable, "-m", "snakemake", "--snakefile", checkout / "Snakefile", "--directory", folder]
    command += arguments
    done = subprocess.run(list(map(str, command)), cwd=folder, capture_output=True, text=True, timeout=3000)
    assert (done.returncode != 0) == fails, done.stdout + done.stderr
    return done.stdout + done.stderr


def planned(output: str) -> dict[str, int]:
    """Jobs per rule, from the table of a dry run; empty where there is nothing to do."""
    table = re.search(r"^job +count\n-[- ]+\n(.*?)^total +(\d+)", output, flags=re.MULTILINE | re.DOTALL)
    if table is None:
        assert "Nothing to be done" in output, output
        return {}
    jobs = {name: int(count) for name, count in re.findall(r"^(\w+) +(\d+)$", table[1], flags=re.MULTILINE)}
    assert sum(jobs.values()) == int(table[2])
    return jobs


def planned_jobs(output: str) -> set[tuple[str, tuple[str, ...]]]:
    """(rule, its wildcards as `name=value`, sorted) of every job of a dry run but `all`."""
    assert planned(output) or "Nothing to be done" in output
    jobs = set()
    for rule, block in re.findall(r"^(?:local)?rule (\w+):\n((?:    .*\n)*)", output, flags=re.MULTILINE):
        found = re.search(r"^    wildcards: (.*)$", block, flags=re.MULTILINE)
        jobs.add((rule, tuple(sorted(found[1].split(", "))) if found else ()))
    return {job for job in jobs if job[0] != "all"}

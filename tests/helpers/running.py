"""Run Snakemake on this checkout, for the tests of the workflow."""

import logging
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import yaml

from helpers.forks import end, fork, redirect

ROOT = Path(__file__).parents[2]
CLASSES = ["COVID", "Lung_Opacity", "Normal", "Viral Pneumonia"]


def arguments_of(folder: Path, arguments, checkout: Path = ROOT) -> list[str]:
    return list(map(str, ["--snakefile", checkout / "Snakefile", "--directory", folder, *arguments]))


def run(folder: Path, study: dict, *arguments) -> str:
    """Snakemake on a study, which is written to the folder."""
    (folder / "study.yaml").write_text(yaml.safe_dump(study))
    return snakemake(folder, "--cores", "2", "--configfile", "study.yaml", *arguments)


def snakemake(folder: Path, *arguments, fails=False) -> str:
    """Run Snakemake on this checkout's workflow, with `folder` as the working directory."""
    command = [sys.executable, "-m", "snakemake", *arguments_of(folder, arguments)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=3000)
    assert (done.returncode != 0) == fails, done.stdout + done.stderr
    return done.stdout + done.stderr


def dry_run(folder: Path, *arguments, fails=False, study: dict | None = None, checkout: Path = ROOT) -> str:
    """`snakemake -n`, by `look`. study: the settings, written to a file apart from the folder."""
    if "--workflow-profile" not in arguments:
        arguments = ("--cores", "2", *arguments)
    with tempfile.TemporaryDirectory() as apart:
        if study is not None:
            Path(apart, "study.yaml").write_text(yaml.safe_dump(study))
            arguments = ("--configfile", f"{apart}/study.yaml", *arguments)
        return look(folder, "-n", *arguments, fails=fails, checkout=checkout)


def look(folder: Path, *arguments, fails=False, checkout: Path = ROOT) -> str:
    """Run a Snakemake that only looks, in a fork of this process: it is imported once, and not once for each run.

    Coverage does not measure the run: a measured run takes twice as long, and most of its lines are Snakemake's.
    """
    from coverage import Coverage
    from snakemake.cli import main

    with tempfile.TemporaryDirectory() as apart:

        def run() -> int:
            if counted := Coverage.current():
                counted.stop()
            redirect(Path(apart, "output"))
            tempfile.tempdir = apart
            logging.root.handlers.clear()  # what stages that ran before have set up
            os.chdir(folder)
            for name in [name for name in sys.modules if name.split(".")[0] == "ganaug"]:
                del sys.modules[name]  # the checkout's own is imported
            sys.argv = ["snakemake", *arguments_of(folder, arguments, checkout)]
            try:
                main(sys.argv[1:])
            except SystemExit as ended:
                return int(ended.code or 0)
            finally:
                sys.stdout.flush()
                sys.stderr.flush()
            return 0

        status, output = end(fork(run)), Path(apart, "output").read_text()
    assert (status != 0) == fails, output
    return output


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

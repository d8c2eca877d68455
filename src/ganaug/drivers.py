"""Drivers: the Snakemake processes that plan a study and start its jobs. Each writes itself down in a file.

workflow/rules/driver.smk writes the files; what looks at a study from outside reads them.
"""

import time
from pathlib import Path

import psutil

from ganaug import attempts
from ganaug.files import read_json

DRIVERS = Path(".snakemake", "drivers")  # a file per living process: its host, number and start, touched every minute
SILENT = 5 * attempts.BEAT_SECONDS  # after which a driver on another host, whose process can't be seen, counts as dead


def started(pid: int) -> float | None:
    """When a process of this machine began, Unix time; None where there is none."""
    try:
        return psutil.Process(pid).create_time()
    except psutil.Error:
        return None


def same_start(a: float | None, b: float | None) -> bool:
    """Whether two times are of one process: the system reckons them from its clock, which may have been set."""
    return a is not None and b is not None and abs(a - b) < 2


def record(path: Path) -> dict:
    """What a file in DRIVERS says: host, pid, started, study (a digest of what decides the results), and once its
    driver is at work runs (the study's results) and executor. Empty where it is torn, or gone."""
    try:
        return read_json(path)
    except (OSError, ValueError):
        return {}


def lives(path: Path) -> bool:
    """Whether the process that a file in DRIVERS stands for is alive."""
    other = record(path)
    if not other:
        return False
    if other["host"] != attempts.here():
        return path.exists() and time.time() - path.stat().st_mtime < SILENT
    return same_start(started(other["pid"]), other["started"])


def of_results(results: Path) -> Path | None:
    """The file of a driver at work on these results, a living one first; None where there is none."""
    ours = [path for path in sorted(DRIVERS.glob("*.json")) if record(path).get("runs") == str(results)]
    return max(ours, key=lives, default=None)

"""Wait until a condition holds. The deadline only ends a hang; no test's verdict depends on it."""

import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path


def until(condition: Callable, process: int | subprocess.Popen | None = None, pause: float = 0.005):
    """Call the condition every `pause` seconds until its value is true; return the value.

    process: a Popen, or the id of a fork. The wait fails if the process ends first.
    """
    deadline = time.monotonic() + 1500
    while True:
        alive = process is None or lives(process)
        if value := condition():
            return value
        assert alive, "the process ended first"
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(pause)


def lives(process: int | subprocess.Popen) -> bool:
    """Whether a child of this process still runs."""
    return os.waitpid(process, os.WNOHANG) == (0, 0) if isinstance(process, int) else process.poll() is None


def says(log: Path, text: str) -> Callable[[], bool]:
    """A condition: the log holds the text."""
    return lambda: log.is_file() and text in log.read_text()

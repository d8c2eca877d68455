"""Wait for what another process brings about. No deadline decides a test; it only ends a hang."""

import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

Value = TypeVar("Value")


def until(true: Callable[[], Value], process: int | subprocess.Popen | None = None, pause: float = 0.005) -> Value:
    """Wait for something true, look every so many seconds, and return it.

    process: a child, or the id of a forked one, which must not end meanwhile.
    """
    deadline = time.monotonic() + 1500
    while not (value := true()):
        assert process is None or lives(process), "the process has ended"
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(pause)
    return value


def lives(process: int | subprocess.Popen) -> bool:
    return os.waitpid(process, os.WNOHANG) == (0, 0) if isinstance(process, int) else process.poll() is None


def says(log: Path, text: str) -> Callable[[], bool]:
    """Whether a log holds a text."""
    return lambda: log.is_file() and text in log.read_text()

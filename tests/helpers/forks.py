"""Processes forked from this one, which has imported already what they need: to be killed, stopped or bounded."""

import os
import resource
import signal
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path

import psutil

from ganaug.cli import main


def stage_command(stage: str, options: dict[str, object]) -> list[str]:
    """The arguments that run a stage with these options."""
    return [stage, *(str(part) for name, value in options.items() for part in (f"--{name}", value))]


def start(command: list[str], memory: int | None = None) -> int:
    """A stage in a process of its own; returns the process's id. memory: bytes that it may have beside this one's."""

    def run() -> int:
        if memory:
            now = psutil.Process().memory_info().vms
            resource.setrlimit(resource.RLIMIT_AS, (now + memory, now + memory))
        return main(command)

    return fork(run)


def fork(run: Callable[[], int]) -> int:
    """Run a function in a child, which ends with the status that it returns; returns the child's id."""
    child = os.fork()
    if child:
        return child
    status = 70
    try:
        status = run()
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
    finally:
        os._exit(status)


def end(child: int, number: int | None = None) -> int:
    """Its exit status, after a signal where one is named; negative where it was the signal's.

    One that hangs is killed in the end.
    """
    if number:
        os.kill(child, number)
    deadline = time.monotonic() + 1500
    while (ended := os.waitpid(child, os.WNOHANG)) == (0, 0):
        if time.monotonic() > deadline:
            os.kill(child, signal.SIGKILL)
        time.sleep(0.002)
    return os.waitstatus_to_exitcode(ended[1])


def redirect(output: Path) -> None:
    """Send all that this process says to a file."""
    sys.stdout.flush()
    file = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(file, 1)
    os.dup2(file, 2)
    sys.stdout, sys.stderr = open(1, "w", closefd=False), open(2, "w", closefd=False)  # noqa: SIM115

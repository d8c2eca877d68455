"""The attempts at a job: when each began and how it ended, as JSON lines beside the job's log.

A provenance knows the attempt that made the output. A training that time slots or a power cut have cut into pieces has
taken more, and a job that fails has no provenance at all. So each attempt writes a line when it begins and another when
it ends, by success, error or SIGTERM, and touches the file every minute meanwhile. One that is killed outright leaves
the first line alone, and has lasted until the last touch; the next attempt writes that down. (The log does not tell:
Snakemake deletes it before the next attempt.)
"""

import contextlib
import dataclasses
import json
import os
import platform
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

DONE, FAILED, STOPPED, LOST = "done", "failed", "stopped", "lost"
BEAT_SECONDS = 60  # between touches


@dataclass(frozen=True)
class Attempt:
    """started: Unix time. host, pid: of its process; slurm_job: its number there, or None. processes: that share the
    job, one per GPU if it has any. outcome: None where it has not written its end. seconds, cpu_seconds, device (a
    GPU's name or `cpu`): as far as known. heard: Unix time of its last touch or line; of the last attempt alone."""

    started: float
    host: str
    pid: int
    slurm_job: str | None
    processes: int
    outcome: str | None = None
    seconds: float | None = None
    cpu_seconds: float | None = None
    device: str | None = None
    heard: float | None = None

    @property
    def lasted(self) -> float:
        """Seconds, ended or not."""
        if self.seconds is not None:
            return self.seconds
        return round(max(0.0, (self.heard or self.started) - self.started), 3)


def beside(log: Path) -> Path:
    return log.with_suffix(".attempts.jsonl")


def read(log: Path) -> list[Attempt]:
    """The attempts at the job of a log, oldest first; none where there is no record. Torn lines are passed over."""
    found: list[Attempt] = []
    try:
        lines = beside(log).read_text(encoding="utf-8", errors="replace").splitlines()
        heard = beside(log).stat().st_mtime
    except FileNotFoundError:
        return []
    for line in lines:
        with contextlib.suppress(ValueError, TypeError):
            entry = json.loads(line)
            if "outcome" not in entry:
                found.append(Attempt(**entry))
            elif found:
                found[-1] = dataclasses.replace(found[-1], **entry)
    return [*found[:-1], *(dataclasses.replace(last, heard=heard) for last in found[-1:])]


def lacking(log: Path, count: int) -> int:
    """How many of the last attempts at a job may have lacked memory: those that failed, or were killed outright.

    One that a signal has ended lacked nothing (a time limit, a cancelled job); nor has one without a record, which its
    signal reached before the stage began.

    count: of attempts that have failed in their scheduler's eyes.
    """
    return sum(attempt.outcome in (FAILED, LOST, None) for attempt in read(log)[-count:]) if count else 0


@contextlib.contextmanager
def recorded(log: Path | None) -> Iterator["_Ending"]:
    """Context that records an attempt; yields an object whose `outcome` is to be set: `failed` unless told.

    In it SIGTERM raises KeyboardInterrupt, as Ctrl-C does, so that a job which a scheduler ends says so in its log and
    leaves nothing half-written. Without a log there is nothing to lie beside, and nothing is recorded.
    """
    if log is None:
        yield _Ending()
        return
    started, ending = time.time(), _Ending()
    earlier = read(log)
    begun = {"started": started, "host": here(), "pid": os.getpid()}
    begun |= {"slurm_job": os.environ.get("SLURM_JOB_ID"), "processes": int(os.environ.get("WORLD_SIZE", 1))}
    with contextlib.suppress(
        OSError
    ):  # a full disk must not end what may need no more of it; the log is there to say so
        if earlier and earlier[-1].outcome is None:
            _append(log, {"outcome": LOST, "seconds": earlier[-1].lasted})
        _append(log, begun)
    try:
        with _touching(beside(log)), _sigterm_raises():
            yield ending
    except KeyboardInterrupt:
        ending.outcome = STOPPED
        raise
    finally:
        from ganaug.provenance import cpu_seconds, device_used

        taken = {"seconds": round(time.time() - started, 3), "cpu_seconds": cpu_seconds(), "device": device_used()}
        with contextlib.suppress(OSError):  # a full disk must not turn what is done into a failure
            _append(log, {"outcome": ending.outcome, **taken})


def here() -> str:
    """This machine."""
    return platform.node()


class _Ending:
    outcome = FAILED


def _append(log: Path, entry: dict) -> None:
    path = beside(log)
    path.parent.mkdir(parents=True, exist_ok=True)
    before = path.read_bytes() if path.is_file() else b""
    torn = before and not before.endswith(b"\n")  # half a line that a power cut has left
    with open(path, "a", encoding="utf-8") as file:
        file.write(("\n" if torn else "") + json.dumps(entry) + "\n")


@contextlib.contextmanager
def _touching(path: Path) -> Iterator[None]:
    over = threading.Event()

    def touch() -> None:
        while not over.wait(BEAT_SECONDS):
            with contextlib.suppress(OSError):
                now = time.time()  # of this machine, as `started` is; a file server's clock may differ
                os.utime(path, (now, now))

    threading.Thread(target=touch, daemon=True).start()
    try:
        yield
    finally:
        over.set()


@contextlib.contextmanager
def _sigterm_raises() -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():  # signals are the main thread's
        yield
        return

    def stop(*_: object) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # once is enough: what follows is tidying up
        raise KeyboardInterrupt("ended by SIGTERM: a time limit, a cancelled job or a node going down")

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)

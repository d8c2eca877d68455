"""Drivers: the Snakemake processes that plan a study and start its jobs.

A driver holds a lock of the kernel on its study's file in DRIVERS, and a line of the file says who the driver is. The
kernel lets the lock go when the driver ends, whatever ends the driver. So a line whose lock is free is of a driver that
has died. `Driver`, which workflow/rules/driver.smk creates, writes the file; `ganaug status`, `leftovers` and
`report` read the file.
"""

import contextlib
import fcntl
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from ganaug.attempts import here
from ganaug.errors import UserError
from ganaug.files import disk_errors_explained, read_json

DRIVERS = Path(".snakemake", "drivers")  # a file per study
PATIENCE = 2.0  # seconds: who only looks whether a lock is free holds the lock for an instant
KEYS = {"host", "pid", "started", "runs", "study", "executor"}


def file_of(results: Path | str) -> Path:
    """The file of the drivers of some results."""
    return DRIVERS / f"{Path(results).name}.jsonl"


def records(results: Path | str) -> list[dict]:
    """The drivers that are at work on some results, or have died at work; at most the last one lives.

    Of each host, pid, started (Unix time), runs (the results), study (a digest of what decides the results) and
    executor. Torn lines are passed over.
    """
    found = []
    with contextlib.suppress(FileNotFoundError):
        for line in file_of(results).read_bytes().splitlines():
            with contextlib.suppress(ValueError):
                entry = json.loads(line)
                if isinstance(entry, dict) and entry.keys() >= KEYS:
                    found.append(entry)
    return found


def lives(results: Path | str) -> bool:
    """Whether a driver is at work on some results, as far as that can be known from here."""
    return _is_locked(file_of(results))


def of_results(results: Path) -> Path | None:
    """The file of a driver that is at work on some results, or has died at work; None where there is none."""
    return file_of(results) if records(results) else None


class Driver:
    """This process as the driver of a study, until the process ends.

    Attributes:
        record: what the file says of this process, as of `records`.
        dead: records of the drivers that have died and left jobs which nobody has settled yet.
    """

    def __init__(self, results: Path | str, study: str, executor: str) -> None:
        """Takes the study's lock.

        Raises UserError where another driver holds the lock, where the file can't be written, and where the file system
        has no locks.
        """
        self.path = file_of(results)
        _refuse_older(str(results))
        with disk_errors_explained(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = os.fdopen(os.open(self.path, os.O_RDWR | os.O_CREAT, 0o666), "r+b")
            if not self._locks_within(PATIENCE):
                self._file.close()
                holder = "".join(f", by process {told['pid']} on {told['host']}" for told in records(results)[-1:])
                raise UserError(f"{results} is being made already{holder}; wait for that process, or end it")
            self.dead = records(results)
            self.record = {"host": here(), "pid": os.getpid(), "started": time.time(), "runs": str(results)}
            self.record |= {"study": study, "executor": executor}
            self._own_line_at = self._file.seek(0, os.SEEK_END)
            self._file.write(b"\n" + self._line())  # the last driver's line may be torn
            self._file.flush()
            os.fsync(self._file.fileno())

    def _locks_within(self, seconds: float) -> bool:
        end = time.monotonic() + seconds
        try:
            while not _locks(self._file, fcntl.LOCK_EX):
                if time.monotonic() > end:
                    return False
                time.sleep(0.05)
        except OSError as error:
            raise UserError(
                f"the file system of {self.path.parent} has no locks ({error.strerror}), and two drivers could spoil "
                "each other's results; have the file system mounted with locks, or work in another folder (snakemake "
                "--directory)"
            ) from None
        return True

    def _line(self) -> bytes:
        return json.dumps(self.record).encode() + b"\n"

    def settled(self) -> None:
        """Strikes the dead drivers off, once what they have left is settled."""
        with disk_errors_explained(self.path):
            self._file.seek(0)
            self._file.write(self._line())
            self._file.truncate()  # after the line of this process, which is there then whatever happens
        self.dead, self._own_line_at = [], 0

    def leave(self) -> None:
        """Strikes this driver off. The process keeps the lock until its end."""
        self._file.truncate(self._own_line_at)

    def beside(self) -> bool:
        """Whether a driver of another study is at work in this folder."""
        return any(_is_locked(path) for path in DRIVERS.glob("*.jsonl") if path != self.path)


@contextlib.contextmanager
def locked(results: Path | str) -> Iterator[None]:
    """Context with a study's lock, for a process that writes results and is no driver.

    Raises UserError where another process holds the lock.
    """
    file = file_of(results)
    with disk_errors_explained(file):
        file.parent.mkdir(parents=True, exist_ok=True)
        with open(file, "ab") as held:
            if not _locks(held, fcntl.LOCK_EX):
                raise UserError(f"{results} is being made at this moment; wait for the end of that process")
            yield


def _refuse_older(results: str) -> None:
    """Raises UserError where a driver of ganaug 0.1, which knew no lock, has left its record."""
    for path in DRIVERS.glob("*.json"):
        with contextlib.suppress(OSError, ValueError):
            older = read_json(path)
            if older.get("runs") == results:
                raise UserError(
                    f"{path} is of a driver that runs an older ganaug, process {older['pid']} on {older['host']}; end "
                    "that process and its jobs where they still run, then delete the file"
                )


def _is_locked(path: Path) -> bool:
    """Whether another holds the lock, as far as that can be known from here."""
    try:
        with open(path, "rb") as file:
            return not _locks(file, fcntl.LOCK_SH)
    except OSError:  # no file, or a file system mounted here without locks
        return False


def _locks(file: IO[bytes], kind: int) -> bool:
    """Whether the lock could be taken."""
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True

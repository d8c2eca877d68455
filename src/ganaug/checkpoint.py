"""Checkpoints that survive a kill at any moment, and can't be resumed under other settings."""

import contextlib
import hashlib
import json
import logging
import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import IO, cast

import torch

from ganaug.errors import DiskFull, Interrupted, NotFinite, UserError, out_of_memory
from ganaug.files import PythonFile, remove_leftovers, sha256_of, write_text, written_whole

log = logging.getLogger("ganaug")
SHARE = 0.02  # of a training's time that saving may take


def checkpoint_key(identity: dict, sources: Iterable[Path]) -> str:
    """Name of the folder for checkpoints of one training.

    identity: JSON-serialisable, with all that decides the content at a given position. sources: the files of code that
    do. PyTorch's version is added, since it does too.
    """
    code = {p.name: sha256_of(p) for p in sorted(sources)}
    text = json.dumps([identity, code, torch.__version__], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


class Checkpoints:
    """Checkpoints of one training in one folder, named by position (images or steps done). The newest two are kept.

    Each `<position>.pt` has its SHA-256 beside it. Files beyond a training's end stay untouched: they belong to a
    longer run of the same training.
    """

    def __init__(self, folder: Path):
        self.folder = folder

    def save(self, position: int, state: dict) -> None:
        """state: nested dicts and lists of tensors and plain values, so that `weights_only` loading takes it.

        The checksum comes first, so that a file that has its name has its checksum too. A whole file of this position
        is left alone: it holds the same, and between two renames a new checksum would stand beside an old file.
        """
        path = self.folder / f"{position:012d}.pt"
        if not _whole(path):
            with written_whole(path) as temporary:
                with open(temporary, "wb") as file:
                    hashed = PythonFile(file)
                    torch.save(state, cast("IO[bytes]", hashed))  # which asks for `write` and `flush` alone
                write_text(_digest(path), hashed.hash.hexdigest() + "\n")
        for old in [p for p in self._paths() if p.name < path.name][:-1]:
            old.unlink(missing_ok=True)
            _digest(old).unlink(missing_ok=True)

    def try_to_save(self, position: int, state: dict) -> None:
        """Saves; where the disk has no room, the training goes on with its older checkpoints."""
        try:
            self.save(position, state)
        except (DiskFull, OSError) as error:
            log.warning("no checkpoint this time, the training goes on: %s (%s)", error, self.last_good())

    def load_newest(self, furthest: int) -> dict | None:
        """The newest whole checkpoint of at most this position, on the CPU; broken ones are passed over and logged."""
        if self.folder.is_dir():
            remove_leftovers(self.folder)
        for path in reversed([p for p in self._paths() if int(p.stem) <= furthest]):
            why = "is broken"
            with contextlib.suppress(FileNotFoundError):
                try:
                    if _whole(path):
                        return torch.load(path, map_location="cpu", weights_only=True)
                except Exception as error:  # whatever PyTorch says of a file that is none of its own
                    if isinstance(error, FileNotFoundError) or out_of_memory(error):
                        raise
                    why = f"can't be read ({type(error).__name__})"
            log.warning("checkpoint %s %s; going back to the one before", path, why)
            with contextlib.suppress(OSError):
                path.rename(path.with_suffix(".broken"))  # so that it does not count as one of the two that are kept
        return None

    def last_good(self) -> str:
        """The newest checkpoint, in words."""
        paths = self._paths()
        return f"the last good checkpoint is {paths[-1]}" if paths else "there is no checkpoint yet"

    def stop(self, where: str, position: int, state: dict | None) -> Interrupted:
        """Saves, and returns the error with which a training ends that a signal has stopped.

        where: in words, as in "GAN training stopped by a signal at 3 kimg". state: None where another process saves it.
        """
        try:
            if state is not None:
                self.save(position, state)
        except (UserError, OSError) as error:
            return Interrupted(f"{where}, and its state could not be saved: {error}; {self.last_good()}")
        return Interrupted(f"{where}; its state is in {self.folder}, the same command goes on from there")

    @contextlib.contextmanager
    def named_where_numbers_are_lost(self) -> Iterator[None]:
        """Context in which NotFinite says which checkpoint the training can still go back to."""
        try:
            yield
        except NotFinite as error:
            raise NotFinite(f"{error}; {self.last_good()}") from error

    def delete(self) -> None:
        """For a training that has ended, whose checkpoints are of no further use."""
        shutil.rmtree(self.folder, ignore_errors=True)
        with contextlib.suppress(OSError):  # those of other settings may be there
            self.folder.parent.rmdir()

    def others(self) -> int:
        """How many trainings have checkpoints beside these, of other settings or another version of the code."""
        return sum(p != self.folder and any(p.glob("*.pt")) for p in self.folder.parent.glob("*"))

    def _paths(self) -> list[Path]:
        return sorted(p for p in self.folder.glob("*.pt") if p.stem.isdigit())


class Timer:
    """When the next checkpoint is due: so many seconds after the last, and so late that saving takes 2 % at most.

    0 seconds: always.
    """

    def __init__(self, seconds: float):
        self.seconds, self.next = seconds, time.monotonic() + seconds

    def due(self) -> bool:
        return time.monotonic() >= self.next

    def call(self, save: Callable[[], None]) -> None:
        start = time.monotonic()
        save()
        now = time.monotonic()
        self.next = now + (max(self.seconds, (now - start) / SHARE) if self.seconds else 0)


def _digest(path: Path) -> Path:
    return path.with_suffix(".pt.sha256")


def _whole(path: Path) -> bool:
    """Whether the file is there, and is what its checksum says."""
    digest = _digest(path)
    return path.is_file() and digest.is_file() and digest.read_text(errors="replace").strip() == sha256_of(path)

"""Checkpoints that survive a kill at any moment, and can't be resumed under other settings."""

import contextlib
import hashlib
import json
import logging
from pathlib import Path

import torch

from ganaug.files import sha256_of, write_text, written_whole

log = logging.getLogger("ganaug")
HERE = Path(__file__).parent
SOURCES = {*HERE.glob("*.py"), HERE.parent / "seeding.py"} - {HERE / "sampling.py", HERE / "official.py"}


def checkpoint_key(identity: dict) -> str:
    """Name of the folder for checkpoints of one training.

    identity: JSON-serialisable, with all that decides the content at a given number of images. The sources of the
    training and PyTorch's version are added, since they do too.
    """
    sources = {p.name: sha256_of(p) for p in sorted(SOURCES)}
    text = json.dumps([identity, sources, torch.__version__], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


class Checkpoints:
    """Checkpoints in one folder, named by the number of images seen. The newest two are kept.

    Each `<images>.pt` has its SHA-256 beside it. Files with more images than a training will see stay untouched: they
    belong to a longer run of the same training.
    """

    def __init__(self, folder: Path):
        self.folder = folder

    def save(self, images_seen: int, state: dict) -> None:
        """state: nested dicts and lists of tensors and plain values, so that `weights_only` loading takes it."""
        path = self.folder / f"{images_seen:012d}.pt"
        with written_whole(path) as temporary:
            torch.save(state, temporary)
            write_text(_digest(path), sha256_of(temporary) + "\n")
        for old in [p for p in self._paths() if p.name < path.name][:-1]:
            old.unlink()
            _digest(old).unlink(missing_ok=True)

    def load_newest(self, most_images: int) -> dict | None:
        """The newest whole checkpoint of at most `most_images`, on the CPU; broken ones are passed over and logged."""
        for unfinished in self.folder.glob(".*.pt"):  # a kill while writing left it
            unfinished.unlink(missing_ok=True)  # another process of the same training may have been quicker
        for path in reversed([p for p in self._paths() if int(p.stem) <= most_images]):
            with contextlib.suppress(FileNotFoundError):
                if _digest(path).read_text().strip() == sha256_of(path):
                    return torch.load(path, map_location="cpu", weights_only=True)
            log.warning("checkpoint %s is broken; going back to the one before", path)
            with contextlib.suppress(FileNotFoundError):
                path.rename(path.with_suffix(".broken"))  # so that it does not count as one of the two that are kept
        return None

    def others(self) -> int:
        """How many trainings have checkpoints beside these, of other settings or another version of the code."""
        return sum(p != self.folder and any(p.glob("*.pt")) for p in self.folder.parent.glob("*"))

    def _paths(self) -> list[Path]:
        return sorted(p for p in self.folder.glob("*.pt") if p.stem.isdigit())


def _digest(path: Path) -> Path:
    return path.with_suffix(".pt.sha256")

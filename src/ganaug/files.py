"""Outputs are written whole or not at all: to a temporary name beside the target, then renamed."""

import contextlib
import csv
import errno
import hashlib
import json
import logging
import os
import platform
import re
import shutil
import tempfile
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from ganaug.errors import DiskFull, UserError

HOST = re.sub(r"\W", "-", platform.node())
TEMPORARY = re.compile(r"\.(?P<stem>.+)\.(?P<host>[\w-]*)-(?P<pid>\d+)(?P<suffix>\.[^.]*)?")
ABANDONED = 86400  # seconds after which another machine's temporary file belongs to no living process

log = logging.getLogger("ganaug")

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd


@contextlib.contextmanager
def written_whole(path: Path | str) -> Iterator[Path]:
    """Context that yields a temporary path beside `path`; on success it is synced and renamed to `path`.

    On an exception nothing appears under `path`, and what stood there before is untouched. The temporary name keeps
    the target's suffix, since some writers choose their format by it. The file's mode is the one that the user's umask
    gives. What a killed writer of `path` has left is removed, if it wrote to the temporary name alone: a library that
    makes a file of its own beside it (safetensors' `save_file` does) has no place here. Raises UserError, DiskFull
    where it is that, where `path` can't be written.
    """
    path = Path(path)
    with disk_errors_explained(path):
        _make_folder(path.parent)
        remove_leftovers(path.parent, path)
        temporary = _temporary(path)
        try:
            temporary.touch()  # the folder's faults come up here, and not in a library that words them in its own way
            yield temporary
            with open(temporary, "rb") as f:
                os.fsync(f.fileno())
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def folder_written_whole(path: Path | str) -> Iterator[Path]:
    """Like `written_whole` for a folder: yields an empty temporary folder that replaces `path` on success."""
    path = Path(path)
    with disk_errors_explained(path):
        _make_folder(path.parent)
        before = path.with_name(f"{path.name}-before")
        for target in (path, before):
            remove_leftovers(path.parent, target)
        temporary, old = _temporary(path), _temporary(before)
        try:
            temporary.mkdir()
            yield temporary
            with contextlib.suppress(FileNotFoundError):
                os.replace(path, old)  # renamed, not deleted: a kill in between must not leave half a folder
            os.replace(temporary, path)
        finally:
            for folder in (temporary, old):
                shutil.rmtree(folder, ignore_errors=True)


def _temporary(path: Path) -> Path:
    return path.with_name(f".{path.stem}.{HOST}-{os.getpid()}{path.suffix}")


def remove_leftovers(folder: Path, target: Path | None = None) -> None:
    """Removes temporary files and folders of killed writers; with a target, those of its writers alone.

    Another process may be writing to the folder at this moment. So what is removed is of a process of this machine that
    has ended, or has not changed for a day.
    """
    for old in folder.iterdir():
        parts = TEMPORARY.fullmatch(old.name)
        if parts and (target is None or (target.stem, target.suffix) == (parts["stem"], parts["suffix"] or "")):
            with contextlib.suppress(FileNotFoundError):  # another process may be quicker
                ended = parts["host"] == HOST and not _running(int(parts["pid"]))
                if ended or time.time() - old.stat().st_mtime > ABANDONED:
                    shutil.rmtree(old) if old.is_dir() else old.unlink()


def _running(pid: int) -> bool:
    """Whether another process has this number. This one's own leftovers are of a namesake that has ended."""
    if pid == os.getpid():
        return False
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        pass
    return True


def check_folder(path: Path) -> None:
    """Raises UserError where `path` can't be or become a folder, since a part of it is a file or a link to nothing."""
    with disk_errors_explained(path / "a file"):
        for part in [*reversed(path.parents), path]:
            if part.is_symlink() and not part.exists():
                raise UserError(
                    f"{part} is a link to {os.readlink(part)}, where nothing is; mount or make that, or remove the link"
                )
            if part.exists() and not part.is_dir():
                raise UserError(f"{part} is a file where a folder must be; move it away")


def check_writable(folder: Path) -> None:
    """Raises UserError where nothing can be written to `folder`, which need not be there yet. Writes nothing itself."""
    there = next(part for part in [folder, *folder.parents] if part.exists())
    if not os.access(there, os.W_OK | os.X_OK):
        number = errno.EROFS if os.statvfs(there).f_flag & os.ST_RDONLY else errno.EACCES
        with disk_errors_explained(folder / "a file"):
            raise OSError(number, os.strerror(number), str(there))


def _make_folder(path: Path) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        check_folder(path)
        raise


@contextlib.contextmanager
def disk_errors_explained(path: Path) -> Iterator[None]:
    """Context in which a full disk or a folder that can't be written to becomes a UserError that says what to do."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        number = getattr(error, "errno", None)
        if number in (errno.ENOSPC, errno.EDQUOT):
            raise DiskFull(
                f"{path} can't be written: the disk is full, or a quota is used up; make room in {path.parent} and run "
                "the same command again"
            ) from error
        ours = Path(getattr(error, "filename", None) or path).absolute()
        if number in (errno.EROFS, errno.EACCES, errno.EPERM) and (
            ours.is_relative_to(path.parent.absolute()) or path.absolute().is_relative_to(ours)
        ):
            told = getattr(error, "strerror", error)  # only an OSError has it
            raise UserError(
                f"the folder {path.parent} can't be written to: {told}; make it writable for this user, or work in "
                "another folder (snakemake --directory)"
            ) from error
        raise


class PythonFile:
    """Wraps an open file for libraries that write to a plain one from C, where what the system says of a fault is lost.

    Keeps the SHA-256 of what is written.
    """

    def __init__(self, file: IO[bytes]):
        self.file, self.hash = file, hashlib.sha256()

    def write(self, data: bytes) -> int:
        self.hash.update(data)
        return self.file.write(data)

    def flush(self) -> None:
        self.file.flush()


def write_text(path: Path | str, text: str) -> None:
    with written_whole(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path | str, value: object) -> None:
    """Sorted keys and a final newline, so that the same value gives the same bytes."""
    write_text(path, json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n")


def read_json(path: Path | str) -> Any:
    return json.loads(Path(path).read_text(encoding="utf-8"))


def write_csv(path: Path | str, table: "pd.DataFrame") -> None:
    """A pandas table without its index; floats with all the digits that round-trip."""
    with written_whole(path) as temporary:
        # A carriage return in a file's name would end a line; the writer quotes it only where it quotes all text.
        returns = any(
            table[name].astype(str).str.contains("\r").any() for name in table.select_dtypes(exclude=["number", "bool"])
        )
        table.to_csv(
            temporary,
            index=False,
            lineterminator="\n",
            quoting=csv.QUOTE_NONNUMERIC if returns else csv.QUOTE_MINIMAL,
        )


def read_csv(path: Path | str, **options: Any) -> "pd.DataFrame":
    """A CSV of ours as a pandas table. Only an empty field is missing: a class may be called `None` or `NA`."""
    import pandas as pd

    return pd.read_csv(path, keep_default_na=False, na_values=[""], **options)


def write_array(path: Path | str, array: "np.ndarray") -> None:
    """A NumPy array as .npy, to be opened with `np.load(path, mmap_mode="r")`."""
    import numpy as np

    with written_whole(path) as temporary, open(temporary, "wb") as f:
        np.save(PythonFile(f), array)


def open_array(path: Path | str) -> "np.ndarray":
    """A .npy file as a read-only, memory-mapped array.

    Where the environment variable GANAUG_SCRATCH names a folder (on a node's own disk; other variables in it are
    expanded, as in $TMPDIR), from a copy there, which has no name any more and so vanishes with the process. Where that
    can't be had, from the file itself.
    """
    import numpy as np

    scratch = os.path.expandvars(os.environ.get("GANAUG_SCRATCH", ""))
    if scratch:
        try:
            with tempfile.NamedTemporaryFile(prefix="ganaug-", suffix=".npy", dir=scratch) as copy:
                shutil.copyfile(path, copy.name)
                return np.load(copy.name, mmap_mode="r")
        except OSError as error:
            log.warning("no copy of %s in the scratch folder %s (%s): it is read where it is", path, scratch, error)
    return np.load(path, mmap_mode="r")


def write_tensors(path: Path | str, tensors: dict, **metadata: str) -> None:
    """Tensors by name as safetensors, with at most one entry of metadata: several are written in an order that changes
    from run to run, and so would the bytes."""
    from safetensors.torch import save

    if len(metadata) > 1:
        raise ValueError(f"one entry of metadata at most, not {', '.join(metadata)}")
    # Each with memory of its own: safetensors refuses what is shared.
    whole = {name: tensor.detach().cpu().clone().contiguous() for name, tensor in tensors.items()}
    with written_whole(path) as temporary:
        temporary.write_bytes(save(whole, metadata or None))


def sha256_of(path: Path | str) -> str:
    with open(path, "rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()


def check_unpacked_size(file: Path | IO[bytes], size: int) -> None:
    """Raises ValueError for a file of torch (path or open file) that unpacks to more than its `size` in bytes.

    torch itself compresses nothing.
    """
    if zipfile.is_zipfile(file):
        with zipfile.ZipFile(file) as archive:
            if sum(part.file_size for part in archive.infolist()) > size:
                raise ValueError("it unpacks to more than it holds")

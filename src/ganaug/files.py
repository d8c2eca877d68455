"""Outputs are written whole or not at all: to a temporary name beside the target, then renamed."""

import contextlib
import hashlib
import json
import os
import shutil
import tempfile
from pathlib import Path


@contextlib.contextmanager
def written_whole(path: Path | str):
    """Context that yields a temporary path beside `path`; on success it is synced and renamed to `path`.

    On an exception nothing appears under `path`, and what stood there before is untouched. The temporary name keeps
    the target's suffix, since some writers choose their format by it.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.stem}.{os.getpid()}{path.suffix}")
    try:
        yield temporary
        with open(temporary, "rb") as f:
            os.fsync(f.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def folder_written_whole(path: Path | str):
    """Like `written_whole` for a folder: yields an empty temporary folder that replaces `path` on success."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    temporary.chmod(0o755)
    try:
        yield temporary
        if path.exists():
            shutil.rmtree(path)
        os.replace(temporary, path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def write_text(path: Path | str, text: str) -> None:
    with written_whole(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path | str, value) -> None:
    """Sorted keys and a final newline, so that the same value gives the same bytes."""
    write_text(path, json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n")


def read_json(path: Path | str):
    return json.loads(Path(path).read_text(encoding="utf-8"))


def write_csv(path: Path | str, table) -> None:
    """A pandas table without its index; floats with all the digits that round-trip."""
    with written_whole(path) as temporary:
        table.to_csv(temporary, index=False, lineterminator="\n")


def read_csv(path: Path | str, **options):
    """A CSV of ours as a pandas table. Only an empty field is missing: a class may be called `None` or `NA`."""
    import pandas as pd

    return pd.read_csv(path, keep_default_na=False, na_values=[""], **options)


def write_array(path: Path | str, array) -> None:
    """A NumPy array as .npy, to be opened with `np.load(path, mmap_mode="r")`."""
    import numpy as np

    with written_whole(path) as temporary, open(temporary, "wb") as f:
        np.save(f, array)


def write_tensors(path: Path | str, tensors: dict, **metadata: str) -> None:
    """Tensors by name as safetensors, with at most one entry of metadata: several are written in an order that changes
    from run to run, and so would the bytes."""
    from safetensors.torch import save_file

    if len(metadata) > 1:
        raise ValueError(f"one entry of metadata at most, not {', '.join(metadata)}")
    # Each with memory of its own: safetensors refuses what is shared.
    whole = {name: tensor.detach().cpu().clone().contiguous() for name, tensor in tensors.items()}
    with written_whole(path) as temporary:
        save_file(whole, temporary, metadata or None)


def sha256_of(path: Path | str) -> str:
    with open(path, "rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()

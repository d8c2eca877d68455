"""Where the images of a study are: the layouts a data root may have."""

import hashlib
import os
from pathlib import Path

from ganaug.errors import UserError

# Below a class folder. The phantoms are written as plain folders.
IMAGES_IN = {"radiography": "images", "folder": "", "phantom": ""}


def list_images(root: Path, source: str, classes: list[str] | None) -> list[tuple[str, str]]:
    """(file, class) of every file of every class, sorted by class and name; file is relative to `root`, with slashes.

    source: `radiography` (`<class>/images/*`, masks and tables beside them ignored) or `folder` and `phantom`
    (`<class>/*`). classes: the folders to use, or None for all of them. Hidden files and folders are ignored; other
    files are listed whatever they are, so that a wrong one is reported and not overlooked.
    Raises UserError where the root or a class is missing or empty.
    """
    if not root.is_dir():
        raise UserError(f"data_root: {root} is not a folder; write the folder that holds one folder per class")
    folders = sorted(p.name for p in root.iterdir() if p.is_dir() and not p.name.startswith("."))
    below = IMAGES_IN[source]
    found = [name for name in folders if (root / name / below).is_dir()]
    missing = sorted(set(classes or []) - set(found))
    if missing:
        raise UserError(f"data.classes: no folder {_layout(source)} for {missing} in {root}; there are {found}")
    chosen = classes or found
    if "all" in chosen:
        raise UserError(f"data_root: a class in {root} is called 'all', the name of all classes together; rename it")
    if len(chosen) < 2:
        raise UserError(
            f"data_root: {root} has {len(chosen)} class folders of the layout {_layout(source)} that data.source "
            f"{source!r} stands for; at least 2 are needed. Folders there: {folders}"
        )
    files = [(path, name) for name in chosen for path in _files_in(root, name, below)]
    for name in chosen:
        if not any(owner == name for _, owner in files):
            raise UserError(
                f"data_root: {root / name / below} holds no files; data.source {source!r} expects images there"
            )
    return files


def _files_in(root: Path, name: str, below: str) -> list[str]:
    folder = root / name / below
    files = (entry for entry in os.scandir(folder) if entry.is_file() and not entry.name.startswith("."))
    return sorted(Path(entry.path).relative_to(root).as_posix() for entry in files)


def _layout(source: str) -> str:
    return "/".join(filter(None, ["<class>", IMAGES_IN[source]]))


def listing_digest(root: Path, source: str, classes: list[str] | None) -> str:
    """SHA-256 over names, sizes and times of change of a data root's images: differs when any of them changes."""
    digest = hashlib.sha256()
    for file, _ in list_images(root, source, classes):
        status = (root / file).stat()
        digest.update(f"{file}\0{status.st_size}\0{status.st_mtime_ns}\n".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()

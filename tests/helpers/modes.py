"""Modes of files and folders."""

import os
import stat
from pathlib import Path


def users_umask() -> int:
    """Of this process; the system tells it only where it is set."""
    umask = os.umask(0o077)
    os.umask(umask)
    return umask


def other_modes(folder: Path, umask: int) -> dict[str, str]:
    """What lies below a folder with another mode than the umask gives to a new file or folder, with that mode."""
    found = {}
    for path in folder.rglob("*"):
        wanted = (0o777 if path.is_dir() else 0o666) & ~umask
        mode = stat.S_IMODE(path.stat().st_mode)
        if mode != wanted:
            found[str(path.relative_to(folder))] = oct(mode)
    return found

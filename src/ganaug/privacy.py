"""What is passed on names no folder of the machine: absolute paths are cut to their last part."""

import re
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any

AS_WRITTEN = ("title", "study", "published")  # settings that are text, not paths
# In running text: a slash, a drive or a share that begins a path of two parts or more. An address of the web is none.
_ABSOLUTE = re.compile(
    r"(?<![\w./:\\…~])(?:file://)?(?:~?/|[A-Za-z]:[\\/]|\\\\)(?:[^\s/\\'\"<>|]+[/\\])+([^\s/\\'\"<>|]+)[/\\]?"
)
_QUOTED = re.compile(r"""(['"])((?:file://)?(?:~?/|[A-Za-z]:[\\/]|\\\\)[^'"]+)\1""")  # names with spaces too


def without_folders(value: Any) -> Any:
    """Settings with `…/name` for each absolute path, whatever lies above it; all else as it is."""
    if isinstance(value, dict):
        return {key: one if key in AS_WRITTEN else without_folders(one) for key, one in value.items()}
    if isinstance(value, list):
        return [without_folders(one) for one in value]
    return _shortened(value) if isinstance(value, str) else value


def text_without_folders(text: str, folders: list[str]) -> str:
    """A message with `…/name` for each absolute path.

    folders: known ones. Of other paths with spaces only quoted ones are found whole.
    """
    text = _QUOTED.sub(lambda found: f"{found[1]}{_shortened(found[2])}{found[1]}", text)
    for folder in sorted(filter(_is_absolute, folders), key=len, reverse=True):
        text = text.replace(folder.rstrip("/\\"), _shortened(folder))
    return _ABSOLUTE.sub(lambda found: f"…/{found[1]}", text)


def _shortened(value: str) -> str:
    if not _is_absolute(value):
        return value
    path = value.removeprefix("file://")
    name = (PureWindowsPath(path) if "\\" in path or re.match("[A-Za-z]:", path) else PurePosixPath(path)).name
    return f"…/{name}"


def _is_absolute(value: str) -> bool:
    return bool(re.match(r"(file://)?(/|~|[A-Za-z]:[\\/]|\\\\)", value))

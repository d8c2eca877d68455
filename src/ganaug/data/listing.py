"""A data root's images as one digest, by which the workflow sees that some were added, removed or changed.

The stages that read a data root write the digest of what they read into their provenance; paths in it are relative to
the root, so that a root that was moved is the same.
"""

import contextlib
import hashlib
import json
from collections.abc import Collection, Iterable
from pathlib import Path

from ganaug.data.sources import in_tables, list_images, list_skipped, reason_to_leave_out
from ganaug.errors import UserError
from ganaug.files import read_json, sha256_of, write_text

_UNSAVED: dict[Path, dict] = {}  # by the cache's file


def listing_digest(
    root: Path,
    source: str,
    classes: list[str] | None,
    follow_links: bool,
    cache: Path,
    known: Collection[str] = (),
) -> str:
    """SHA-256 over names and contents of a data root's images. known: see sources.list_images.

    cache: JSON file with the hashes found before, so that a file is read again only where its size or time of change
    differs. A file that was touched or copied, and holds the same bytes, changes nothing. `save_caches` writes the
    cache; until then all is read every time.
    """
    cached = _read(cache)
    found, files = {}, []
    for file, _ in list_images(root, source, classes, follow_links, known):
        path = root / file
        if reason := reason_to_leave_out(root, file, follow_links):  # which may be that it can't be opened without harm
            files.append((in_tables(file), reason))
            continue
        status = path.stat()
        key = str(path.absolute())
        stamp = [status.st_size, status.st_mtime_ns]
        before = cached.get(key)
        content = before[2] if before and before[:2] == stamp else _content(path)
        found[key] = [*stamp, content]
        files.append((in_tables(file), content))
    if found != cached:
        _UNSAVED[cache] = found
    return digest_of(files, root, source, classes, known)


def save_caches() -> None:
    """Writes what `listing_digest` has found in this process, where there is a place for that.

    Apart from the digest, which Snakemake asks for also where it only looks (a dry run) and has nothing to write.
    """
    for cache, found in _UNSAVED.items():
        with contextlib.suppress(OSError, UserError):
            write_text(cache, json.dumps(found))
    _UNSAVED.clear()


def digest_of(
    files: Iterable[tuple[str, str]], root: Path, source: str, classes: list[str] | None, known: Collection[str] = ()
) -> str:
    """SHA-256 over the listing of a data root.

    files: of each file of `list_images`, in its order, the name in tables and the SHA-256 of the content, or why it
    has none. What `list_skipped` finds counts by its name.
    """
    digest = hashlib.sha256()
    skipped = ((in_tables(file), "skipped") for file, *_ in list_skipped(root, source, classes, known))
    for file, content in [*files, *skipped]:
        digest.update(f"{file}\0{content}\n".encode())
    return digest.hexdigest()


def _read(cache: Path) -> dict:
    try:
        known = read_json(cache)
    except (OSError, ValueError):
        return {}
    return known if isinstance(known, dict) else {}


def _content(path: Path) -> str:
    try:
        return sha256_of(path)
    except OSError as error:  # the manifest says what is wrong with it
        return f"unreadable ({error.strerror})"

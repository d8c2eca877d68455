"""Where the images of a study are: the layouts a data root may have, and which of its files may be read."""

import os
import re
import stat
import unicodedata
from collections.abc import Collection
from pathlib import Path

from ganaug.errors import Unusable, UserError

# Below a class folder. The phantoms are written as plain folders.
IMAGES_IN = {"radiography": "images", "folder": "", "phantom": ""}
MACOSX = "__MACOSX"  # what an archive made on macOS unpacks to beside its content
MAX_BYTES = 500_000_000  # of a file; beyond any radiograph, and as much memory as a job has for one
LONGEST_CLASS = 100  # characters that figures have room for
# What a spreadsheet would run: class names begin fields of the tables, file names stand behind them.
FORMULA = re.compile(r"[=+@]|-.*[|!(]")
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


def list_images(
    root: Path, source: str, classes: list[str] | None, follow_links: bool = False, known: Collection[str] = ()
) -> list[tuple[str, str]]:
    """(file, class) of every file of every class, sorted by class and name; file is relative to `root`, with slashes.

    source: `radiography` (`<class>/images/*`, masks and tables beside them ignored) or `folder` and `phantom`
    (`<class>/*`). classes: the folders to use, or None for all of them. follow_links: whether class folders may be
    links that lead out of `root`. known: where classes is None, names that classes are known by: beside a folder of
    such a name another that differs from it in case or Unicode form only is no class. Hidden files and folders are
    ignored; other files are listed whatever they are, so that a wrong one is reported and not overlooked. Raises
    UserError where the root or a class is missing or empty, or a class has a name or a place that can't be used.
    """
    if not os.path.isdir(root):  # False too for a name that is too long
        raise UserError(f"data_root: {root} is not a folder; write the folder that holds one folder per class")
    folders = _folders_in(root)
    below = IMAGES_IN[source]
    found = _class_folders(root, source, known)
    missing = sorted(set(classes or []) - set(found))
    if missing:
        told = f"no folder {_layout(source)} for {missing} in {root}; there are {found}"
        raise UserError(f"data.classes: {told}{_alike(missing, found)}")
    chosen = classes or found
    if len(chosen) < 2:
        raise UserError(
            f"data_root: {root} has {len(chosen)} class folders of the layout {_layout(source)} that data.source "
            f"{source!r} stands for; at least 2 are needed. Folders there: {folders}{_elsewhere(root, folders, source)}"
        )
    for a, b in zip(ordered := sorted(chosen, key=_plain), ordered[1:], strict=False) if not classes else ():
        if _plain(a) == _plain(b):
            raise UserError(
                f"data_root: the classes {a!r} and {b!r} in {root} differ in case or Unicode form only; put their "
                "images into one folder, or name the classes to use in data.classes"
            )
    for name in chosen:
        _check_class(root, name, below, follow_links)
    files = [(path, name) for name in chosen for path in _files_in(root, name, below)]
    for name in chosen:
        if not any(owner == name for _, owner in files):
            raise UserError(
                f"data_root: {root / name / below} holds no files; data.source {source!r} expects images there"
                f"{_elsewhere(root, [name], source)}"
            )
    return files


def list_skipped(
    root: Path, source: str, classes: list[str] | None, known: Collection[str] = ()
) -> list[tuple[str, str, str, str]]:
    """(file, class, problem, action) of what lies where images could be and is none of the study's, sorted.

    Files in folders below a class's images, or such a folder itself where it is a link, which is not entered; files in
    a folder whose name differs from a class's in case or Unicode form only; `__MACOSX`; and, where the study takes
    every class folder, folders that are none by the layout. class is empty for the last two. For a root that
    list_images has taken, with the same `known`.
    """
    below = IMAGES_IN[source]
    folders = [name for name in _folders_in(root) if is_utf8(name)]
    chosen = classes or _class_folders(root, source, known)
    skipped = []
    for name in chosen:
        for folder in _folders_in(root / name / below):
            where = "/".join(filter(None, [name, below, folder]))
            for file in [where] if (root / where).is_symlink() else _all_files_in(root, where):
                action = f"not used; move its images up, into {'/'.join(filter(None, [name, below]))}"
                skipped.append((file, name, "in a folder below its class", action))
    for folder in sorted(set(folders) - set(chosen)):
        alike = [name for name in chosen if _plain(name) == _plain(folder)]
        if alike and not (root / folder).is_symlink():
            problem = "in a folder that differs from its class in case or Unicode form only"
            action = f"not used; move it into {alike[0]}"
            skipped += [(file, alike[0], problem, action) for file in _all_files_in(root, folder)]
        elif folder == MACOSX:
            skipped.append((folder, "", "left by macOS", "not used; delete it"))
        elif classes is None:
            problem = f"folder without a folder {below}"
            skipped.append((folder, "", problem, f"not used; a class's images are in {_layout(source)}"))
    return sorted(skipped)


def _class_folders(root: Path, source: str, known: Collection[str]) -> list[str]:
    """Folders that hold a class by the layout, but those whose names are nearly that of a known one beside them."""
    found = [name for name in _folders_in(root) if name != MACOSX and _is_folder(root / name / IMAGES_IN[source])]
    taken = {_plain(name) for name in found if name in known}
    return [name for name in found if name in known or _plain(name) not in taken]


def _plain(name: str) -> str:
    """A folder's name without what file systems may change in it: case and Unicode form."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def _folders_in(folder: Path) -> list[str]:
    return sorted(e.name for e in os.scandir(folder) if not e.name.startswith(".") and _leads_to_folder(e))


def _leads_to_folder(entry: os.DirEntry[str]) -> bool:
    """Without asking the file system, where the folder's listing has told."""
    return _is_folder(Path(entry.path)) if entry.is_symlink() else entry.is_dir(follow_symlinks=False)


def _all_files_in(root: Path, folder: str) -> list[str]:
    """Files below a folder, at any depth, relative to `root`; hidden ones and links to folders are left out."""
    found = []
    for path, folders, files in os.walk(root / folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        found += [(Path(path) / name).relative_to(root).as_posix() for name in files if not name.startswith(".")]
    return sorted(found)


def _elsewhere(root: Path, names: list[str], source: str) -> str:
    """Advice where folders that hold no images of this layout hold classes: one level deeper, or of another layout."""
    for other in ("folder", "radiography"):
        there = IMAGES_IN[other]
        if other != source and sum(_holds_files(root / name / there) for name in _folders_in(root)) > 1:
            return f". There are images in {_layout(other)}: write data.source: {other}"
    for name in names:
        for other in (source, "folder", "radiography"):
            deeper = [
                k for k in _folders_in(root / name) if k != MACOSX and _holds_files(root / name / k / IMAGES_IN[other])
            ]
            if len(deeper) > 1:
                changed = "" if other == source else f" and data.source: {other}"
                several = (
                    ""
                    if set(_folders_in(root)) <= {name, MACOSX}
                    else ", or put the images of each class into one folder"
                )
                return (
                    f". Classes lie one level deeper, as {', '.join(deeper)} in {root / name}: write data_root: "
                    f"{root / name}{changed}{several}"
                )
    return ""


def _holds_files(folder: Path) -> bool:
    return _is_folder(folder) and any(
        not entry.name.startswith(".") and entry.is_file() for entry in os.scandir(folder)
    )


def _alike(missing: list[str], found: list[str]) -> str:
    """Advice where a name is there in other letters: small for capital, or, on macOS, e and an accent for é."""
    same = [b for a in missing for b in found if _plain(a) == _plain(b)]
    return "".join(f'; write "{ascii(name)[1:-1]}", as the folder is called' for name in same)


def _check_class(root: Path, name: str, below: str, follow_links: bool) -> None:
    """Raises UserError where a class can't be used under its name or at its place."""
    problem = (
        (name == "all" and "is called 'all', the name of all classes together")
        or (not is_utf8(name) and "has a name that is not UTF-8")
        or (CONTROL.search(name) and "has a control character in its name")
        or (len(name) > LONGEST_CLASS and f"has a name of more than {LONGEST_CLASS} characters")
        or (FORMULA.match(name) and "has a name that a spreadsheet would run as a formula")
    )
    if problem:
        raise UserError(
            f"data_root: a class {name!r} in {root} {problem}; rename the folder, or leave it out by naming those to "
            "use in data.classes"
        )
    if not (follow_links or inside(root, root / name / below)):
        raise UserError(
            f"data_root: the class {name!r} is a link out of {root}, to {str((root / name / below).resolve())!r}; put "
            "the folder itself there, or write data.follow_links: true (external_test.follow_links for images from "
            "elsewhere)"
        )


def is_utf8(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:  # Python holds bytes that are not UTF-8 as lone surrogates
        return False
    return True


def in_tables(file: str) -> str:
    """A file's name as tables can hold it: bytes that are not UTF-8 as \\xNN."""
    return os.fsencode(file).decode("utf-8", "backslashreplace")


def reason_to_leave_out(root: Path, file: str, follow_links: bool) -> str:
    """Why a listed file is not to be opened, in the words of problems.csv; empty where nothing is wrong with it."""
    path = root / file
    if not is_utf8(file):
        return "name is not UTF-8"
    try:
        status = path.stat()
    except FileNotFoundError:
        return "link to nothing"
    except OSError as error:
        return f"unreadable ({error.strerror})"
    if not follow_links and path.is_symlink() and not inside(root, path):
        return "link out of the data root"
    if not stat.S_ISREG(status.st_mode):
        return "not a file"
    return "too large" if status.st_size > MAX_BYTES else ""


def inside(root: Path, path: Path) -> bool:
    """Whether a path stays in the data root when its links are followed."""
    return path.resolve().is_relative_to(root.resolve())


def read_file(path: Path) -> bytes:
    """Content of a plain file. Raises Unusable for anything else: a pipe would keep the reader waiting for ever."""
    with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise Unusable("not a file")
        return file.read(MAX_BYTES)


def _is_folder(path: Path) -> bool:
    return os.path.isdir(path)  # False too for links in a circle and what may not be looked at


def _files_in(root: Path, name: str, below: str) -> list[str]:
    folder = root / name / below
    files = [folder / e.name for e in os.scandir(folder) if not e.name.startswith(".") and not _leads_to_folder(e)]
    return sorted(path.relative_to(root).as_posix() for path in files)


def _layout(source: str) -> str:
    return "/".join(filter(None, ["<class>", IMAGES_IN[source]]))

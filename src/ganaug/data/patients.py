"""A table of groups (patients, studies) and the images that it speaks of, by name; what fits is counted."""

import logging
import os
import unicodedata
from collections import defaultdict
from pathlib import Path

import pandas as pd

from ganaug.errors import UserError
from ganaug.files import read_csv

log = logging.getLogger("ganaug")
# A study that names a table means its patients to be kept together. Where a fifth of the images has no patient, up to a
# fifth of a test set may show patients that were trained on: more than the differences that a study looks for.
MAX_WITHOUT = 0.2
NAMED = 10  # files named in a message
EXAMPLES = 2  # names of each kind in a message
# What stands for "not known" in a table, in small letters.
UNKNOWN = {"unknown", "na", "n/a", "nan", "none", "null", "nil", "missing", "-", "?", "", "anonymous"}
MAYBE_UNKNOWN = {"0", "-1"}  # or the number of a patient


def read_groups(path: Path) -> pd.Series:
    """Group by name of file, from a CSV with the columns file and group; names of files as they stand there.

    Groups are compared without spaces around them and in Unicode's form NFC. What stands for "not known" is no group.
    Raises UserError where the table can't be read, puts a file in two groups, says nothing about groups, or writes
    groups that look like one in two ways.
    """
    try:
        table = read_csv(path, dtype=str)
    except (OSError, ValueError) as error:
        raise UserError(f"data.groups: {path} can't be read as CSV ({error})") from None
    if not {"file", "group"} <= set(table.columns):
        raise UserError(f"data.groups: {path} has the columns {', '.join(table.columns)}; it needs file and group")
    table = table.dropna(subset=["file"])
    table["group"] = [_nfc(group.strip()) for group in table["group"].fillna("")]
    contradictory = table.drop_duplicates(["file", "group"])["file"]
    if contradictory.duplicated().any():
        raise _in_two_groups(str(path), contradictory[contradictory.duplicated()].iloc[0])
    _check_values(path, table["group"])
    groups = table.drop_duplicates("file").set_index("file")["group"]
    return groups[[group.lower() not in UNKNOWN for group in groups]]


def _check_values(path: Path, values: pd.Series) -> None:
    """Raises UserError for a table that has no group, one group for everything, or a group written in two ways."""
    counts = values.value_counts()
    ways = counts.index.to_series().groupby(lambda group: group.casefold().removesuffix(".0")).agg(list)
    several = [names for names in ways if len(names) > 1]
    if several:
        told = "; ".join(" and ".join(map(repr, sorted(names))) for names in several[:NAMED])
        raise UserError(
            f"data.groups: {path} writes groups that look like one in two ways: {told}. Write each patient in one way, "
            "or, where they are different patients, in ways that differ in more than capitals or a .0 at the end"
        )
    if len(values) < 2 or not (len(counts) == 1 or all(map(means_unknown, counts.index))):
        return
    told = ", ".join(f"{value!r} ({count})" for value, count in counts.items())
    why = "which stand for groups that are not known" if all(map(means_unknown, counts.index)) else "one for all files"
    raise UserError(
        f"data.groups: the groups in {path} are {told}, {why}: the table tells no patients apart. Write each file's "
        "patient, or leave data.groups out; the report then says that patients are not known"
    )


def means_unknown(group: str) -> bool:
    """Whether a group's name stands, or may stand, for a group that is not known."""
    return group.strip().lower() in UNKNOWN | MAYBE_UNKNOWN


def _in_two_groups(table: str, name: str) -> UserError:
    return UserError(f"data.groups: {table} puts {name!r} in two groups; write one line for each file")


def matched(known: pd.Series, files: list[str], root: Path) -> tuple[pd.Series, dict[str, str]]:
    """(group by file of the study, why by each name of the table that fits none).

    known: group by name. files: of the study, relative to `root`, with slashes. A name fits the file of the same name;
    else the one that has it when separators are slashes, `./` is dropped, both are in Unicode's form NFC, and a path
    below the data root is taken from there; else, for a name without a folder, the only file that is called so.
    A file that is there and of none of the study's classes is no misfit. Raises UserError where two names of one file
    have two groups.
    """
    exact, plain, bare = set(files), defaultdict(set), defaultdict(set)
    for file in files:
        plain[_nfc(file)].add(file)
        bare[_nfc(file).rpartition("/")[2]].add(file)
    groups: dict[str, str] = {}
    misfits = {}
    for name, group in known.items():
        name = str(name)
        cleaned = _below(name, root)
        fitting = {name} & exact or plain.get(cleaned) or ("/" not in cleaned and bare.get(cleaned)) or set()
        if len(fitting) == 1:
            (file,) = fitting
            if groups.setdefault(file, group) != group:
                raise _in_two_groups("the table", file)
        elif fitting:
            misfits[name] = f"fits {len(fitting)} images"
        elif cleaned.startswith(("/", "../")) or not os.path.lexists(root / cleaned):
            misfits[name] = "fits no image"
    return pd.Series(groups, dtype=object), misfits


def _nfc(name: str) -> str:
    return unicodedata.normalize("NFC", name)


def _below(name: str, root: Path) -> str:
    """A name in the form of the study's: slashes, no dots, NFC; from the data root on where it lies below that."""
    cleaned = _clean(name)
    for folder in (root.absolute(), root.resolve(), root):
        if cleaned.startswith(above := _clean(str(folder)) + "/"):
            return cleaned.removeprefix(above)
    return cleaned


def _clean(name: str) -> str:
    return _nfc(os.path.normpath(name.strip().replace("\\", "/")))


def check_names(misfits: dict[str, str], files: list[str], root: Path) -> None:
    """Raises UserError where more than MAX_WITHOUT as many names as images fit none, though of the study's classes.

    Few may: a table lists films that somebody has removed since.
    """
    folders = {_nfc(file.partition("/")[0]) for file in files}
    gone = sorted(name for name in misfits if _below(name, root).partition("/")[0] in folders)
    if len(gone) > MAX_WITHOUT * len(files):
        named = ", ".join(map(repr, gone[:NAMED])) + (f" and {len(gone) - NAMED} more" if gone[NAMED:] else "")
        raise UserError(f"data.groups names files that are not there: {named}; write them as {files[0]!r}")


def check_coverage(manifest: pd.DataFrame, known: pd.Series) -> None:
    """Raises UserError where more than MAX_WITHOUT of the used images have no group, with names of both sides.

    manifest: with the column known_group. known: group by name, as in the table.
    """
    used = manifest[manifest["status"] == "used"]
    without = used[without_group(manifest)[used.index]]
    if len(without) <= MAX_WITHOUT * len(used):
        return
    for file in without["file"]:
        log.info("%r: no group in data.groups", file)
    examples = [
        ", ".join(map(repr, map(str, names[:EXAMPLES]))) for names in (list(known.index), list(without["file"]))
    ]
    raise UserError(
        f"data.groups: {len(without)} of {len(used)} images have no group in the table, more than {MAX_WITHOUT:.0%}. "
        f"The table's names are like {examples[0]}; images without a group are {examples[1]}. Write names as the "
        "images', below data_root, and a line for each image: one that is alone gets a group of its own. The log names "
        "them all"
    )


def without_group(manifest: pd.DataFrame) -> pd.Series:
    """Whether a file has no group in the table, and no exact copy of it has one; bool, by the manifest's rows."""
    named = _named(manifest)
    return ~(named | manifest["pixels_sha256"].isin(set(manifest.loc[named, "pixels_sha256"]) - {""}))


def _named(manifest: pd.DataFrame) -> pd.Series:
    """Whether the table has a group for the file, bool, by the manifest's rows; read from a file, none is NaN."""
    return manifest["known_group"].notna() & manifest["known_group"].ne("")


def count(manifest: pd.DataFrame, splits: pd.DataFrame) -> dict:
    """images, with_group, groups, on_two_sides: what the table says of the images in use, and what the split makes of
    it.

    manifest: with the column known_group. splits: pixels_sha256 and side of each image in use. An image has the groups
    of all its exact copies.
    """
    names = manifest.loc[_named(manifest), ["pixels_sha256", "known_group"]]
    pairs = splits[["pixels_sha256", "side"]].merge(names.drop_duplicates(), on="pixels_sha256")
    sides = pairs.groupby("known_group")["side"].nunique()
    return {
        "images": len(splits),
        "with_group": int(pairs["pixels_sha256"].nunique()),
        "groups": len(sides),
        "on_two_sides": int((sides > 1).sum()),
    }

"""Stage make_manifest: every file of the data root opened, checked, hashed and grouped with its near-copies."""

import argparse
import hashlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from ganaug.data import films, patients
from ganaug.data.calibration import COPIED, choose, conflict_distance, copy_hashes, describe, distances
from ganaug.data.images import ADVICE, decode, pixels_sha256
from ganaug.data.listing import digest_of
from ganaug.data.near_copies import copies_of, groups, hash_of_reduced, reduced, unpacked
from ganaug.data.odd_groups import CONFLICT, IN_LARGE_GROUP, conflicts, described, in_large_groups
from ganaug.data.sources import in_tables, list_images, list_skipped, read_file, reason_to_leave_out
from ganaug.errors import Unusable, UserError
from ganaug.files import write_csv, write_json
from ganaug.privacy import without_folders
from ganaug.progress import Progress

log = logging.getLogger("ganaug")
NAMED = 10  # files named in a message
COPY_OF_OWN = "copy or near-copy of one of the study's own"


@dataclass(frozen=True)
class Settings:
    """source: layout of the data root. classes: class folders to use, None for all. max_bad_share: share of files, in
    [0, 1], that may be unusable before the run stops. near_copy_distance: bits by which two perceptual hashes of 256
    may differ in one group; `auto` to choose it from the data. follow_links: whether links may lead out of the root.
    not_films: what is done with images that can't be films (films.why_no_film). resolution: the study's, in pixels;
    None where images are used as they are. known_classes: see sources.list_images."""

    source: str
    classes: list[str] | None
    max_bad_share: float
    near_copy_distance: int | Literal["auto"]
    follow_links: bool = False
    not_films: Literal["leave out", "keep"] = "leave out"
    resolution: int | None = None
    known_classes: Sequence[str] = ()


def add_arguments(parser: argparse.ArgumentParser) -> None:
    inputs = parser.add_argument_group("inputs")
    inputs.add_argument("--data-root", type=Path, required=True, help="folder of the images")
    inputs.add_argument("--groups", type=Path, help="CSV of file and group: what belongs to one patient, say")
    outputs = parser.add_argument_group("outputs")
    outputs.add_argument("--manifest", type=Path, required=True, help="a row per file")
    outputs.add_argument("--problems", type=Path, required=True, help="a row per file that was converted or left out")
    outputs.add_argument("--distances", type=Path, required=True, help="of made copies and of different films, .csv")
    outputs.add_argument("--near-copies", type=Path, required=True, help="the threshold and what it finds, .json")


def run(args: argparse.Namespace) -> None:
    settings = Settings(**args.settings)
    known = patients.read_groups(args.groups) if args.groups else None
    manifest, problems, table, near_copies = make_manifest(args.data_root, settings, known)
    args.listing = listing_of(manifest, args.data_root, settings)
    write_csv(args.manifest, manifest)
    write_csv(args.problems, problems)
    write_csv(args.distances, table)
    write_json(args.near_copies, near_copies)
    log_problems(problems)
    check_share(manifest, settings.max_bad_share)
    check_classes(manifest)
    if known is not None:
        patients.check_coverage(manifest, known)


def log_problems(problems: pd.DataFrame) -> None:
    """Log the number of files of each problem."""
    for problem, count in problems["problem"].value_counts().items():
        log.info("%s: %d", problem, count)


def make_manifest(
    root: Path, settings: Settings, known: pd.Series | None = None, own: pd.DataFrame | None = None
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame, dict]:
    """(manifest, problems, distances, near-copies) of a data root.

    manifest: file, class, bytes, format, mode, width, height, window_low and window_high (the values of a file of more
    than 8 bits that became 0 and 255; else empty), file_sha256, pixels_sha256 (of the shape and the 8-bit grey pixels),
    perceptual_hash (hexadecimal), group (its near-copies', named by their first pixels_sha256), status (`used` or `left
    out`) and reason; with `known`, known_group, the number of its group there, too.
    problems: file, class, problem, action.
    Exact copies: within a class the first by name is kept; an image in two classes contradicts itself, and all its
    copies are left out. Near-copies are all kept, in one group. known: group by name, of patients, say; images that
    share one, or are near-copies, or are linked by others so, form one group. A file without one is none's.
    What can't be a film and is left out takes no part in any of this.
    own: used rows of the study's own manifest (file, class, pixels_sha256, perceptual_hash), or None. Copies and
    near-copies of these images are left out. Groups are formed before that, with them.
    distances: see calibration.distances. near-copies: see calibration.describe.
    """
    files = list_images(root, settings.source, settings.classes, settings.follow_links, settings.known_classes)
    with Progress(len(files), "checking", "files") as progress:
        rows = []
        for file, label in files:
            rows.append(inspect(root, file, label, settings))
            progress.update()
    problems = [p for row in rows for p in row.pop("problems")]
    coarse = [row.pop("coarse", None) for row in rows]
    for file, label, problem, action in list_skipped(root, settings.source, settings.classes, settings.known_classes):
        problems.append(_problem(in_tables(file), label, problem, action))
    manifest = pd.DataFrame(rows)
    problems += _leave_out_copies(manifest)
    if known is not None:
        problems += _apply(manifest, known, root)
    table = _distances(root, manifest)
    if settings.near_copy_distance == "auto":
        threshold, chosen = choose(table), "from these distances"
    else:
        threshold, chosen = settings.near_copy_distance, "in the config"
    _group(manifest, threshold)
    if own is not None:
        problems += _leave_out_own(manifest, own, threshold)
    problems += _inverted(manifest, coarse)
    found = conflicts(manifest[manifest["status"] == "used"], conflict_distance(table, threshold))
    problems += _grouped(manifest, "near-copy" if known is None else "near-copy or same group") + _named(found)
    listed = pd.DataFrame(problems, columns=["file", "class", "problem", "action"])
    listed = listed.sort_values(["problem", "class", "file"], ignore_index=True)
    return manifest, listed, table, describe(table, threshold, chosen) | described(found)


def listing_of(manifest: pd.DataFrame, root: Path, settings: Settings) -> str:
    """The digest of the files that the manifest was made of, as `listing.listing_digest` finds it before the stage."""
    read = manifest["file_sha256"].where(manifest["file_sha256"] != "", manifest["reason"])
    files = zip(manifest["file"], read, strict=True)
    return digest_of(files, root, settings.source, settings.classes, settings.known_classes)


def inspect(root: Path, file: str, label: str, settings: Settings) -> dict:
    """The manifest's row of one file, and beside it a list `problems` and, of a used image, what films.coarse makes."""
    name = in_tables(file)
    row = {"file": name, "class": label, "bytes": 0, "format": "", "mode": "", "width": 0, "height": 0}
    row |= {"window_low": np.nan, "window_high": np.nan}
    row |= {"file_sha256": "", "pixels_sha256": "", "perceptual_hash": "", "group": ""}
    if reason := reason_to_leave_out(root, file, settings.follow_links):
        return row | _left_out(name, label, reason)
    try:
        content = read_file(root / file)
    except OSError as error:
        return row | _left_out(name, label, f"unreadable ({error.strerror})")
    row |= {"bytes": len(content), "file_sha256": hashlib.sha256(content).hexdigest()}
    try:
        image = decode(content, file)
    except Unusable as problem:
        return row | _left_out(file, label, str(problem))
    height, width = image.pixels.shape
    digest = pixels_sha256(image.pixels)
    row |= {"format": image.format, "mode": image.mode, "width": width, "height": height, "pixels_sha256": digest}
    if image.window:
        row |= {"window_low": image.window.low, "window_high": image.window.high}
    scaling = f" by the {image.window}"  # of those that have one
    actions = {p: ACTIONS[p] + (scaling if p in SCALED else "") for p in image.problems}
    small, problems = reduced(image.pixels), [_problem(file, label, p, action) for p, action in actions.items()]
    row |= {"perceptual_hash": hash_of_reduced(small).tobytes().hex(), "problems": problems}
    if reason := films.why_no_film(image.pixels):
        if settings.not_films == "leave out":
            return row | _left_out(file, label, reason)
        problems.append(_problem(file, label, reason, "kept, as data.not_films says"))
    if settings.resolution and films.is_enlarged(height, width, settings.resolution):
        problems.append(_problem(file, label, films.SMALL, f"enlarged to {settings.resolution} pixels"))
    return row | {"status": "used", "reason": "", "coarse": films.coarse(small)}


SCALED = ("16-bit", "32-bit", "8-bit signed", "float")
# What is done about a file that can be used.
ACTIONS = {
    **dict.fromkeys(SCALED, "scaled to 8 bits"),
    "few grey levels in the window": "used; the file has lost its depth before",
    "much outside the window": "used; look whether the window suits",
    "colour": "converted to grey",
    "palette": "converted to grey",
    "CMYK": "converted to grey",
    "1-bit": "converted to grey",
    "RGBA": "laid on black, converted to grey",
    "transparency": "laid on black",
    "several frames": "first frame taken",
    "wrong suffix": "read by its content",
    "EXIF unreadable": "taken as it lies",
    "non-square": "cropped at the centre",
}


def _problem(file: str, label: str, problem: str, action: str) -> dict:
    return {"file": file, "class": label, "problem": problem, "action": action}


def _left_out(file: str, label: str, reason: str) -> dict:
    return {"status": "left out", "reason": reason, "problems": [_problem(file, label, reason, "left out")]}


def _leave_out_copies(manifest: pd.DataFrame) -> list[dict]:
    """Mark exact copies as left out, in place; returns their problems."""
    problems = []
    used = manifest[manifest["status"] == "used"]
    for _, copies in used[used["pixels_sha256"].duplicated(keep=False)].groupby("pixels_sha256", sort=True):
        contradictory = copies["class"].nunique() > 1
        reason = "copy in another class" if contradictory else "copy in its class"
        copies = copies.sort_values("file")
        for position, (row, file, label) in enumerate(zip(copies.index, copies["file"], copies["class"], strict=True)):
            if contradictory or position:
                manifest.loc[row, ["status", "reason"]] = "left out", reason
                problems.append(_problem(file, label, reason, "left out"))
    return problems


def _leave_out_own(manifest: pd.DataFrame, own: pd.DataFrame, distance: int) -> list[dict]:
    """Mark copies and near-copies of the study's own images as left out, in place; returns their problems."""
    copies = copies_of(manifest[manifest["status"] == "used"], own, distance)
    rows = manifest["file"].isin(copies["file"])
    manifest.loc[rows, ["status", "reason"]] = "left out", COPY_OF_OWN
    copies["problem"] = COPY_OF_OWN
    copies.loc[copies["class"] != copies["class_of_copy"], "problem"] += ", with another label"
    told = copies.sort_values("problem").drop_duplicates("file", keep="last").sort_values("file")
    return [_problem(f, c, p, "left out") for f, c, p in told[["file", "class", "problem"]].itertuples(index=False)]


def _inverted(manifest: pd.DataFrame, coarse: list[np.ndarray | None]) -> list[dict]:
    """Problems of used images that look inverted beside their class, and of classes that do beside each other.

    coarse: of each row what films.coarse made, None where the image was left out.
    """
    used = manifest[manifest["status"] == "used"]
    images = np.array([coarse[row] for row in used.index], np.float32).reshape(-1, films.COARSE**2)
    inverted, opposites = films.looks_inverted(images, used["class"])
    problems = [
        _problem(file, label, films.INVERTED, "kept; look at it")
        for file, label in zip(used["file"][inverted], used["class"][inverted], strict=True)
    ]
    for a, b in opposites:
        log.warning("the median image of class %r looks like the negative of that of class %r; look at both", a, b)
        action = f"kept; its median image looks like the negative of that of {b}; look at both"
        problems.append(_problem(a, "", films.CLASSES_INVERTED, action))
    return problems


def _grouped(manifest: pd.DataFrame, kind: str) -> list[dict]:
    """Problems of used images that share a group; of a large group they are told apart."""
    used = manifest[manifest["status"] == "used"]
    members = used.groupby("group")["file"].transform("size")
    large = in_large_groups(used)
    problems = []
    for row, file, label, group in used.loc[members > 1, ["file", "class", "group"]].itertuples():
        problem = f"{kind}, {IN_LARGE_GROUP}" if large[row] else kind
        problems.append(_problem(file, label, problem, f"kept together in group {group[:12]}"))
    for label, group, count in used[large].groupby(["class", "group"]).size().reset_index().itertuples(index=False):
        log.warning("class %r: %d of its images form one group, %s; look at them", label, count, group[:12])
    return problems


def _named(found: pd.DataFrame) -> list[dict]:
    """Problems of the images in label conflicts; each names the nearest image of another class."""
    problems = []
    for own, other in (("a", "b"), ("b", "a")):
        for pair in found.to_dict("records"):
            action = f"kept together in group {pair['group'][:12]} with {pair[f'file_{other}']}"
            problems.append(_problem(pair[f"file_{own}"], pair[f"class_{own}"], CONFLICT, action))
    return list({problem["file"]: problem for problem in reversed(problems)}.values())


def _apply(manifest: pd.DataFrame, known: pd.Series, root: Path) -> list[dict]:
    """Add the column known_group in place: the group's number, since its name may be a patient's. Returns problems."""
    files = manifest["file"].tolist()
    groups, misfits = patients.matched(known, files, root)
    patients.check_names(misfits, files, root)
    names = manifest["file"].map(groups)
    numbers = {name: str(i + 1) for i, name in enumerate(sorted(names.dropna().unique()))}
    manifest["known_group"] = names.map(numbers).astype(object).fillna("")
    log.info("%d of %d files have a group in data.groups, %d groups", names.notna().sum(), len(files), len(numbers))
    for name, why in misfits.items():
        log.info("%r in data.groups %s", name, why)
    shown = {name: in_tables(without_folders(name)) for name in misfits}  # the log has the whole path
    problems = [_problem(shown[n], "", f"in data.groups: {why}", "not applied") for n, why in misfits.items()]
    unsure = names.map(lambda name: isinstance(name, str) and patients.means_unknown(name))
    shared = unsure & names.map(names.value_counts()).gt(1)
    for file, label, name in zip(manifest["file"][shared], manifest["class"][shared], names[shared], strict=True):
        problems.append(_problem(file, label, f"group {name!r} in data.groups", "taken for one group"))
    lacking = manifest[manifest["status"].eq("used") & patients.without_group(manifest)]
    for file, label in zip(lacking["file"], lacking["class"], strict=True):
        problems.append(_problem(file, label, "no group in data.groups", "taken for a group of its own"))
    return problems


def _distances(root: Path, manifest: pd.DataFrame) -> pd.DataFrame:
    """How far copies and different films lie from each other, from copies made of some hundred used files."""
    used = manifest[manifest["status"] == "used"].reset_index(drop=True)
    copies = {}
    drawn = used.sort_values("pixels_sha256").head(COPIED)  # by hash: drawn, but the same every time
    for row, file in zip(drawn.index, drawn["file"], strict=True):
        copies[row] = copy_hashes(decode(read_file(root / file), file).pixels)
    return distances(unpacked(used["perceptual_hash"]), used["class"].to_numpy(), copies)


def _group(manifest: pd.DataFrame, distance: int) -> None:
    """Fill in the group of the used files, in place."""
    used = manifest.index[manifest["status"] == "used"]
    if not len(used):
        return
    names = _of_all_copies(manifest).loc[used].to_numpy(str) if "known_group" in manifest else None
    numbers = pd.Series(groups(unpacked(manifest.loc[used, "perceptual_hash"]), distance, names), index=used)
    manifest.loc[used, "group"] = manifest.loc[used, "pixels_sha256"].groupby(numbers).transform("min")


def _of_all_copies(manifest: pd.DataFrame) -> pd.Series:
    """Each file's known group, or that of an exact copy of it, left out or not; groups that share an image are one."""
    names = manifest["known_group"].replace("", None)
    rows = pd.DataFrame({"pixels": manifest["pixels_sha256"], "name": names})
    rows = rows[rows["pixels"].ne("") & ~manifest["reason"].isin(films.NOT_FILMS)].dropna()
    graph = pd.concat([rows["pixels"], rows["name"]], ignore_index=True)
    number, _ = pd.factorize(graph)  # a hash is no group's name
    half = len(rows)
    links = coo_array(
        (np.ones(half, bool), (number[:half], number[half:])), shape=(number.max() + 1 if half else 0,) * 2
    )
    whole = connected_components(links, directed=False)[1] if half else np.empty(0, int)
    by_pixels = pd.Series(whole[number[:half]], index=rows["pixels"].to_numpy()).astype(str).groupby(level=0).first()
    return manifest["pixels_sha256"].map(by_pixels).astype(object).fillna("")


def check_classes(manifest: pd.DataFrame) -> None:
    """Raises UserError where a class has no usable image."""
    used = manifest["status"] == "used"
    for name, rows in manifest.groupby("class"):
        if not used[rows.index].any():
            reasons = ", ".join(f"{reason} ({n})" for reason, n in rows["reason"].value_counts().items())
            raise UserError(
                f"class {name!r}: none of its {len(rows)} files can be used: {reasons}. Mend them, or name the classes "
                "to use in data.classes"
            )


def _advice(bad: pd.DataFrame) -> str:
    """Of what kinds the files are, where that is known, and what to do."""
    kinds = {reason: count for reason, count in bad["reason"].value_counts().items() if reason in ADVICE}
    told = "".join(f"{count} are each a {kind}: {ADVICE[kind]}. " for kind, count in kinds.items())
    blank = int(bad["reason"].isin(films.NOT_FILMS).sum())
    return told + (f"{blank} can't be films; if they are, write data.not_films: keep. " if blank else "")


def check_share(manifest: pd.DataFrame, max_bad_share: float) -> None:
    """Raises UserError where more than `max_bad_share` of the files can't be read or can't be films, naming some.

    The log names all.
    """
    useless = manifest["pixels_sha256"].eq("") | manifest["reason"].isin(films.NOT_FILMS)
    bad = manifest[manifest["status"].eq("left out") & useless]
    if len(bad) > max_bad_share * len(manifest):
        for row in bad.itertuples():
            log.info("%s: %s", repr(row.file)[1:-1], row.reason)  # a line break in a name is none in the log
        named = ", ".join(f"{row.file!r} ({row.reason})" for row in bad.head(NAMED).itertuples())
        more = f" and {len(bad) - NAMED} more" if len(bad) > NAMED else ""
        raise UserError(
            f"{len(bad)} of {len(manifest)} files can't be used, more than data.max_bad_share {max_bad_share} allows: "
            f"{named}{more}. {_advice(bad)}Mend or remove them, or raise the share; the log names them all"
        )

"""What lies in a study's results that no job of the study makes; --delete removes it.

Such are the files of a size, replicate, augmentation, ratio, backbone or probe that the study has no more, their logs,
and what killed writers have left half-written. Nothing that a job of the study makes is listed, done or not; nor are
checkpoints of its trainings, whatever settings they are of, since only their training can tell which it would go on
from. In the workflow's own folders (`tables`, `gan`, …) a file of the user's is a leftover like another; what lies
beside these folders is left alone, and named. Links are not followed; a link that does not belong is itself removed,
not what it leads to.
"""

import argparse
import os
import shutil
import time
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from ganaug import attempts, drivers
from ganaug.errors import UserError
from ganaug.layout import FILES, FOLDERS, FORMER_FILES
from ganaug.overview.costs import size_of
from ganaug.overview.plan import Plan, plan_of
from ganaug.overview.status import Processes
from ganaug.overview.text import in_bytes
from ganaug.study.arguments import add_study

PATIENCE_MINUTES = 24 * 60  # for a job that can't be asked for: it may be suspended
SHOWN = 8  # leftovers of a folder; of more the number and their size


@dataclass(frozen=True)
class Leftover:
    """path: a file, a link, or a folder with nothing in it that belongs. files: how many it is."""

    path: Path
    files: int
    bytes: int


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_study(parser)
    parser.add_argument("--all", action="store_true", help=f"list all, not the first {SHOWN} of each folder")
    parser.add_argument("--delete", action="store_true", help="remove what is listed")


def run(args: argparse.Namespace) -> str:
    plan = plan_of(args, with_images=False)
    if not plan.results.is_dir():
        raise UserError(f"{plan.results}: no such folder here; run this where the study was run")
    if args.delete:
        refuse_if_at_work(plan)
    found, unknown = leftovers(plan)
    told = report(plan, found, unknown, args.all)
    if args.delete:
        for leftover in found:
            delete(leftover.path, plan.results)
        told += f"\n\ndeleted: {in_bytes(sum(leftover.bytes for leftover in found))}"
    return told


def refuse_if_at_work(plan: Plan) -> None:
    """Raises UserError where something may be writing to the results."""
    if driver := drivers.of_results(plan.results):
        raise UserError(
            f"Snakemake is at work on {plan.results}, or has died in it ({driver}); nothing is deleted. Wait for it; "
            "where it is dead, run the study once more, which ends what it has left"
        )
    if running := at_work(plan.results):
        raise UserError(f"a job is still at work, or may be; nothing is deleted. Its log: {running}")


def at_work(results: Path) -> Path | None:
    """The log of an attempt, at a job of the study or not, that may still run."""
    logs = [
        Path(str(path).removesuffix(".attempts.jsonl") + ".log") for path in results.glob("logs/**/*.attempts.jsonl")
    ]
    begun = [(log, last) for log in logs for last in attempts.read(log)[-1:] if last.outcome is None]
    there, now = Processes(), time.time()
    there.ask([last for _, last in begun])
    return next((log for log, last in begun if there.at_work(last, now, PATIENCE_MINUTES)), None)


def leftovers(plan: Plan) -> tuple[list[Leftover], list[Path]]:
    """(what does not belong, what is none of the workflow's making), sorted by path."""
    whole, parents = belonging(plan)
    # While something is at work, what is half-written may be just being written.
    busy = drivers.of_results(plan.results) or at_work(plan.results)
    found: list[Leftover] = []
    unknown: list[Path] = []
    for path in _entries(plan.results):
        if path.name in FOLDERS:
            found += _at(path, whole, parents, bool(busy))
        elif path.name in FORMER_FILES:
            found.append(_leftover(path))
        elif temporary(path):
            found += [] if busy else [_leftover(path)]
        elif path.name not in FILES:
            unknown.append(path)
    return found, unknown


def belonging(plan: Plan) -> tuple[set[Path], set[Path]]:
    """(files and folders that belong with all that is in them, the folders above them)."""
    whole = {plan.results / name for name in FILES}
    whole |= {plan.results / "logs" / name for name in ("print_summary.log", "print_summary.attempts.jsonl")}
    for job in plan.jobs:
        whole |= {*job.outputs, job.log, attempts.beside(job.log)}
        whole |= {path for path in (job.benchmark, job.checkpoints) if path}
    return whole, {parent for path in whole for parent in path.parents}


def temporary(path: Path) -> bool:
    """Whether the name is of the kind that `ganaug.files` writes to before it renames."""
    return path.name.startswith(".") and "." in path.name[1:]


def _entries(folder: Path) -> list[Path]:
    return sorted(folder / entry.name for entry in os.scandir(folder))


def _at(path: Path, whole: set[Path], parents: set[Path], busy: bool) -> list[Leftover]:
    """The leftovers at a path: none, itself, or some in it."""
    if path in whole or (busy and temporary(path)):
        return []
    if path not in parents:
        return [_leftover(path)]
    if path.is_symlink() or not path.is_dir():  # a folder of the study's that is a link is not looked into
        return []
    return [leftover for entry in _entries(path) for leftover in _at(entry, whole, parents, busy)]


def _leftover(path: Path) -> Leftover:
    return Leftover(path, _files(path), size_of(path))


def _files(path: Path) -> int:
    """How many files and links there are at a path."""
    return 1 if path.is_symlink() or not path.is_dir() else sum(map(_files, _entries(path)))


def report(plan: Plan, found: list[Leftover], unknown: list[Path], everything: bool = False) -> str:
    if found:
        lines = [f"No job of the study makes these, in {plan.results}:"]
    else:
        lines = [f"Everything in {plan.results} belongs to the study."]
    groups = defaultdict(list)
    for leftover in found:
        groups[leftover.path.relative_to(plan.results).parts[0]].append(leftover)
    for name, ours in groups.items():
        lines += ["", f"{name}: {_sum(ours)}"]
        shown = ours if everything else ours[:SHOWN]
        lines += [f"  {_name(x, plan.results)}  ({_sum([x])})" for x in shown]
        if len(ours) > len(shown):
            lines += [f"  and {len(ours) - len(shown)} more: {_sum(ours[len(shown) :])} (`--all` lists them)"]
    if found:
        lines += ["", f"in all: {_sum(found)}; `--delete` removes them"]
    if kept := _of_several_keys(plan):
        lines += [
            "",
            f"Kept: checkpoints of other settings or code, perhaps, of {kept} of the study's trainings. Only a",
        ]
        lines += ["training can tell which it goes on from; all of `checkpoints` can go when the study is done."]
    if unknown:
        lines += ["", f"Not of the workflow's making, and left alone: {', '.join(path.name for path in unknown)}"]
    return "\n".join(lines)


def _of_several_keys(plan: Plan) -> int:
    folders = [job.checkpoints for job in plan.jobs if job.checkpoints and job.checkpoints.is_dir()]
    return sum(len(_entries(folder)) > 1 for folder in folders)


def _name(leftover: Leftover, results: Path) -> str:
    slash = "/" if leftover.path.is_dir() and not leftover.path.is_symlink() else ""
    return f"{leftover.path.relative_to(results)}{slash}"


def _sum(ours: list[Leftover]) -> str:
    files = sum(leftover.files for leftover in ours)
    return f"{files} file{'' if files == 1 else 's'}, {in_bytes(sum(leftover.bytes for leftover in ours))}"


def delete(path: Path, results: Path) -> None:
    """Removes a leftover, and the folders above it that are empty then. Raises UserError where that can't be done."""
    try:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)  # unlinks the links in it, and does not follow them
        else:
            path.unlink(missing_ok=True)
        for parent in path.parents:
            if parent == results or any(parent.iterdir()):
                return
            parent.rmdir()
    except OSError as error:
        raise UserError(
            f"{path} can't be removed: {error.strerror}; the leftovers that are listed before it are "
            "removed, the others are there"
        ) from None

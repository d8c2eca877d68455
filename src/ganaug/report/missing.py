"""What the report says of an incomplete study: how much is there, and what failed, grouped by what went wrong."""

import re
from pathlib import Path

from ganaug.analysis.missing import place, read_unfinished
from ganaug.analysis.results import CELL

NAMED = 5  # jobs of a group, then their number


def missing(path: Path | None) -> dict | None:
    """there, all (classifiers); groups of failed jobs; the jobs that were not begun, by stage; None without a file.

    A group: the failed jobs of a stage whose reasons are the same but for paths and numbers, with the reason and log of
    the first, and the jobs that wait for them, by stage.
    """
    if path is None:
        return None
    found = read_unfinished(path)
    jobs = found["jobs"]
    groups: dict[tuple[str, str], list[dict]] = {}
    failed = {job["name"]: job for job in jobs if job["failed"]}
    for job in failed.values():
        alike = re.sub(r"\d+", "#", re.sub(r"\S*/\S*", "…", job["why"]))
        groups.setdefault((job["rule"], alike), []).append(job)
    there, of = found["classifiers"]
    not_begun = [job for job in jobs if job["cause"] not in failed]
    return {
        "there": there,
        "all": of,
        "groups": [_group(members, jobs) for members in groups.values()],
        "not_begun": _by_stage(not_begun),
    }


def _group(members: list[dict], jobs: list[dict]) -> dict:
    names = {job["name"] for job in members}
    waiting = [job for job in jobs if job["cause"] in names and not job["failed"]]
    places = [in_words(job["wildcards"]) for job in members]
    return {
        "stage": members[0]["rule"],
        "count": len(members),
        "places": [p for p in places[:NAMED] if p],
        "more": max(0, len(members) - NAMED),
        "why": members[0]["why"],
        "log": members[0]["log"],
        "waiting": _by_stage(waiting),
    }


def _by_stage(jobs: list[dict]) -> dict[str, int]:
    stages = [job["rule"] for job in jobs]
    return {stage: stages.count(stage) for stage in dict.fromkeys(stages)}


def in_words(wildcards: dict[str, str]) -> str:
    """`gan, size 100, replicate 1, resnet50`."""
    found = place(wildcards)
    named = [
        f"{name} {found[name]}" if name in ("size", "replicate") else found[name] for name in CELL if name in found
    ]
    return ", ".join(named)

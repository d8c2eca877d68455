"""The jobs of a study, and what estimate, status and leftovers read of the study beside them."""

import argparse
import csv
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from ganaug.errors import UserError
from ganaug.study.arguments import settings_of
from ganaug.study.jobs import Job, jobs_of
from ganaug.study.model import Study


@dataclass(frozen=True)
class Plan:
    """What is looked at.

    Attributes:
        results: the study's folder.
        settings: of the study, all of them.
        jobs: all of the study's, done or not.
        images: how many each class has.
    """

    results: Path
    settings: dict
    jobs: list[Job]
    images: dict[str, int] = field(default_factory=dict)


def plan_of(args: argparse.Namespace, with_images: bool = True) -> Plan:
    """The plan of the study that the options of `study.arguments` name; without its images for who needs none.

    Raises UserError for a study that can't be used, and for images that can't be counted.
    """
    study = Study(settings_of(args))
    return Plan(Path(study.results), study.settings, jobs_of(study), images_of(study) if with_images else {})


def images_of(study: Study) -> dict[str, int]:
    """How many images each class has: in the data root, or by the study's manifest where the data root is elsewhere."""
    try:
        return study.images_by_class
    except UserError:
        manifest = Path(study.results, "data", "manifest.csv")
        if not manifest.is_file():
            raise
        with open(manifest, encoding="utf-8", newline="") as file:
            return dict(Counter(row["class"] for row in csv.DictReader(file)))


def stages(jobs: list[Job]) -> list[str]:
    """The rules of the jobs, each after those it needs."""
    depth: dict[int, int] = {}

    def depth_of(number: int) -> int:
        if number not in depth:
            depth[number] = 1 + max((depth_of(other) for other in jobs[number].after), default=0)
        return depth[number]

    deepest: dict[str, int] = {}
    for number, job in enumerate(jobs):
        deepest[job.rule] = max(deepest.get(job.rule, 0), depth_of(number))
    return sorted(deepest, key=lambda rule: (deepest[rule], rule))

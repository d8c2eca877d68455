"""plan.json: the jobs of a study, as the workflow's rules say them. What estimate, status and leftovers all read."""

import argparse
from dataclasses import dataclass
from pathlib import Path

from ganaug.files import read_json, sha256_of


def job_name(rule: str, wildcards: dict[str, str]) -> str:
    """`train_gan size=100 replicate=1`."""
    return " ".join([rule, *(f"{key}={value}" for key, value in wildcards.items() if value)])


@dataclass(frozen=True, eq=False)
class Job:
    """rule, wildcards: which job. outputs: files, or folders. log, benchmark: its files, the latter perhaps None.
    checkpoints: a folder from which the job goes on after a kill, or None. threads, gpus: what it asks for. after:
    numbers of the jobs that must be done before."""

    rule: str
    wildcards: dict[str, str]
    outputs: list[Path]
    log: Path
    benchmark: Path | None
    checkpoints: Path | None
    threads: int
    gpus: int
    after: list[int]

    @property
    def name(self) -> str:
        return job_name(self.rule, self.wildcards)


@dataclass(frozen=True)
class Plan:
    """results: the study's folder. study: its settings. images: by class, in its data root. jobs: all of them.
    configs: its files' SHA-256 when the plan was made. path: of plan.json."""

    results: Path
    study: dict
    images: dict[str, int]
    jobs: list[Job]
    configs: dict[str, str]
    path: Path

    def outdated(self) -> str:
        """A warning where the study's files have changed since the plan was made, else empty.

        Settings given on Snakemake's command line, and images, may have changed unseen.
        """
        changed = [path for path, digest in self.configs.items() if not _has(path, digest)]
        if not changed:
            return ""
        return f"{', '.join(changed)} has changed since {self.path} was written: what is shown is the study of then"


def _has(path: str, digest: str) -> bool:
    return Path(path).is_file() and sha256_of(path) == digest


def add_plan(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("inputs")
    group.add_argument("--plan", type=Path, required=True, help="plan.json of the study, in its results")


def read_plan(path: Path) -> Plan:
    plan = read_json(path)
    jobs = [
        Job(
            rule=job["rule"],
            wildcards=job["wildcards"],
            outputs=[Path(output) for output in job["outputs"]],
            log=Path(job["log"]),
            benchmark=Path(job["benchmark"]) if job["benchmark"] else None,
            checkpoints=Path(job["checkpoints"]) if job["checkpoints"] else None,
            threads=job["threads"],
            gpus=job["gpus"],
            after=job["after"],
        )
        for job in plan["jobs"]
    ]
    return Plan(Path(plan["results"]), plan["study"], plan["images"], jobs, plan["configs"], path)


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

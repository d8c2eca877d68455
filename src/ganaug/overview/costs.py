"""What the jobs of a study have taken and will take: the arithmetic that estimate and status share.

What is finished counts as measured. What is not counts as guessed, times measured over guessed of the finished jobs of
the same rule: so the large cells of a study are not taken for as quick as the small ones that finish first.
"""

import os
from dataclasses import dataclass, field
from pathlib import Path

from ganaug import attempts
from ganaug.attempts import Attempt
from ganaug.files import read_json
from ganaug.gpu_choice import visible
from ganaug.overview.guesses import Guess, guess
from ganaug.overview.plan import Plan
from ganaug.study.jobs import Job


@dataclass
class Hours:
    """Of GPUs and of CPU cores."""

    gpu: float = 0.0
    cpu: float = 0.0

    def __add__(self, other: "Hours") -> "Hours":
        return Hours(self.gpu + other.gpu, self.cpu + other.cpu)


@dataclass(frozen=True)
class Measured:
    """seconds: wall-clock. gpus: that it had all the time."""

    seconds: float
    cpu_seconds: float
    gpus: int


@dataclass
class Cost:
    """Of one job. on_gpu: whether it runs on a GPU. tries: the attempts at it. done: whether all its outputs are there.
    measured: what they took; None where that is unknown, or it is not done. used: hours of all attempts, failed ones
    too. disk: bytes there now. seconds, total, bytes: of the whole job, measured or guessed. left: until it is done."""

    job: Job
    on_gpu: bool
    tries: list[Attempt]
    done: bool
    guess: Guess
    measured: Measured | None
    used: Hours
    disk: float
    seconds: float = 0.0
    total: Hours = field(default_factory=Hours)
    left: Hours = field(default_factory=Hours)
    bytes: float = 0.0


def costs(plan: Plan, on_gpus: bool | None = None, sharing: int = 1) -> list[Cost]:
    """One per job of the plan. on_gpus: whether jobs that would take a GPU get one; None: see `gpus_used`. sharing:
    jobs that share a GPU, those that have run too: of each hour of theirs, that part counts as a GPU's."""
    on_gpus = gpus_used(plan) if on_gpus is None else on_gpus
    found = [_so_far(job, plan, on_gpus and job.gpus > 0, sharing) for job in plan.jobs]
    for rule in {job.rule for job in plan.jobs}:
        _complete([cost for cost in found if cost.job.rule == rule], sharing)
    return found


def gpus_used(plan: Plan) -> bool:
    """Whether the study's GPU jobs run on GPUs: as it says; with `device: auto` as earlier ones did, else as they
    would on this machine."""
    if plan.settings["device"] != "auto":
        return plan.settings["device"] == "cuda"
    for job in plan.jobs:
        devices = [attempt.device for attempt in attempts.read(job.log) if attempt.device] if job.gpus else []
        if devices:
            return devices[-1] != "cpu"
    return bool(visible())


def size_of(path: Path) -> int:
    """Bytes of a file, or of all files in a folder; 0 where there is none. Links are not followed."""
    if path.is_dir() and not path.is_symlink():
        with os.scandir(path) as entries:
            return sum(size_of(Path(entry.path)) for entry in entries)
    try:
        return path.lstat().st_size
    except FileNotFoundError:
        return 0


def _so_far(job: Job, plan: Plan, on_gpu: bool, sharing: int) -> Cost:
    tries, done = attempts.read(job.log), all(output.exists() for output in job.outputs)
    measured = _measured(job, tries, on_gpu) if done else None
    used = sum((_hours(attempt, job, on_gpu, sharing) for attempt in tries), Hours())
    if not tries and measured:
        used = Hours(measured.seconds * measured.gpus / sharing / 3600, measured.cpu_seconds / 3600)
    disk = sum(size_of(path) for path in [*job.outputs, job.checkpoints] if path)
    has = job.gpus if on_gpu else 0
    guessed = guess(job.rule, job.wildcards, plan.settings, plan.images, job.threads, has, sharing)
    return Cost(job, on_gpu, tries, done, guessed, measured, used, disk)


def _measured(job: Job, tries: list[Attempt], on_gpu: bool) -> Measured | None:
    """What the outputs took: of attempts, the last that ended well and those that led to it; in results from before
    attempts were recorded, what the provenance says."""
    good = [number for number, attempt in enumerate(tries) if attempt.outcome == attempts.DONE]
    if good:
        ours = tries[good[-2] + 1 if len(good) > 1 else 0 : good[-1] + 1]
        seconds, cpu = sum(a.lasted for a in ours), sum(_cpu_seconds(a, job) for a in ours)
        return Measured(seconds, cpu, _gpus(ours[-1], on_gpu))
    provenance = next((path for path in job.outputs if path.name.endswith("provenance.json")), None)
    if provenance is None:
        return None
    record = read_json(provenance)
    gpus = 0 if record["machine"]["device"] == "cpu" else max(1, job.gpus)
    return Measured(record["wall_seconds"], record["cpu_seconds"], gpus)


def _cpu_seconds(attempt: Attempt, job: Job) -> float:
    """Of one that a kill has ended: as if all its threads had been at work."""
    if attempt.cpu_seconds is None:
        return attempt.lasted * job.threads
    return attempt.cpu_seconds * attempt.processes


def _gpus(attempt: Attempt, on_gpu: bool) -> int:
    used = on_gpu if attempt.device is None else attempt.device != "cpu"
    return attempt.processes if used else 0


def _hours(attempt: Attempt, job: Job, on_gpu: bool, sharing: int) -> Hours:
    return Hours(attempt.lasted * _gpus(attempt, on_gpu) / sharing / 3600, _cpu_seconds(attempt, job) / 3600)


def _complete(ours: list[Cost], sharing: int) -> None:
    """Fills in what all jobs of one rule take, and what is left of them."""
    known = [(cost, cost.measured) for cost in ours if cost.measured]
    slower = _ratio(sum(m.seconds for _, m in known), sum(cost.guess.seconds for cost, _ in known))
    # Of the threads that a job asks for, how many it keeps busy: beside a GPU hardly more than one.
    threads = sum(m.seconds * cost.job.threads for cost, m in known)
    busy = _ratio(sum(m.cpu_seconds for _, m in known), threads)
    there = [cost for cost in ours if cost.done]
    larger = _ratio(sum(c.disk for c in there), sum(c.guess.bytes for c in there))
    for cost in ours:
        cost.bytes = cost.disk if cost.done else cost.guess.bytes * larger
        if cost.measured:
            m = cost.measured
            cost.seconds = m.seconds
            cost.total = Hours(m.seconds * m.gpus / sharing / 3600, m.cpu_seconds / 3600)
            continue
        cost.seconds = cost.guess.seconds * slower
        threads = cost.job.threads * busy if known or not cost.on_gpu else 1
        on = cost.job.gpus * cost.on_gpu / sharing
        cost.total = Hours(cost.seconds * on / 3600, cost.seconds * threads / 3600)
        if not cost.done:
            begun = sum((_hours(attempt, cost.job, cost.on_gpu, sharing) for attempt in _towards(cost)), Hours())
            cost.left = Hours(max(0.0, cost.total.gpu - begun.gpu), max(0.0, cost.total.cpu - begun.cpu))


def _towards(cost: Cost) -> list[Attempt]:
    """The attempts that count towards an unfinished job: where it goes on from checkpoints all since it was last done,
    else one that has not ended."""
    good = [number for number, attempt in enumerate(cost.tries) if attempt.outcome == attempts.DONE]
    since = cost.tries[good[-1] + 1 if good else 0 :]
    return since if cost.job.checkpoints else [attempt for attempt in since[-1:] if attempt.outcome is None]


def _ratio(a: float, b: float) -> float:
    return a / b if a > 0 and b > 0 else 1.0

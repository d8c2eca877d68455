"""Many jobs in a few minutes: a pool of processes that need not import PyTorch.

One process imports what the stages import, and forks a child for each job. The child runs the job's command through
`ganaug.cli.main`, as a process of its own would. CUDA begins in the child alone: a fork of a process that has touched
CUDA can't use it. Where an import has done so, each job starts a Python of its own, which takes seconds longer.
"""

import importlib
import multiprocessing
import os
import signal
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from pathlib import Path

from ganaug.elsewhere.jobs import Job, option
from ganaug.errors import UserError

DONE, FAILED, STOPPED, WAITING, LEFT = "done", "failed", "stopped", "not begun", "left out"
PATIENCE = 6  # seconds that a job has to end after SIGTERM
CONSOLES = "consoles"  # folder of what jobs write to the terminal
TOLD = 1000  # characters of it, the last ones, that are told of a job that has failed


@dataclass
class Attempt:
    """job: what it is. outcome: one of the words above. began: seconds from the pool's start; seconds: how long the job
    has run; both None where it was not begun."""

    job: Job
    outcome: str = WAITING
    began: float | None = None
    seconds: float | None = None

    def as_dict(self) -> dict:
        shown = {"outcome": self.outcome, "began": self.began, "seconds": self.seconds}
        return self.job.as_dict() | {k: round(v, 2) if isinstance(v, float) else v for k, v in shown.items()}


@dataclass
class Pool:
    """jobs: in the order in which they are to be begun. folder: the study's, where commands run. trainings: GANs that
    train at a time; others: other jobs at a time. until: time.monotonic() at which all must have ended. anew: whether
    each job starts a Python of its own."""

    jobs: list[Job]
    folder: Path
    trainings: int
    others: int
    until: float
    anew: bool = False
    tell: Callable[[str], None] = print
    attempts: dict[str, Attempt] = field(init=False)
    running: dict[str, BaseProcess] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        self.attempts = {job.name: Attempt(job) for job in self.jobs}
        self.start = time.monotonic()

    def run(self) -> list[Attempt]:
        """Runs what can be run until then; never raises for a job that fails. Returns an attempt per job."""
        for attempt in self.attempts.values():
            if all((self.folder / output).is_file() for output in attempt.job.outputs):
                attempt.outcome = DONE  # by an earlier pool in this folder
        while time.monotonic() < self.until:
            self.begin()
            if not self.running:
                break
            ends = [process.sentinel for process in self.running.values()]
            wait(ends, max(0.0, self.until - time.monotonic()))
            self.gather()
        self.stop()
        return list(self.attempts.values())

    def begin(self) -> None:
        """Fills the free places with jobs whose turn it is."""
        for attempt in self.attempts.values():
            job, training = attempt.job, attempt.job.rule == "train_gan"
            busy = sum((self.attempts[name].job.rule == "train_gan") == training for name in self.running)
            if busy >= (self.trainings if training else self.others) or attempt.outcome != WAITING:
                continue
            if any(self.attempts[name].outcome != DONE for name in job.after):
                continue
            if time.monotonic() + self.expected(job) > self.until:
                continue
            process = multiprocessing.get_context("fork").Process(target=child, args=(job, self.folder, self.anew))
            attempt.began, attempt.outcome = time.monotonic() - self.start, "running"
            process.start()
            self.running[job.name] = process

    def expected(self, job: Job) -> float:
        """Seconds that a job takes: the median of its rule so far; 0 where there was none."""
        others = [
            a.seconds for a in self.attempts.values() if a.job.rule == job.rule and a.outcome == DONE and a.seconds
        ]
        return statistics.median(others) if others else 0

    def gather(self, stopped: bool = False) -> None:
        """Notes which jobs have ended."""
        for name, process in list(self.running.items()):
            if process.is_alive():
                continue
            process.join()
            del self.running[name]
            attempt = self.attempts[name]
            attempt.seconds = time.monotonic() - self.start - (attempt.began or 0)
            attempt.outcome = DONE if process.exitcode == 0 else STOPPED if stopped else FAILED
            self.tell(f"{time.monotonic() - self.start:6.1f} s  {attempt.outcome} in {attempt.seconds:.1f} s: {name}")
            if attempt.outcome == FAILED and (console := console_of(attempt.job, self.folder)).is_file():
                self.tell(console.read_text(errors="replace")[-TOLD:])

    def stop(self) -> None:
        """Ends what still runs: by SIGTERM, and by SIGKILL what has not ended some seconds later."""
        for process in self.running.values():
            process.terminate()
        end = time.monotonic() + PATIENCE
        while self.running and (left := end - time.monotonic()) > 0:
            wait([process.sentinel for process in self.running.values()], left)
            self.gather(stopped=True)
        for process in self.running.values():
            process.kill()
            process.join(PATIENCE)
        self.gather(stopped=True)


def console_of(job: Job, folder: Path) -> Path:
    """The file with what the job writes to the terminal: errors above all."""
    return folder / CONSOLES / f"{job.name.replace(' ', '_').replace('/', '_')}.txt"


def child(job: Job, folder: Path, anew: bool) -> None:
    """A job's process, from the fork to its end. anew: whether to start another Python instead of going on in this."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    console = console_of(job, folder)
    console.parent.mkdir(parents=True, exist_ok=True)
    with console.open("w") as file:
        for number in (1, 2):
            os.dup2(file.fileno(), number)
    sys.stdout, sys.stderr = (open(number, "w", buffering=1, closefd=False) for number in (1, 2))  # noqa: SIM115 (to the end)
    os.chdir(folder)
    if anew:
        paths = {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        os.execve(sys.executable, [sys.executable, "-m", "ganaug", *job.arguments], os.environ | paths)
    from ganaug.cli import main

    sys.exit(main(job.arguments))


def prepare(jobs: list[Job]) -> bool:
    """Imports what the jobs' stages import, and sets the number of threads, which libraries read once.

    Returns whether forks of this process can use a GPU where there is one: they can't if an import has touched CUDA.
    Raises UserError where jobs differ in their threads, which a process can't unlearn.
    """
    threads = {option(job.arguments, "--threads") or "1" for job in jobs if "--threads" in job.arguments}
    if len(threads) > 1:
        raise UserError(
            "threads: jobs elsewhere share one number of them; write the same for gan, classifier, fidelity"
        )
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[name] = next(iter(threads), "1")
    os.environ["HF_HUB_OFFLINE"] = "1"
    from ganaug.cli import STAGES

    for stage in sorted({job.arguments[0] for job in jobs}):
        importlib.import_module(STAGES[stage])
    for name in ("timm", "torchvision.transforms.v2"):  # which stages import late
        importlib.import_module(name)
    if forks_can_use_gpu(after=import_late):
        import_late()
    return forks_can_use_gpu()


def import_late() -> None:
    """What PyTorch itself imports late, for seconds: at a GPU's first job, and at an optimiser's first steps."""
    import torch

    torch.use_deterministic_algorithms(True)
    torch.use_deterministic_algorithms(False)
    torch.optim.AdamW([torch.zeros(1, requires_grad=True)]).zero_grad()


def forks_can_use_gpu(after: Callable[[], None] | None = None) -> bool:
    """Whether a fork of this process, once it had done something, could use a GPU; true where there is none."""
    context = multiprocessing.get_context("fork")
    trial = context.Process(target=try_after, args=(after,)) if after else context.Process(target=try_gpu)
    trial.start()
    trial.join(60)
    if trial.is_alive():
        trial.kill()
    return trial.exitcode == 0


def try_after(what: Callable[[], None]) -> None:
    what()
    sys.exit(0 if forks_can_use_gpu() else 1)


def try_gpu() -> None:
    import torch

    if torch.cuda.is_available():
        torch.zeros(1, device="cuda").add(1).item()

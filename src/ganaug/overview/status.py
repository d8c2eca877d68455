"""How far a study is, what it has taken and what is left, from its files alone.

Works without a driver and while one runs. A job is done where all its outputs are there; failed where its last attempt
ended in an error, or without a word (killed, out of memory, its node lost); running where an attempt has begun and not
ended; else waiting, which a job is too whose time slot is over and that goes on from its checkpoint. Whether a process
is still there is asked of this machine or, by the number of its job, of SLURM where `squeue` is; else it is known by
the touch it gives its record every minute. That an output is older than the settings it should be made with is not seen
here: `snakemake -n` tells.
"""

import argparse
import shutil
import subprocess
import time

import psutil

from ganaug import attempts, drivers
from ganaug.attempts import Attempt
from ganaug.joblog import last_lines
from ganaug.overview.costs import Cost, Hours, costs
from ganaug.overview.plan import Plan, plan_of, stages
from ganaug.overview.text import duration, in_bytes, in_hours, table
from ganaug.study.arguments import add_study

DONE, RUNNING, FAILED, WAITING = "done", "running", "failed", "waiting"
STATES = (DONE, RUNNING, FAILED, WAITING)
LAST_LINES = 5  # of a failed job's log
SHOWN = 10  # failed jobs with their logs; of more only the number
SILENT_MINUTES = 10  # ten touches missed: clocks of machines differ, file servers lag


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_study(parser)


def run(args: argparse.Namespace) -> str:
    return report(plan_of(args), time.time())


def state(cost: Cost, there: "Processes", now: float) -> str:
    last = cost.tries[-1] if cost.tries else None
    if last and there.at_work(last, now, SILENT_MINUTES):
        return RUNNING  # also where its outputs are there: they are being made anew
    if cost.done:
        return DONE
    if last is None or last.outcome in (attempts.DONE, attempts.STOPPED):
        return WAITING  # or it was done, and an output is gone: it will be made again
    return FAILED


def report(plan: Plan, now: float) -> str:
    """The table of stages, then what has failed or looks strange, as text."""
    found, there = costs(plan), Processes()
    there.ask([cost.tries[-1] for cost in found if cost.tries])
    states = [state(cost, there, now) for cost in found]
    both = list(zip(found, states, strict=True))
    rows: list[tuple[str, ...]] = [("stage", "jobs", *STATES, "GPU used", "GPU left", "CPU used", "CPU left")]
    for rule in stages(plan.jobs):
        rows.append((rule, *_row([(cost, is_) for cost, is_ in both if cost.job.rule == rule])))
    rows.append(("all", *_row(both)))
    lines = [f"How far the study {plan.settings['study']} is, {time.strftime('%Y-%m-%d %H:%M', time.localtime(now))}"]
    disk, end = sum(cost.disk for cost in found), sum(max(cost.bytes, cost.disk) for cost in found)
    lines += ["", *table(rows), f"disk: {in_bytes(disk)} now, {in_bytes(end)} at the end"]
    lines += _failed([cost for cost, is_ in both if is_ == FAILED], drivers.lives(plan.results), now)
    lines += _stopped([cost for cost, is_ in both if is_ == WAITING])
    return "\n".join(lines)


def _row(ours: list[tuple[Cost, str]]) -> list[str]:
    used, left = (sum((getattr(cost, name) for cost, _ in ours), Hours()) for name in ("used", "left"))
    counts = [sum(is_ == kind for _, is_ in ours) for kind in STATES]
    return [
        *(str(n) if n else "-" for n in (len(ours), *counts)),
        *(in_hours(hours) for hours in (used.gpu, left.gpu, used.cpu, left.cpu)),
    ]


def _failed(ours: list[Cost], driven: bool, now: float) -> list[str]:
    lines = []
    for cost in ours[:SHOWN]:
        last = cost.tries[-1]
        when = f"attempt {len(cost.tries)}, begun {duration(now - last.started)} ago on {last.host}"
        how = "failed"
        if last.outcome in (None, attempts.LOST):
            how, when = "ended without a word", f"{when}, lasted {duration(last.lasted)}"
        lines += ["", f"{how}: {cost.job.name} ({when})", f"  {cost.job.log}:"]
        lines += [f"    {line}" for line in last_lines(cost.job.log, LAST_LINES)]
    if len(ours) > SHOWN:
        lines += ["", f"and {len(ours) - SHOWN} more have failed"]
    if ours and driven:
        lines += ["", "Snakemake is at work on the study, and may try these again."]
    return lines


def _stopped(ours: list[Cost]) -> list[str]:
    names = [cost.job.name for cost in ours if cost.tries and cost.tries[-1].outcome == attempts.STOPPED]
    if not names:
        return []
    more = [f"  and {len(names) - SHOWN} more"] if len(names) > SHOWN else []
    return ["", "stopped by a signal, and to go on:", *(f"  {name}" for name in names[:SHOWN]), *more]


class Processes:
    """Which attempts still run, as far as that can be known from here."""

    def __init__(self) -> None:
        self.host = attempts.here()
        self.in_slurm: dict[str, bool] = {}

    def ask(self, tries: list[Attempt]) -> None:
        """Asks SLURM for all jobs at once."""
        jobs = sorted({a.slurm_job for a in tries if a.outcome is None and a.slurm_job})
        if not jobs or not shutil.which("squeue"):
            return
        # Of a list SLURM leaves out what it does not know any more; a single number of the kind it calls an error.
        command = ["squeue", "--noheader", "--format=%A", f"--jobs={','.join([*jobs, jobs[0]])}"]
        try:
            asked = subprocess.run(command, capture_output=True, text=True, timeout=30)
        except subprocess.TimeoutExpired:
            return
        if asked.returncode == 0 or "Invalid job id" in asked.stderr:
            self.in_slurm = {job: job in asked.stdout.split() for job in jobs}

    def at_work(self, attempt: Attempt, now: float, patience: float) -> bool:
        """Whether an attempt runs; where it can't be known, whether it has been heard of in `patience` minutes."""
        if attempt.outcome is not None:
            return False
        alive = self._alive(attempt)
        return now - (attempt.heard or attempt.started) < 60 * patience if alive is None else alive

    def _alive(self, attempt: Attempt) -> bool | None:
        """None where it can't be known."""
        if attempt.host != self.host:
            return self.in_slurm.get(attempt.slurm_job) if attempt.slurm_job else None
        try:
            process = psutil.Process(attempt.pid)
            same = process.create_time() < attempt.started + 1  # else another has its number
            return same and process.status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return False

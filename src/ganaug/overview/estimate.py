"""What a study takes, before it has run and while it does: hours, days, disk.

Where jobs have finished they are the measure, and the others of their stage are guessed in proportion; else all is
guessed from the study's settings (`overview.guesses` and `overview.gpu_rates` say from what).
"""

import argparse

from ganaug.errors import UserError
from ganaug.overview.costs import Cost, Hours, costs, gpus_used
from ganaug.overview.gpu_rates import CARD
from ganaug.overview.plan import Plan, plan_of, stages
from ganaug.overview.text import duration, in_bytes, in_hours, table
from ganaug.study.arguments import add_study

SIDE_BY_SIDE = (1, 2, 4, 8, 16, 32)  # GPUs, or cores, for which the days are shown
CORES_PER_GPU = 8


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_study(parser)
    parser.add_argument("--gpus", type=int, help="count for that many GPUs at a time; 0: on CPUs alone")
    parser.add_argument("--per-gpu", type=int, default=1, help="jobs that share a GPU")
    parser.add_argument("--cores", type=int, help="count for that many CPU cores at a time")


def run(args: argparse.Namespace) -> str:
    return report(plan_of(args), args.gpus, args.cores, args.per_gpu)


def report(plan: Plan, gpus: int | None = None, cores: int | None = None, sharing: int = 1) -> str:
    """sharing: jobs that share a GPU."""
    if sharing < 1:
        raise UserError(f"--per-gpu {sharing}: at least one job has a GPU")
    if gpus is not None and gpus < 0:
        raise UserError(f"--gpus {gpus}: write 0 for none, or how many")
    if cores is not None and cores < 1:
        raise UserError(f"--cores {cores}: at least one core is needed")
    on_gpus = gpus_used(plan) if gpus is None else gpus > 0
    found = costs(plan, on_gpus, sharing)
    rows = [("stage", "jobs", "each takes", "GPU time", "CPU time", "disk", "from")]
    for rule in stages(plan.jobs):
        ours = [cost for cost in found if cost.job.rule == rule]
        rows.append((rule, str(len(ours)), _each(ours), *_sums(ours), basis(ours)))
    rows.append(("all", str(len(found)), "", *_sums(found), ""))
    lines = [f"What the study {plan.settings['study']} takes, from beginning to end"]
    lines += ["", *table(rows), ""]
    lines += _days(found, on_gpus, gpus, cores)
    if any(cost.measured is None for cost in found):
        lines += ["", *_caution(plan, found, on_gpus)]
    return "\n".join(lines)


def _each(ours: list[Cost]) -> str:
    low, high = (duration(seconds) for seconds in (min(c.seconds for c in ours), max(c.seconds for c in ours)))
    return low if low == high else f"{low} - {high}"


def _sums(ours: list[Cost]) -> tuple[str, str, str]:
    total = sum((cost.total for cost in ours), Hours())
    return in_hours(total.gpu), in_hours(total.cpu), in_bytes(sum(cost.bytes for cost in ours))


def basis(ours: list[Cost]) -> str:
    """Where the numbers of a stage come from."""
    known = sum(cost.measured is not None for cost in ours)
    if not known:
        return "guess"
    return "measured" if known == len(ours) else f"measured, {known} of {len(ours)}"


def _days(found: list[Cost], on_gpus: bool, gpus: int | None, cores: int | None) -> list[str]:
    counts = [gpus] if gpus else [cores] if cores and not on_gpus else SIDE_BY_SIDE
    kind = "GPUs at a time" if on_gpus else "cores at a time"
    takes = ("takes at least", *(duration(wall_clock(found, count, cores)) for count in counts))
    longest = f"Never less than {duration(longest_chain(found))}: the longest chain of jobs that wait for each other."
    return [*table([(kind, *map(str, counts)), takes]), longest]


def wall_clock(found: list[Cost], count: int, cores: int | None) -> float:
    """Seconds from beginning to end with `count` GPUs (or cores, where no job is on a GPU) that are never idle.

    With GPUs, jobs without one have CORES_PER_GPU cores for each of them.
    """
    if any(cost.total.gpu for cost in found):
        on = sum(cost.total.gpu for cost in found) * 3600 / count
        off = sum(cost.seconds * cost.job.threads for cost in found if not cost.total.gpu)
        return max(longest_chain(found), on + off / (cores or CORES_PER_GPU * count))
    return max(longest_chain(found), sum(cost.seconds * cost.job.threads for cost in found) / count)


def longest_chain(found: list[Cost]) -> float:
    """Seconds of the jobs that can't but come one after the other."""
    ends: dict[int, float] = {}

    def end(number: int) -> float:
        if number not in ends:
            ends[number] = found[number].seconds + max(map(end, found[number].job.after), default=0.0)
        return ends[number]

    return max((end(number) for number in range(len(found))), default=0.0)


def _caution(plan: Plan, found: list[Cost], on_gpus: bool) -> list[str]:
    """What a reader of guesses must know."""
    lines = ["A guess may be off by a factor of two. The first jobs of a stage that finish put right its others."]
    if on_gpus and not any(cost.measured and cost.total.gpu for cost in found):
        lines += [f"GPU times are those of an {CARD}, measured (docs/gpu.md). Other cards take other times."]
    if plan.settings["device"] == "auto":
        counted = "GPUs are counted on; `--gpus 0` counts without" if on_gpus else "`--gpus 1` counts with one"
        lines += [f"The study says `device: auto`: {counted}."]
    return lines

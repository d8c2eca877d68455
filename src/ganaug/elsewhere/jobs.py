"""The jobs of a study that another machine is to do: which, with what command, in what order."""

import re
import shlex
from dataclasses import asdict, dataclass
from pathlib import Path

from ganaug.errors import UserError
from ganaug.study import jobs as studied

TRIALS = ("check_backbone", "check_extractor", "check_init_from")  # before any GAN is trained
# Stages with networks, and the checks before and between them. The order is that in which a replicate's jobs are begun.
RULES = (
    *TRIALS,
    "train_gan",
    "sample_gan",
    "check_synthetic",
    "train_classifier",
    "score_synthetic",
    "score_external",
    "measure_fidelity",
)
# In what a dry run of Snakemake prints for a job, the line with its command.
COMMAND = re.compile(r"^(?:Shell command:)?\s*python -m ganaug (.+)$", re.MULTILINE)


@dataclass(frozen=True)
class Job:
    """name: rule and wildcards, as `status` names it. rule: its name. replicate: its number. arguments: of `python -m
    ganaug`, the stage first. outputs, log: files, relative to the study's folder. after: names of the jobs that must be
    done before, of those that the other machine does."""

    name: str
    rule: str
    replicate: int
    arguments: list[str]
    outputs: list[str]
    log: str
    after: list[str]

    def as_dict(self) -> dict:
        return asdict(self)


def option(arguments: list[str], name: str) -> str | None:
    """The value of an option in a command; None where the command lacks the option."""
    return arguments[arguments.index(name) + 1] if name in arguments else None


def jobs_to_do(jobs: list[studied.Job], augmentations: list[str], printed: str) -> list[Job]:
    """The jobs in RULES that Snakemake would run now.

    jobs, augmentations: of the whole study. printed: by Snakemake's dry run with `--printshellcmds`. A job of the study
    and its command are brought together by the log file. Raises UserError where a job waits for one that is to run
    here, and where a training has several processes, one per GPU.
    """
    if "torchrun" in printed:
        raise UserError("gan.gpus: a training on several GPUs can't run elsewhere; write 1")
    commands = {option(words, "--log"): words for words in map(shlex.split, COMMAND.findall(printed))}
    waiting = {number: job for number, job in enumerate(jobs) if str(job.log) in commands}
    chosen = {number: job for number, job in waiting.items() if job.rule in RULES}
    trials = [job.name for job in chosen.values() if job.rule in TRIALS]
    before = {waiting[other].rule for job in chosen.values() for other in job.after if other in waiting}
    if first := sorted(before - {*RULES}):
        raise UserError(f"first make what the networks start from: snakemake --until {' '.join(first)}")
    return [
        Job(
            name=job.name,
            rule=job.rule,
            replicate=int(job.wildcards.get("replicate", 0)),
            arguments=commands[str(job.log)],
            outputs=[str(path) for path in job.outputs],
            log=str(job.log),
            after=[chosen[other].name for other in job.after if other in chosen]
            + (trials if job.rule == "train_gan" else []),
        )
        for number, job in sorted(chosen.items(), key=lambda item: order_of(item[1], augmentations))
    ]


def order_of(job: studied.Job, augmentations: list[str]) -> tuple:
    """The first replicate of all sizes before the second, so that a run that ends early leaves a smaller study.

    In a replicate rule by rule; probes and other ratios after the study's augmentations.
    """
    replicate, size, augmentation = (job.wildcards.get(name, "") for name in ("replicate", "size", "augmentation"))
    return (
        int(replicate or 0),
        RULES.index(job.rule),
        augmentations.index(augmentation) if augmentation in augmentations else len(augmentations),
        int(size) if size.isdigit() else 10**9,
        job.name,
    )


def inputs_of(jobs: list[Job], folder: Path) -> list[Path]:
    """Files that the jobs read and none of them makes, relative to the study's folder, sorted; and their provenance.

    Raises UserError where one is missing, or lies outside of the folder.
    """
    made = {output for job in jobs for output in job.outputs}
    found: set[Path] = set()
    for job in jobs:
        own = {job.log, option(job.arguments, "--checkpoints")}
        for word in job.arguments[1:]:
            path = Path(word)
            if word in made or word in own or "/" not in word or word.startswith("{"):
                continue
            if path.is_absolute() or ".." in path.parts:
                raise UserError(f"{job.name} reads {word}, outside of the study's folder; put the file below {folder}")
            if not (folder / path).is_file():
                raise UserError(f"{job.name} reads {word}, which is not made yet; run Snakemake `--until` it is")
            found |= {path, *(p.relative_to(folder) for p in (folder / path).parent.glob("*provenance.json"))}
    return sorted(path for path in found if str(path) not in made)

"""The jobs of a study, each with its files and with what of the study decides its results. Snakemake is not asked."""

from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path

from ganaug.imports import SOURCE, digest_of_figure, digest_of_stage
from ganaug.layout import CELL, SUBSET
from ganaug.seeding import derive_seed
from ganaug.study.cells import Wildcards
from ganaug.study.model import Study
from ganaug.study.rules import ANALYSIS, RULES

TEMPLATES = sorted(path for path in (SOURCE / "ganaug/report").glob("page.*") if path.suffix != ".py")


def job_name(rule: str, wildcards: Wildcards) -> str:
    """`train_gan size=100 replicate=1`."""
    return " ".join([rule, *(f"{key}={value}" for key, value in wildcards.items() if value)])


@dataclass(frozen=True, eq=False)
class Job:
    """A job, done or not. Paths are relative to where Snakemake works.

    Attributes:
        rule, wildcards: which job.
        inputs: files, or folders, of the study that it reads or waits for.
        given: files of the user's that it reads.
        outputs: files, or folders.
        log, benchmark: its files; a job may have no benchmark.
        checkpoints: a folder from which the job goes on after a kill, or None.
        threads, gpus: what it asks for.
        after: numbers, in the study's list of jobs, of the jobs that must be done before.
    """

    rule: str
    wildcards: Wildcards
    inputs: list[str]
    given: list[str]
    outputs: list[Path]
    log: Path
    benchmark: Path | None
    checkpoints: Path | None
    threads: int
    gpus: int
    after: list[int] = field(default_factory=list)

    @property
    def name(self) -> str:
        return job_name(self.rule, self.wildcards)

    @property
    def provenance(self) -> Path | None:
        """The output that says what made the others."""
        return next((path for path in self.outputs if path.name.endswith("provenance.json")), None)


def jobs_of(study: Study) -> list[Job]:
    """Every job of the study, done or not, in the order of the rules."""
    jobs = [job_of(study, rule, wildcards) for rule in RULES for wildcards in RULES[rule].of(study)]
    checked = [str(job.provenance) for job in jobs if job.provenance and job.rule not in ANALYSIS]
    jobs = [replace(job, inputs=checked) if job.rule == "check_lineage" else job for job in jobs]
    maker = {str(path): number for number, job in enumerate(jobs) for path in job.outputs}
    return [replace(job, after=sorted({maker[path] for path in job.inputs if path in maker})) for job in jobs]


def job_of(study: Study, name: str, wildcards: Wildcards) -> Job:
    """The job of a rule for some wildcards, without the numbers of those before."""
    rule = RULES[name]

    def place(pattern: str) -> Path:
        return Path(study.results, pattern.format(**wildcards))

    where = name + folder_of(wildcards)
    return Job(
        rule=name,
        wildcards=wildcards,
        inputs=[str(place(pattern)) for pattern in [*rule.reads, *rule.also(study, wildcards)]],
        given=rule.given(study, wildcards),
        outputs=[*map(place, rule.writes), *map(place, rule.also_writes(study))],
        log=place(f"logs/{where}.log"),
        benchmark=place(f"benchmarks/{where}.tsv") if rule.benchmark else None,
        checkpoints=place(rule.checkpoints) if rule.checkpoints else None,
        threads=threads_of(study, name),
        gpus=gpus_of(study, name),
    )


def folder_of(wildcards: Wildcards) -> str:
    """Where below its rule's folder a job's log lies, with wildcards in braces."""
    if "augmentation" in wildcards:
        return f"/{CELL}"
    places = [SUBSET] if "size" in wildcards else []
    places += [f"{{{name}}}" for name in ("backbone", "figure") if name in wildcards]
    return "".join(f"/{place}" for place in places) + ("{at}" if "at" in wildcards else "")


def threads_of(study: Study, rule: str) -> int:
    """Threads of a job; of a training that several GPUs share, of all its processes."""
    kind = RULES[rule].threads
    return processes_of(study, rule) * study.settings["threads"][kind] if kind else 1


def gpus_of(study: Study, rule: str) -> int:
    on_gpu = RULES[rule].threads and study.settings["device"] != "cpu"
    return processes_of(study, rule) if on_gpu else 0


def processes_of(study: Study, rule: str) -> int:
    """Processes that share a job, one per GPU."""
    shared = rule == "train_gan" and study.settings["device"] != "cpu"
    return study.settings["gan"]["gpus"] if shared else 1


def settings_of(study: Study, name: str, wildcards: Wildcards) -> dict:
    """The settings that a job's stage reads, and no others, so that another one's change does not run it again."""
    rule = RULES[name]
    chosen: dict = {}
    for path in rule.settings:
        value = study.settings
        for key in path.split("."):
            value = value[key]
        chosen |= value if isinstance(value, dict) else {path.rpartition(".")[2]: value}
    chosen |= rule.more(study, wildcards)
    return {key: value for key, value in chosen.items() if key not in rule.without}


def seed_of(study: Study, name: str, wildcards: Wildcards) -> int | None:
    """The seed of a job, of its stage and the cell that its wildcards identify; None for a rule without."""
    seed = RULES[name].seed
    return derive_seed(study.settings["seed"], seed[0], **{key: wildcards[key] for key in seed[1:]}) if seed else None


@cache
def code_of(name: str, figure: str = "") -> str:
    """A digest of the source files that decide what a rule's jobs make; of a figure those that draw this one.

    The report's templates no import shows.
    """
    if figure:
        return digest_of_figure(figure)
    return digest_of_stage(RULES[name].stage or name, TEMPLATES if name == "make_report" else ())

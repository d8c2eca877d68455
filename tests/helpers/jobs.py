"""Jobs of a finished study, each run again alone, in a folder of links to the study's files."""

import importlib
import os
import shlex
import shutil
import sys
from pathlib import Path

import torch

from ganaug import cli
from ganaug.attempts import beside
from ganaug.study import jobs as studied
from helpers.forks import fork, redirect
from helpers.planned import plan_told

STAGES = [
    *("make_phantoms", "make_manifest", "make_splits", "check_sizes", "make_subset", "make_test_set"),
    *("make_external_set", "check_leaks", "prepare_weights", "train_gan", "sample_gan", "check_synthetic"),
    *(
        "check_backbone",
        "check_extractor",
        "measure_fidelity",
        "train_classifier",
        "score_images",
        "check_lineage",
        "make_tables",
        "make_figure",
    ),
    "make_report",
]
RULES = {"score_synthetic": "score_images", "score_external": "score_images"}  # whose stage has another name
# Folders that hold raw images: a link in one of them would lead out of the data root.
RAW = ("phantoms", "radiographs", "elsewhere", "spare")
# What tells times, or where and by which commit it was made.
APART = ("provenance.json", ".log", ".attempts.jsonl", ".tsv", ".snakemake_timestamp")


def load_everything() -> None:
    """Import what the stages import, so that a fork of this process need not."""
    for stage in STAGES:
        importlib.import_module(cli.STAGES[stage])
    torch.optim.Adam([torch.nn.Parameter(torch.zeros(1))])  # loads PyTorch's compiler
    importlib.import_module("timm")


def jobs(study: Path) -> dict[str, studied.Job]:
    """By stage, the first job of a finished study."""
    found = plan_told("--configfile", study / "study.yaml").jobs
    return {RULES.get(job.rule, job.rule): job for job in reversed(found)}


class Job:
    """The first job of a stage, in a folder of its own."""

    def __init__(self, study: Path, folder: Path, stage: str):
        self.study, self.folder = study, folder
        job = jobs(study)[stage]
        self.outputs, self.log = job.outputs, job.log
        self.checkpoints = str(job.checkpoints or "")
        first_line = (study / self.log).read_text().partition("\n")[0]
        self.command = shlex.split(first_line.partition(" INFO $ ")[2])[3:]
        assert self.command[0] == stage
        link(study, folder)
        self.remove()

    def remove(self) -> None:
        """Delete all that the job has left."""
        for path in (self.folder / name for name in [*self.outputs, self.log, beside(self.log)]):
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink(missing_ok=True)
        if self.checkpoints:
            shutil.rmtree(self.folder / self.checkpoints, ignore_errors=True)

    def start(self, said: Path = Path(os.devnull)) -> int:
        """The job in a fork of this process, which says what it says to a file; returns the process's id."""

        def run() -> int:
            redirect(said)
            os.chdir(self.folder)
            try:
                return cli.main(self.command)
            finally:
                sys.stderr.flush()

        return fork(run)

    def whole(self) -> bool:
        """Whether all of the job's outputs are there."""
        return all((self.folder / path).exists() for path in self.outputs)

    def made(self) -> dict[str, bytes]:
        """The job's outputs that are there and have the same bytes whenever they are made."""
        return contents(self.folder, self.outputs)

    def expected(self, left: bool = False) -> dict[str, bytes]:
        """The same of the study. left: of those outputs alone that are there, each whole."""
        return contents(self.study, [path for path in self.outputs if not left or (self.folder / path).exists()])

    def others(self) -> dict[str, object]:
        """All else in the folder: what files hold; of links where they lead, and when that was last written."""
        mine = {str(path) for path in self.outputs}
        found: dict[str, object] = {}
        for path in self.folder.rglob("*"):
            name = str(path.relative_to(self.folder))
            if self.checkpoints and name.startswith(self.checkpoints):
                continue
            if not name.endswith(APART) and not any(name == own or name.startswith(f"{own}/") for own in mine):
                if path.is_symlink():
                    found[name] = os.readlink(path), path.stat().st_mtime_ns
                elif path.is_file():
                    found[name] = path.read_bytes()
        return found


def link(study: Path, folder: Path) -> None:
    """Make a folder like the study's, whose files are links to the study's; of raw images the whole folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in sorted(study.iterdir()):
        if path.name == ".snakemake":  # of Snakemake's notes a job reads one
            link(path / "asked", folder / ".snakemake" / "asked")
            continue
        target = folder / path.name
        if path.is_dir() and path.name not in RAW:
            link(path, target)
        else:
            target.symlink_to(path)


def contents(root: Path, paths: list[Path]) -> dict[str, bytes]:
    """Bytes of files, and of the files in folders, that are to be the same whenever they are made."""
    files = [file for path in paths for file in (root / path, *(root / path).rglob("*")) if file.is_file()]
    return {str(file.relative_to(root)): file.read_bytes() for file in files if not file.name.endswith(APART)}

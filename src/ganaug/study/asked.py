"""What a study asks of every job that leaves a provenance, for the check that all results are of this study.

`analysis.lineage` compares it with what the jobs have written down.
"""

import hashlib
import json
from pathlib import Path

from ganaug.errors import UserError
from ganaug.files import read_json, write_json
from ganaug.study.jobs import Job, code_of, job_of, jobs_of, seed_of, settings_of
from ganaug.study.model import Study
from ganaug.study.rules import ANALYSIS

LINEAGE = "cells/lineage.json"


def asked_of(study: Study, listings: dict[str, str]) -> list[dict]:
    """A record per job that leaves a provenance and comes before the tables.

    listings: by rule the digest of the user's images that its job reads.
    """
    return [record_of(study, job, listings) for job in jobs_of(study) if job.provenance and job.rule not in ANALYSIS]


def record_of(study: Study, job: Job, listings: dict[str, str]) -> dict:
    """Of a job that leaves a provenance. Paths of the study's files count from its results."""

    def below(path: str | Path) -> str:
        return str(Path(path).relative_to(study.results))

    assert job.provenance
    return {
        "name": job.name,
        "rule": job.rule,
        "provenance": below(job.provenance),
        "outputs": list(map(below, job.outputs)),
        "inputs": list(map(below, job.inputs)),
        "given": job.given,
        "settings": settings_of(study, job.rule, job.wildcards),
        "seed": seed_of(study, job.rule, job.wildcards),
        "code": code_of(job.rule),
        "listing": listings.get(job.rule) or None,
    }


def of_analysis(study: Study, listings: dict[str, str]) -> list[dict]:
    """The same of the check and of the tables: that they are of what lies there."""
    asked = file_of(study, asked_of(study, listings))
    check = record_of(study, job_of(study, "check_lineage", {}), {}) | {"given": [str(asked)]}
    tables = record_of(study, job_of(study, "make_tables", {}), {}) | {"inputs": [LINEAGE]}
    return [check, tables]


def folder_of(study: Study) -> Path:
    return Path(".snakemake", "asked", study.settings["study"])


def file_of(study: Study, asked: list[dict]) -> Path:
    """Where what is asked for is written. The name is of the content, so that another study has another file."""
    digest = hashlib.sha256(json.dumps({"jobs": asked}, sort_keys=True).encode()).hexdigest()
    return folder_of(study) / f"{digest}.json"


def write_asked(study: Study, asked: list[dict]) -> Path:
    """Writes the file. Where the last check was of something else, the file becomes newer than that check.

    So check_lineage runs, also where Snakemake compares times alone.
    """
    path = file_of(study, asked)
    checked = Path(study.results, LINEAGE)
    if not path.is_file():
        write_json(path, {"jobs": asked})
    elif checked.is_file() and last_asked(checked) != path.stem:
        path.touch()
    return path


def last_asked(lineage: Path) -> str | None:
    """What the last check was asked for; None where its file is spoilt."""
    try:
        return read_json(lineage).get("asked")
    except (ValueError, UserError):
        return None


def forget_asked(study: Study, kept: Path) -> None:
    """Deletes what was asked for before. At the start of a run, when no other run of this study reads the files."""
    for path in set(folder_of(study).glob("*.json")) - {kept}:
        path.unlink(missing_ok=True)

"""Which jobs of a study are not done, and why.

The files tell: a job is done where its outputs are there, are of this study by their provenance, and come from jobs
that are done. So an older result that may still lie there is none.
"""

import re
from pathlib import Path

from ganaug import attempts
from ganaug.analysis.lineage import differences, read_provenance
from ganaug.errors import UserError
from ganaug.joblog import why_failed
from ganaug.study.asked import asked_of, of_analysis, record_of
from ganaug.study.jobs import Job, jobs_of
from ganaug.study.model import Study
from ganaug.study.rules import ANALYSIS

NOT_BEGUN = "not begun: the run ended before (with --keep-going a failed job stops none but those that wait for it)"
# In what Snakemake prints of a failed job, the line with its log.
FAILED = re.compile(r"^Error in (?:local)?rule .*:\n(?:    .*\n)*?    log: (\S+)", re.MULTILINE)


def lacking(jobs: list[Job], tables_anew: bool) -> set[int]:
    """Numbers of the jobs of which a file is gone that is read, or is a target, as Snakemake sees that.

    A file that no job reads any more may be gone: a classifier's weights, say, once all images are scored.
    tables_anew: whether tables, figures and report are to be made, though they lie there.
    """
    readers: dict[str, list[int]] = {}
    for number, job in enumerate(jobs):
        for path in job.inputs:
            readers.setdefault(path, []).append(number)
    found: set[int] = set()
    for number, job in reversed(list(enumerate(jobs))):  # a job comes before those that read its outputs
        gone = [path for path in job.outputs if not path.exists()]
        read = any(reader in found for path in gone for reader in readers.get(str(path), []))
        if read or (job.rule in ANALYSIS and (gone or tables_anew)):
            found.add(number)
    return found


def unfinished_jobs(study: Study, listings: dict[str, str]) -> list[Job]:
    """The jobs before the tables that are not done, each after those that it waits for."""
    jobs, results = jobs_of(study), Path(study.results)
    missed = lacking(jobs, tables_anew=True)
    records, provenance = {}, {}
    for number, job in enumerate(jobs):
        if job.provenance and number not in missed:
            records[number] = record_of(study, job, listings)
            try:
                provenance[number] = read_provenance(results, records[number])
            except UserError:
                missed.add(number)
    kept = sorted(provenance)
    changed = differences([records[n] for n in kept], [provenance[n] for n in kept], results)
    names = {one.job["name"] for one in changed}
    for number, job in enumerate(jobs):  # a job comes after those that it waits for
        if job.name in names or any(other in missed for other in job.after):
            missed.add(number)
    return [job for number, job in enumerate(jobs) if number in missed and job.rule not in ANALYSIS]


def records_of(unfinished: list[Job], jobs: list[Job], failed: set[str]) -> list[dict]:
    """A record per unfinished job, as `analysis.missing` has it. failed: logs of the jobs that have failed."""
    causes: dict[str, Job] = {}
    for job in unfinished:
        own = job if str(job.log) in failed else None
        waited = (causes.get(jobs[number].name) for number in job.after)
        if cause := own or next(filter(None, waited), None):
            causes[job.name] = cause
    return [record(job, causes.get(job.name)) for job in unfinished]


def record(job: Job, cause: Job | None) -> dict:
    why = NOT_BEGUN if cause is None else why_failed(cause.log)
    return {
        "name": job.name,
        "rule": job.rule,
        "wildcards": job.wildcards,
        "outputs": sorted(map(str, job.outputs)),
        "log": str(job.log),
        "failed": job is cause,
        "cause": None if cause is None else cause.name,
        "why": why if job is cause or cause is None else f"waits for {cause.name}, which failed: {why}",
    }


def failed_logs(jobs: list[Job], said: str = "", since: float = 0.0) -> set[str]:
    """Logs of the jobs that have failed: by what Snakemake has printed, and by their last attempts.

    said: what Snakemake has printed, which tells no failures with `--quiet`. since: Unix time; older attempts are left
    out.
    """
    found = set()
    for job in jobs:
        last = attempts.read(job.log)[-1:]
        if last and last[0].started >= since and last[0].outcome in (attempts.FAILED, attempts.LOST):
            found.add(str(job.log))
    return found | ({str(job.log) for job in jobs} & set(FAILED.findall(said)))


def is_whole(study: Study, listings: dict[str, str]) -> bool:
    """Whether all jobs are done, the tables are of what they have made, and the report is of these tables."""
    results = Path(study.results)
    if lacking(jobs_of(study), tables_anew=False):
        return False
    records = [*asked_of(study, listings), *of_analysis(study, listings)]
    try:
        if differences(records, [read_provenance(results, record) for record in records], results):
            return False
    except UserError:
        return False
    made = (results / "tables/provenance.json", results / "report.html")
    return made[0].stat().st_mtime_ns <= made[1].stat().st_mtime_ns

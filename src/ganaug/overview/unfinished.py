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


def unfinished_jobs(study: Study, listings: dict[str, str]) -> list[Job]:
    """The jobs before the tables that are not done, each after those that it waits for."""
    jobs = [job for job in jobs_of(study) if job.rule not in ANALYSIS]
    done = [all(map(Path.exists, job.outputs)) for job in jobs]
    numbers = {number: record_of(study, job, listings) for number, job in enumerate(jobs) if job.provenance}
    made = {}
    for number, record in numbers.items():
        try:
            made[number] = read_provenance(Path(study.results), record)
        except UserError:
            done[number] = False
    there = [number for number in numbers if done[number]]
    records = [numbers[number] for number in there]
    others = {one.job["name"] for one in differences(records, [made[n] for n in there], Path(study.results))}
    for number, job in enumerate(jobs):  # a job comes after those that it waits for
        done[number] = done[number] and job.name not in others and all(done[other] for other in job.after)
    return [job for number, job in enumerate(jobs) if not done[number]]


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


def failed_logs(jobs: list[Job], said: str | None) -> set[str]:
    """Logs of the jobs that have failed: by what Snakemake has printed, or else by their last attempts."""
    if said is not None:
        return set(FAILED.findall(said))
    ended = {str(job.log): attempts.read(job.log)[-1:] for job in jobs}
    return {log for log, last in ended.items() if last and last[0].outcome in (attempts.FAILED, attempts.LOST)}


def is_whole(study: Study, listings: dict[str, str]) -> bool:
    """Whether all jobs are done, the tables are of what they have made, and the report is of these tables."""
    results = Path(study.results)
    if not all(path.exists() for job in jobs_of(study) for path in job.outputs):
        return False
    records = [*asked_of(study, listings), *of_analysis(study, listings)]
    try:
        if differences(records, [read_provenance(results, record) for record in records], results):
            return False
    except UserError:
        return False
    made = (results / "tables/provenance.json", results / "report.html")
    return made[0].stat().st_mtime_ns <= made[1].stat().st_mtime_ns

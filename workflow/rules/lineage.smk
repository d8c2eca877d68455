# What the study asks of every job whose results the tables come from, for the check that these are of this study
# (ganaug/analysis/lineage.py).

import functools

from ganaug.study.jobs import asked_of, record_of

ASKED = Path(".snakemake", "asked", SETTINGS["study"])
LINEAGE = f"{RESULTS}/cells/lineage.json"


@functools.cache
def asked_jobs():
    """A record per job with a provenance that comes before the tables, those that are known to be missing left out."""
    listings = {"make_manifest": LISTING} | ({"make_external_set": EXTERNAL_LISTING} if EXTERNAL else {})
    return [job for job in asked_of(STUDY, listings) if f"{RESULTS}/{job['provenance']}" not in MISSING]


def below_results(path):
    """A file of the study by its place in the results; in a storage much stands before that."""
    return path.rpartition(f"{RESULTS}/")[2]


def asked_file():
    """The file that says what is asked for. Its name is of its content, so that another study has another.

    It must make check_lineage run where something else is asked for, also where Snakemake compares times alone. So it is
    newer than a check of something else.
    """
    told = {"jobs": asked_jobs()}
    digest = hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()
    path = ASKED / f"{digest}.json"
    if MAIN:
        if not path.is_file():
            write_json(path, told)
        elif Path(LINEAGE).is_file() and last_asked() != digest:
            path.touch()
    return local(str(path))


def forget_asked():
    """Delete what was asked for before. At the start of a run: no other run of this study is there to read the files."""
    for path in set(ASKED.glob("*.json")) - {Path(asked_file())}:
        path.unlink(missing_ok=True)


def last_asked():
    """What the last check was asked for; None where its file is spoilt."""
    try:
        return read_json(LINEAGE).get("asked")
    except ValueError:
        return None


def refuse_mixture():
    """Before the first network is trained: what is there and is to stay must be of this study, else no more is made.

    After the beginnings: only then does the plan hold all that the changed settings make anew.
    """
    if workflow.storage_settings.default_storage_provider:
        return  # it is not here; check_lineage looks at it
    from ganaug.analysis.lineage import refuse_others  # not above: pandas comes with it, and jobs read this file too

    again = set() if workflow.touch else outputs_of(workflow.dag.needrun_jobs())
    kept = outputs_of(workflow.dag.jobs) - again
    jobs = [job for job in [*asked_jobs(), *asked_of_analysis()] if f"{RESULTS}/{job['provenance']}" in kept]
    refuse_others([job for job in jobs if Path(RESULTS, job["provenance"]).is_file()], Path(RESULTS))


def asked_of_analysis():
    """What is asked for of the check and of the tables: that they are of what lies there."""
    check = record_of(STUDY, job_of(STUDY, "check_lineage", {}), {}) | {"given": [asked_file()]}
    tables = record_of(STUDY, job_of(STUDY, "make_tables", {}), {}) | {"inputs": ["cells/lineage.json"]}
    return [check, tables]


def outputs_of(jobs):
    return {str(path) for job in jobs for path in job.output}

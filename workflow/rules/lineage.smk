# What the study asks of every job whose results the tables come from, for the check that these are of this study
# (ganaug/analysis/lineage.py).

import functools

from ganaug.study.asked import asked_of, file_of, forget_asked, of_analysis, write_asked


@functools.cache
def asked_file():
    """The file that says what is asked for."""
    asked = asked_of(STUDY, LISTINGS)
    return local(str(write_asked(STUDY, asked) if MAIN else file_of(STUDY, asked)))


def refuse_mixture():
    """Before the first network is trained: what is there and is to stay must be of this study, else no more is made.

    After the beginnings: only then does the plan hold all that the changed settings make anew.
    """
    if workflow.storage_settings.default_storage_provider:
        return  # it is not here; check_lineage looks at it
    from ganaug.analysis.lineage import refuse_others  # not above: pandas comes with it, and jobs read this file too

    again = set() if workflow.touch else outputs_of(workflow.dag.needrun_jobs())
    kept = outputs_of(workflow.dag.jobs) - again
    asked = [*asked_of(STUDY, LISTINGS), *of_analysis(STUDY, LISTINGS)]
    jobs = [job for job in asked if f"{RESULTS}/{job['provenance']}" in kept]
    refuse_others([job for job in jobs if Path(RESULTS, job["provenance"]).is_file()], Path(RESULTS))


def put_report_aside():
    """Before the first job: an older page must not look like this study's."""
    from ganaug.overview.partial import put_aside

    if not workflow.touch:
        put_aside(STUDY, LISTINGS)


def outputs_of(jobs):
    return {str(path) for job in jobs for path in job.output}

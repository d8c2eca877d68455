# The report of an incomplete study: what is missing and why, and tables, figures and report of the rest.
#
# When jobs have failed, `report_what_is_there` writes unfinished.json and runs Snakemake once more for the rules in
# REPORTING alone. That run reads the study from unfinished.json, so that these rules get what is missing (common.smk).
# The next ordinary run does not, and makes their outputs again.

from ganaug.layout import OF_INCOMPLETE

REPORTING = ["check_lineage", "make_tables", "make_figure", "make_report"]
OLD_REPORT = f"{RESULTS}/report.before.html"
NOT_BEGUN = "not begun: the run ended before (with --keep-going a failed job stops none but those that wait for it)"


def whole_report_wanted():
    """Whether this run is to end with the report, rather than with a target on the way to it."""
    if workflow.touch:
        return False
    chosen = workflow.dag_settings
    on_the_way = chosen.until or chosen.omit_from or chosen.batch
    return not on_the_way and any(job.rule.name == "make_report" for job in workflow.dag.jobs)


def put_old_report_aside():
    """Before a run that makes the report anew: its name is free until then.

    A run that ends early would leave an older report that looks like this study's. And the next one would find it up to
    date: what a failed job has left before is deleted, but not what was made from that.
    """
    page = Path(RESULTS, "report.html")
    if whole_report_wanted() and page.is_file():
        if any(job.rule.name == "make_report" for job in workflow.dag.needrun_jobs()):
            page.replace(OLD_REPORT)


def interrupted():
    """Whether the run was ended from outside, and not by a failed job: then nobody waits for a report."""
    scheduler = workflow.scheduler
    return bool(not scheduler.failed or scheduler.running or getattr(scheduler, "_user_kill", None))


def failed_jobs():
    return {job for failed in workflow.scheduler.failed for job in (failed if failed.is_group() else [failed])}


def unfinished_jobs():
    """A record per job that should have run and did not finish, and per job whose inputs such a job should have checked.

    From the DAG and not from the files: an older output may still lie where a job has failed.
    """
    dag, failed, reached = workflow.dag, failed_jobs(), set()
    open_jobs = list(dag.needrun_jobs())
    while open_jobs:
        job = open_jobs.pop()
        if job not in reached:
            reached.add(job)
            open_jobs += dag.depending[job]
    causes = {job: job for job in sorted(failed, key=job_order)}
    following = list(causes)
    for job in following:  # grows as it goes: the nearest failed job is the cause
        for waiting in sorted(dag.depending[job], key=job_order):
            if waiting not in causes:
                causes[waiting] = causes[job]
                following.append(waiting)
    left_out = {*REPORTING, "all"}
    return [record_of(job, causes.get(job)) for job in sorted(reached, key=job_order) if job.rule.name not in left_out]


def record_of(job, cause):
    log = Path(str(cause.log[0])) if cause is not None and cause.log else None
    why = why_failed(log) if cause is not None else NOT_BEGUN
    return {
        "name": name_of(job),
        "rule": job.rule.name,
        "wildcards": dict(job.wildcards_dict),
        "outputs": sorted(map(str, job.output)),
        "log": str(job.log[0]) if job.log else None,
        "failed": job is cause,
        "cause": None if cause is None else name_of(cause),
        "why": why if job is cause or cause is None else f"waits for {name_of(cause)}, which failed: {why}",
    }


def name_of(job):
    return job_name(job.rule.name, job.wildcards_dict)


def job_order(job):
    """In the order of the rules, and of sizes and replicates as numbers."""
    rules = [rule.name for rule in workflow.rules]
    parts = [(int(value), "") if value.isdigit() else (10**9, value) for value in job.wildcards_dict.values()]
    return rules.index(job.rule.name), parts


def report_what_is_there():
    """After a failure: unfinished.json, then the report of what there is. Never hides the failure by one of its own."""
    if interrupted() or not whole_report_wanted() or workflow.storage_settings.default_storage_provider:
        return  # what lies in a storage the run on this machine would not see
    try:
        jobs = unfinished_jobs()
        lost = {output for job in jobs for output in job["outputs"]}
        trained = {
            f"{RESULTS}/cells/{CELL}/predictions.csv".format(**job.wildcards): job.wildcards["augmentation"]
            for job in jobs_of(STUDY)
            if job.rule == "train_classifier"
        }
        found = {"classifiers": [len(trained.keys() - lost), len(trained)], "jobs": jobs}
        write_json(UNFINISHED, config | {"unfinished": found})
        broken = [job.rule.name for job in failed_jobs() if job.rule.name in REPORTING]
        if broken:
            print(f"\nNo partial report: {broken[0]} itself failed.", file=sys.stderr)
        elif not any(trained[path] in STUDY.grid.augmentations for path in trained.keys() - lost):
            print("\nNo partial report: no classifier of the comparison is there yet.", file=sys.stderr)
        elif subprocess.run(partial_command(), env=os.environ | {"GANAUG_PART": "yes"}).returncode:
            print(f"\nNo partial report could be made: see above. What is missing: {UNFINISHED}", file=sys.stderr)
        else:
            print_summary()
    except Exception as error:  # whatever it is, the failed job is what the user must hear of
        print(f"\nNo partial report could be made: {error!r}", file=sys.stderr)


def partial_command():
    """Snakemake for the rules in REPORTING, on this machine whatever executor runs the study."""
    profile = ROOT / "profiles" / "default"
    chosen = workflow.deployment_settings
    command = [sys.executable, "-m", "snakemake", f"{RESULTS}/report.html", "--snakefile", workflow.main_snakefile]
    command += ["--directory", os.getcwd(), "--configfile", UNFINISHED, "--profile", "none"]
    command += ["--workflow-profile", profile, "--cores", str(workflow.resource_settings.cores or 2)]
    command += ["--nolock", "--no-hooks", "--quiet", "host", "rules", "progress", "--keep-going"]
    command += ["--sdm", *(str(method) for method in chosen.deployment_method)] if chosen.deployment_method else []
    command += ["--conda-prefix", chosen.conda_prefix] if chosen.conda_prefix else []
    return list(map(str, command + ["--allowed-rules", *REPORTING]))


def end_whole():
    """After a complete run: its summary; what the report of an incomplete one has left goes."""
    if whole_report_wanted():
        for name in OF_INCOMPLETE:
            Path(RESULTS, name).unlink(missing_ok=True)
        print_summary()

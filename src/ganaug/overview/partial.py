"""The report of an incomplete study: tables, figures and report of what is there, and what is missing.

`unfinished.json` says what is missing, and the stages of the analysis are run with it. The next complete run makes
their outputs again.
"""

import argparse
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from ganaug import drivers
from ganaug.errors import UserError
from ganaug.files import write_json
from ganaug.imports import SOURCE
from ganaug.layout import OF_INCOMPLETE
from ganaug.overview.unfinished import FAILED, failed_logs, is_whole, records_of, unfinished_jobs
from ganaug.study import arguments
from ganaug.study.asked import LINEAGE, asked_of, write_asked
from ganaug.study.figures import figures_of
from ganaug.study.images import listings_of
from ganaug.study.jobs import job_of, jobs_of, seed_of, settings_of
from ganaug.study.model import Study
from ganaug.study.rules import ANALYSIS
from ganaug.study.tables import tables_of

INTERRUPTED = "Terminating processes on user request"  # as Snakemake says it


def add_arguments(parser: argparse.ArgumentParser) -> None:
    arguments.add_study(parser)
    parser.add_argument("--partial", action="store_true", required=True, help="of what is there (needed, so far)")


def run(args: argparse.Namespace) -> str:
    study = Study(arguments.settings_of(args))
    if not Path(study.results).is_dir():
        raise UserError(f"{study.results}: no such folder here; run this where the study was run")
    if drivers.lives(study.results):
        raise UserError(f"Snakemake is at work on {study.results}, and would write the same files; wait for its end")
    listings = listings_of(study)
    if is_whole(study, listings):
        return f"{study.results}/report.html is of the whole study: nothing is missing"
    report_what_is_there(study, listings)
    return "The next run of Snakemake makes what is missing, and the whole report after that."


def report_what_is_there(study: Study, listings: dict[str, str], said: str | None = None) -> None:
    """Writes unfinished.json, then tables, figures and report of what there is, and prints the summary.

    listings: by rule the digest of the raw images that its job reads. said: what Snakemake has printed; None where its
    last run is not known. Raises UserError where there is no such report; an older page is then put aside, which would
    look like this study's.
    """
    jobs, results = jobs_of(study), Path(study.results)
    unfinished = unfinished_jobs(study, listings)
    missing = records_of(unfinished, jobs, failed_logs(unfinished, said))
    trained = [job for job in jobs if job.rule == "train_classifier"]
    lost = {job.name for job in unfinished}
    there = [job for job in trained if job.name not in lost]
    found = {"classifiers": [len(there), len(trained)], "jobs": missing}
    write_json(results / "unfinished.json", {"unfinished": found})
    try:
        if not any(job.wildcards["augmentation"] in study.grid.augmentations for job in there):
            raise UserError("no classifier of the comparison is there yet")
        for commands in analysis(study, asked_of(study, listings)):
            if not all(run_all(commands)):
                raise UserError(f"{commands[0][0]} failed, see above; what is missing: {results}/unfinished.json")
    except UserError:
        page = results / "report.html"
        if page.is_file():
            page.replace(results / "report.before.html")
        raise
    print_summary(study)


def analysis(study: Study, asked: list[dict]) -> list[list[list[str]]]:
    """The stages after all networks, as commands; each list of them after the one before."""
    results = Path(study.results)
    common = ["--results", str(results), "--unfinished", str(results / "unfinished.json")]
    parts = study.parts(incomplete=True)
    names = tables_of(parts)
    shown = {"tables": names, "figures": list(figures_of(parts))}

    def stage(rule: str, *options: object, **wildcards: str) -> list[str]:
        settings = settings_of(study, rule, wildcards) | (shown if rule == "make_report" else {})
        words = [rule, *common, *map(str, options), "--log", str(job_of(study, rule, wildcards).log)]
        return words if rule == "check_lineage" else [*words, "--settings", json.dumps(settings, sort_keys=True)]

    check = stage("check_lineage", "--asked", write_asked(study, asked), "--report", results / LINEAGE)
    check += ["--provenance", str(results / "cells/lineage.provenance.json")]
    tables = [word for name in names for word in (f"--{name.replace('_', '-')}", results / f"tables/{name}.csv")]
    more = ["--seed", seed_of(study, "make_tables", {}), "--lineage", results / LINEAGE]
    figures = [
        stage("make_figure", "--figure", name, *files, figure=name)
        for name in figures_of(parts)
        for files in [[w for suffix in ("png", "svg") for w in (f"--{suffix}", results / f"figures/{name}.{suffix}")]]
    ]
    return [
        [check],
        [stage("make_tables", *more, *tables, "--provenance", results / "tables/provenance.json")],
        figures,
        [stage("make_report", "--report", results / "report.html")],
    ]


def run_all(commands: list[list[str]]) -> list[bool]:
    """Runs stages side by side; which of them have worked."""

    paths = os.pathsep.join(filter(None, [str(SOURCE), os.environ.get("PYTHONPATH")]))  # it may not be installed

    def run(words: list[str]) -> bool:
        command = [sys.executable, "-m", "ganaug", *words]
        return subprocess.run(command, env=os.environ | {"PYTHONPATH": paths}).returncode == 0

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(run, commands))


def after_failure(study: Study, listings: dict[str, str], log: str | list[str]) -> None:
    """After a run with failed jobs: the report of what there is. Never hides the failure by one of its own.

    log: the variable of Snakemake's hook: the path of its log, or a list of such. A run that was ended from outside
    gets no report: nobody waits for one.
    """
    try:
        logs = [log] if isinstance(log, str) else log
        said = "".join(Path(path).read_text(encoding="utf-8", errors="replace") for path in logs)
        failed = set(FAILED.findall(said))
        here = any(path.exists() for job in jobs_of(study) for path in job.outputs)  # and not in a storage
        if not failed or not here or INTERRUPTED in said:
            return
        broken = [job.rule for job in jobs_of(study) if job.rule in ANALYSIS and str(job.log) in failed]
        if broken:
            raise UserError(f"{broken[0]} itself failed")
        report_what_is_there(study, listings, said)
    except UserError as error:
        print(f"\nNo partial report: {error}.", file=sys.stderr)
    except Exception as error:  # whatever it is, the failed job is what the user must hear of
        print(f"\nNo partial report could be made: {error!r}", file=sys.stderr)


def after_success(study: Study, listings: dict[str, str]) -> None:
    """After a run: the summary of a whole study; what the report of an incomplete one has left goes."""
    if is_whole(study, listings):
        for name in OF_INCOMPLETE:
            Path(study.results, name).unlink(missing_ok=True)
        print_summary(study)


def print_summary(study: Study) -> None:
    """The study's newest summary table on the terminal, and where its report lies."""
    results = Path(study.results)
    unfinished = results / "unfinished.json"
    command = ["print_summary", "--summary", str(results / "tables/summary.csv")]
    command += ["--log", str(results / "logs/print_summary.log")]
    command += ["--unfinished", str(unfinished)] if unfinished.is_file() else []
    run_all([command])
    lacking = f", of what there is. What is missing: {results}/tables/missing.csv" if unfinished.is_file() else ""
    print(f"\nReport: {results}/report.html{lacking}")
    if not study.phantom:
        shows = "shows films (report.images: false makes one without)"
        films = shows if study.settings["report"]["images"] else "shows no film"
        print(f"Before it is passed on: the page {films}; the folders beside it hold films and name their files.")

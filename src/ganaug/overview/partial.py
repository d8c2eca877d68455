"""The report of an incomplete study: tables, figures and page of what is there, and what is missing.

All of this lies in a folder of its own, `incomplete`, since Snakemake knows nothing of these files: in the place of a
rule's outputs they would be taken for the rule's. Links in the folder lead to the rest of the results.
`unfinished.json` says what is missing, and the stages of the analysis are run with it.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil

from ganaug import drivers
from ganaug.errors import UserError
from ganaug.files import write_json
from ganaug.imports import SOURCE
from ganaug.layout import FOLDERS, INCOMPLETE
from ganaug.overview.unfinished import failed_logs, is_whole, records_of, unfinished_jobs
from ganaug.study import arguments
from ganaug.study.asked import asked_of, write_asked
from ganaug.study.figures import figures_of
from ganaug.study.images import listings_of
from ganaug.study.jobs import Job, jobs_of, seed_of, settings_of
from ganaug.study.model import Study
from ganaug.study.rules import ANALYSIS
from ganaug.study.tables import tables_of

# As Snakemake says that it was told to end.
INTERRUPTED = ("Terminating processes on user request", "Will exit after finishing currently running jobs")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    arguments.add_study(parser)
    parser.add_argument("--partial", action="store_true", required=True, help="of what is there (needed, so far)")


def run(args: argparse.Namespace) -> str:
    study = Study(arguments.settings_of(args))
    if not Path(study.results).is_dir():
        raise UserError(f"{study.results}: no such folder here; run this where the study was run")
    with drivers.locked(study.results):
        listings = listings_of(study)
        if is_whole(study, listings):
            return f"{study.results}/report.html is of the whole study: nothing is missing"
        unfinished = unfinished_jobs(study, listings)
        if not unfinished:
            return "Only tables, figures or the page are missing: the next run of Snakemake makes these."
        report_what_is_there(study, listings, unfinished, failed_logs(unfinished))
    return "The next run of Snakemake makes what is missing, and the whole report after that."


def report_what_is_there(study: Study, listings: dict[str, str], unfinished: list[Job], failed: set[str]) -> None:
    """Writes the folder `incomplete`, and prints the summary.

    listings: by rule the digest of the raw images that its job reads. failed: logs of the jobs that have failed. Raises
    UserError where there is no such report.
    """
    jobs, folder = jobs_of(study), lay_out(study)
    missing = records_of(unfinished, jobs, failed)
    for job in missing:  # as the stages name them
        job["outputs"] = [str(folder / Path(path).relative_to(study.results)) for path in job["outputs"]]
    trained = [job for job in jobs if job.rule == "train_classifier"]
    lost = {job.name for job in unfinished}
    there = [job for job in trained if job.name not in lost]
    found = {"classifiers": [len(there), len(trained)], "jobs": missing}
    write_json(folder / "unfinished.json", {"unfinished": found})
    if not any(job.wildcards["augmentation"] in study.grid.augmentations for job in there):
        raise UserError("no classifier of the comparison is there yet")
    for commands in analysis(study, folder, asked_of(study, listings)):
        if not all(run_all(commands)):
            raise UserError(f"{commands[0][0]} failed, see above; what is missing: {folder}/unfinished.json")
    print_summary(study, folder)


def lay_out(study: Study) -> Path:
    """The folder of the report, empty but for links to the folders that the stages read."""
    folder = Path(study.results, INCOMPLETE)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name in sorted(path.name for path in Path(study.results).iterdir() if path.name in FOLDERS):
        if name not in ("tables", "figures"):
            (folder / name).symlink_to(Path("..", name))
    return folder


def analysis(study: Study, folder: Path, asked: list[dict]) -> list[list[list[str]]]:
    """The stages after all networks, as commands; each list of them after the one before."""
    common = ["--results", str(folder), "--unfinished", str(folder / "unfinished.json")]
    parts = study.parts(incomplete=True)
    names, drawn = tables_of(parts), list(figures_of(parts))

    def stage(rule: str, options: dict[str, object], **wildcards: str) -> list[str]:
        settings = settings_of(study, rule, wildcards) | (
            {"tables": names, "figures": drawn} if rule == "make_report" else {}
        )
        log = folder / f"{'-'.join([rule, *wildcards.values()])}.log"
        options = options | {"settings": json.dumps(settings, sort_keys=True), "log": log}
        return [rule, *common, *(word for name, value in options.items() for word in (f"--{name}", str(value)))]

    lineage = folder / "lineage.json"
    tables: dict[str, object] = {name.replace("_", "-"): folder / f"tables/{name}.csv" for name in names}
    tables |= {"seed": seed_of(study, "make_tables", {}), "lineage": lineage}

    def figure(name: str) -> list[str]:
        path = folder / f"figures/{name}"
        return stage("make_figure", {"figure": name, "png": f"{path}.png", "svg": f"{path}.svg"}, figure=name)

    return [
        [stage("check_lineage", {"asked": write_asked(study, asked), "report": lineage})],
        [stage("make_tables", tables)],
        [figure(name) for name in drawn],
        [stage("make_report", {"report": folder / "report.html"})],
    ]


def run_all(commands: list[list[str]]) -> list[bool]:
    """Runs stages side by side; which of them have worked."""
    paths = os.pathsep.join(filter(None, [str(SOURCE), os.environ.get("PYTHONPATH")]))  # ganaug may not be installed

    def run(words: list[str]) -> bool:
        command = [sys.executable, "-m", "ganaug", *words]
        return subprocess.run(command, env=os.environ | {"PYTHONPATH": paths}).returncode == 0

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(run, commands))


def put_aside(study: Study, listings: dict[str, str]) -> None:
    """Renames a page that is not of the study as it is now, and would look like that where a run ends early.

    Snakemake makes the page anew where none lies there.
    """
    page = Path(study.results, "report.html")
    if page.is_file() and not is_whole(study, listings):
        page.replace(page.with_name("report.before.html"))


def after_failure(study: Study, listings: dict[str, str], log: str | list[str]) -> None:
    """After a run with failed jobs: the report of what there is. Never hides the failure by one of its own.

    log: the variable of Snakemake's hook: the path of its log, or a list of such. A run that was ended from outside
    gets no report: nobody waits for one.
    """
    try:
        logs = [log] if isinstance(log, str) else log
        said = "".join(Path(path).read_text(encoding="utf-8", errors="replace") for path in logs)
        failed = failed_logs(jobs_of(study), said, since=psutil.Process().create_time())
        if not failed:  # of this study, or its results lie in a storage
            return
        put_aside(study, listings)
        if any(words in said for words in INTERRUPTED):
            return
        broken = [job.rule for job in jobs_of(study) if job.rule in ANALYSIS and str(job.log) in failed]
        unfinished = unfinished_jobs(study, listings)
        if broken:
            raise UserError(f"{broken[0]} itself failed")
        if unfinished:
            report_what_is_there(study, listings, unfinished, failed)
    except UserError as error:
        print(f"\nNo partial report: {error}.", file=sys.stderr)
    except Exception as error:  # whatever it is, the failed job is what the user must hear of
        print(f"\nNo partial report could be made: {error!r}", file=sys.stderr)


def after_success(study: Study, listings: dict[str, str]) -> None:
    """After a run: the summary of a whole study; what the report of an incomplete one has left goes."""
    results = Path(study.results)
    if is_whole(study, listings):
        shutil.rmtree(results / INCOMPLETE, ignore_errors=True)
        (results / "report.before.html").unlink(missing_ok=True)
        print_summary(study, results)


def print_summary(study: Study, folder: Path) -> None:
    """The summary table on the terminal, and where the page lies. folder: of the results, or of what is incomplete."""
    unfinished = folder / "unfinished.json"
    command = ["print_summary", "--summary", str(folder / "tables/summary.csv")]
    command += ["--log", str(Path(study.results, "logs/print_summary.log"))]
    command += ["--unfinished", str(unfinished)] if unfinished.is_file() else []
    run_all([command])
    lacking = f", of what there is. What is missing: {folder}/tables/missing.csv" if unfinished.is_file() else ""
    print(f"\nReport: {folder}/report.html{lacking}")
    if not study.phantom:
        shows = "shows films (report.images: false makes one without)"
        films = shows if study.settings["report"]["images"] else "shows no film"
        print(f"Before it is passed on: the page {films}; the folders beside it hold films and name their files.")

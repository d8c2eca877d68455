"""Stage check_lineage: that all results are of one study, by their provenance.

For every job whose results the tables come from, its provenance is compared with what the study asks for: settings,
seed, code, the images of the user's that it read, and the hashes of what the job read with the hashes of what the jobs
before have written. Tables and reports of checks that lie there (.csv, .json) are compared with what the job wrote. How
a file came to be there does not matter: from an earlier study of the same name, from another version, copied, or marked
as up to date by Snakemake's --touch. Threads, machine and device are not compared: they change the last digits of a
result, and not what it is a result of.

The workflow writes down what is asked for, by its own rules. Below `jobs` is a record per job: name; rule; provenance,
outputs and inputs (paths, which count from the folder of the results); given (files that the user named); settings;
seed (null where the rule has none); code (`imports.digest_of_stage`); listing (`listing.listing_digest` of the data
root that the job reads; null where it reads none of the user's).
"""

import argparse
import hashlib
import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from ganaug.analysis.missing import add_argument, missing_files
from ganaug.errors import UserError
from ganaug.files import read_json, sha256_of, write_json, write_text

NAMED = 10  # jobs in the message
ON_A_LINE = 20  # files in the message's command; more are in a file
CHECK, LIST = "cells/lineage.json", "cells/to_make_anew.txt"
READ = (".npy", ".csv", ".safetensors")  # of its inputs a job reads these; for the others it waits
WAITED_FOR = "data/sizes.csv"  # for this, too


def add_arguments(parser: argparse.ArgumentParser) -> None:
    inputs = parser.add_argument_group("inputs")
    inputs.add_argument("--results", type=Path, required=True, help="folder of the study's results")
    inputs.add_argument("--asked", type=Path, required=True, help="what the study asks for, .json: a record per job")
    add_argument(inputs)
    outputs = parser.add_argument_group("outputs")
    outputs.add_argument("--report", type=Path, required=True, help="what was compared, .json")


def run(args: argparse.Namespace) -> None:
    missing = missing_files(args.unfinished)
    jobs = read_json(args.asked)["jobs"]
    jobs = [job for job in jobs if str(args.results / job["provenance"]) not in missing]
    made = refuse_others(jobs, args.results)
    compared = dict(sorted(Counter(job["rule"] for job in jobs).items()))
    report = {"asked": args.asked.stem, "compared": compared, "results": digest_of(made)}
    write_json(args.report, report)


def refuse_others(jobs: list[dict], results: Path) -> list["Provenance"]:
    """Raises UserError where results are not what was asked for: with the jobs and the command that makes them anew.

    jobs: records of those whose results are there and are to stay. results: folder of the study's results. Returns the
    provenance of each.
    """
    made = [read_provenance(results, job) for job in jobs]
    if found := differences(jobs, made, results):
        raise UserError(message(found, jobs, results))
    (results / LIST).unlink(missing_ok=True)
    return made


@dataclass(frozen=True)
class Difference:
    """job: the record of what was asked for. what: in words, a text per difference. dated: whether the provenance was
    written by a version that left the code out."""

    job: dict
    what: list[str]
    dated: bool


def differences(jobs: list[dict], made: list["Provenance"], results: Path) -> list[Difference]:
    """The jobs whose results are not what was asked for, in the order of the jobs.

    made: the provenance of each job. What a job read is compared with what the others of the jobs have written.
    """
    wrote = {path: digest for record in made for path, digest in record.outputs.items()}
    given = {
        path: sha256_of(Path(path))
        for path in sorted({path for job in jobs for path in job["given"]})
        if Path(path).is_file()
    }
    found = []
    for number, (job, record) in enumerate(zip(jobs, made, strict=True)):
        what = other_settings(job, record) + other_code(job, record) + other_images(job, record)
        if job["rule"] == "check_lineage":
            check = [Path(job["given"][0]).stem, digest_of(made[:number])]
            what += [] if check == last_check(results) else ["is of other results than the study's"]
        else:
            what += other_files(job, record, wrote, given)
        what += other_tables(job, record, results)
        if what:
            found.append(Difference(job, what, record.code is None))
    return found


@dataclass(frozen=True)
class Provenance:
    """What made a result. code: its digest, or that of the code in place of which the user has accepted it; None where
    none is named. inputs, outputs: SHA-256 of the study's files, by their path in its results. given: of the user's.
    listing: digest of the images of the data root, None where none is named."""

    settings: dict
    seed: int | None
    code: str | None
    inputs: dict[str, str]
    outputs: dict[str, str]
    given: dict[str, str]
    listing: str | None


def digest_of(made: list[Provenance]) -> str:
    """SHA-256 over all that was written."""
    wrote = {path: digest for record in made for path, digest in record.outputs.items()}
    return hashlib.sha256(json.dumps(wrote, sort_keys=True).encode()).hexdigest()


def last_check(results: Path) -> list[str | None]:
    """What was asked for and the digest of what was there when this stage was last content."""
    try:
        told = read_json(results / CHECK)
    except (OSError, ValueError):  # not there, or spoilt: the check will write the file anew
        return [None, None]
    return [told.get("asked"), told.get("results")]


def read_provenance(results: Path, job: dict) -> Provenance:
    path = results / job["provenance"]
    if not path.is_file():
        raise UserError(f"{path}: missing; the job that writes it has not finished. Run the study again")

    def files(hashes: dict[str, str], study: str, own: bool) -> dict[str, str]:
        """Jobs differ in what lies before the study's folder. The hash of a folder is none."""
        parts = [(name, *name.rpartition(study)[1:], digest) for name, digest in hashes.items() if digest != "folder"]
        return {below if own else name: digest for name, ours, below, digest in parts if bool(ours) == own}

    try:
        found = read_json(path)
        inputs, outputs, code = found["inputs"], found["outputs"], found.get("accepted_for", found.get("code"))
        study = folder_of_then(job, outputs) or "/".join(results.absolute().parts[-2:]) + "/"
        own, written, given = files(inputs, study, True), files(outputs, study, True), files(inputs, study, False)
        return Provenance(dict(found["settings"]), found["seed"], code, own, written, given, found.get("listing"))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{path} is no provenance ({error!r}); delete the file and run the study again") from None


def folder_of_then(job: dict, outputs: dict[str, str]) -> str | None:
    """`results/…/` as the study was named when a job wrote its outputs; None where that is not known."""
    folders = (name.removesuffix(path) for name in outputs for path in job["outputs"] if name.endswith(f"/{path}"))
    return next(("/".join(Path(folder).parts[-2:]) + "/" for folder in folders), None)


def other_settings(job: dict, record: Provenance) -> list[str]:
    asked, mine = job["settings"] | {"seed": job["seed"]}, record.settings | {"seed": record.seed}

    def shown(settings: dict, name: str) -> str:
        return json.dumps(settings[name]) if name in settings else "nothing"

    names = sorted(asked.keys() | mine.keys(), key=lambda name: (name == "seed", name))
    return [
        f"{name} is {shown(mine, name)}, asked for is {shown(asked, name)}"
        for name in names
        if name not in mine or name not in asked or mine[name] != asked[name]
    ]


def other_code(job: dict, record: Provenance) -> list[str]:
    if record.code is None:
        return ["the code is not known"]
    return [] if record.code == job["code"] else ["the code is another"]


def other_images(job: dict, record: Provenance) -> list[str]:
    if not job.get("listing") or record.listing == job["listing"]:
        return []
    return ["the images of its data root are others than it read" if record.listing else "the images are not known"]


def other_files(job: dict, record: Provenance, wrote: dict[str, str], given: dict[str, str]) -> list[str]:
    """wrote: hashes of what the jobs have written, by path. given: of the user's files that are there."""
    asked = set(job["inputs"])
    other = [path for path, digest in record.inputs.items() if path not in asked or digest != wrote.get(path, digest)]
    unread = [path for path in asked if path.endswith(READ) and path != WAITED_FOR and path not in record.inputs]
    if all(path in given for path in job["given"]):
        named = {given[path] for path in job["given"]}
        changed = [path for path, digest in record.given.items() if digest not in named]
        changed += [path for path in job["given"] if given[path] not in record.given.values()]
    else:  # a pod, say, has not got them
        changed = [] if len(job["given"]) == len(record.given) else [*job["given"], *record.given]
    return [
        *(f"read another {path}" for path in sorted({*other, *changed})),
        *(f"did not read {path}" for path in sorted(unread)),
    ]


def other_tables(job: dict, record: Provenance, results: Path) -> list[str]:
    """Tables and reports of checks alone: they are read by their place in the folder, and hashing them takes no time to
    speak of."""
    told = [path for path in job["outputs"] if path.endswith((".csv", ".json")) and path != job["provenance"]]
    there = [path for path in told if (results / path).is_file()]
    other = [path for path in there if sha256_of(results / path) != record.outputs.get(path)]
    return [f"{path} is not what the job wrote" for path in sorted(other)]


def message(found: list[Difference], jobs: list[dict], results: Path) -> str:
    """What differs, and the command that makes it anew. Writes a long list of files into a file."""
    lines = [f"  {one.job['name']}: {'; '.join(one.what)}" for one in found[:NAMED]]
    lines += [f"  and {len(found) - NAMED} more"] if found[NAMED:] else []
    if any(one.dated for one in found):
        lines.append("Results of a version before the code was written down can't be checked, and must be made anew.")
    return "\n".join(
        [
            f"{results} holds results that are not of this study; tables would mix them with its own:",
            *lines,
            "To make them anew, run Snakemake with the study's options, without --touch, and at the end:",
            f"  --forcerun {forced(found, jobs, results)}",
            "To keep them, give the study another name (study: …), or go back to the settings and the code of then.",
        ]
    )


def forced(found: list[Difference], jobs: list[dict], results: Path) -> str:
    """What Snakemake's --forcerun takes: a rule where all of its results differ, files where some do."""
    differ, all_of = Counter(one.job["rule"] for one in found), Counter(job["rule"] for job in jobs)
    rules = [rule for rule in differ if differ[rule] == all_of[rule]]
    files = [str(results / one.job["provenance"]) for one in found if one.job["rule"] not in rules]
    if len(files) > ON_A_LINE:
        write_text(results / LIST, "\n".join(files) + "\n")
        files = [f"$(cat {results / LIST})"]
    return " ".join([*rules, *files])

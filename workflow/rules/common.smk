# What all rules share: the checked study, its grid, and how a stage is called.

import contextlib
import json
import os
import re
import sys
from pathlib import Path
from shlex import quote

from snakemake.exceptions import WorkflowError

# Jobs run this checkout's package with the Python that runs Snakemake, activated environment or not.
os.environ.update(
    GANAUG_ROOT=str(ROOT),
    PYTHONPATH=os.pathsep.join(filter(None, [str(ROOT / "src"), os.environ.get("PYTHONPATH")])),
    PATH=os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)]),
)
if str(ROOT / "src") not in sys.path:
    sys.path.insert(0, str(ROOT / "src"))

from ganaug.classify.augmentations import ALL
from ganaug.errors import UserError
from ganaug.files import check_folder
from ganaug.layout import CELL, FOLDERS, SUBSET
from ganaug.provenance import git_commit
from ganaug.study.figures import figures_of
from ganaug.study.images import listings_of
from ganaug.study.jobs import (
    code_of,
    gpus_of,
    job_name,
    jobs_of,
    processes_of,
    seed_of,
    settings_of,
    threads_of,
)
from ganaug.study.model import Study
from ganaug.study.resources import Needs
from ganaug.study.rules import RULES
from ganaug.study.settings.resolve import resolve
from ganaug.study.tables import tables_of

MAIN = workflow.is_main_process  # the process that plans the study, and none of a job


@contextlib.contextmanager
def told_in_words():
    """What the package tells a user, a full disk say, as an error of Snakemake's, which it shows without a traceback."""
    try:
        yield
    except UserError as error:
        raise WorkflowError(str(error)) from None


with told_in_words():
    STUDY = Study(resolve(config))
    SETTINGS, RESULTS, PHANTOM, EXTERNAL = STUDY.settings, STUDY.results, STUDY.phantom, STUDY.settings["external_test"]
    # A job on a node need not look at all images again: it has been given what was reckoned with.
    LISTINGS, IMAGES = (listings_of(STUDY), STUDY.images_by_class) if MAIN else ({}, {})
    for folder in FOLDERS if MAIN else ():  # Snakemake itself fails on a file, and its jobs on a link to nothing
        check_folder(Path(RESULTS, folder))

# In the environment of jobs, and no param: where images are read from reruns nothing.
os.environ.update(GANAUG_SCRATCH=SETTINGS["scratch"] or "")
if MAIN:  # for jobs that a profile hands it to, since they run outside of the checkout
    os.environ.update(GANAUG_COMMIT=git_commit() or "")


wildcard_constraints:
    size=r"\d+|all",
    replicate=r"\d+",
    augmentation="|".join(map(re.escape, ALL)) + r"|gan@[0-9.e+-]+",
    at=r"(/ratio-[0-9.e+-]+)?",
    backbone=r"[A-Za-z0-9_.-]+",
    figure=r"[a-z_]+",


def settings(rule):
    """A params function: the settings that a rule's stage reads, as JSON."""
    return lambda wildcards: json.dumps(settings_of(STUDY, rule, dict(wildcards.items())), sort_keys=True)


def seed(rule):
    """A params function: the seed of a rule's job."""
    return lambda wildcards: seed_of(STUDY, rule, dict(wildcards.items()))


def also(rule, wildcards):
    """Files of the study that a rule's job reads beside those that the rule names."""
    return [f"{RESULTS}/{path}" for path in RULES[rule].also(STUDY, dict(wildcards.items()))]


def synthetic_set(wildcards):
    """The synthetic images of a cell's subset, where its augmentation uses them."""
    return dict(zip(("synthetic_images", "synthetic_table", "synthetic_check"), also("train_classifier", wildcards)))


def of_the_user(path, setting):
    """An input that a setting names, if it does: where the user put it, also for a study that lies in a storage."""
    if not path:
        return []
    path = os.path.expanduser(path)
    if MAIN and not os.path.isfile(path):  # a pipe or a device would be read for ever
        raise WorkflowError(f"{setting}: there is no file {path!r} (paths count from {os.getcwd()})")
    return local(path)


for setting, path in STUDY.files_of_user().items():
    of_the_user(path, setting)  # one that is not there is told before anything is planned


def weights_file(wildcards):
    """The file that a network's weights come from, where the study names one."""
    return of_the_user(STUDY.weights_file(wildcards.backbone), f"weights.{wildcards.backbone}.source")


# A storage plugin hands a job copies of its files in another folder, which these params functions find.


def study_folder(wildcards, input):
    """Where a job finds the study's results."""
    return input[0][: input[0].rindex(f"{RESULTS}/")] + RESULTS


def data_root(wildcards, input):
    """Where a job finds the raw images."""
    return input.phantoms if PHANTOM else STUDY.data_root


def table_options(wildcards, output):
    """The tables that a job writes, as options."""
    return " ".join(f"--{Path(path).stem.replace('_', '-')} {path}" for path in output if path.endswith(".csv"))


def targets():
    """What a study ends with."""
    return [
        f"{RESULTS}/report.html",
        *expand(f"{RESULTS}/tables/{{table}}.csv", table=tables_of(STUDY.parts())),
        *expand(f"{RESULTS}/figures/{{figure}}.{{suffix}}", figure=figures_of(STUDY.parts()), suffix=["png", "svg"]),
    ]

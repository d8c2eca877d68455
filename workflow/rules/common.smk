# What all rules share: the checked study, its grid, and how a stage is called.

import contextlib
import hashlib
import json
import os
import re
import subprocess
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

from ganaug.classify.augmentations import ALL, AUGMENTATIONS
from ganaug.config import load_schema, resolve
from ganaug.data.listing import listing_digest
from ganaug.downloads import is_url
from ganaug.errors import UserError
from ganaug.files import check_folder, read_json, write_json
from ganaug.imports import digest_of_all_stages, digest_of_stage
from ganaug.layout import AT_RATIO, CELL, FOLDERS, SUBSET
from ganaug.provenance import git_commit
from ganaug.report.pictures import PICTURES
from ganaug.seeding import derive_seed


def listing(root, source, classes, follow_links, known=()):
    """What a data root holds, for a param: an image added, removed or changed is seen in it.

    Only the driver compares it. A job on a node need not look at all images again.
    """
    cache = Path(".snakemake", "images", hashlib.sha256(os.path.abspath(root).encode()).hexdigest()[:16] + ".json")
    if not workflow.is_main_process:
        return ""
    return listing_digest(Path(root), source, classes, follow_links, cache, known)


@contextlib.contextmanager
def told_in_words():
    """What the package tells a user, a full disk say, as an error of Snakemake's, which it shows without a traceback."""
    try:
        yield
    except UserError as error:
        raise WorkflowError(str(error)) from None


SCHEMA = ROOT / "workflow" / "schemas" / "config.schema.yaml"
SYNTHETIC = {name: augmentation.synthetic for name, augmentation in ALL.items()}
with told_in_words():
    if "unfinished" in config and "GANAUG_PART" not in os.environ:
        raise UserError("unfinished: no setting of a study; the workflow gives it to itself")
    given = {name: value for name, value in config.items() if name != "unfinished"}
    STUDY = resolve(given, load_schema(SCHEMA), {name: SYNTHETIC[name] for name in AUGMENTATIONS})
    DATA = STUDY["data"]
    PHANTOM = DATA["source"] == "phantom"
    DATA_ROOT = f"results/{STUDY['study']}/data/phantoms" if PHANTOM else os.path.expanduser(STUDY["data_root"])
    LISTING = "" if PHANTOM else listing(DATA_ROOT, DATA["source"], DATA["classes"], DATA["follow_links"])

# In the environment of jobs, and no param: where images are read from reruns nothing.
os.environ.update(GANAUG_SCRATCH=STUDY["scratch"] or "")
if workflow.is_main_process:  # for jobs that a profile hands it to, since they run outside of the checkout
    os.environ.update(GANAUG_COMMIT=git_commit() or "")

RESULTS = f"results/{STUDY['study']}"
if workflow.is_main_process:
    with told_in_words():  # Snakemake itself fails on a file, and its jobs on a link to nothing
        for folder in FOLDERS:
            check_folder(Path(RESULTS, folder))
# Not a setting: the run that makes the report of an incomplete study is told by it what is missing (partial.smk).
INCOMPLETE = config.get("unfinished")
UNFINISHED = f"{RESULTS}/unfinished.json"
MISSING = {output for job in INCOMPLETE["jobs"] for output in job["outputs"]} if INCOMPLETE else set()
GENERATED = any(SYNTHETIC[name] for name in STUDY["augmentations"])
# Ratios beside the study's own, as in paths.
RATIOS = [f"{ratio:g}" for ratio in sorted(STUDY["synthetic"]["ratio_sweep"]) if ratio != STUDY["synthetic"]["ratio"]]
RATIOS = RATIOS if "gan" in STUDY["augmentations"] else []
# Trained beside the augmentations.
PROBES = ["synthetic-only"] if GENERATED and STUDY["probes"]["synthetic_only"] else []
PROBES += ["border-only"] if STUDY["probes"]["border_only"] else []
EXTERNAL = STUDY["external_test"]
EXTRACTOR = STUDY["fidelity"]["extractor"]

# Tables and figures of a study; those about GANs only where there are any.
TABLES = ["cells", "summary", "comparisons", "scaling", "confusion", "class_rates", "reliability", "curves"]
TABLES += ["calibration", "prevalence", "data", "subsets", "convergence"]
TABLES += ["fidelity", "fidelity_curve", "memorisation", "gan_training", "gan_convergence"] if GENERATED else []
TABLES += ["ratio_sweep"] if RATIOS else []
TABLES += ["transfer"] if "synthetic-only" in PROBES else []
TABLES += ["shortcut"] if "border-only" in PROBES else []
TABLES += ["external_cells", "external_summary", "external_comparisons"] if EXTERNAL else []
TABLES += ["missing"] if INCOMPLETE else []
# What each figure reads.
FIGURES = {
    "learning_curve": ["tables/cells.csv", "tables/summary.csv", "tables/subsets.csv"],
    "differences": ["tables/cells.csv", "tables/comparisons.csv", "tables/subsets.csv"],
    "confusion_matrices": ["tables/confusion.csv"],
    "class_examples": ["data/test.npy", "data/test.csv"],
    "near_copies": ["data/distances.csv", "data/near_copies.json"],
    "roc": ["tables/curves.csv"],
    "precision_recall": ["tables/curves.csv"],
    "reliability": ["tables/reliability.csv", "tables/prevalence.csv"],
}
if RATIOS:
    FIGURES["ratio_sweep"] = ["tables/ratio_sweep.csv"]
if GENERATED:
    FIGURES |= {
        "real_and_generated": [
            f"{folder}.{suffix}"
            for folder in (f"subsets/{SUBSET}/train", f"synthetic/{SUBSET}/images")
            for suffix in ("npy", "csv")
        ],
        "closest_pairs": [
            f"fidelity/{SUBSET}/closest.csv",
            f"subsets/{SUBSET}/train.npy",
            f"synthetic/{SUBSET}/images.npy",
        ],
        "gan_progress": [f"gan/{SUBSET}/snapshots.npy", f"gan/{SUBSET}/snapshots.csv", f"subsets/{SUBSET}/train.csv"],
        "gan_training": ["tables/gan_training.csv", "tables/fidelity_curve.csv"],
        "fidelity": ["tables/fidelity.csv", "tables/subsets.csv"],
    }
if not STUDY["report"]["images"]:
    FIGURES = {name: files for name, files in FIGURES.items() if name not in PICTURES}
# Where pretrained weights come from unless the study says otherwise.
WEIGHTS = {
    "tf_efficientnet_lite0": {"source": "package", "sha256": None},
    "inception-v3-compat": {"source": "torch-fidelity", "sha256": None},
}


wildcard_constraints:
    size=r"\d+|all",
    replicate=r"\d+",
    augmentation="|".join(map(re.escape, ALL)) + r"|gan@[0-9.e+-]+",
    at=r"(/ratio-[0-9.e+-]+)?",
    backbone=r"[A-Za-z0-9_.-]+",
    figure=r"[a-z_]+",


def code(stage, others=()):
    """A digest of the source files that decide what a stage does: a param, so that a change in one reruns the stage.

    As inputs, which Snakemake compares too, they would rerun everything when the checkout lies elsewhere.
    """
    return digest_of_stage(stage, others)


def settings(*names, without=(), **more):
    """A params function: the named settings as JSON; of a block, all of it.

    A rule names just what its stage reads, so that another setting's change does not rerun it; `without` is what its
    stage gets in another way. Values that depend on the wildcards are functions of them.
    """

    def as_json(wildcards):
        chosen = {}
        for name in names:
            value = STUDY
            for key in name.split("."):
                value = value[key]
            chosen |= value if isinstance(value, dict) else {name.rpartition(".")[2]: value}
        chosen |= {key: value(wildcards) if callable(value) else value for key, value in more.items()}
        return json.dumps({key: value for key, value in chosen.items() if key not in without}, sort_keys=True)

    return as_json


def constant(folder):
    """A params function: a folder that every job of a rule gets. In a plain string Snakemake would expand braces."""
    return lambda wildcards: folder


def of_the_user(path, setting):
    """An input that a setting names, if it does: where the user put it, also for a study that lies in a storage."""
    if not path:
        return []
    path = os.path.expanduser(path)
    if workflow.is_main_process and not os.path.isfile(path):  # a pipe or a device would be read for ever
        raise WorkflowError(f"{setting}: there is no file {path!r} (paths count from {os.getcwd()})")
    return local(path)


# A storage plugin hands a job copies of its files in another folder, which these params functions find.


def study_folder(wildcards, input):
    """Where a job finds the study's results."""
    return input[0][: input[0].rindex(f"{RESULTS}/")] + RESULTS


def data_root(wildcards, input):
    """Where a job finds the raw images."""
    return input.phantoms if PHANTOM else DATA_ROOT


def table_options(wildcards, output):
    """The tables that a job writes, as options."""
    return " ".join(f"--{Path(path).stem.replace('_', '-')} {path}" for path in output if path.endswith(".csv"))


def seed(stage, *wildcard_names):
    """A params function: the seed of a stage for the cell that the named wildcards identify."""
    return lambda wildcards: derive_seed(STUDY["seed"], stage, **{name: wildcards[name] for name in wildcard_names})


def augmentation_settings(wildcards):
    """The block of settings that a cell's augmentation reads."""
    block = ALL[base(wildcards)].settings
    return STUDY[block] if block else {}


def base(wildcards):
    """The augmentation of a cell: `gan` of `gan@0.5`, too."""
    return wildcards.augmentation.partition("@")[0]


def least_train(wildcards):
    """Training images per class that the study needs: without GANs one, with them what their fidelity is measured on."""
    per_synthetic = min(1, STUDY["synthetic"]["ratio"])
    return -int(-least_test(wildcards) // per_synthetic)


def least_test(wildcards):
    """Test images per class that the study needs: without GANs one, with them as many as their fidelity takes."""
    return max(STUDY["fidelity"]["kid_subset_size"], STUDY["fidelity"]["prc_neighborhood"] + 1) if GENERATED else 1


def size_of(wildcards):
    return wildcards.size if wildcards.size == "all" else int(wildcards.size)


def there(files):
    """Of the files those that are not known to be missing."""
    return [path for path in files if path not in MISSING]


def subsets(path, **more):
    """A file of every (size, replicate), and of all values of `more`."""
    return there(expand(f"{RESULTS}/{path}", size=STUDY["sizes"], replicate=replicates(), **more))


def replicates():
    return range(1, STUDY["replicates"] + 1)


def synthetic_set(wildcards):
    """The synthetic images of a cell's subset, where its augmentation uses them."""
    if not SYNTHETIC[base(wildcards)]:
        return {}
    ratio = wildcards.augmentation.partition("@")[2]
    folder = f"{RESULTS}/synthetic/{SUBSET}" + (AT_RATIO.format(ratio=ratio) if ratio else "")
    files = {"synthetic_images": f"{folder}/images.npy", "synthetic_table": f"{folder}/images.csv"}
    return files | {"synthetic_check": f"{folder}/check.json"}


def ratio_of(wildcards):
    """Synthetic images per real one of a synthetic set."""
    return float(wildcards.at.rpartition("-")[2]) if wildcards.at else STUDY["synthetic"]["ratio"]


def weights_of(network):
    """Settings of a network's pretrained weights."""
    return {"backbone": network} | (
        STUDY["weights"].get(network) or WEIGHTS.get(network) or {"source": "timm", "sha256": None}
    )


def weights_file(wildcards):
    """The file that a network's weights come from, where the study names one."""
    return local_weights(wildcards.backbone)


def local_weights(network):
    """The file of weights that the study names for a network; none where they come from a package or an address."""
    source = weights_of(network)["source"]
    named = source in ("package", "timm", "torch-fidelity") or is_url(source)
    return [] if named else of_the_user(source, f"weights.{network}.source")


for network in STUDY["weights"]:
    local_weights(network)  # one that is not there is told before anything is planned


# The cells of the study, for the stages that read them all.
GRID = {name: STUDY[name] for name in ("augmentations", "sizes", "replicates", "backbones")}
GRID |= {"synthetic": [name for name in [*STUDY["augmentations"], *PROBES] if SYNTHETIC[name]]}
GRID |= {"ratios": RATIOS, "probes": PROBES}


def grid_settings(*names, **more):
    """A params function: the grid of cells, the named settings, and `more` by name and value."""
    return settings(*names, **{name: lambda _, value=value: value for name, value in (GRID | more).items()})


# What figures of images read of the grid and the statistics; of the others each reads most of it.
READ_BY_FIGURE = {"class_examples": [], "near_copies": []}
READ_BY_FIGURE |= dict.fromkeys(["real_and_generated", "closest_pairs", "gan_progress"], ["sizes"])


def figure_settings(wildcards):
    """What a figure reads; what it does not, is empty, so that a change of it draws no figure anew."""
    given = json.loads(grid_settings("statistics.confidence")(wildcards))
    read = READ_BY_FIGURE.get(wildcards.figure, given)
    chosen = {name: value if name in read else type(value)() for name, value in given.items()}
    return json.dumps(chosen | {"dpi": STUDY["figures"]["dpi"]}, sort_keys=True)


def unfinished(wildcards):
    """The option that tells a stage of an incomplete study what is missing."""
    return f"--unfinished {quote(UNFINISHED)}" if INCOMPLETE else ""


def report_settings(wildcards):
    title = STUDY["title"] or STUDY["study"]
    synthetic = [name for name in STUDY["augmentations"] if SYNTHETIC[name]]
    return json.dumps(
        {"title": title, "grid": GRID, "synthetic": synthetic, "tables": TABLES, "config": STUDY}, sort_keys=True
    )


def templates():
    """The report's template files, which no Python import shows."""
    return [path for path in (ROOT / "src/ganaug/report").glob("page.*") if path.suffix != ".py"]


def figure_data(wildcards):
    """The files a figure reads; of the subsets the first replicate's."""
    return there(expand([f"{RESULTS}/{path}" for path in FIGURES[wildcards.figure]], size=STUDY["sizes"], replicate=1))


def cells(path, folder="cells", augmentations=None, sizes=None):
    """A file of every classifier cell, or of those of some augmentations (or probes) and sizes.

    For input functions: a cluster's jobs read the rules too, and need no list of thousands of files.
    """
    files = expand(
        f"{RESULTS}/{folder}/{CELL}/{path}",
        augmentation=STUDY["augmentations"] if augmentations is None else augmentations,
        size=STUDY["sizes"] if sizes is None else sizes,
        replicate=replicates(),
        backbone=STUDY["backbones"],
    )
    return there(files)


def all_cells(path):
    """A file of every classifier: of the study's cells, of other ratios and of probes."""
    swept = [f"gan@{ratio}" for ratio in RATIOS]
    everywhere = [name for name in PROBES if name != "border-only"]
    largest = cells(path, augmentations=["border-only"], sizes=STUDY["sizes"][-1:]) if "border-only" in PROBES else []
    return cells(path) + cells(path, augmentations=swept + everywhere) + largest


def made():
    """What every job before the tables ends with, but for the data's, which the tables read."""
    networks = [*STUDY["backbones"], *([EXTRACTOR] if GENERATED else [])]
    files = all_cells("provenance.json") + subsets(f"subsets/{SUBSET}/provenance.json")
    files += there(expand(f"{RESULTS}/weights/{{network}}.provenance.json", network=dict.fromkeys(networks)))
    files += [f"{RESULTS}/data/phantoms"] if PHANTOM else []
    files += there([f"{RESULTS}/external/provenance.json"]) if EXTERNAL else []
    if GENERATED:
        for folder in ("", *(AT_RATIO.format(ratio=ratio) for ratio in RATIOS)):
            files += subsets(f"synthetic/{SUBSET}{folder}/provenance.json")
            files += subsets(f"synthetic/{SUBSET}{folder}/check.json")
        files += subsets(f"gan/{SUBSET}/provenance.json") + subsets(f"fidelity/{SUBSET}/provenance.json")
    return files


def targets():
    """What a study ends with."""
    return [
        f"{RESULTS}/report.html",
        *expand(f"{RESULTS}/tables/{{table}}.csv", table=TABLES),
        *expand(f"{RESULTS}/figures/{{figure}}.{{suffix}}", figure=FIGURES, suffix=["png", "svg"]),
    ]


def print_summary():
    """The study's newest summary table on the terminal."""
    summary = Path(RESULTS, "tables", "summary.csv")
    if summary.is_file():
        command = [sys.executable, "-m", "ganaug", "print_summary", "--summary", summary]
        command += ["--log", f"{RESULTS}/logs/print_summary.log"]
        command += ["--unfinished", UNFINISHED] if Path(UNFINISHED).is_file() else []
        subprocess.run(command, check=True)
        lacking = (
            f", of what there is. What is missing: {RESULTS}/tables/missing.csv" if Path(UNFINISHED).is_file() else ""
        )
        print(f"\nReport: {RESULTS}/report.html{lacking}")
        if not PHANTOM:
            films = (
                "shows films (report.images: false makes one without)" if STUDY["report"]["images"] else "shows no film"
            )
            print(f"Before it is passed on: the page {films}; the folders beside it hold films and name their files.")

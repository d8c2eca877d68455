# What all rules share: the checked study, its grid, and how a stage is called.

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from shlex import quote

from snakemake.exceptions import WorkflowError

ROOT = Path(workflow.basedir)
# Jobs run this checkout's package with the Python that runs Snakemake, activated environment or not.
os.environ.update(
    PYTHONPATH=os.pathsep.join(filter(None, [str(ROOT / "src"), os.environ.get("PYTHONPATH")])),
    PATH=os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)]),
)
if str(ROOT / "src") not in sys.path:
    sys.path.insert(0, str(ROOT / "src"))

from ganaug.classify.augmentations import ALL, AUGMENTATIONS
from ganaug.config import load_schema, resolve
from ganaug.data.sources import listing_digest
from ganaug.errors import UserError
from ganaug.files import write_json
from ganaug.imports import files_of_stage
from ganaug.layout import AT_RATIO, CELL, SUBSET
from ganaug.seeding import derive_seed

SCHEMA = ROOT / "workflow" / "schemas" / "config.schema.yaml"
SYNTHETIC = {name: augmentation.synthetic for name, augmentation in ALL.items()}
try:
    STUDY = resolve(config, load_schema(SCHEMA), {name: SYNTHETIC[name] for name in AUGMENTATIONS})
    DATA = STUDY["data"]
    PHANTOM = DATA["source"] == "phantom"
    DATA_ROOT = f"results/{STUDY['study']}/data/phantoms" if PHANTOM else os.path.expanduser(STUDY["data_root"])
    # An image added, removed or changed is seen in the listing: names, sizes and times of change.
    LISTING = "" if PHANTOM else listing_digest(Path(DATA_ROOT), DATA["source"], DATA["classes"])
except UserError as error:
    raise WorkflowError(str(error)) from None

RESULTS = f"results/{STUDY['study']}"
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
TABLES += ["data", "subsets"]
TABLES += ["fidelity", "fidelity_curve", "memorisation", "gan_training"] if GENERATED else []
TABLES += ["ratio_sweep"] if RATIOS else []
TABLES += ["transfer"] if "synthetic-only" in PROBES else []
TABLES += ["shortcut"] if "border-only" in PROBES else []
TABLES += ["external_cells", "external_summary", "external_comparisons"] if EXTERNAL else []
# What each figure reads.
FIGURES = {
    "learning_curve": ["tables/cells.csv", "tables/summary.csv", "tables/subsets.csv"],
    "differences": ["tables/cells.csv", "tables/comparisons.csv", "tables/subsets.csv"],
    "confusion_matrices": ["tables/confusion.csv"],
    "class_examples": ["data/test.npy", "data/test.csv"],
    "near_copies": ["data/distances.csv", "data/near_copies.json"],
    "roc": ["tables/curves.csv"],
    "precision_recall": ["tables/curves.csv"],
    "reliability": ["tables/reliability.csv"],
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


def sources(stage):
    """The source files that decide what a stage does: inputs, so that a change in one reruns the stage."""
    return [os.path.relpath(path) for path in files_of_stage(stage)]


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


def gpus(wildcards):
    return 0 if STUDY["device"] == "cpu" else 1


# Processes that share a GAN training, one per GPU.
SHARES = 1 if STUDY["device"] == "cpu" else STUDY["gan"]["gpus"]


def launcher():
    """The start of a GAN training's command: one process, or one per GPU."""
    # The dashes keep torchrun from taking the stage's --log for a short form of its own options.
    return "python -m" if SHARES == 1 else f"torchrun --standalone --nproc-per-node {SHARES} -m --"


def scaled(amount):
    """A resource that grows with the attempts, up to the third, for jobs that ran out of it.

    amount: a number, or a function of the wildcards.
    """

    def grown(wildcards, attempt):
        return (amount(wildcards) if callable(amount) else amount) * min(attempt, 3)

    return grown


def gan_minutes(wildcards):
    """Time of one slot of a GAN training: ample for all of it, and a day at most; the next attempt goes on from there.

    30 seconds per kimg at 256 x 256 on a GPU, 25 times as long on a CPU.
    """
    seconds = 30 * STUDY["gan"]["kimg"] * (DATA["resolution"] / 256) ** 2 * (25 if STUDY["device"] == "cpu" else 1)
    return min(1440, 60 + int(seconds / 60))


def packed_mb(wildcards):
    """Memory for a process that works on a subset's images: its own, and four copies of them."""
    classes = len(DATA["classes"] or []) or 10
    images = classes * (20000 if wildcards.size == "all" else int(wildcards.size))
    return 4000 + 4 * images * DATA["resolution"] ** 2 // 10**6


def subsets(path):
    """A file of every (size, replicate)."""
    return expand(f"{RESULTS}/{path}", size=STUDY["sizes"], replicate=replicates())


def replicates():
    return range(1, STUDY["replicates"] + 1)


def synthetic_set(wildcards):
    """The synthetic images of a cell's subset, where its augmentation uses them."""
    if not SYNTHETIC[base(wildcards)]:
        return {}
    ratio = wildcards.augmentation.partition("@")[2]
    folder = f"{RESULTS}/synthetic/{SUBSET}" + (AT_RATIO.format(ratio=ratio) if ratio else "")
    files = {"synthetic_images": f"{folder}/images.npy", "synthetic_table": f"{folder}/images.csv"}
    return files | {"synthetic_check": ancient(f"{folder}/check.json")}


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
    source = weights_of(wildcards.backbone)["source"]
    return [] if source in ("package", "timm", "torch-fidelity") else os.path.expanduser(source)


# The cells of the study, for the stages that read them all.
GRID = {name: STUDY[name] for name in ("augmentations", "sizes", "replicates", "backbones")}
GRID |= {"synthetic": [name for name in [*STUDY["augmentations"], *PROBES] if SYNTHETIC[name]]}
GRID |= {"ratios": RATIOS, "probes": PROBES}


def grid_settings(*names, **more):
    """A params function: the grid of cells, the named settings, and `more` by name and value."""
    return settings(*names, **{name: lambda _, value=value: value for name, value in (GRID | more).items()})


def report_settings(wildcards):
    title = STUDY["title"] or STUDY["study"]
    synthetic = [name for name in STUDY["augmentations"] if SYNTHETIC[name]]
    return json.dumps(
        {"title": title, "grid": GRID, "synthetic": synthetic, "tables": TABLES, "config": STUDY}, sort_keys=True
    )


def templates():
    """The report's template files, which no Python import shows."""
    return [os.path.relpath(p) for p in sorted((ROOT / "src/ganaug/report").glob("page.*")) if p.suffix != ".py"]


def figure_data(wildcards):
    """The files a figure reads; of the subsets the first replicate's."""
    return expand([f"{RESULTS}/{path}" for path in FIGURES[wildcards.figure]], size=STUDY["sizes"], replicate=1)


def cells(path, folder="cells", augmentations=None, sizes=None):
    """A file of every classifier cell, or of those of some augmentations (or probes) and sizes."""
    return expand(
        f"{RESULTS}/{folder}/{CELL}/{path}",
        augmentation=STUDY["augmentations"] if augmentations is None else augmentations,
        size=STUDY["sizes"] if sizes is None else sizes,
        replicate=replicates(),
        backbone=STUDY["backbones"],
    )


def all_cells(path):
    """A file of every classifier: of the study's cells, of other ratios and of probes."""
    swept = [f"gan@{ratio}" for ratio in RATIOS]
    everywhere = [name for name in PROBES if name != "border-only"]
    largest = cells(path, augmentations=["border-only"], sizes=STUDY["sizes"][-1:]) if "border-only" in PROBES else []
    return cells(path) + cells(path, augmentations=swept + everywhere) + largest


def targets():
    """What a study ends with."""
    return [
        f"{RESULTS}/report.html",
        *expand(f"{RESULTS}/tables/{{table}}.csv", table=TABLES),
        *expand(f"{RESULTS}/figures/{{figure}}.{{suffix}}", figure=FIGURES, suffix=["png", "svg"]),
    ]


def plan():
    """The study's longer jobs: stage, the output that ends it, its log. For `show_status`, which knows no Snakemake."""
    stages = {
        "make_subset": subsets(f"subsets/{SUBSET}/provenance.json"),
        "train_gan": subsets(f"gan/{SUBSET}/provenance.json") if GENERATED else [],
        "sample_gan": subsets(f"synthetic/{SUBSET}/provenance.json") if GENERATED else [],
        "measure_fidelity": subsets(f"fidelity/{SUBSET}/provenance.json") if GENERATED else [],
        "train_classifier": all_cells("provenance.json"),
    }
    if GENERATED:
        for ratio in RATIOS:
            stages["sample_gan"] += subsets(f"synthetic/{SUBSET}{AT_RATIO.format(ratio=ratio)}/provenance.json")
    jobs = []
    for stage, outputs in stages.items():
        for output in outputs:
            cell = Path(output).parent.relative_to(RESULTS).parts[1:]
            jobs.append({"stage": stage, "output": output, "log": f"{RESULTS}/logs/{stage}/{'/'.join(cell)}.log"})
    return {"jobs": jobs}


def write_plan():
    path = Path(RESULTS, "plan.json")
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, plan())


def print_summary():
    """The study's newest summary table on the terminal."""
    summary = Path(RESULTS, "tables", "summary.csv")
    if summary.is_file():
        command = [sys.executable, "-m", "ganaug", "print_summary", "--summary", summary]
        command += ["--log", f"{RESULTS}/logs/print_summary.log"]
        subprocess.run(command, check=True)
        print(f"\nReport: {RESULTS}/report.html")

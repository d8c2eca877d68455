"""What each change to a finished study plans: the tests try every one, and docs/reruns.md is made from it.

`PYTHONPATH=src:tests python tests/helpers/reruns.py` writes the page anew.
"""

import contextlib
import copy
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ganaug.study.figures import FIGURES as REGISTRY
from helpers.miniature import STUDY

PAGE = Path(__file__).parents[2] / "docs" / "reruns.md"
# The rules in the order of the study. A job's conditions: of some wildcards one of several values; none: all jobs.
RULES = ["prepare_weights", "check_backbone", "check_extractor", "make_manifest", "make_splits"]
RULES += ["check_sizes", "make_test_set", "make_subset", "check_leaks", "make_external_set", "train_gan", "sample_gan"]
RULES += ["check_synthetic", "measure_fidelity", "train_classifier", "score_synthetic", "score_external"]
RULES += ["check_lineage", "make_tables", "make_figure", "make_report"]
Follows = dict[str, dict[str, list[str]]]


def each(rules: list[str], **wildcards: list[str]) -> Follows:
    """The same condition for several rules: jobs with one of the values of each wildcard, or all."""
    return dict.fromkeys(rules, wildcards)


# What is made from all tables, and from all classifiers' predictions. The other figures show images, or distances.
FIGURES = ["confusion_matrices", "differences", "fidelity", "gan_training", "learning_curve", "precision_recall"]
FIGURES += ["ratio_sweep", "reliability", "roc"]
TABLES: Follows = {"make_tables": {}, "make_figure": {"figure": FIGURES}, "make_report": {}}
ANALYSIS: Follows = {"check_lineage": {}} | TABLES
ALL: Follows = each(RULES)
PAGE_ALONE: Follows = {"make_report": {}}
EVERY_FIGURE: Follows = {"make_figure": {}, "make_report": {}}
CELLS: Follows = each(["train_classifier", "score_synthetic", "score_external"]) | ANALYSIS
TRIED: Follows = {"check_backbone": {}} | CELLS  # with the trial of what they wait for
# All but what knows no images: the manifest's problems name those that are enlarged.
IMAGES: Follows = {rule: {} for rule in RULES if rule not in ("prepare_weights", "check_backbone", "check_extractor")}
# Classifiers that use synthetic images of the study's own ratio.
OF_GAN = ["gan", "gan+classical", "synthetic-only"]
CLASSICAL = ["classical", "gan+classical"]
# A size, replicate or backbone more: what is named with it.
OWN = ["make_subset", "check_leaks", "train_gan", "sample_gan", "check_synthetic", "measure_fidelity"]
OWN += ["train_classifier", "score_synthetic", "score_external"]


def figures(*more: str) -> Follows:
    """The figures made from tables, and some of images."""
    return {"make_figure": {"figure": [*FIGURES, *more]}}


SAMPLED: Follows = each(["sample_gan", "check_synthetic", "measure_fidelity", "score_synthetic"]) | ANALYSIS
SAMPLED |= {"train_classifier": {"augmentation": [*OF_GAN, "gan@0.5"]}, "score_external": {"augmentation": OF_GAN}}
SAMPLED |= figures("real_and_generated", "closest_pairs")
OF_OWN_RATIO: Follows = SAMPLED | each(["sample_gan", "check_synthetic"], at=[""])
OF_OWN_RATIO |= {"train_classifier": {"augmentation": OF_GAN}}
GAN: Follows = {"train_gan": {}} | SAMPLED | figures("real_and_generated", "closest_pairs", "gan_progress")
FIDELITY: Follows = {"measure_fidelity": {}} | ANALYSIS | figures("closest_pairs")
OF_SIZE: Follows = figures("real_and_generated", "closest_pairs", "gan_progress")
# What follows from other splits: the manifest and what is only of it stay.
SPLIT: Follows = {rule: {} for rule in IMAGES if rule not in ("make_manifest", "make_external_set")}
SPLIT |= figures("real_and_generated", "closest_pairs", "gan_progress", "class_examples")


@dataclass(frozen=True)
class Row:
    """Changes that plan the same jobs."""

    changes: dict[str, object]  # each by its name; what comes after a colon tells it in words
    follows: Follows
    cells: str  # which jobs these are, in words
    other_jobs: bool = False  # the study has other jobs afterwards
    together: bool = False  # all of them at once are tried, since one job's parameters hold them all


SETTINGS = [
    Row({"study": "other"}, ALL, "another study, in another folder; the first one stays"),
    Row({"seed": 2}, SPLIT, "all but the manifest, weights, trials and the external images"),
    Row(
        {
            **{"data.classes": ["COVID", "Lung_Opacity", "Normal"], "data.follow_links": True, "data.resolution": 16},
            **{"data.max_bad_share": 0.5, "data.not_films": "keep", "data.near_copy_distance": 3},
        },
        IMAGES,
        "all but weights and trials",
        together=True,
    ),
    Row({"splits.test_share": 0.3}, SPLIT, "as for the seed"),
    Row(
        {"sizes: one more": [10, 15, 20]},
        {"check_sizes": {}} | each(OWN, size=["15"]) | ANALYSIS | OF_SIZE,
        "the new size alone",
        other_jobs=True,
    ),
    Row(
        {"replicates: one more": 2},
        each(OWN, replicate=["2"]) | ANALYSIS,
        "the new replicate alone",
        other_jobs=True,
    ),
    Row(
        {"backbones: one more": [*STUDY["backbones"], "resnet18"]},
        each(["prepare_weights", "check_backbone"], backbone=["resnet18"])
        | each(["train_classifier", "score_synthetic", "score_external"], backbone=["resnet18"])
        | ANALYSIS,
        "the new backbone alone",
        other_jobs=True,
    ),
    Row(
        {"augmentations: one more": [*STUDY["augmentations"], "mixup"]},
        each(["train_classifier", "score_external"], augmentation=["mixup"]) | ANALYSIS,
        "the new augmentation alone",
        other_jobs=True,
    ),
    Row(
        {"augmentations: fewer": ["none", "gan"], "probes.border_only: off": False},
        ANALYSIS,
        "no training",
        other_jobs=True,
    ),
    Row(
        {
            **{"gan.channel_base": 1024, "gan.channel_max": 32, "gan.latent": 32, "gan.mapping_layers": 3},
            **{"gan.learning_rate": 0.002, "gan.r1_gamma": 1, "gan.ema_kimg": 1, "gan.ema_rampup": 0.1},
            **{"gan.style_mixing": 0.8, "gan.path_length_weight": 0, "gan.ada_target": 0.5, "gan.ada_kimg": 400},
            **{"gan.ada_pipeline": "blit", "gan.mirror": True, "gan.precision": "bfloat16"},
            **{"gan.half_resolutions": 2, "gan.tf32": True, "gan.cudnn_benchmark": True},
            **{"gan.log_kimg": 0.2, "gan.snapshot_kimg": 0.2, "gan.snapshot_images": 8},
        },
        GAN,
        "every GAN, and the classifiers that use synthetic images",
        together=True,
    ),
    Row(
        {"gan.kimg": 0.4, "gan.batch": 16, "gan.gpus": 2, "threads.gan": 2},
        GAN,
        "the same, by each of these alone",
    ),
    Row({"synthetic.truncation_psi": 0.7}, SAMPLED, "no GAN; every synthetic set and the classifiers that use one"),
    Row({"synthetic.ratio": 2}, OF_OWN_RATIO, "no GAN; synthetic sets of the study's own ratio, and what uses them"),
    Row(
        {"synthetic.ratio_sweep: one more": [0.5, 2]},
        each(["sample_gan", "check_synthetic"], at=["/ratio-2"])
        | {"train_classifier": {"augmentation": ["gan@2"]}}
        | ANALYSIS,
        "the new ratio alone",
        other_jobs=True,
    ),
    Row(
        {"probes.border": 0.2},
        {"train_classifier": {"augmentation": ["border-only"]}} | ANALYSIS,
        "classifiers of borders",
    ),
    Row(
        {"probes.synthetic_only: off": False},
        {"train_classifier": {"augmentation": ["border-only"]}} | ANALYSIS,
        "classifiers of borders, whose settings name the other probe",
        other_jobs=True,
    ),
    Row(
        {"external_test.data_root: another spelling": "./elsewhere", "external_test.follow_links": True},
        each(["make_external_set", "score_external"]) | ANALYSIS,
        "the external images, scored by every classifier; no training",
    ),
    Row(
        {"fidelity.extractor": "inception-v3-compat"},
        {"prepare_weights": {"backbone": ["inception-v3-compat"]}, "check_extractor": {}} | FIDELITY,
        "every measure of fidelity; no training",
        other_jobs=True,
    ),
    Row(
        {"fidelity.input_size": 64, "threads.fidelity": 2},
        {"check_extractor": {}} | FIDELITY,
        "every measure of fidelity; no training",
    ),
    Row(
        {"fidelity.kid_subsets": 6, "fidelity.prc_neighborhood": 2},
        FIDELITY,
        "every measure of fidelity; no training",
    ),
    Row(
        {"splits.validation_share": 0.1, "fidelity.kid_subset_size": 5},
        {"check_sizes": {}} | ANALYSIS,
        "what the dry run shows; a run makes `check_sizes` first, and then new subsets and all that follows, "
        "or every measure of fidelity",
    ),
    Row(
        {
            **{"classifier.epochs": 3, "classifier.steps_per_epoch": 3, "classifier.learning_rate": 0.001},
            **{"classifier.weight_decay": 0.1},
        },
        CELLS,
        "every classifier",
    ),
    Row(
        {
            **{"classifier.input_size": 64, "classifier.batch": 4, "classifier.precision": "bfloat16"},
            **{"classifier.tf32": True, "classifier.cudnn_benchmark": True, "threads.classifier": 2},
        },
        TRIED,
        "every classifier, after another trial of its backbone",
    ),
    Row(
        {"device": "cpu"},
        {"check_backbone": {}, "check_extractor": {}} | GAN | each(["train_classifier", "score_external"]),
        "every GAN and every classifier; no data, no subset",
    ),
    Row(
        {
            **{"classical.rotation_degrees": 5, "classical.shift": 0.1, "classical.zoom": 0.2},
            **{"classical.brightness": 0.2},
        },
        each(["train_classifier", "score_external"], augmentation=CLASSICAL) | ANALYSIS,
        "classifiers of this augmentation",
        together=True,
    ),
    Row(
        {
            **{"randaugment.operations": 3, "randaugment.magnitude": 8, "mixup.alpha": 0.3, "cutmix.alpha": 0.5},
        },
        PAGE_ALONE,
        "no training, since the study has no such augmentation",
        together=True,
    ),
    Row(
        {
            **{"statistics.confidence": 0.9, "statistics.bootstrap_samples": 1000},
            **{"statistics.equivalence_margin": 0.03},
        },
        TABLES,
        "tables, figures and page",
        together=True,
    ),
    Row({"figures.dpi": 100}, EVERY_FIGURE, "all figures, and the page"),
    Row({"report.images: off": False}, PAGE_ALONE, "the page alone", other_jobs=True),
    Row(
        {
            **{"title": "Another", "report.published": "Somebody found something.", "scratch": "/tmp"},
            **{"data_root: another spelling": "./radiographs"},
            **{"gan.checkpoint_seconds": 7, "classifier.checkpoint_seconds": 7},
        },
        PAGE_ALONE,
        "the page alone, which shows all settings",
        together=True,
    ),
    Row({"title: as it was": ""}, {}, "nothing"),
]
# Settings that no test changes alone, and what they would take.
UNTRIED = {
    "data.source": "other folders",
    "data.groups": "a table of groups",
    "data.phantom.images_per_class": "phantoms",
    "data.phantom.resolution": "phantoms",
    "weights": "a file of weights",
    "gan.init_from": "a file of weights",
    "external_test.source": "other folders",
}
# Drawn by one module.
OF_SCORES = [name for name, entry in REGISTRY.items() if "figures_scores:" in entry.draw]
MINI = "results/mini"
# The first file of a folder, and where it is copied to; or none, and a file that is deleted.
FILES = [
    Row(
        {"an image more": ("spare/Normal", "radiographs/Normal/images/more.png")},
        IMAGES,
        "what the dry run shows; a run stops behind subsets that stay as they were",
    ),
    Row(
        {"an external image more": ("spare/Normal", "elsewhere/Normal/more.png")},
        each(["make_external_set", "score_external"]) | ANALYSIS,
        "no training",
    ),
    Row(
        {"tables/summary.csv: deleted": (None, f"{MINI}/tables/summary.csv")}, TABLES, "the tables, and what shows them"
    ),
    Row(
        {"figures/roc.png: deleted": (None, f"{MINI}/figures/roc.png")},
        {"make_figure": {"figure": ["roc"]}, "make_report": {}},
        "this figure, and the page",
    ),
]
# A file of the checkout, and what is added to it.
CODE = [
    Row(
        {
            "ganaug/errors.py: a comment": ("src/ganaug/errors.py", "\n# changed\n"),
            "ganaug/classify/training.py: a comment": ("src/ganaug/classify/training.py", "\n# changed\n"),
            "ganaug/classify/trial.py": ("src/ganaug/classify/trial.py", "\nCHANGED = True\n"),
            "README.md": ("README.md", "\nchanged\n"),
        },
        {},
        "nothing: comments, docstrings and layout decide nothing, and a trial that has passed is not repeated",
    ),
    Row(
        {"ganaug/errors.py: a message": ("src/ganaug/errors.py", '\nCHANGED = "in words"\n')},
        ALL,
        "everything: all stages import it",
    ),
    Row(
        {"ganaug/stylegan2/loss.py": ("src/ganaug/stylegan2/loss.py", "\nCHANGED = True\n")},
        GAN,
        "as a setting of the GAN",
    ),
    Row(
        {
            "ganaug/classify/training.py": ("src/ganaug/classify/training.py", "\nCHANGED = True\n"),
            "ganaug/classify/augmentations.py": ("src/ganaug/classify/augmentations.py", "\nCHANGED = True\n"),
        },
        TRIED,
        "every classifier, also of other augmentations",
    ),
    Row(
        {"ganaug/analysis/metrics.py": ("src/ganaug/analysis/metrics.py", "\nCHANGED = True\n")},
        TABLES,
        "tables, figures and page",
    ),
    Row(
        {"ganaug/analysis/figures_scores.py": ("src/ganaug/analysis/figures_scores.py", "\nCHANGED = True\n")},
        {"make_figure": {"figure": OF_SCORES}, "make_report": {}},
        "the figures that are drawn there, and the page",
    ),
    Row(
        {
            "ganaug/analysis/figure_style.py": ("src/ganaug/analysis/figure_style.py", "\nCHANGED = True\n"),
        },
        EVERY_FIGURE,
        "all figures, and the page",
    ),
    Row({"ganaug/report/page.css": ("src/ganaug/report/page.css", "\n/* changed */\n")}, PAGE_ALONE, "the page alone"),
]


def study_with(changes: dict[str, object]) -> dict:
    """The finished study with other values of the settings that changes name."""
    study: dict = copy.deepcopy(STUDY)
    for change, value in changes.items():
        *blocks, key = change.partition(":")[0].split(".")
        block = study
        for name in blocks:
            block = block.setdefault(name, {})
        block[key] = value
    return study


@contextlib.contextmanager
def moved(folder: Path, source: str | None, target: str) -> Iterator[None]:
    """While a first file of a folder is copied to a place, or what lies there is away."""
    place, aside = folder / target, folder / "aside"
    if source is None:
        shutil.move(place, aside)
    else:
        shutil.copy(sorted((folder / source).iterdir())[0], place)
    try:
        yield
    finally:
        if source is None:
            shutil.move(aside, place)
        else:
            place.unlink()


HEAD = """# What a change runs again

After a finished study a plain `snakemake` runs again what depends on a change, and nothing else; `snakemake -n` lists
these jobs beforehand. The tables say which. They are made from what `tests/workflow/test_reruns.py` tries by dry runs:
a change alone, or many of a row at once where one parameter holds them, after a finished study of two sizes, one
replicate, one backbone, four augmentations, a second synthetic ratio and an external test.
`PYTHONPATH=src:tests python tests/helpers/reruns.py` writes them anew.

*The analysis* stands for `check_lineage`, `make_tables`, `make_report` and the figures that `make_figure` draws from
tables. Parentheses hold what is run of a rule: some augmentations, sizes, ratios or figures. Other studies stay.
"""


def page() -> str:
    """The text of docs/reruns.md."""
    untried = "".join(f"- `{name}`: {why}\n" for name, why in UNTRIED.items())
    parts = [HEAD, f"\nNot tried are these, since they would take another study:\n\n{untried}"]
    for title, rows in (("Settings", SETTINGS), ("Images and results", FILES), ("Code", CODE)):
        parts.append(f"\n## {title}\n\n| change | rules that run again | in words |\n| --- | --- | --- |\n")
        parts += [f"| {_names(row)} | {rules_in_words(row.follows)} | {row.cells} |\n" for row in rows]
    return "".join(parts)


def _names(row: Row) -> str:
    """The changes of a row, each with its name as code and what stands after a colon."""
    names = []
    for change in row.changes:
        name, colon, told = change.partition(": ")
        names.append((name if " " in name else f"`{name}`") + colon + told)
    return ", ".join(names)


def rules_in_words(follows: Follows) -> str:
    """The rules of a row in the order of the study, with what limits them; the analysis as one."""
    if follows in ({}, ALL):
        return "all" if follows else "none"
    whole, names = follows.keys() >= ANALYSIS.keys(), []
    for rule in RULES:
        limits = dict(follows.get(rule, {}))
        if whole and rule == "make_figure":
            limits = {"figure": [name for name in limits.get("figure", ["all"]) if name not in FIGURES]}
        elif rule == "make_figure" and limits.get("figure") == FIGURES:
            limits = {"figure": ["from tables"]}
        limits = {name: values for name, values in limits.items() if values}
        if rule in follows and (limits or not (whole and rule in ANALYSIS)):
            told = "; ".join(", ".join(value or "own ratio" for value in values) for values in limits.values())
            names.append(f"`{rule}`" + (f" ({told})" if told else ""))
    return ", ".join(names + ["*the analysis*"] * whole)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")

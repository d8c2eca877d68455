"""After a finished study, each change plans the jobs that depend on it and no others: by name and wildcards."""

import os
import shutil
import subprocess
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image, ImageOps

from ganaug.data import images, roles, splits
from ganaug.files import sha256_of
from ganaug.seeding import derive_seed
from helpers.miniature import STUDY
from helpers.pictures import encoded
from helpers.running import ROOT, dry_run, planned_jobs, run

pytestmark = pytest.mark.slow


def each(rules: list[str], **wildcards) -> dict[str, dict[str, list[str]]]:
    """The same condition for several rules: jobs with one of the values of each wildcard, or all."""
    return dict.fromkeys(rules, wildcards)


# What is made from all tables, and from all classifiers' predictions. The other figures show images, or distances.
FIGURES = ["confusion_matrices", "differences", "fidelity", "gan_training", "learning_curve", "precision_recall"]
FIGURES += ["ratio_sweep", "reliability", "roc"]
TABLES = {"make_tables": {}, "make_report": {}, "make_figure": {"figure": FIGURES}}
EVERY_FIGURE = {"make_report": {}, "make_figure": {}}
CELLS = {"train_classifier": {}, "score_synthetic": {}, "score_external": {}, "check_lineage": {}} | TABLES
TRIED = {"check_backbone": {}} | CELLS  # with the trial of what they wait for
# Classifiers that use synthetic images of the study's own ratio, and what follows from these.
OF_GAN = ["gan", "gan+classical", "synthetic-only"]
SYNTHETIC = {"sample_gan": {"at": [""]}, "check_synthetic": {"at": [""]}, "measure_fidelity": {}}
SYNTHETIC |= {"score_synthetic": {}, "check_lineage": {}, "train_classifier": {"augmentation": OF_GAN}}
SYNTHETIC |= {"score_external": {"augmentation": OF_GAN}} | TABLES
SYNTHETIC |= {"make_figure": {"figure": [*FIGURES, "real_and_generated", "closest_pairs"]}}
GAN = each(["train_gan", "sample_gan", "check_synthetic", "measure_fidelity", "score_synthetic"])
GAN |= {"train_classifier": {"augmentation": [*OF_GAN, "gan@0.5"]}, "score_external": {"augmentation": OF_GAN}}
GAN |= {"check_lineage": {}} | TABLES
GAN |= {"make_figure": {"figure": [*FIGURES, "real_and_generated", "closest_pairs", "gan_progress"]}}
CLASSICAL = {"augmentation": ["classical", "gan+classical"]}
CLASSICAL = {"train_classifier": CLASSICAL, "score_external": CLASSICAL, "check_lineage": {}} | TABLES
# A size, replicate or backbone more: what is named with it.
OWN = ["make_subset", "check_leaks", "train_gan", "sample_gan", "check_synthetic", "measure_fidelity"]
OWN += ["score_synthetic", "train_classifier", "score_external"]

# A change of the study, and per rule the jobs that follow: all of the rule, or those with some values of wildcards.
CHANGES = {
    "a classifier's epochs": ({"classifier": {"epochs": 3}}, CELLS),
    "a classifier's precision": ({"classifier": {"precision": "bfloat16"}}, TRIED),
    "one augmentation's strength": ({"classical": {"rotation_degrees": 5}}, CLASSICAL),
    "a new augmentation": (
        {"augmentations": [*STUDY["augmentations"], "mixup"]},
        each(["train_classifier", "score_external"], augmentation=["mixup"]) | {"check_lineage": {}} | TABLES,
    ),
    "a removed augmentation": ({"augmentations": ["none", "gan"]}, {"check_lineage": {}} | TABLES),
    "a new size": (
        {"sizes": [10, 15, 20]},
        each(OWN, size=["15"])
        | {"check_sizes": {}, "check_lineage": {}}
        | TABLES
        | {"make_figure": {"figure": [*FIGURES, "real_and_generated", "closest_pairs", "gan_progress"]}},
    ),
    "one more replicate": (
        {"replicates": 2},
        each(OWN, replicate=["2"]) | {"check_lineage": {}} | TABLES,
    ),
    "one more backbone": (
        {"backbones": ["tf_efficientnet_lite0", "resnet18"]},
        each(["prepare_weights", "check_backbone", "train_classifier"], backbone=["resnet18"])
        | each(["score_synthetic", "score_external"], backbone=["resnet18"])
        | {"check_lineage": {}}
        | TABLES,
    ),
    "the GAN's batch": ({"gan": {"batch": 16}}, GAN),
    "the GAN's kimg": ({"gan": {"kimg": 0.4}}, GAN),
    "truncation psi": (
        {"synthetic": {"truncation_psi": 0.7}},
        SYNTHETIC
        | {
            "sample_gan": {},
            "check_synthetic": {},
            "train_classifier": {"augmentation": [*OF_GAN, "gan@0.5"]},
        },
    ),
    "the synthetic ratio": ({"synthetic": {"ratio": 2}}, SYNTHETIC),
    "the fidelity extractor": (
        {"fidelity": {"extractor": "inception-v3-compat"}},
        {
            "prepare_weights": {"backbone": ["inception-v3-compat"]},
            "check_extractor": {},
            "measure_fidelity": {},
            "check_lineage": {},
        }
        | TABLES
        | {"make_figure": {"figure": [*FIGURES, "closest_pairs"]}},
    ),
    "the confidence level": ({"statistics": {"confidence": 0.9}}, TABLES),
    "a figure's resolution": ({"figures": {"dpi": 100}}, EVERY_FIGURE),
    "the border of a probe": (
        {"probes": {"border": 0.2}},
        {"train_classifier": {"augmentation": ["border-only"]}, "check_lineage": {}} | TABLES,
    ),
    "the title": ({"title": "Another"}, {"make_report": {}}),
    "a page without images": ({"report": {"images": False}}, {"make_report": {}}),
    "a published result": ({"report": {"published": "Somebody found something."}}, {"make_report": {}}),
    "the time between checkpoints": (
        {"classifier": {"checkpoint_seconds": 7}, "gan": {"checkpoint_seconds": 7}},
        {"make_report": {}},
    ),
    "nothing": ({}, {}),
}
# Those after which the study has other jobs.
OTHER_JOBS = {"a new augmentation", "a removed augmentation", "a new size", "one more replicate", "one more backbone"}
OTHER_JOBS |= {"the fidelity extractor", "a page without images"}
# All but what knows no images: the manifest's problems name those that are enlarged.
RESOLUTION_KEEPS = ["prepare_weights", "check_backbone", "check_extractor"]

# A source file, and what follows where what it says changes.
SOURCES = {
    "src/ganaug/stylegan2/loss.py": GAN,
    "src/ganaug/classify/training.py": TRIED,
    "src/ganaug/classify/trial.py": {},  # what has worked is not tried again
    "src/ganaug/analysis/figures_scores.py": EVERY_FIGURE,
    "src/ganaug/analysis/figure_style.py": EVERY_FIGURE,  # the colours
    "src/ganaug/report/page.css": {"make_report": {}},
    "README.md": {},
}


def chosen(jobs: set, rules: dict[str, dict[str, list[str]]]) -> set:
    """Of some jobs those of the rules whose wildcards have one of the values."""
    return {
        (rule, wildcards)
        for rule, wildcards in jobs
        if rule in rules and all(any(f"{name}={v}" in wildcards for v in vs) for name, vs in rules[rule].items())
    }


def plans(folder: Path, study: dict, *arguments) -> set:
    return planned_jobs(dry_run(folder, *arguments, study=study))


@pytest.fixture(scope="module")
def every(miniature):
    """All jobs of the study."""
    return plans(miniature, STUDY, "--forceall")


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_setting_plans_what_depends_on_it(miniature, every, change):
    settings, rules = CHANGES[change]
    study = STUDY | {
        block: {**STUDY.get(block, {}), **values} if isinstance(values, dict) else values
        for block, values in settings.items()
    }
    jobs = plans(miniature, study, "--forceall") if change in OTHER_JOBS else every
    assert plans(miniature, study) == chosen(jobs, rules)


def test_another_resolution_keeps_the_weights_alone(miniature, every):
    study = STUDY | {"data": STUDY["data"] | {"resolution": 16}}
    assert plans(miniature, study) == {job for job in every if job[0] not in RESOLUTION_KEEPS}


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    """Another checkout, with this one's files as they are."""
    folder = tmp_path_factory.mktemp("clone") / "ganaug"
    names = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    for name in names:
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)  # as new as a fresh clone's
    return folder


@pytest.mark.parametrize("file", SOURCES)
def test_a_changed_source_file_plans_the_stages_that_import_it(miniature, every, clone, file):
    change = b"\nCHANGED = True\n" if file.endswith(".py") else b"\n/* changed */\n"
    assert planned_jobs(with_added(clone / file, change, miniature, clone)) == chosen(every, SOURCES[file])


def test_a_changed_comment_plans_nothing(miniature, clone):
    comment = b"\n# changed\n"
    output = with_added(clone / "src/ganaug/classify/training.py", comment, miniature, clone)
    assert planned_jobs(output) == set()


def with_added(path: Path, content: bytes, folder: Path, checkout: Path) -> str:
    """What a dry run prints while a file of the checkout has something more at its end."""
    before = path.read_bytes()
    try:
        path.write_bytes(before + content)
        return dry_run(folder, study=STUDY, checkout=checkout)
    finally:
        path.write_bytes(before)


def test_a_fresh_clone_plans_nothing(miniature, clone):
    assert planned_jobs(dry_run(miniature, study=STUDY, checkout=clone)) == set()


def test_touched_files_plan_nothing(miniature, clone):
    touched = [*(miniature / "radiographs").rglob("*.png"), clone / "src" / "ganaug" / "classify" / "training.py"]
    touched += [
        miniature / "results/mini" / name for name in ("data/manifest.csv", "subsets/size-10/replicate-1/train.npy")
    ]
    for path in touched:
        os.utime(path)
    assert planned_jobs(dry_run(miniature, study=STUDY, checkout=clone)) == set()


def test_images_that_come_go_or_change_rerun_what_follows_from_their_subsets(finished, tmp_path):
    """One more, one less, another picture, each in the larger subset alone: what is made of the smaller one stays."""
    folder = tmp_path / "copy"
    shutil.copytree(finished, folder)
    manifest = usable(finished)
    for class_name, change in (("COVID", with_another), ("Normal", without), ("Lung_Opacity", inverted)):
        manifest = change_the_larger_alone(folder, manifest, class_name, change)
    results = folder / "results" / "mini"
    kept = [f"{stage}/size-10/replicate-1" for stage in ("gan", "fidelity", "synthetic")]
    kept += [f"cells/{name}/size-10/replicate-1/tf_efficientnet_lite0" for name in STUDY["augmentations"]]
    times = {path: (results / path / "provenance.json").stat().st_mtime_ns for path in kept}
    output = run(folder, STUDY, "--until", "train_gan")
    assert "first the subsets, test sets and weights" in output
    assert sizes_of(plans(folder, STUDY), "train_classifier", "sample_gan") == {"20"}
    assert times == {path: (results / path / "provenance.json").stat().st_mtime_ns for path in kept}
    gan = "gan/size-20/replicate-1/generator.safetensors"
    assert sha256_of(results / gan) != sha256_of(finished / "results" / "mini" / gan)


def test_a_file_packed_anew_with_the_same_picture_trains_and_scores_nothing(finished, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(finished, folder)
    row = usable(finished).iloc[0]
    path = folder / "radiographs" / row["file"]
    path.write_bytes(encoded(Image.open(path), format="PNG", compress_level=0))
    assert pixels_of(path.read_bytes()) == row["pixels_sha256"]
    assert sizes_of(plans(folder, STUDY), "train_gan") == {"10", "20"}  # that it is the same can't be known yet
    run(folder, STUDY, "--until", "check_leaks")  # README's way to know it
    assert {rule for rule, _ in plans(folder, STUDY)} == {"check_lineage", "make_tables", "make_figure", "make_report"}


def sizes_of(jobs: set, *rules: str) -> set[str]:
    return {dict(w.split("=", 1) for w in wildcards)["size"] for rule, wildcards in jobs if rule in rules}


def usable(finished: Path) -> pd.DataFrame:
    """The manifest's images that are used."""
    manifest = pd.read_csv(finished / "results/mini/data/manifest.csv", keep_default_na=False)
    return manifest[manifest["status"] == "used"].reset_index(drop=True)


def change_the_larger_alone(folder: Path, manifest: pd.DataFrame, class_name: str, change) -> pd.DataFrame:
    """Change an image such that test set and subset of 10 stay as they are, and that of 20 does not; the new manifest.

    A class has 49 or 50 images that can be used: one more or less does not change the number that go to the test set.
    """
    for after, file, content in change(folder, manifest, class_name):
        if [old == new for old, new in zip(drawn(manifest), drawn(after), strict=True)] == [True, True, False]:
            path = folder / "radiographs" / file
            path.unlink() if content is None else path.write_bytes(content)
            return after
    pytest.fail("no such image")


def drawn(manifest: pd.DataFrame) -> list[set]:
    """Pixels of the test set, the subset of 10 and that of 20."""
    sides = splits.make_splits(manifest, 0.25, derive_seed(1, "splits"))
    pool = roles.ordered_pool(sides, 0.2, derive_seed(1, "subset", replicate="1"))
    sets = [sides[sides["side"] == "test"], roles.take(pool, 10), roles.take(pool, 20)]
    return [set(rows["pixels_sha256"]) for rows in sets]


def with_another(folder, manifest, class_name):
    for path in sorted((folder / "spare" / class_name).iterdir()):
        file, new = f"{class_name}/images/{path.name}", pixels_of(path.read_bytes())
        row = {"file": file, "class": class_name, "group": new, "pixels_sha256": new, "status": "used"}
        yield pd.concat([manifest, pd.DataFrame([row])], ignore_index=True), file, path.read_bytes()


def without(folder, manifest, class_name):
    for index, file in manifest.loc[manifest["class"] == class_name, "file"].items():
        yield manifest.drop(index).reset_index(drop=True), file, None


def inverted(folder, manifest, class_name):
    for index, file in manifest.loc[manifest["class"] == class_name, "file"].items():
        content, changed = (
            encoded(ImageOps.invert(Image.open(folder / "radiographs" / file)), format="PNG"),
            manifest.copy(),
        )
        changed.loc[index, ["group", "pixels_sha256"]] = pixels_of(content)
        yield changed, file, content


def pixels_of(content: bytes) -> str:
    return images.pixels_sha256(images.decode(content).pixels)

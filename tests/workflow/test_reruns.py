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
from helpers.reruns import CODE, FILES, SETTINGS, Follows, Row, moved, study_with
from helpers.running import ROOT, dry_run, planned_jobs, run

pytestmark = pytest.mark.slow


def chosen(jobs: set, rules: Follows) -> set:
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


def rows(table: list[Row]):
    """A test for every change of a table, named after it."""
    cases = [pytest.param(row, change, id=change) for row in table for change in row.changes]
    return pytest.mark.parametrize(("row", "change"), cases)


TRIALS = {
    change: (row, {change: row.changes[change]}) for row in SETTINGS if not row.together for change in row.changes
}
TRIALS |= {f"{next(iter(row.changes))} and others": (row, row.changes) for row in SETTINGS if row.together}


@pytest.mark.parametrize(("row", "changes"), TRIALS.values(), ids=TRIALS)
def test_a_changed_setting_plans_what_depends_on_it(miniature, every, row, changes):
    study = study_with(changes)
    jobs = plans(miniature, study, "--forceall") if row.other_jobs else every
    assert plans(miniature, study) == chosen(jobs, row.follows)


@rows(FILES)
def test_a_file_that_comes_or_goes_plans_what_reads_it(miniature, every, row, change):
    with moved(miniature, *row.changes[change]):
        assert plans(miniature, STUDY) == chosen(every, row.follows)


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


@rows(CODE)
def test_changed_code_plans_the_stages_that_import_it(miniature, every, clone, row, change):
    file, added = row.changes[change]
    assert planned_jobs(with_added(clone / file, added.encode(), miniature, clone)) == chosen(every, row.follows)


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


def test_the_other_snakefile_plans_nothing(miniature):
    other = ROOT / "workflow" / "Snakefile"
    assert planned_jobs(dry_run(miniature, "--snakefile", other, study=STUDY)) == set()


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

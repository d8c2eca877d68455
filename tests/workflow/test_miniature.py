"""A miniature of the published study, raw files to report: on phantoms, and on real radiographs where they are."""

import json
import re
import shutil
import xml.etree.ElementTree as ElementTree
import zipfile

import numpy as np
import pandas as pd
import pytest
import yaml
from PIL import Image
from safetensors import safe_open

from ganaug.overview.costs import costs
from ganaug.overview.leftovers import leftovers
from helpers.miniature import RADIOGRAPHS, STUDY, find_radiographs, make_miniature
from helpers.modes import other_modes, users_umask
from helpers.planned import plan_told
from helpers.running import CLASSES, run

pytestmark = pytest.mark.slow
FEWER = STUDY | {"augmentations": ["none", "gan"], "sizes": [20]}  # on radiographs
FIGURES = 14


@pytest.fixture(scope="session", params=["phantoms", "radiographs"] if RADIOGRAPHS.is_dir() else ["phantoms"])
def study(request, once, tmp_path_factory):
    """Folder of the finished study, this process's own."""
    if request.param == "phantoms":
        return request.getfixturevalue("miniature")
    made = once("radiographs", lambda folder: make_miniature(folder, find_radiographs, FEWER))
    return shutil.copytree(made, tmp_path_factory.mktemp("copy") / "radiographs")


def settings_of(study):
    return yaml.safe_load((study / "study.yaml").read_text())


def sizes_of(study):
    return len(settings_of(study)["sizes"])


def cells_of(study):
    return sizes_of(study) * len(settings_of(study)["augmentations"])


def trained_of(study):
    """Another ratio and synthetic-only at every size, border-only at the largest, beside the cells."""
    return cells_of(study) + 2 * sizes_of(study) + 1


def table(folder, name):
    return pd.read_csv(folder / "results" / "mini" / name, keep_default_na=False)


def test_troublesome_files_are_listed_and_left_out(study):
    manifest = table(study, "data/manifest.csv")
    assert len(manifest) == 201
    left_out = dict(manifest.loc[manifest["status"] == "left out", ["file", "reason"]].to_numpy())
    (broken,) = (name for name in left_out if name.startswith("COVID"))
    assert left_out == {broken: "truncated", "Normal/images/copy.png": "copy in its class"}
    problems = table(study, "data/problems.csv").set_index("file")["problem"]
    assert problems[broken] == "truncated" and problems["Normal/images/copy.png"] == "copy in its class"
    assert not set(left_out) & set(table(study, "data/splits.csv")["file"])


def test_the_tables_have_a_row_for_every_cell(study):
    cells = table(study, "tables/cells.csv")
    assert list(cells.columns) == ["augmentation", "size", "replicate", "backbone", "metric", "value"]
    per_cell = cells.groupby(["augmentation", "size", "replicate", "backbone"])["metric"].agg(["size", "nunique"])
    assert len(per_cell) == cells_of(study) and per_cell["size"].nunique() == 1
    assert (per_cell["size"] == per_cell["nunique"]).all()
    assert {"accuracy", "balanced_accuracy", "macro_auroc", "sensitivity[Viral Pneumonia]"} <= set(cells["metric"])
    summary = table(study, "tables/summary.csv")
    wanted = ["augmentation", "size", "backbone", "metric", "mean", "ci_low", "ci_high", "replicates"]
    assert list(summary.columns) == [*wanted, "interval"]
    fidelity = table(study, "tables/fidelity.csv")
    assert set(fidelity["reference"]) == {"train", "held out"} and fidelity["floor"].notna().all()
    assert set(fidelity["class"]) == {"all", *CLASSES}
    assert not any(re.search(r"fid\b|kid\b", metric, re.IGNORECASE) for metric in fidelity["metric"])  # not Inception


def test_what_stands_beside_the_comparison_has_tables_of_its_own(study):
    sweep = table(study, "tables/ratio_sweep.csv").query("metric == 'accuracy'")
    assert sorted(sweep["ratio"]) == sorted([0, 0.5, 1] * sizes_of(study))
    transfer = table(study, "tables/transfer.csv")
    ways = transfer[["trained_on", "tested_on"]].drop_duplicates().to_numpy().tolist()
    assert ways == [["real", "real"], ["synthetic", "real"], ["real", "synthetic"]]
    shortcut = table(study, "tables/shortcut.csv")
    assert set(shortcut["augmentation"]) == {"none", "border-only"} and set(shortcut["size"]) == {20}
    external = table(study, "tables/external_cells.csv")
    assert len(external.query("metric == 'accuracy'")) == cells_of(study)
    images = table(study, "external/images.csv")
    scored = table(study, "external/none/size-20/replicate-1/tf_efficientnet_lite0/predictions.csv")
    assert list(scored["image"]) == list(images["image"]) and len(images) == 6 * len(CLASSES)
    smaller = np.load(study / "results/mini/synthetic/size-20/replicate-1/ratio-0.5/images.npy")
    larger = np.load(study / "results/mini/synthetic/size-20/replicate-1/images.npy")
    assert {image.tobytes() for image in smaller} < {image.tobytes() for image in larger}
    lineage = json.loads((study / "results/mini/cells/lineage.json").read_text())
    once = ["make_manifest", "make_splits", "check_sizes", "make_test_set", "make_external_set", "prepare_weights"]
    compared = dict.fromkeys(once, 1) | dict.fromkeys(["make_subset", "train_gan", "measure_fidelity"], sizes_of(study))
    compared |= {"train_classifier": trained_of(study), "check_leaks": sizes_of(study)}
    compared |= dict.fromkeys(["sample_gan", "check_synthetic"], 2 * sizes_of(study))
    compared |= {"score_synthetic": sizes_of(study), "score_external": cells_of(study)}
    assert lineage["compared"] == compared


def test_accuracy_is_that_of_the_saved_predictions(study):
    path = "cells/gan/size-20/replicate-1/tf_efficientnet_lite0"
    predictions = table(study, f"{path}/predictions.csv")
    assert list(predictions.columns) == ["image", "label", "predicted", *(f"probability_{name}" for name in CLASSES)]
    splits = table(study, "data/splits.csv")
    assert set(predictions["image"]) == set(splits.loc[splits["side"] == "test", "file"])
    cells = table(study, "tables/cells.csv").query("augmentation == 'gan' and size == 20 and metric == 'accuracy'")
    assert cells["value"].item() == pytest.approx((predictions["label"] == predictions["predicted"]).mean())


def test_the_gan_made_a_synthetic_image_for_every_training_image(study):
    train = table(study, "subsets/size-20/replicate-1/train.csv")
    made = table(study, "synthetic/size-20/replicate-1/images.csv")
    assert train["class"].value_counts().to_dict() == made["class"].value_counts().to_dict()
    images = np.load(study / "results/mini/synthetic/size-20/replicate-1/images.npy", mmap_mode="r")
    assert images.shape == (len(made), 32, 32) and images.dtype == np.uint8
    assert images.std(axis=0).mean() > 2  # they differ


def test_weights_are_safetensors_and_figures_open(study):
    results = study / "results" / "mini"
    weights = [*results.glob("gan/**/generator.safetensors"), *results.glob("cells/**/model.safetensors")]
    assert len(weights) == sizes_of(study) + trained_of(study)
    for path in weights:
        with safe_open(path, "pt") as file:
            assert file.keys()
    pictures = sorted(path.stem for path in results.glob("figures/*.png"))
    assert len(pictures) == FIGURES and pictures == sorted(path.stem for path in results.glob("figures/*.svg"))
    for name in pictures:
        with Image.open(results / "figures" / f"{name}.png") as image:
            assert min(image.size) > 200
        ElementTree.parse(results / "figures" / f"{name}.svg")
        assert "mathdefault" not in (results / "figures" / f"{name}.svg").read_text()


def test_every_file_has_the_mode_of_the_users_umask(finished):
    """So that a colleague can read what this user may share, weights too."""
    assert len(list(finished.joinpath("results").rglob("*.safetensors"))) > 10
    assert other_modes(finished / "results", users_umask()) == {}


def test_the_report_stands_alone_and_does_not_call_real_images_synthetic(study):
    page = (study / "results" / "mini" / "report.html").read_text(encoding="utf-8")
    assert not re.search(r'(?:src|href)="(?!#|data:|https://doi\.org/|https://arxiv\.org/)', page)
    assert all(name in page for name in CLASSES)
    assert "synthetic phantom" not in page.lower()


def test_snakemakes_own_report_has_the_captions(study):
    run(study, settings_of(study), "--report", "report.zip")
    with zipfile.ZipFile(study / "report.zip") as archive:
        page = archive.read("report/report.html").decode()
    assert "Confusion matrices on the test set" in page and "What the GANs of replicate 1 made" in page


def test_every_job_left_its_command_and_what_made_it(study):
    results = study / "results" / "mini"
    logs = [path for path in results.glob("logs/**/*.log") if path.stem != "print_summary"]
    assert len(logs) > trained_of(study)
    for path in logs:
        assert "python -m ganaug " in path.read_text(encoding="utf-8").splitlines()[0], path
    assert len(list(results.glob("cells/**/provenance.json"))) == trained_of(study)
    assert len(list(results.glob("benchmarks/train_gan/**/*.tsv"))) == sizes_of(study)


def test_all_that_a_study_leaves_is_of_its_jobs_and_done(study, monkeypatch):
    monkeypatch.chdir(study)
    plan = plan_told("--configfile", "study.yaml", with_images=True)
    assert leftovers(plan) == ([], [])
    found = costs(plan)
    assert found and all(cost.done and cost.measured and cost.used.cpu > 0 for cost in found)

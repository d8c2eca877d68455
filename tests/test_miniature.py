"""A miniature of the published study, for real, on real radiographs: raw files to report, and what a rerun plans."""

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
from running import CLASSES, ROOT, planned, snakemake
from safetensors import safe_open

RADIOGRAPHS = ROOT.parent / "shared" / "data" / "COVID-19_Radiography_Dataset"
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not RADIOGRAPHS.is_dir(), reason=f"the real radiographs are not at {RADIOGRAPHS}"),
]
STUDY = {
    "study": "mini",
    "data_root": "radiographs",
    "data": {"source": "radiography", "classes": CLASSES, "resolution": 32},
    "splits": {"test_share": 0.25},
    "sizes": [10, 20],
    "replicates": 1,
    "augmentations": ["none", "classical", "gan", "gan+classical"],
    "backbones": ["tf_efficientnet_lite0"],
    "synthetic": {"ratio_sweep": [0.5]},
    "external_test": {"data_root": "elsewhere"},
    "gan": {
        **{"kimg": 0.2, "batch": 8, "channel_base": 512, "channel_max": 16, "latent": 16},
        **{"log_kimg": 0.1, "snapshot_kimg": 0.1, "snapshot_images": 16},
    },
    "fidelity": {"extractor": "tf_efficientnet_lite0", "input_size": 32, "kid_subset_size": 6, "kid_subsets": 5},
    "classifier": {"input_size": 32, "epochs": 2, "steps_per_epoch": 2, "batch": 8},
    "threads": {"gan": 1, "classifier": 1, "fidelity": 1},
}
CELLS = 2 * 4
TRAINED = CELLS + 2 + 2 + 1  # another ratio and synthetic-only at both sizes, border-only at the larger


def run(folder, study, *arguments):
    """Snakemake on a study written to the folder."""
    (folder / "study.yaml").write_text(yaml.safe_dump(study))
    return snakemake(folder, "--cores", "2", "--configfile", "study.yaml", *arguments)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A folder with 50 radiographs a class, two of them troublesome, 6 others elsewhere, and the finished study."""
    folder = tmp_path_factory.mktemp("miniature")
    for name in CLASSES:
        images = folder / "radiographs" / name / "images"
        images.mkdir(parents=True)
        elsewhere = folder / "elsewhere" / name
        elsewhere.mkdir(parents=True)
        for number, path in enumerate(sorted((RADIOGRAPHS / name / "images").iterdir())[:56]):
            shutil.copy(path, images if number < 50 else elsewhere)
    covid, normal = (sorted((folder / "radiographs" / name / "images").iterdir()) for name in ("COVID", "Normal"))
    covid[0].write_bytes(covid[0].read_bytes()[:2000])
    shutil.copy(normal[0], normal[0].with_name("copy.png"))
    run(folder, STUDY)
    return folder


def table(folder, name):
    return pd.read_csv(folder / "results" / "mini" / name, keep_default_na=False)


def test_troublesome_files_are_listed_and_left_out(finished):
    manifest = table(finished, "data/manifest.csv")
    assert len(manifest) == 201
    left_out = dict(manifest.loc[manifest["status"] == "left out", ["file", "reason"]].to_numpy())
    (broken,) = (name for name in left_out if name.startswith("COVID"))
    assert left_out == {broken: "truncated", "Normal/images/copy.png": "copy in its class"}
    problems = table(finished, "data/problems.csv").set_index("file")["problem"]
    assert problems[broken] == "truncated" and problems["Normal/images/copy.png"] == "copy in its class"
    assert not set(left_out) & set(table(finished, "data/splits.csv")["file"])


def test_the_tables_have_a_row_for_every_cell(finished):
    cells = table(finished, "tables/cells.csv")
    assert list(cells.columns) == ["augmentation", "size", "replicate", "backbone", "metric", "value"]
    per_cell = cells.groupby(["augmentation", "size", "replicate", "backbone"])["metric"].agg(["size", "nunique"])
    assert len(per_cell) == CELLS and per_cell["size"].nunique() == 1
    assert (per_cell["size"] == per_cell["nunique"]).all()
    assert {"accuracy", "balanced_accuracy", "macro_auroc", "sensitivity[Viral Pneumonia]"} <= set(cells["metric"])
    summary = table(finished, "tables/summary.csv")
    wanted = ["augmentation", "size", "backbone", "metric", "mean", "ci_low", "ci_high", "replicates"]
    assert list(summary.columns) == [*wanted, "interval"]
    fidelity = table(finished, "tables/fidelity.csv")
    assert set(fidelity["reference"]) == {"train", "held out"} and fidelity["floor"].notna().all()
    assert set(fidelity["class"]) == {"all", *CLASSES}
    assert not any(re.search(r"fid\b|kid\b", metric, re.IGNORECASE) for metric in fidelity["metric"])  # not Inception


def test_what_stands_beside_the_comparison_has_tables_of_its_own(finished):
    sweep = table(finished, "tables/ratio_sweep.csv").query("metric == 'accuracy'")
    assert sorted(sweep["ratio"]) == [0, 0, 0.5, 0.5, 1, 1]
    transfer = table(finished, "tables/transfer.csv")
    ways = transfer[["trained_on", "tested_on"]].drop_duplicates().to_numpy().tolist()
    assert ways == [["real", "real"], ["synthetic", "real"], ["real", "synthetic"]]
    shortcut = table(finished, "tables/shortcut.csv")
    assert set(shortcut["augmentation"]) == {"none", "border-only"} and set(shortcut["size"]) == {20}
    external = table(finished, "tables/external_cells.csv")
    assert len(external.query("metric == 'accuracy'")) == CELLS
    images = table(finished, "external/images.csv")
    scored = table(finished, "external/none/size-20/replicate-1/tf_efficientnet_lite0/predictions.csv")
    assert list(scored["image"]) == list(images["image"]) and len(images) == 6 * len(CLASSES)
    smaller = np.load(finished / "results/mini/synthetic/size-20/replicate-1/ratio-0.5/images.npy")
    larger = np.load(finished / "results/mini/synthetic/size-20/replicate-1/images.npy")
    assert {image.tobytes() for image in smaller} < {image.tobytes() for image in larger}
    lineage = json.loads((finished / "results/mini/cells/lineage.json").read_text())
    assert lineage == {"breaches": 0, "compared": {"cells": TRAINED, "gans": 2, "synthetic_sets": 4}}


def test_accuracy_is_that_of_the_saved_predictions(finished):
    path = "cells/gan/size-20/replicate-1/tf_efficientnet_lite0"
    predictions = table(finished, f"{path}/predictions.csv")
    assert list(predictions.columns) == ["image", "label", "predicted", *(f"probability_{name}" for name in CLASSES)]
    splits = table(finished, "data/splits.csv")
    assert set(predictions["image"]) == set(splits.loc[splits["side"] == "test", "file"])
    cells = table(finished, "tables/cells.csv").query("augmentation == 'gan' and size == 20 and metric == 'accuracy'")
    assert cells["value"].item() == pytest.approx((predictions["label"] == predictions["predicted"]).mean())


def test_the_gan_made_a_synthetic_image_for_every_training_image(finished):
    train = table(finished, "subsets/size-20/replicate-1/train.csv")
    made = table(finished, "synthetic/size-20/replicate-1/images.csv")
    assert train["class"].value_counts().to_dict() == made["class"].value_counts().to_dict()
    images = np.load(finished / "results/mini/synthetic/size-20/replicate-1/images.npy", mmap_mode="r")
    assert images.shape == (len(made), 32, 32) and images.dtype == np.uint8
    assert images.std(axis=0).mean() > 2  # they differ


def test_weights_are_safetensors_and_figures_open(finished):
    results = finished / "results" / "mini"
    weights = [*results.glob("gan/**/generator.safetensors"), *results.glob("cells/**/model.safetensors")]
    assert len(weights) == 2 + TRAINED
    for path in weights:
        with safe_open(path, "pt") as file:
            assert file.keys()
    pictures = sorted(path.stem for path in results.glob("figures/*.png"))
    assert len(pictures) == FIGURES and pictures == sorted(path.stem for path in results.glob("figures/*.svg"))
    for name in pictures:
        with Image.open(results / "figures" / f"{name}.png") as image:
            assert min(image.size) > 200
        ElementTree.parse(results / "figures" / f"{name}.svg")


def test_the_report_stands_alone_and_does_not_call_real_images_synthetic(finished):
    page = (finished / "results" / "mini" / "report.html").read_text(encoding="utf-8")
    assert not re.search(r'(?:src|href)="(?!#|data:|https://doi\.org/|https://arxiv\.org/)', page)
    assert all(name in page for name in CLASSES)
    assert "synthetic phantom" not in page.lower()


def test_snakemakes_own_report_has_the_captions(finished):
    run(finished, STUDY, "--report", "report.zip")
    with zipfile.ZipFile(finished / "report.zip") as archive:
        page = archive.read("report/report.html").decode()
    assert "Confusion matrices on the test set" in page and "What the GANs of replicate 1 made" in page


def test_every_job_left_its_command_and_what_made_it(finished):
    results = finished / "results" / "mini"
    logs = [path for path in results.glob("logs/**/*.log") if path.stem != "print_summary"]
    for path in logs:
        assert "python -m ganaug " in path.read_text(encoding="utf-8").splitlines()[0], path
    assert len(list(results.glob("cells/**/provenance.json"))) == TRAINED
    assert len(list(results.glob("benchmarks/train_gan/**/*.tsv"))) == 2


def test_a_finished_study_plans_nothing(finished):
    assert planned(run(finished, STUDY, "-n")) == {}


def test_a_touched_source_file_plans_nothing(finished):
    (ROOT / "src" / "ganaug" / "classify" / "training.py").touch()
    assert planned(run(finished, STUDY, "-n")) == {}


# What follows when a table may change. Of the 14 figures 9 read tables, 2 the synthetic images, one of these what is
# nearest to them, one the GAN's snapshots, 2 the data.
FIGURES = 14
RESULTS = {"make_tables": 1, "make_figure": 9, "make_report": 1, "all": 1}
SCORED = {"check_lineage": 1, "score_synthetic": 2, "score_external": CELLS}
# Of the study's own ratio; cells with gan, gan+classical and synthetic-only.
SYNTHETIC = {"sample_gan": 2, "check_synthetic": 2, "measure_fidelity": 2, "train_classifier": CELLS // 2 + 2}
SYNTHETIC |= SCORED | {"score_external": CELLS // 2}


@pytest.mark.parametrize(
    ("change", "jobs"),
    [
        ({"classifier": {"epochs": 3}}, {"train_classifier": TRAINED} | SCORED),
        (
            {"classical": {"rotation_degrees": 5}},
            {"train_classifier": CELLS // 2, "score_external": CELLS // 2, "check_lineage": 1},
        ),
        (
            {"gan": {"r1_gamma": 2}},
            {"train_gan": 2, "make_figure": FIGURES - 2}
            | SYNTHETIC
            | {"sample_gan": 4, "check_synthetic": 4, "train_classifier": CELLS // 2 + 4},
        ),
        ({"synthetic": {"ratio": 2}}, {"make_figure": 11} | SYNTHETIC),
        ({"fidelity": {"kid_subsets": 6}}, {"measure_fidelity": 2, "make_figure": 10}),
        ({"statistics": {"confidence": 0.9}}, {"make_figure": FIGURES}),
        ({"probes": {"border": 0.2}}, {"train_classifier": 1, "check_lineage": 1}),
    ],
    ids=lambda value: ",".join(value) if isinstance(value, dict) else None,
)
def test_a_changed_setting_reruns_what_reads_it(finished, change, jobs):
    study = STUDY | {block: STUDY.get(block, {}) | values for block, values in change.items()}
    assert planned(run(finished, study, "-n")) == RESULTS | jobs


def test_a_title_remakes_the_report_alone(finished):
    assert planned(run(finished, STUDY | {"title": "Another"}, "-n")) == {"make_report": 1, "all": 1}


def test_an_augmentation_less_trains_nothing(finished):
    jobs = planned(run(finished, STUDY | {"augmentations": ["none", "gan"]}, "-n"))
    assert "train_classifier" not in jobs and "train_gan" not in jobs and jobs["make_tables"] == 1


# A replicate has a border-only classifier too, at the largest size.
@pytest.mark.parametrize(
    ("change", "subsets", "borders"), [({"sizes": [10, 15, 20]}, 1, 0), ({"replicates": 2}, 2, 1)], ids=str
)
def test_a_size_or_a_replicate_more_adds_just_its_own(finished, change, subsets, borders):
    jobs = planned(run(finished, STUDY | change, "-n"))
    expected = dict.fromkeys(["make_subset", "check_leaks", "train_gan", "measure_fidelity"], subsets)
    expected |= {"sample_gan": 2 * subsets, "train_classifier": 6 * subsets + borders, "score_external": 4 * subsets}
    assert expected == {name: count for name, count in jobs.items() if name in expected}
    assert "make_splits" not in jobs and "make_manifest" not in jobs

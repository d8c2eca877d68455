"""What every GAN and classifier read, by its provenance: planted breaches are found."""

import json

import pytest

from ganaug.analysis.lineage import breaches
from ganaug.analysis.results import Grid
from ganaug.cli import main

GRID = {"augmentations": ["none", "gan"], "sizes": [5], "replicates": 2, "backbones": ["net"]}
GRID |= {"synthetic": ["gan", "synthetic-only"], "ratios": ["0.5"], "probes": ["synthetic-only", "border-only"]}
CELLS = ["none", "gan", "gan@0.5", "synthetic-only", "border-only"]


def record(folder, inputs, outputs):
    folder.mkdir(parents=True, exist_ok=True)
    content = {"inputs": {str(path): digest for path, digest in inputs.items()}}
    content["outputs"] = {str(path): digest for path, digest in outputs.items()}
    (folder / "provenance.json").write_text(json.dumps(content))


@pytest.fixture
def study(tmp_path):
    """Provenance as the stages write it, with short words for hashes."""
    test = {tmp_path / "data/test.npy": "t1", tmp_path / "data/test.csv": "t2"}
    (tmp_path / "data").mkdir()
    (tmp_path / "data/test.provenance.json").write_text(json.dumps({"outputs": {str(k): v for k, v in test.items()}}))
    for r in (1, 2):
        place = f"size-5/replicate-{r}"
        subset = {
            tmp_path / f"subsets/{place}/{side}.{kind}": f"{side}{kind}{r}"
            for side in ("train", "validation")
            for kind in ("npy", "csv")
        }
        record(tmp_path / f"subsets/{place}", {}, subset)
        training = {path: digest for path, digest in subset.items() if path.stem == "train"}
        generator = {tmp_path / f"gan/{place}/generator.safetensors": f"g{r}"}
        record(tmp_path / f"gan/{place}", training, generator)
        synthetic = {}
        for at in ("", "/ratio-0.5"):
            folder = tmp_path / f"synthetic/{place}{at}"
            synthetic[at] = {folder / "images.npy": f"i{at}{r}", folder / "images.csv": f"c{at}{r}"}
            table = {path: digest for path, digest in training.items() if path.suffix == ".csv"}
            record(folder, generator | table, synthetic[at])
        for name in CELLS:
            extra = synthetic["/ratio-0.5" if "@" in name else ""] if name not in ("none", "border-only") else {}
            weights = {tmp_path / "weights/net.safetensors": "w"}
            record(tmp_path / f"cells/{name}/{place}/net", subset | test | extra | weights, {})
    return tmp_path


def change(study, path, **digests):
    """Another digest for inputs, by the end of their path; None takes one out."""
    file = study / path / "provenance.json"
    content = json.loads(file.read_text())
    for end, digest in digests.items():
        (name,) = (n for n in content["inputs"] if n.endswith(end.replace("_", ".")))
        content["inputs"][name] = digest
        if digest is None:
            del content["inputs"][name]
    file.write_text(json.dumps(content))


def run(study):
    report = study / "lineage.json"
    command = ["check_lineage", "--settings", json.dumps(GRID), "--results", str(study), "--report", str(report)]
    return main(command), report


def test_a_clean_study_passes_with_all_counted(study):
    status, report = run(study)
    assert status == 0
    assert json.loads(report.read_text()) == {"breaches": 0, "compared": {"gans": 2, "synthetic_sets": 4, "cells": 10}}


def test_where_a_job_saw_its_files_does_not_matter(study):
    """As where the others' local copies lay elsewhere."""
    for file in study.glob("gan/**/provenance.json"):
        file.write_text(file.read_text().replace(str(study.parent.parent), "/workdir/.snakemake/storage/s3/bucket"))
    assert run(study)[0] == 0


@pytest.mark.parametrize(
    ("place", "digests", "file"),
    [
        ("gan/size-5/replicate-2", {"train_csv": "other"}, "train.csv"),
        ("gan/size-5/replicate-1", {"train_npy": "other"}, "train.npy"),
        ("synthetic/size-5/replicate-1", {"generator_safetensors": "other"}, "generator.safetensors"),
        ("cells/none/size-5/replicate-1/net", {"train_npy": "other"}, "train.npy"),
        ("cells/none/size-5/replicate-1/net", {"test_csv": "other"}, "test.csv"),
        ("cells/gan/size-5/replicate-2/net", {"images_npy": "other"}, "images.npy"),
        ("cells/gan@0.5/size-5/replicate-2/net", {"images_csv": None}, "images.csv"),
        ("cells/border-only/size-5/replicate-1/net", {"validation_npy": "other"}, "validation.npy"),
    ],
)
def test_what_was_trained_on_something_else_is_named(study, place, digests, file, capsys):
    change(study, place, **digests)
    (line,), _ = breaches(study, Grid(**GRID))
    assert line.startswith(str(study / place)) and line.endswith(file)
    status, report = run(study)
    assert status == 1 and not report.exists() and line in capsys.readouterr().err


def test_a_gan_that_read_the_test_images_is_named(study):
    file = study / "gan/size-5/replicate-1/provenance.json"
    content = json.loads(file.read_text())
    content["inputs"][str(study / "data/test.npy")] = "t1"
    file.write_text(json.dumps(content))
    (line,), _ = breaches(study, Grid(**GRID))
    assert line.endswith("test.npy")

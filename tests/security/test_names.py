"""Names that say something to a shell, to Snakemake, to a table or to a terminal are names, and nothing else."""

import csv
import os
import shutil

import pytest
import yaml

from helpers.pictures import png
from helpers.running import snakemake

CLASSES = [
    "$(touch canary)",
    "`touch canary`;&|*",
    "<script>alert(1)",
    "'q\" {size} %s \\n\\",
    "-rf [x] $a$",
    "None",
    "1",
]
FILES = ["$(touch canary).png", "`touch canary`.png", "a;b&c|d*.png", 'it\'s "q".png', "{size}.png", "%s\\n.png"]
FILES += [
    "-rf.png",
    "a,b.png",
    "=cmd().png",
    "new\nline.png",
    "a\rb.png",
    "nul",
    "\u202egnp.exe",
    "e\u0301.png",
    "é.png",
]
ROOT = "d'a\"ta $(touch canary) {size} ; & %"
GROUPS = "g $(touch canary) 'size.csv"
WEIGHTS = "w $(touch canary) '.safetensors"
STUDY = {
    "study": "odd",
    "title": "$(touch canary) {x} <script>",
    "device": "cpu",
    "data_root": ROOT,
    "data": {"source": "folder", "resolution": 16, "groups": GROUPS},
    "splits": {"test_share": 0.3},
    "sizes": [5],
    "replicates": 1,
    "augmentations": ["none"],
    "backbones": ["tf_efficientnet_lite0"],
    "weights": {"tf_efficientnet_lite0": {"source": WEIGHTS}},
    "external_test": {"data_root": "e $(touch canary) {x}"},
    "classifier": {"input_size": 32, "epochs": 1, "steps_per_epoch": 1, "batch": 8},
    "threads": {"gan": 1, "classifier": 1, "fidelity": 1},
}


@pytest.fixture
def odd(tmp_path, lite0):
    """A folder with images, groups, weights and a study, everything under odd names."""
    for root, classes, files in ((ROOT, CLASSES, FILES), (STUDY["external_test"]["data_root"], CLASSES[:2], FILES[:3])):
        for i, name in enumerate(classes):
            folder = tmp_path / root / name
            folder.mkdir(parents=True)
            for j, file in enumerate(files):
                (folder / file).write_bytes(png(1000 * i + j + 50_000 * (root != ROOT)))
    (tmp_path / ROOT / CLASSES[0] / os.fsdecode(b"caf\xe9.png")).write_bytes(png(7))
    with (tmp_path / GROUPS).open("w", newline="") as file:
        csv.writer(file).writerows(
            [["file", "group"], *([f"{CLASSES[0]}/{name}", "$(touch canary)"] for name in FILES[:2])]
            + [[f"{c}/{f}", f"{c}/{f}"] for c in CLASSES for f in FILES if c != CLASSES[0] or f not in FILES[:2]]
        )
    shutil.copy(lite0, tmp_path / WEIGHTS)
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(STUDY | {"data": STUDY["data"] | {"max_bad_share": 0.05}}))
    return tmp_path


def beside_the_results(folder) -> set:
    return {path for path in folder.rglob("*") if path.relative_to(folder).parts[0] not in ("results", ".snakemake")}


@pytest.mark.slow
def test_a_study_of_odd_names_runs_and_touches_nothing_else(odd):
    before = beside_the_results(odd)
    wanted = ["make_external_set", "check_leaks", "prepare_weights"]  # all that read what the user names
    snakemake(odd, "--cores", "2", "--configfile", "study.yaml", "--until", *wanted)
    assert beside_the_results(odd) == before and not list(odd.rglob("canary"))
    assert [path.name for path in (odd / "results").iterdir()] == ["odd"]
    with (odd / "results/odd/data/manifest.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    used = {row["file"] for row in rows if row["status"] == "used"}
    assert used == {f"{name}/{file}" for name in CLASSES for file in FILES}
    (left_out,) = (row for row in rows if row["status"] != "used")
    assert left_out["file"] == f"{CLASSES[0]}/caf\\xe9.png" and left_out["reason"] == "name is not UTF-8"
    assert len({row["group"] for row in rows if row["file"] in {f"{CLASSES[0]}/{name}" for name in FILES[:2]}}) == 1
    with (odd / "results/odd/data/test.csv").open(newline="", encoding="utf-8") as file:
        tested = list(csv.DictReader(file))
    assert {row["class"] for row in tested} == set(CLASSES) and {row["image"] for row in tested} < used


def test_a_name_that_can_not_be_used_is_told_before_any_job(odd):
    (odd / ROOT / "new\nline").mkdir()
    output = snakemake(odd, "--cores", "2", "--configfile", "study.yaml", fails=True)
    assert "a class 'new\\nline'" in output and "rename the folder" in output
    assert "Traceback" not in output and not (odd / "results").exists()

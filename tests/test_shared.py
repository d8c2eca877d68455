"""Seeds, whole files, progress, the stage command line and the import tracker."""

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ganaug import cli, files, imports, provenance
from ganaug.errors import UserError
from ganaug.seeding import derive_seed

SRC = Path(__file__).parent.parent / "src"


def test_seed_is_a_stable_hash():
    # Golden: the first 63 bits of SHA-256 of '[1,"gan",{"replicate":1,"size":50}]'. A change reseeds every study.
    assert derive_seed(1, "gan", size=50, replicate=1) == 2859105977781154076
    assert derive_seed(1, "gan", replicate=1, size=50) == derive_seed(1, "gan", size=50, replicate=1)


def test_seeds_differ_with_every_part():
    seeds = {derive_seed(s, stage, size=n) for s in range(5) for stage in ("gan", "subset") for n in (1, "1", "all")}
    assert len(seeds) == 30
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_a_failed_write_leaves_the_old_file(tmp_path):
    target = tmp_path / "table.csv"
    files.write_text(target, "old")
    with pytest.raises(RuntimeError), files.written_whole(target) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert target.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["table.csv"]


def test_a_failed_folder_leaves_the_old_folder(tmp_path):
    target = tmp_path / "images"
    with files.folder_written_whole(target) as temporary:
        (temporary / "a").write_text("old")
    with pytest.raises(RuntimeError), files.folder_written_whole(target) as temporary:
        (temporary / "b").write_text("half")
        raise RuntimeError
    assert [p.name for p in target.iterdir()] == ["a"]
    assert [p.name for p in tmp_path.iterdir()] == ["images"]


def test_tables_keep_floats_and_names_that_look_missing(tmp_path):
    table = pd.DataFrame({"class": ["NA", "None", "x"], "value": [0.1 + 0.2, float("nan"), 1e-17]})
    files.write_csv(tmp_path / "t.csv", table)
    again = files.read_csv(tmp_path / "t.csv")
    assert list(again["class"]) == ["NA", "None", "x"]
    np.testing.assert_array_equal(again["value"], table["value"])


def test_arrays_are_memory_mapped(tmp_path):
    array = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    files.write_array(tmp_path / "a.npy", array)
    mapped = np.load(tmp_path / "a.npy", mmap_mode="r")
    assert isinstance(mapped, np.memmap)
    np.testing.assert_array_equal(mapped, array)


def run_stage(*arguments, python=(), **options):
    command = [sys.executable, *python, "-m", "ganaug", *map(str, arguments)]
    return subprocess.run(command, env={"PYTHONPATH": str(SRC)}, capture_output=True, text=True, **options)


def test_a_stage_says_what_is_wrong_without_a_traceback(tmp_path):
    log = tmp_path / "stage.log"
    done = run_stage(
        *("make_manifest", "--data-root", tmp_path / "nowhere", "--manifest", tmp_path / "m.csv"),
        *("--problems", tmp_path / "p.csv", "--distances", tmp_path / "d.csv", "--near-copies", tmp_path / "n.json"),
        *("--log", log, "--settings"),
        json.dumps({"source": "folder", "classes": None, "max_bad_share": 0.1, "near_copy_distance": 8}),
    )
    assert done.returncode == 1
    assert "nowhere" in done.stderr and "Traceback" not in done.stderr
    assert "$ python -m ganaug make_manifest" in log.read_text()  # the command can be copied from the log
    assert "nowhere" in log.read_text()
    assert not (tmp_path / "m.csv").exists()


def test_an_unknown_stage_lists_the_stages():
    done = run_stage("train_gna")
    assert done.returncode == 2
    assert "train_gan" in done.stderr


HEAVY = {"torch", "torchvision", "timm", "torch_fidelity", "pandas", "scipy", "sklearn", "matplotlib", "jinja2"}
# Those that a stage may import as it starts; where it is not listed, none. timm comes where a network is made.
STARTS_WITH = {
    "make_phantoms": {"scipy"},
    "make_manifest": {"pandas", "scipy"},
    "make_external_set": {"pandas", "scipy"},
    "train_gan": {"pandas", "torch"},
    "sample_gan": {"pandas", "torch"},
    "convert_stylegan2": {"torch"},
    "prepare_weights": {"torch"},
    "measure_fidelity": {"pandas", "torch", "torchvision", "torch_fidelity", "scipy"},
    "train_classifier": {"pandas", "torch"},
    "score_images": {"pandas", "torch"},
    "make_tables": {"pandas", "scipy", "sklearn"},
    "make_figure": {"pandas", "matplotlib"},
    "make_report": {"pandas", "jinja2"},
}
TABLES_ALONE = ["make_splits", "check_sizes", "make_subset", "make_test_set", "check_leaks", "check_lineage"]
STARTS_WITH |= {stage: {"pandas"} for stage in [*TABLES_ALONE, "print_summary"]}


@pytest.mark.parametrize("stage", cli.STAGES)
def test_every_stage_explains_itself_and_imports_only_what_it_needs(stage):
    done = run_stage(stage, "--help", python=["-X", "importtime"])
    assert done.returncode == 0, done.stderr
    assert f"ganaug {stage}" in done.stdout
    imported = set(re.findall(r"\| +(\w+)$", done.stderr, flags=re.MULTILINE))
    assert "ganaug" in imported  # or the list is not one of imports
    assert imported & HEAVY <= STARTS_WITH.get(stage, set())


def names(stage):
    return {str(path.relative_to(SRC / "ganaug")) for path in imports.files_of_stage(stage)}


def test_an_input_that_is_not_what_its_stage_wrote_is_named(tmp_path):
    images, made = tmp_path / "train.npy", tmp_path / "provenance.json"
    images.write_bytes(b"whole")
    files.write_json(made, {"stage": "make_subset", "outputs": {"results/x/train.npy": files.sha256_of(images)}})
    assert provenance.checked([images, tmp_path]) == {str(images): files.sha256_of(images), str(tmp_path): "folder"}
    images.write_bytes(b"whola")
    with pytest.raises(UserError, match=r"train.npy is not what make_subset wrote.*Delete it and run"):
        provenance.checked([images])
    made.unlink()
    assert provenance.checked([images])


def test_images_can_be_read_from_a_copy_in_scratch(tmp_path, monkeypatch, caplog):
    array = np.arange(12, dtype=np.uint8).reshape(3, 2, 2)
    files.write_array(tmp_path / "a.npy", array)
    (tmp_path / "node").mkdir()
    monkeypatch.setenv("NODE_DISK", str(tmp_path / "node"))
    monkeypatch.setenv("GANAUG_SCRATCH", "$NODE_DISK")
    copy = files.open_array(tmp_path / "a.npy")
    (tmp_path / "a.npy").write_bytes(b"")  # in place: whoever mapped this very file would see it
    assert (copy == array).all() and not copy.flags.writeable
    assert not list((tmp_path / "node").iterdir())  # nothing to clean up
    files.write_array(tmp_path / "a.npy", array)
    monkeypatch.setenv("GANAUG_SCRATCH", str(tmp_path / "nowhere"))
    assert (files.open_array(tmp_path / "a.npy") == array).all() and "it is read where it is" in caplog.text


def test_a_stage_depends_on_what_it_imports_and_on_nothing_else():
    assert {"stylegan2/training.py", "seeding.py", "files.py"} <= names("train_gan")
    assert not {n for n in names("train_gan") if n.startswith(("classify", "data", "analysis", "fidelity", "report"))}
    assert not {n for n in names("train_classifier") if n.startswith(("stylegan2", "data", "analysis", "fidelity"))}
    assert not {n for n in names("make_figure") if n.startswith(("stylegan2", "data", "fidelity", "classify/training"))}
    # The command line imports stages by name: a new stage must not rerun the others.
    assert all("cli.py" not in names(stage) for stage in cli.STAGES)

"""Seeds, whole files, progress, the stage command line and the import tracker."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ganaug import cli, files, imports
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


def run_stage(*arguments, **options):
    command = [sys.executable, "-m", "ganaug", *map(str, arguments)]
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


@pytest.mark.parametrize("stage", cli.STAGES)
def test_every_stage_explains_itself(stage):
    done = run_stage(stage, "--help")
    assert done.returncode == 0, done.stderr
    assert f"ganaug {stage}" in done.stdout


def names(stage):
    return {str(path.relative_to(SRC / "ganaug")) for path in imports.files_of_stage(stage)}


def test_a_stage_depends_on_what_it_imports_and_on_nothing_else():
    assert {"stylegan2/training.py", "seeding.py", "files.py"} <= names("train_gan")
    assert not {n for n in names("train_gan") if n.startswith(("classify", "data", "analysis", "fidelity", "report"))}
    assert not {n for n in names("train_classifier") if n.startswith(("stylegan2", "data", "analysis", "fidelity"))}
    assert not {n for n in names("make_figure") if n.startswith(("stylegan2", "data", "fidelity", "classify/training"))}
    # The command line imports stages by name: a new stage must not rerun the others.
    assert all("cli.py" not in names(stage) for stage in cli.STAGES)

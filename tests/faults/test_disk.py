"""A full disk during each stage: told in words, nothing there is lost, and with room the run gives the same bytes."""

import json
import logging
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from ganaug.attempts import beside
from ganaug.cli import main
from helpers.disks import fill
from helpers.miniature import missing_radiographs

STAGES = [
    *("make_manifest", "make_splits", "check_sizes", "make_subset", "make_test_set", "make_external_set"),
    *("check_leaks", "check_synthetic", "train_gan", "sample_gan", "prepare_weights", "measure_fidelity"),
    *("train_classifier", "score_images", "check_lineage", "make_tables", "make_figure", "make_report"),
]


@pytest.fixture
def study_disk(finished, disk, tmp_path, monkeypatch):
    """A disk with the results of the finished miniature, which is copied and made the working directory."""
    subprocess.run(["mount", "-o", "remount,size=400m", str(disk)], check=True)
    shutil.copytree(finished / "results", disk / "results", symlinks=True)
    folder = tmp_path / "study"
    folder.mkdir()
    for name in ("radiographs", "elsewhere"):
        (folder / name).symlink_to(finished / name)
    (folder / "results").symlink_to(disk / "results")
    monkeypatch.chdir(folder)
    yield disk
    logging.basicConfig(force=True)  # closes the log, which lies on the disk


def files(folder: Path) -> dict[str, bytes]:
    """All but logs and what tells times."""
    apart = ("provenance.json", "report.html", ".log", ".attempts.jsonl", ".tsv", ".sha256", "filler")
    paths = [path for path in folder.rglob("*") if path.is_file() and not path.name.endswith(apart)]
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


def stage_of(job: dict) -> str:
    return {"score_synthetic": "score_images", "score_external": "score_images"}.get(job["rule"], job["rule"])


@missing_radiographs
def test_all_stages_are_tried(finished):
    assert set(STAGES) == set(map(stage_of, json.loads((finished / "results/mini/plan.json").read_text())["jobs"]))


@missing_radiographs
@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_on_a_full_disk(study_disk, stage, capsys):
    jobs = json.loads(Path("results/mini/plan.json").read_text())["jobs"]
    job = next(job for job in jobs if stage_of(job) == stage)
    log, outputs = Path(job["log"]), list(map(Path, job["outputs"]))
    command = shlex.split(log.read_text().partition("\n")[0].partition(" INFO $ ")[2])[3:]
    assert command[0] == stage
    whole = files(study_disk)
    for path in [*outputs, log, beside(log)]:
        path.unlink()
    shutil.rmtree(job["checkpoints"], ignore_errors=True)  # a finished classifier has left none, other jobs have none
    without = files(study_disk)
    filler = fill(study_disk)
    assert main(command) == 1
    told = capsys.readouterr().err
    assert "can't be written: the disk is full" in told and "Traceback" not in told
    assert files(study_disk) == without and not any(path.exists() for path in outputs)
    filler.unlink()
    assert main(command) == 0
    assert files(study_disk) == whole and all(path.exists() for path in outputs)


def test_phantoms_on_a_full_disk(disk, tmp_path, capsys):
    settings = json.dumps({"images_per_class": 1, "resolution": 32})
    command = ["make_phantoms", "--seed", "1", "--settings", settings, "--out"]
    filler = fill(disk)
    assert main([*command, str(disk / "phantoms")]) == 1
    assert "phantoms can't be written: the disk is full" in capsys.readouterr().err
    assert [path.name for path in disk.iterdir()] == ["filler"]
    filler.unlink()
    assert all(main([*command, str(folder / "phantoms")]) == 0 for folder in (disk, tmp_path))
    assert files(disk / "phantoms") == files(tmp_path / "phantoms") != {}

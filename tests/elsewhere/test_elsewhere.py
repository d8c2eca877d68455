"""A study whose networks ran elsewhere ends as one that ran here."""

import subprocess
import sys
from pathlib import Path

import pytest

from helpers import tiny
from helpers.running import ROOT, dry_run, planned


def elsewhere(*words) -> str:
    done = subprocess.run([sys.executable, ROOT / "elsewhere.py", *map(str, words)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def make(folder: Path, *arguments) -> None:
    subprocess.run(tiny.command(folder, tiny.STUDY, "--cores", "1", *arguments), capture_output=True, check=True)


@pytest.mark.slow
def test_a_study_is_the_same_wherever_its_networks_ran(tmp_path):
    here, there, out = tmp_path / "here", tmp_path / "there", tmp_path / "out"
    here.mkdir()
    make(here, "--until", "check_leaks", "prepare_weights")
    study = ["--configfile", here / "study.yaml", "--directory", here, "--"]
    assert "9 jobs" in elsewhere("export", *study, "--package", tmp_path / "package")
    run = ["run", "--package", tmp_path / "package", "--folder", there, "--seconds", 3000]
    told = elsewhere(*run, "--out", out, "--leave-out", "measure_fidelity")
    assert "train_classifier: 3 done" in told and "measure_fidelity: 1 left out" in told
    assert "took over 8 of 8 jobs" in elsewhere("accept", *study, *sorted(out.glob("results-*.tar")))

    left = planned(dry_run(here, "--configfile", here / "study.yaml"))
    assert {rule for rule in left if rule != "make_figure"} == {
        *("measure_fidelity", "check_lineage", "make_tables", "make_report", "all")
    }
    changed = tiny.STUDY | {"classifier": {**tiny.STUDY["classifier"], "learning_rate": 0.002}}
    assert planned(dry_run(here, study=changed))["train_classifier"] == 3  # Snakemake knows what made them
    make(here)

    whole = tmp_path / "whole"
    whole.mkdir()
    make(whole)
    ours, theirs = tiny.results(here), tiny.results(whole)
    assert {path for path in theirs if path not in ours} == {
        path for path in theirs if path.endswith("model.safetensors")
    }
    assert all(ours[path] == theirs[path] for path in ours)

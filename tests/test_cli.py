"""The command line of the stages: errors in words, help, and imports that are needed alone."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ganaug import cli
from helpers.running import ROOT

SRC = ROOT / "src"


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


def test_an_unknown_command_names_the_nearest_and_all_others():
    for words, told in (
        (["train_gna"], "did you mean train_gan?"),
        (["statsu"], "did you mean status?"),
        ([], "usage:"),
    ):
        done = run_stage(*words)
        assert done.returncode == 2 and done.stdout == "" and told in done.stderr
        assert {*cli.QUESTIONS, *cli.STAGES} <= set(done.stderr.split())


def test_help_tells_of_questions_before_stages():
    done = run_stage("--help")
    assert done.returncode == 0 and done.stderr == "" and max(map(len, done.stdout.splitlines())) <= 88
    words = done.stdout.split()
    assert max(words.index(name) for name in cli.QUESTIONS) < min(words.index(name) for name in cli.STAGES)


def test_tritons_cache_lies_beside_the_others(tmp_path, monkeypatch):
    """It knows HOME alone, which may be read-only."""
    monkeypatch.setenv("TRITON_HOME", "")
    monkeypatch.delenv("TRITON_HOME")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cli.main(["print_summary", "--summary", str(tmp_path / "none.csv"), "--log", str(tmp_path / "log")]) == 1
    assert os.environ["TRITON_HOME"] == str(tmp_path)
    from triton import knobs

    assert Path(knobs.cache.dir).is_relative_to(tmp_path)


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
    "check_backbone": {"pandas", "torch"},
    "check_extractor": {"torch", "torchvision", "torch_fidelity", "scipy"},
    "check_init_from": {"torch"},
    "train_classifier": {"pandas", "torch"},
    "score_images": {"pandas", "torch"},
    "make_tables": {"pandas", "scipy", "sklearn"},
    "make_figure": {"pandas", "matplotlib"},
    "make_report": {"pandas", "jinja2"},
}
TABLES_ALONE = ["make_splits", "check_sizes", "make_subset", "make_test_set", "check_leaks", "check_lineage"]
STARTS_WITH |= {stage: {"pandas"} for stage in [*TABLES_ALONE, "print_summary"]}


HELP = """
import sys
from ganaug.cli import main
for stage in sys.argv[1:]:
    try:
        main([stage, "--help"])
    except SystemExit as end:
        assert end.code == 0
print("imported:", *{name.split(".")[0] for name in sys.modules})
"""


@pytest.mark.parametrize("reports", [False, True])
def test_every_question_explains_itself_and_imports_little(reports):
    """One that only looks is answered at once; the report compares tables."""
    names = [name for name in cli.QUESTIONS if (name == "report") == reports]
    command = [sys.executable, "-c", HELP, *names]
    done = subprocess.run(command, env={"PYTHONPATH": str(SRC)}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    said, _, imported = done.stdout.partition("imported: ")
    assert names and all(f"usage: ganaug {name} " in said for name in names)
    found = set(imported.split()) & (HEAVY | {"numpy", "snakemake"})
    assert found <= ({"numpy", "pandas"} if reports else set())


@pytest.mark.parametrize("allowed", sorted({tuple(sorted(STARTS_WITH.get(stage, ()))) for stage in cli.STAGES}))
def test_every_stage_explains_itself_and_imports_only_what_it_needs(allowed):
    """Stages that may import the same start in one process."""
    stages = [stage for stage in cli.STAGES if STARTS_WITH.get(stage, set()) == set(allowed)]
    command = [sys.executable, "-c", HELP, *stages]
    done = subprocess.run(command, env={"PYTHONPATH": str(SRC)}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    said, _, imported = done.stdout.partition("imported: ")
    assert all(f"usage: python -m ganaug {stage} " in said for stage in stages), said
    assert "ganaug" in imported.split() and set(imported.split()) & HEAVY <= set(allowed)

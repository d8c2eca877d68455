"""Where jobs share no file system: what a job reads is an input of its rule, and a GPU is asked for as there."""

import json
import os
import re
import shlex

import pytest
import yaml

from ganaug import provenance
from ganaug.cli import main
from helpers.miniature import STUDY
from helpers.running import ROOT, dry_run
from helpers.tiny import STUDY as TINY

# Their stages read the results by folder, so that their commands do not tell what they read.
BY_FOLDER = {"check_lineage", "make_tables", "make_figure", "make_report"}
PROFILE = ROOT / "profiles" / "kubernetes" / "config.yaml"
GPU_RULES = {"train_gan", "sample_gan", "measure_fidelity", "train_classifier", "score_synthetic", "score_external"}
GPU_RULES |= {"check_backbone", "check_extractor"}


def printed_jobs(output: str) -> list[tuple[str, dict[str, list[str]], list[str]]]:
    """(rule, its files by `input` and `output`, its command) of every job of a dry run with `--printshellcmds`."""
    blocks = re.findall(r"^(?:local)?rule (\w+):\n((?:    .*\n)*)(?:Shell command: (.*)\n)?", output, re.MULTILINE)
    jobs = []
    for rule, block, command in blocks:
        files = {name: line.split(", ") for name, line in re.findall(r"^    (input|output): (.*)$", block, re.M)}
        jobs.append((rule, files, shlex.split(command)))
    return jobs


@pytest.mark.slow
def test_what_reads_by_folder_needs_no_more_than_its_inputs(miniature, tmp_path, monkeypatch):
    """As on a pod: the job's inputs in an empty folder, and nothing else."""
    jobs = [job for job in printed_jobs(dry_run(miniature, "-p", "--forceall", study=STUDY)) if job[0] in BY_FOLDER]
    assert {rule for rule, _, _ in jobs} == BY_FOLDER
    for number, (rule, files, command) in enumerate(jobs):
        folder = tmp_path / str(number)
        for path in files["input"]:
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            os.link(miniature / path, folder / path)
        monkeypatch.chdir(folder)
        assert main(command[3:]) == 0, (rule, files["output"])
        for path in files["output"]:
            if not path.endswith("provenance.json"):
                assert (folder / path).read_bytes() == (miniature / path).read_bytes(), path


def test_the_kubernetes_profile_asks_for_gpus(tmp_path):
    """Without the plugins' own settings, so that it can be read where they are not installed."""
    profile = yaml.safe_load(PROFILE.read_text())
    kept = {name: value for name, value in profile.items() if not name.startswith(("kubernetes-", "default-storage"))}
    assert kept.pop("executor") == "kubernetes" and profile["default-storage-provider"] == "s3"
    (tmp_path / "profile").mkdir()
    (tmp_path / "profile" / "config.yaml").write_text(yaml.safe_dump(kept))
    study = STUDY | {"data_root": None, "data": {"source": "phantom"}, "external_test": None, "sizes": [10]}
    output = dry_run(tmp_path, "--cores", "2", "--workflow-profile", "profile", study=study)
    resources = dict(re.findall(r"^(?:local)?rule (\w+):\n(?:    .*\n)*?    resources: (.*)$", output, re.MULTILINE))
    with_gpus = {rule for rule, text in resources.items() if "gpu=1" in text.split(", ")}
    assert with_gpus == GPU_RULES - {"score_external"} == set(profile["set-resources"]) - {"score_external"}
    for rule, text in resources.items():
        assert "gpu_manufacturer=nvidia" in text and ("scale=0" in text.split(", ")) == (rule in with_gpus), rule


def test_a_study_in_a_storage_is_compared_as_one_beside_it(tmp_path):
    """Rules' files then lie in a folder of the storage's."""

    def asked(folder, *arguments):
        folder.mkdir()
        dry_run(folder, *arguments, study=TINY)
        (path,) = (folder / ".snakemake" / "asked").glob("**/*.json")
        return json.loads(path.read_text())["jobs"]

    (tmp_path / "bucket").mkdir()
    storage = ["--default-storage-provider", "fs", "--default-storage-prefix", str(tmp_path / "bucket")]
    jobs = asked(tmp_path / "a", *storage, "--shared-fs-usage", "none")
    assert jobs == asked(tmp_path / "b") and {"train_gan", "train_classifier"} < {job["rule"] for job in jobs}


def test_memory_grows_with_each_attempt_where_no_record_of_them_is_seen(tmp_path):
    study = STUDY | {"data_root": None, "data": {"source": "phantom"}, "external_test": None, "sizes": [10]}

    def asked(*arguments):
        output = dry_run(tmp_path, *arguments, study=study)
        return int(re.search(r"^rule train_gan:\n(?:    .*\n)*?    resources: .*mem_mb=(\d+)", output, re.MULTILINE)[1])

    first, third = ["--attempt", "1"], ["--attempt", "3"]
    assert asked(*first) == asked(*third)
    assert asked("--shared-fs-usage", "none", *third) == 3 * asked("--shared-fs-usage", "none", *first)


def test_a_job_knows_the_commit_where_it_has_no_checkout(tmp_path, monkeypatch):
    monkeypatch.setattr(provenance, "__file__", str(tmp_path / "provenance.py"))
    monkeypatch.setenv("GANAUG_COMMIT", "1234567")
    assert provenance.git_commit() == "1234567"
    assert yaml.safe_load(PROFILE.read_text())["envvars"] == "GANAUG_COMMIT"

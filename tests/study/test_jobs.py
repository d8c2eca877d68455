"""The jobs that ganaug.study knows are those that Snakemake plans from the rules, each in every part."""

import json
import re
import shlex

import pytest
import yaml

from ganaug.study.asked import asked_of
from ganaug.study.jobs import jobs_of, seed_of, settings_of
from ganaug.study.resources import Needs
from helpers.running import dry_run
from helpers.studies import study_of

# With a setting of every kind that adds jobs or files.
EVERYTHING = {
    "study": "lab",
    "data": {"groups": "patients.csv", "phantom": {"images_per_class": 60}, "resolution": 32},
    "external_test": {"data_root": "elsewhere"},
    "sizes": [20, "all"],
    "replicates": 2,
    "augmentations": ["none", "classical", "gan", "gan+classical"],
    "backbones": ["resnet18", "tf_efficientnet_lite0"],
    "weights": {"resnet18": {"source": "resnet18.safetensors"}},
    "synthetic": {"ratio": 1, "ratio_sweep": [0.5, 2]},
    "gan": {"init_from": "generator.safetensors", "gpus": 2},
    "fidelity": {"kid_subset_size": 10},
    "threads": {"gan": 3, "classifier": 2, "fidelity": 1},
}
SMALL = {"study": "bare", "sizes": [100], "replicates": 1, "augmentations": ["none"], "device": "cpu"}
SMALL |= {"probes": {"border_only": False}, "report": {"images": False}}


@pytest.fixture
def folder(tmp_path):
    """With the files that EVERYTHING names."""
    for name in ("patients.csv", "resnet18.safetensors", "generator.safetensors"):
        (tmp_path / name).write_text("")
    for name in range(4):
        (tmp_path / f"elsewhere/finding {name}").mkdir(parents=True)
        (tmp_path / f"elsewhere/finding {name}/image.png").write_text("")
    return tmp_path


def planned(output: str) -> dict[tuple, dict]:
    """By rule and wildcards what a dry run with `--printshellcmds` prints of each job but `all`."""
    jobs = {}
    for rule, told in re.findall(r"^(?:local)?rule (\w+):\n((?:(?: |Shell|python).*\n)*)", output, flags=re.MULTILINE):
        said = dict(re.findall(r"^    (\w+): (.*)$", told, flags=re.MULTILINE))
        command = re.search(r"python -m.*$", told, flags=re.MULTILINE)
        wildcards = dict(pair.split("=") for pair in said.get("wildcards", "").split(", ") if pair)
        said["words"] = shlex.split(command[0]) if command else []
        jobs[rule, *sorted((name, value) for name, value in wildcards.items() if value)] = said
    return {name: job for name, job in jobs.items() if name[0] != "all"}


def option(words: list[str], name: str) -> str | None:
    return words[words.index(name) + 1] if name in words else None


@pytest.mark.slow
@pytest.mark.parametrize("settings", [EVERYTHING, SMALL], ids=["everything", "small"])
def test_every_job_is_the_one_that_snakemake_plans(folder, settings, monkeypatch):
    monkeypatch.chdir(folder)
    study = study_of(settings)
    needs = Needs(study, study.images_by_class)
    found = planned(dry_run(folder, "--printshellcmds", "--forceall", "--cores", "8", study=settings))
    jobs = jobs_of(study)
    assert len(jobs) == len(found)
    for job in jobs:
        said = found[job.rule, *sorted((name, value) for name, value in job.wildcards.items() if value)]
        inputs = {path for path in said.get("input", "").split(", ") if path and not path.startswith(".snakemake/")}
        assert inputs == {*job.inputs, *job.given}, job.name
        assert set(said["output"].split(", ")) == set(map(str, job.outputs)), job.name
        assert said["log"] == str(job.log) and said.get("benchmark", "None") == str(job.benchmark), job.name
        assert int(said.get("threads", 1)) == job.threads, job.name
        resources = dict(pair.split("=") for pair in said["resources"].split(", "))
        assert int(resources.get("gpu", 0)) == job.gpus, job.name
        assert int(resources["mem_mb"]) == needs.megabytes(job.rule, job.wildcards), job.name
        assert int(resources["runtime"]) == needs.minutes(job.rule, job.wildcards), job.name
        words = said["words"]
        assert json.loads(option(words, "--settings") or "{}") == settings_of(study, job.rule, job.wildcards), job.name
        assert (option(words, "--seed") or "None") == str(seed_of(study, job.rule, job.wildcards)), job.name
        assert (option(words, "--checkpoints") or "None") == str(job.checkpoints), job.name
        assert option(words, "--log") == str(job.log), job.name


def test_a_job_comes_after_those_whose_outputs_it_reads(folder, monkeypatch):
    monkeypatch.chdir(folder)
    jobs = jobs_of(study_of(EVERYTHING))
    names = [job.name for job in jobs]
    assert len(set(names)) == len(names)
    assert all(before < number for number, job in enumerate(jobs) for before in job.after)
    outputs = [path for job in jobs for path in job.outputs]
    assert len(set(outputs)) == len(outputs)
    (gan,) = (job for job in jobs if job.name == "train_gan size=20 replicate=2")
    assert [names[number] for number in gan.after] == [
        "make_subset size=20 replicate=2",
        "check_leaks size=20 replicate=2",
        "check_init_from",
    ]
    swept = next(job for job in jobs if job.wildcards.get("augmentation") == "gan@0.5")
    before = [names[number] for number in swept.after if jobs[number].rule == "check_synthetic"]
    assert before == ["check_synthetic size=20 replicate=1 at=/ratio-0.5"]
    made = {path for job in jobs for path in map(str, job.outputs)}
    assert all(path in made for job in jobs for path in job.inputs)  # all else is the user's


def test_what_is_asked_of_jobs_is_told_by_the_folder_of_the_results(folder, monkeypatch):
    monkeypatch.chdir(folder)
    asked = {job["name"]: job for job in asked_of(study_of(EVERYTHING), {"make_external_set": "digest"})}
    assert {job["listing"] for job in asked.values()} == {None, "digest"}
    assert asked["prepare_weights backbone=resnet18"]["given"] == ["resnet18.safetensors"]
    manifest = asked["make_manifest"]
    assert manifest["inputs"] == ["data/phantoms"] and manifest["given"] == ["patients.csv"]
    assert manifest["provenance"] == "data/manifest.provenance.json"
    assert not any(job["rule"].startswith(("make_tables", "make_figure", "check_lineage")) for job in asked.values())
    assert yaml.safe_load(yaml.safe_dump(asked)) == asked  # plain values


@pytest.mark.parametrize(
    ("change", "rules"),
    [
        (
            {"seed": 9},
            {
                *("make_phantoms", "make_splits", "make_subset", "train_gan", "sample_gan", "measure_fidelity"),
                *("train_classifier", "make_tables", "make_report"),
            },
        ),
        ({"title": "Another"}, {"make_report"}),
        ({"figures": {"dpi": 90}}, {"make_figure", "make_report"}),
        ({"gan": EVERYTHING["gan"] | {"checkpoint_seconds": 5}}, {"make_report"}),
        ({"gan": EVERYTHING["gan"] | {"kimg": 300}}, {"train_gan", "make_report"}),
        ({"classical": {"shift": 0.01}}, {"train_classifier", "make_report"}),
    ],
)
def test_a_setting_is_asked_of_the_stages_that_read_it_alone(folder, change, rules, monkeypatch):
    monkeypatch.chdir(folder)

    def asked(settings: dict) -> dict:
        study = study_of(settings)
        return {
            job.name: (settings_of(study, job.rule, job.wildcards), seed_of(study, job.rule, job.wildcards))
            for job in jobs_of(study)
        }

    before, after = asked(EVERYTHING), asked(EVERYTHING | change)
    differ = {name for name in before if before[name] != after[name]}
    found = {name.split()[0] for name in differ}
    assert found == rules
    if "classical" in change:
        assert all(
            "augmentation=classical" in name or "augmentation=gan+classical" in name
            for name in differ
            if "train" in name
        )

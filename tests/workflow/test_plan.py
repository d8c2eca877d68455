"""The workflow plans exactly the right jobs, by dry runs."""

import re
from collections import Counter

import pytest
import yaml

from ganaug.layout import FILES, FOLDERS
from ganaug.study.figures import FIGURES
from helpers.planned import plan_told
from helpers.running import CLASSES, ROOT, dry_run, planned, planned_jobs
from helpers.tiny import STUDY

PICTURES = [name for name, entry in FIGURES.items() if "films" in entry.needs]


def expected(study: dict, networks: int) -> dict[str, int]:
    """The jobs of a whole study, counted from its grid."""
    subsets = len(study["sizes"]) * study["replicates"]
    once = [
        "make_manifest",
        "make_splits",
        "check_sizes",
        "make_test_set",
        "check_lineage",
        "make_tables",
        "make_report",
    ]
    jobs = dict.fromkeys([*once, "all"], 1) | dict.fromkeys(["make_subset", "check_leaks"], subsets)
    if study["data"]["source"] == "phantom":
        jobs["make_phantoms"] = 1
    generated = any("gan" in name for name in study["augmentations"])
    backbones, swept = len(study["backbones"]), len(study.get("synthetic", {}).get("ratio_sweep", []))
    if generated:
        jobs["check_extractor"] = 1
        jobs |= dict.fromkeys(["train_gan", "measure_fidelity"], subsets)
        jobs |= dict.fromkeys(["sample_gan", "check_synthetic"], subsets * (1 + swept))
    alone = generated and study.get("probes", {}).get("synthetic_only", True)
    if alone:
        jobs["score_synthetic"] = subsets * backbones
    cells = subsets * (len(study["augmentations"]) + swept + alone)
    jobs["train_classifier"] = (cells + study["replicates"]) * backbones  # border-only
    figures = 13 + bool(swept) if generated else 8
    return jobs | {"prepare_weights": networks, "check_backbone": backbones, "make_figure": figures}


@pytest.fixture
def empty_radiographs(tmp_path):
    """The database's layout, enough to plan with: the plan does not open the images."""
    for name in CLASSES:
        folder = tmp_path / "data" / name / "images"
        folder.mkdir(parents=True)
        (folder / f"{name}-1.png").write_bytes(b"")
    return tmp_path / "data"


# Networks are the backbones and the fidelity extractor.
@pytest.mark.parametrize(
    ("name", "networks", "total"),
    [
        *(("config", 1, 63), ("paper", 4, 404), ("one-gpu", 2, 210)),
        *(("xray-small", 1, 135), ("xray-64", 1, 47), ("reference", 1, 269)),
    ],
)
def test_shipped_studies_plan_exactly_their_jobs(name, networks, total, tmp_path, empty_radiographs):
    study = yaml.safe_load((ROOT / "config" / f"{name}.yaml").read_text())
    arguments = ["--configfile", ROOT / "config" / f"{name}.yaml"]
    if study["data"]["source"] != "phantom":
        arguments += ["--config", f"data_root={empty_radiographs}"]
    jobs = planned(dry_run(tmp_path, *arguments))
    assert jobs == expected(study, networks)
    assert sum(jobs.values()) == total
    told = plan_told(*arguments)
    assert Counter(job.rule for job in told.jobs) == Counter(jobs) - Counter(all=1)
    for job in told.jobs:
        for path in filter(None, [*job.outputs, job.log, job.benchmark, job.checkpoints]):
            name = path.relative_to(told.results).parts[0]
            assert name in FOLDERS + FILES, path


def test_the_quickstart_is_the_default(tmp_path):
    output = dry_run(tmp_path, "--forceall")
    assert "results/quickstart/report.html" in output


def test_another_study_does_not_inherit_from_the_quickstart(tmp_path):
    (tmp_path / "bare.yaml").write_text(yaml.safe_dump({"study": "bare", "sizes": [100], "augmentations": ["none"]}))
    output = dry_run(tmp_path, "-p", "--configfile", "bare.yaml")
    jobs = planned(output)
    assert jobs["train_classifier"] == 10  # the schema's 5 replicates, not the quickstart's; whole images and borders
    assert "train_gan" not in jobs and "measure_fidelity" not in jobs
    assert '"images_per_class": 400' in output


def test_a_page_without_images_plans_no_figure_of_any(tmp_path):
    study = {"study": "s", "sizes": [100, 200], "augmentations": ["none", "gan"], "report": {"images": False}}
    drawn = {job for job in planned_jobs(dry_run(tmp_path, study=study)) if job[0] == "make_figure"}
    assert len(drawn) == 13 - len(PICTURES) and not any(name in job[1] for job in drawn for name in PICTURES)


def test_several_gpus_share_a_training(tmp_path):
    study = {"study": "shared", "sizes": [100], "replicates": 1, "augmentations": ["gan"], "gan": {"gpus": 2}}
    for device, start, gpus in (
        ("auto", "torchrun --standalone --nproc-per-node 2 -m -- ganaug train_gan", 2),
        ("cpu", "python -m ganaug train_gan", 0),
    ):
        (tmp_path / "shared.yaml").write_text(yaml.safe_dump({**study, "device": device}))
        output = dry_run(tmp_path, "-p", "--configfile", "shared.yaml", "--until", "train_gan")
        assert start in output and f"gpu={gpus}" in output


def test_a_mistyped_setting_is_refused_before_any_job(tmp_path):
    output = dry_run(tmp_path, "--config", "replicats=2", fails=True)
    assert 'replicats: unknown setting; did you mean "replicates"?' in output
    assert "Traceback" not in output


def test_lists_and_blocks_can_be_written_on_the_command_line(tmp_path):
    values = [
        "sizes=[20,100]",
        "synthetic={ratio_sweep: [0.5]}",
        "probes={border_only: false}",
        "augmentations=[none,gan]",
    ]
    jobs = planned(dry_run(tmp_path, "--config", *values))
    study = yaml.safe_load((ROOT / "config" / "config.yaml").read_text())
    assert jobs["make_subset"] == 2 * study["replicates"] and jobs["train_gan"] == jobs["make_subset"]
    assert jobs["sample_gan"] == 2 * jobs["train_gan"]


ENTRIES = ["Snakefile", "workflow/Snakefile"]


def test_both_snakefiles_plan_the_same_jobs(tmp_path):
    """Jobs are counted: a Snakefile without a default target plans none, and exits with 0."""
    outputs = [dry_run(tmp_path, "--snakefile", ROOT / entry) for entry in ENTRIES]
    assert planned(outputs[0]) == planned(outputs[1]) and sum(planned(outputs[0]).values()) == 63
    assert planned_jobs(outputs[0]) == planned_jobs(outputs[1])


NAMELESS = {"sizes": [100], "augmentations": ["none"]}
BARE = {"study": "bare"} | NAMELESS
QUICKSTART = yaml.safe_load((ROOT / "config" / "config.yaml").read_text())
# Config files, settings on the command line, and the study's name, replicates and first size; None: it is refused.
GIVEN = {
    "a setting": ([], ["replicates=1"], ("quickstart", 1, 20)),
    "a name": ([], ["study=mine"], ("mine", QUICKSTART["replicates"], 20)),
    "a file": ([BARE], [], ("bare", 5, 100)),
    "a file and a setting": ([BARE], ["replicates=1"], ("bare", 1, 100)),
    "two files": ([BARE, {"replicates": 2}], [], ("bare", 2, 100)),
    "a file without a name": ([NAMELESS], [], None),
    "a file without a name, named": ([NAMELESS], ["study=mine"], ("mine", 5, 100)),
}


@pytest.mark.parametrize("given", GIVEN)
def test_the_quickstart_is_what_runs_without_a_config_file_and_only_then(tmp_path, given):
    files, settings, study = GIVEN[given]
    arguments = []
    for number, file in enumerate(files):
        (tmp_path / f"{number}.yaml").write_text(yaml.safe_dump(file))
        arguments += [f"{number}.yaml"]
    arguments = (["--configfile", *arguments] if files else []) + (["--config", *settings] if settings else [])
    output = dry_run(tmp_path, *arguments, fails=study is None)
    if study is None:
        assert "study: missing; it has no default" in output and "Traceback" not in output
        return
    name, replicates, size = study
    subsets = {wildcards for rule, wildcards in planned_jobs(output) if rule == "make_subset"}
    assert f"results/{name}/report.html" in output
    assert {replicate for replicate, _ in subsets} == {f"replicate={number + 1}" for number in range(replicates)}
    assert f"size={size}" in {of_size for _, of_size in subsets}


PARTS = {
    "module": 'module ganaug:\n    snakefile: "{file}"\n    config: config\n\nuse rule * from ganaug\n',
    "include": 'include: "{file}"\n',
}


@pytest.mark.parametrize("entry", ENTRIES)
@pytest.mark.parametrize("part", PARTS)
def test_use_as_a_part_of_another_workflow_is_refused_in_a_sentence(tmp_path, part, entry):
    text = PARTS[part].format(file=ROOT / entry) + '\nrule mine:\n    output: "mine.txt"\n    shell: "touch {output}"\n'
    (tmp_path / "Snakefile").write_text(text)
    (tmp_path / "src" / "ganaug").mkdir(parents=True)  # also where the other is of a checkout itself
    output = dry_run(tmp_path, "mine", checkout=tmp_path, study=STUDY, fails=True)
    assert "runs from its checkout and by itself alone, as no module or include" in output and "Traceback" not in output


@pytest.mark.parametrize("version", ["7.32.4", "8.30.0", "9.0.0", "9.17.3"])
def test_a_snakemake_that_is_too_old_is_refused_in_a_sentence(tmp_path, monkeypatch, version):
    """This one says that it is older; .github/workflows/tests.yaml tries a really old one."""
    for module in ("snakemake.common", "snakemake.cli"):
        monkeypatch.setattr(f"{module}.__version__", version)
    output = dry_run(tmp_path, fails=True)
    assert f"Expecting Snakemake version 9.18 or higher (you are currently using {version})" in output
    assert "Traceback" not in output


def test_a_missing_data_root_is_named(tmp_path):
    paper = ROOT / "config" / "paper.yaml"
    output = dry_run(tmp_path, "--configfile", paper, fails=True)
    assert "data/COVID-19_Radiography_Dataset" in output and "data_root" in output
    assert "Traceback" not in output


def test_the_slurm_profile_routes_gpu_rules(tmp_path, empty_radiographs):
    output = dry_run(
        *(tmp_path, "--workflow-profile", ROOT / "profiles" / "slurm"),
        *("--configfile", ROOT / "config" / "paper.yaml", "--config", f"data_root={empty_radiographs}"),
    )
    resources = dict(re.findall(r"^rule (\w+):\n(?:    .*\n)*?    resources: (.*)$", output, flags=re.MULTILINE))
    on_gpus = ["train_gan", "sample_gan", "measure_fidelity", "train_classifier", "score_synthetic"]
    for rule in [*on_gpus, "check_backbone", "check_extractor"]:
        assert "slurm_partition=gpu" in resources[rule] and "gpu=1" in resources[rule], rule
    for rule in ("make_manifest", "make_subset", "make_tables"):
        assert "slurm_partition=cpu" in resources[rule] and "gpu=1" not in resources[rule], rule

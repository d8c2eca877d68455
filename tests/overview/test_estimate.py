"""What a study takes, guessed before it runs and in proportion to what has finished."""

import json
import os
import re
import subprocess
import sys
from dataclasses import replace

import pytest
import yaml

from ganaug.errors import UserError
from ganaug.overview import gpu_rates
from ganaug.overview.costs import costs
from ganaug.overview.estimate import longest_chain, report, wall_clock
from ganaug.overview.guesses import gan_core_seconds, gan_gpu_seconds
from ganaug.overview.text import duration, in_bytes, in_hours
from ganaug.study.jobs import Job
from helpers.planned import STUDY, attempt, finish, job, plan_of
from helpers.running import CLASSES, ROOT, dry_run
from helpers.tiny import STUDY as TINY

ENVIRONMENT = os.environ | {"PYTHONPATH": str(ROOT / "src")}
WITHOUT_SNAKEMAKE = """
import sys
sys.modules["snakemake"] = None  # its import fails
from ganaug.cli import main
sys.exit(main())
"""


def command(*words) -> list[str]:
    return [sys.executable, "-c", WITHOUT_SNAKEMAKE, *map(str, words)]


@pytest.fixture
def ask(tmp_path):
    """`python -m ganaug` in tmp_path, without Snakemake; returns what it says."""

    def run(*arguments, fails=False) -> str:
        done = subprocess.run(command(*arguments), env=ENVIRONMENT, cwd=tmp_path, capture_output=True, text=True)
        assert (done.returncode != 0) == fails, done.stdout + done.stderr
        return done.stdout + done.stderr

    return run


@pytest.fixture
def lab(tmp_path):
    return tmp_path / "results/lab"


def classifiers(lab, sizes=("20", "all"), **more) -> list[Job]:
    return [
        job(lab, "train_classifier", gpus=0, size=size, replicate=n, backbone="resnet18", **more)
        for size in sizes
        for n in (1, 2)
    ]


# Core seconds per 1,000 images, measured on one AMD EPYC core: (resolution, channel_base, channel_max, batch).
@pytest.mark.parametrize(
    ("shape", "measured"),
    [((32, 512, 16, 8), 10.2), ((64, 1024, 64, 8), 32.4), ((128, 2048, 64, 8), 117), ((64, 4096, 256, 4), 277)],
)
def test_guesses_of_gan_trainings_are_near_what_was_measured(shape, measured):
    resolution, base, most, batch = shape
    gan = STUDY["gan"] | {"channel_base": base, "channel_max": most, "batch": batch, "path_length_weight": 2}
    assert 1000 * gan_core_seconds(gan, resolution) == pytest.approx(measured, rel=0.3)


def measured_on_a_gpu(table: str) -> list[dict[str, str]]:
    """The rows of a table of docs/gpu.md, which stands between two comments with its name; by the words at its head."""
    text = (ROOT / "docs/gpu.md").read_text(encoding="utf-8")
    block = re.search(rf"<!-- measured: {table} -->\n(.*?)<!-- /measured -->", text, re.DOTALL)[1]
    head, _, *rows = [line.strip("| ").split("|") for line in block.splitlines() if line.startswith("|")]
    return [{name.strip(): cell.strip() for name, cell in zip(head, row, strict=True)} for row in rows]


def number(cell: str) -> float:
    return float(cell.replace(",", ""))


def settings_of(row: dict[str, str]) -> dict:
    """Of a row's `precision`: `float32`, `tf32`, `bfloat16` or `bfloat16, tf32`."""
    kinds = row["precision"].split(", ")
    return {"precision": next((kind for kind in kinds if kind != "tf32"), "float32"), "tf32": "tf32" in kinds}


def test_guesses_for_gpus_are_near_what_was_measured():
    """The rates of gpu_rates are those of docs/gpu.md, none of which they miss by more than 40 %."""
    gans, classifiers = measured_on_a_gpu("gan"), measured_on_a_gpu("classifier")
    for row in gans:
        base, most = map(number, row["channel_base / channel_max"].split("/"))
        gan = STUDY["gan"] | settings_of(row) | {"path_length_weight": 2, "batch": int(row["batch"])}
        gan |= {"channel_base": int(base), "channel_max": int(most), "half_resolutions": 4}
        guessed = 1000 * gan_gpu_seconds(gan, int(row["resolution"]))
        assert guessed == pytest.approx(number(row["seconds a kimg"]), rel=0.4), row
    for row in classifiers:
        classifier = settings_of(row) | {"batch": int(row["batch"])}
        seconds = gpu_rates.trained_seconds(row["network"], row["augmentation"], classifier, 1.0, 1.0)
        assert 1 / seconds == pytest.approx(number(row["images a second"]), rel=0.4), row


# Shapes from one that a card hardly notices to one that fills it.
@pytest.mark.parametrize(("resolution", "base", "batch"), [(32, 1024, 8), (128, 8192, 32), (512, 32768, 64)])
def test_what_a_training_takes_of_a_card_follows_its_settings(resolution, base, batch):
    gan = STUDY["gan"] | {"channel_base": base, "channel_max": 512, "batch": batch}

    def seconds(gpus=1, sharing=1, **more):
        return gan_gpu_seconds(gan | more, resolution, gpus, sharing)

    assert seconds(precision="bfloat16", tf32=True) <= seconds(tf32=True) <= seconds() <= seconds(channel_max=1024)
    assert seconds(precision="bfloat16", half_resolutions=1) <= seconds()
    assert seconds() / 2 <= seconds(gpus=2) <= seconds()
    # Several that share a card take as long as one after the other: it runs the kernels of one program at a time.
    for count in (2, 4):
        assert seconds(sharing=count) == pytest.approx(count * seconds())


def test_classifiers_that_the_cpu_bounds_gain_by_sharing_a_card_and_others_do_not():
    def gain(scale):
        alone, shared = (
            gpu_rates.trained_seconds("efficientnet_b0", "none", {"batch": 32}, scale, 1.0, sharing)
            for sharing in (1, 4)
        )
        return 4 * alone / shared

    assert gain(0.1) > 2 and gain(20.0) < 1.01


def test_jobs_that_share_a_gpu_take_their_part_of_its_hours(lab):
    jobs = [job(lab, "train_gan", size="20", replicate=n) for n in range(4)]
    plan = plan_of(lab, jobs, device="cuda")
    alone, shared = costs(plan), costs(plan, sharing=4)
    assert shared[0].total.gpu == pytest.approx(shared[0].seconds / 4 / 3600)
    assert shared[0].seconds >= alone[0].seconds and wall_clock(shared, 1, None) < wall_clock(alone, 1, None)
    attempt(jobs[0], outcome="stopped", seconds=3600, cpu_seconds=60.0, device="NVIDIA H100", processes=1)
    begun, before = (costs(plan, sharing=4)[0], shared[0])
    assert begun.used.gpu == pytest.approx(1 / 4)
    assert begun.left.gpu == pytest.approx(max(0, before.left.gpu - 1 / 4))
    for wrong, message in (({"sharing": 0}, "--per-gpu 0"), ({"gpus": -1}, "--gpus -1"), ({"cores": 0}, "--cores 0")):
        with pytest.raises(UserError, match=message):
            report(plan, **wrong)


def test_a_guess_follows_the_settings_of_the_cell(lab):
    def gan(**settings):
        plan = plan_of(lab, [job(lab, "train_gan", size="20", replicate=1)], gan=STUDY["gan"] | settings)
        (cost,) = costs(plan, on_gpus=False)
        return cost.guess

    base = gan(kimg=100)
    assert gan(kimg=200).seconds == pytest.approx(2 * base.seconds, rel=0.05)
    assert gan(kimg=100, channel_base=2048, channel_max=128).seconds > 4 * base.seconds
    assert gan(kimg=100, channel_base=2048, channel_max=128).bytes > 5 * base.bytes
    small, _, large, _ = (cost.guess for cost in costs(plan_of(lab, classifiers(lab))))
    # 16 and 180 training images of each of 4 classes, and the same 300 test images for both
    assert 3 < large.seconds / small.seconds < 900 / 80


def test_unfinished_jobs_are_in_proportion_to_finished_ones(lab):
    jobs = classifiers(lab)
    before = costs(plan_of(lab, jobs))
    attempt(jobs[0], outcome="done", seconds=10 * before[0].guess.seconds, cpu_seconds=30.0)
    finish(jobs[0])
    after = costs(plan_of(lab, jobs))
    assert after[0].seconds == pytest.approx(10 * before[0].guess.seconds)
    assert [c.seconds for c in after[1:]] == pytest.approx([10 * c.guess.seconds for c in before[1:]])
    assert after[2].seconds > 3 * after[0].seconds  # the large cell is not taken for a small one
    assert after[0].total.cpu == pytest.approx(30 / 3600) and after[0].left.cpu == 0
    assert after[0].bytes == 2000 and after[1].bytes == pytest.approx(2000, rel=0.01)
    text = report(plan_of(lab, jobs))
    assert "measured, 1 of 4" in text and "measured, 1 of 4" not in report(plan_of(lab, jobs[1:]))


def test_results_from_before_attempts_were_recorded_count_by_their_provenance(lab):
    (made, *_) = jobs = classifiers(lab)
    finish(made)
    record = {"wall_seconds": 7200.0, "cpu_seconds": 3600.0, "machine": {"device": "cpu"}}
    (lab / "cells/size-20/replicate-1/backbone-resnet18/provenance.json").write_text(json.dumps(record))
    cost = costs(plan_of(lab, jobs))[0]
    assert (cost.measured.seconds, cost.used.cpu, cost.total.gpu) == (7200, 1, 0)


def test_gpu_hours_are_counted_where_there_are_gpus(lab):
    jobs = [job(lab, "train_gan", size="20", replicate=n, gpus=2) for n in (1, 2)]
    plan = plan_of(lab, jobs)
    assert all(cost.total.gpu == 0 for cost in costs(plan, on_gpus=False))
    for cost in costs(plan, on_gpus=True):
        assert cost.total.gpu == pytest.approx(2 * cost.seconds / 3600)
    assert gpu_rates.CARD in report(plan, gpus=4) and gpu_rates.CARD not in report(plan, gpus=0)
    attempt(jobs[0], outcome="done", device="NVIDIA H100", processes=2)
    finish(jobs[0])
    assert costs(plan)[1].total.gpu == pytest.approx(2, rel=0.01)  # `auto` is a GPU for the second as for the first
    assert gpu_rates.CARD not in report(plan)  # what was measured here needs no card's rates


def test_wall_clock_is_that_of_the_longest_chain_or_of_all_the_work(lab):
    chain = [job(lab, "train_gan", size="20", replicate=n, threads=1, after=[n - 1] if n else []) for n in range(3)]
    for made in chain:
        attempt(made, outcome="done", seconds=3600.0)
        finish(made)
    apart = [replace(made, after=[]) for made in chain]
    for jobs, on_one, on_many in ((chain, 3, 3), (apart, 3, 1)):
        found = costs(plan_of(lab, jobs), on_gpus=False)
        assert wall_clock(found, 1, None) == pytest.approx(on_one * 3600)
        assert wall_clock(found, 8, None) == longest_chain(found) == pytest.approx(on_many * 3600)


def test_numbers_are_short(lab):
    assert [duration(s) for s in (0.4, 89, 3600, 7200, 3600 * 80)] == ["0.4 s", "89 s", "60 min", "2.0 h", "3.3 days"]
    assert [in_hours(h) for h in (0, 0.01, 1.5, 12345)] == ["-", "36 s", "1.5 h", "12,345 h"]
    assert [in_bytes(b) for b in (0, 1500, 2e7, 9.99e8, 4e12)] == ["-", "1.5 kB", "20 MB", "999 MB", "4.0 TB"]


def test_a_study_that_has_never_run_is_estimated(tmp_path, ask):
    for name in CLASSES:
        folder = tmp_path / "data" / name / "images"
        folder.mkdir(parents=True)
        (folder / f"{name}-1.png").touch()
    paper = ["--configfile", ROOT / "config/paper.yaml", "--config", f"data_root={tmp_path / 'data'}"]
    text = ask("estimate", *paper, "--gpus", "4")
    assert re.search(r"^train_gan +15 +[\d.]+ h +\d+ h .* guess$", text, flags=re.MULTILINE)
    assert re.search(r"^GPUs at a time +4\ntakes at least +[\d.]+ (days|h)$", text, flags=re.MULTILINE)
    assert re.search(r"^all +403 ", text, flags=re.MULTILINE) and max(map(len, text.splitlines())) <= 100
    assert not (tmp_path / "results").exists() and not (tmp_path / ".snakemake/locks").exists()


def test_what_is_wrong_with_a_study_is_told(tmp_path, ask):
    (tmp_path / "bad.yaml").write_text(yaml.safe_dump({"study": "bad", "replicats": 2}))
    assert 'did you mean "replicates"?' in ask("status", "--configfile", "bad.yaml", fails=True)
    assert "estimate" in ask("estimte", fails=True)


def test_a_reader_that_has_seen_enough_is_no_error(tmp_path):
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    process = subprocess.Popen(command("estimate"), env=ENVIRONMENT, cwd=tmp_path, **pipes)
    process.stdout.close()
    assert process.stderr.read() == b"" and process.wait() == 0


def test_a_large_training_asks_for_more_memory(tmp_path):
    """Where it runs on the CPU. A GPU has its own."""

    def asked(device, **gan):
        study = TINY | {"data": TINY["data"] | {"resolution": 64}, "device": device, "gan": TINY["gan"] | gan}
        (tmp_path / "s.yaml").write_text(yaml.safe_dump(study))
        told = dry_run(tmp_path, "--configfile", "s.yaml", "--until", "train_gan")
        return int(re.search(r"^rule train_gan:\n(?:    .*\n)*?    resources: .*mem_mb=(\d+)", told, re.MULTILINE)[1])

    large = {"channel_base": 16384, "channel_max": 512, "batch": 64, "latent": 512}
    assert asked("cpu") == asked("auto", **large) < 4100
    assert 5000 < asked("cpu", **large) < asked("cpu", **large | {"batch": 256}) < 50_000


def test_a_study_in_another_folder_is_looked_at_there(tmp_path, ask):
    page = tmp_path / "lab/results/quickstart/report.html"
    page.parent.mkdir(parents=True)
    page.touch()
    assert re.search(r"^make_report +1 +1 +-", ask("status", "--dir", "lab"), flags=re.MULTILINE)

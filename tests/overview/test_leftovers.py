"""What no longer belongs to a study is listed, and nothing else; it is deleted when asked."""

import re
import shutil
import time
from pathlib import Path

import pytest
import yaml

from ganaug.attempts import beside
from ganaug.cli import main
from ganaug.drivers import Driver
from ganaug.files import written_whole
from ganaug.overview.leftovers import leftovers, report
from ganaug.overview.plan import Plan
from ganaug.study.jobs import Job
from helpers.disks import make_read_only
from helpers.planned import attempt, finish, plan_told, write_dead_driver

STUDY = {
    "study": "lab",
    "data": {"source": "phantom", "resolution": 16, "phantom": {"images_per_class": 60, "resolution": 32}},
    "sizes": [10, 20],
    "replicates": 2,
    "backbones": ["tf_efficientnet_lite0", "resnet18"],
    "augmentations": ["none", "classical", "gan"],
    "synthetic": {"ratio_sweep": [0.5, 2]},
    "fidelity": {"extractor": "tf_efficientnet_lite0", "kid_subset_size": 4},
    "gan": {"channel_base": 256},
}


def touch(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"0" * 10)


def make_all(plan: Plan) -> set[Path]:
    """Write every file that the study's jobs leave; returns them."""
    made = []
    for ours in plan.jobs:
        made += [path / "COVID/1.png" if path.name == "phantoms" else path for path in ours.outputs]
        made += [ours.log, beside(ours.log), *filter(None, [ours.benchmark])]
        if ours.checkpoints:
            made += [ours.checkpoints / key / "000000001000.pt" for key in ("0123456789abcdef", "fedcba9876543210")]
    for path in made:
        touch(path)
    return set(made)


@pytest.fixture
def study(tmp_path, monkeypatch):
    """A function that writes a study to study.yaml; returns its plan."""
    monkeypatch.chdir(tmp_path)

    def plan(**changes) -> Plan:
        (tmp_path / "study.yaml").write_text(yaml.safe_dump(STUDY | changes))
        return plan_told("--configfile", "study.yaml")

    return plan


def below(folder: Path) -> set[Path]:
    """All files and links in a folder, or the file itself."""
    return {path for path in [folder, *folder.rglob("*")] if path.is_symlink() or not path.is_dir()}


def test_what_a_change_of_the_study_leaves_behind_is_found_exactly(study):
    """The whole layout: all files of a study, less those of the changed one."""
    everything = make_all(whole := study())
    assert leftovers(whole) == ([], [])
    fewer = {"sizes": [20], "replicates": 1, "augmentations": ["none", "gan"], "backbones": ["resnet18"]}
    fewer |= {"synthetic": {"ratio_sweep": [2]}, "probes": {"border_only": False}}
    less = study(**fewer)
    kept = make_all(less) & everything
    for own in below(less.results) - everything:
        own.unlink()
    found, _ = leftovers(less)
    assert kept and {file for leftover in found for file in below(leftover.path)} == everything - kept
    assert len(found) < len(everything - kept) / 4  # whole folders, where nothing in them belongs
    paths = {str(leftover.path.relative_to(less.results)) for leftover in found}
    assert {"cells/border-only", "cells/classical", "gan/size-10", "gan/size-20/replicate-2"} <= paths
    assert {"synthetic/size-20/replicate-1/ratio-0.5", "tables/shortcut.csv", "checkpoints/gan/size-10"} <= paths


@pytest.fixture
def lab(study):
    """The plan of a study, its training, which is done, and what a training of a removed size has left."""
    gone, _ = trainings(study(augmentations=["gan"], replicates=1, backbones=["resnet18"]))
    plan = study(augmentations=["gan"], replicates=1, backbones=["resnet18"], sizes=[20])
    (kept,) = trainings(plan)
    for made in (kept, gone):
        finish(made)
        attempt(made, "begun", outcome="done")
        touch(made.checkpoints / "0123456789abcdef" / "000000001000.pt")
    return plan, kept, gone


def trainings(plan: Plan) -> list[Job]:
    return [job for job in plan.jobs if job.rule == "train_gan"]


def ask(*options) -> int:
    return main(["leftovers", "--configfile", "study.yaml", *options])


def test_deletion_takes_what_is_listed_and_nothing_else(lab, tmp_path, capsys):
    (plan, kept, _), outside = lab, tmp_path / "scratch/precious.bin"
    root = plan.results
    touch(outside)
    (root / "benchmarks").symlink_to(outside.parent)  # belongs, since the study writes there
    (root / "gan/size-10/replicate-1/link").symlink_to(outside.parent)
    (root / "gan/loose").symlink_to(outside)
    for own in ("notes.txt", "plan.json"):
        touch(root / own)
    stays = {path for path in below(root) if "size-10" not in str(path) and path.name not in ("loose", "plan.json")}
    assert ask() == 0
    told = capsys.readouterr().out
    assert f"gan/size-10/  ({len(kept.outputs) + 1} files" in told and "gan/loose" in told
    assert "left alone: notes.txt" in told and "plan.json: 1 file" in told  # that earlier versions wrote
    assert "benchmarks" not in told and (root / "gan/size-10").is_dir()  # listing alone deletes nothing
    assert ask("--delete") == 0
    assert "deleted: " in capsys.readouterr().out
    assert below(root) == stays and root / "benchmarks" in stays
    assert outside.is_file() and all(output.is_file() for output in kept.outputs)
    assert not list(root.rglob("size-10"))  # nor empty folders


def test_leftovers_are_told_where_the_images_are_not(lab, capsys):
    settings = yaml.safe_load(Path("study.yaml").read_text())
    settings |= {"data": {"source": "folder", "resolution": 16}, "data_root": "of/another/machine"}
    Path("study.yaml").write_text(yaml.safe_dump(settings))
    assert ask() == 0 and "gan/size-10/" in capsys.readouterr().out


def test_what_cannot_be_removed_is_told_in_words(lab, disk, capsys):
    shutil.copytree("results", disk / "results")
    shutil.rmtree("results")
    Path("results").symlink_to(disk / "results")
    make_read_only(disk)
    assert ask("--delete") == 1
    told = capsys.readouterr()
    assert re.search("^leftovers: .*size-10.* can't be removed: Read-only file system; the leftovers", told.err)


def test_half_written_files_are_leftovers_once_nothing_is_at_work(lab):
    plan, kept, _ = lab
    with pytest.raises(RuntimeError), written_whole(plan.results / "gan/size-20/replicate-1/weights.bin") as temporary:
        raise RuntimeError
    touch(temporary)
    assert temporary in {leftover.path for leftover in leftovers(plan)[0]}
    attempt(kept, "begun")  # on another machine: it may live
    assert temporary not in {leftover.path for leftover in leftovers(plan)[0]}


def living_driver(plan, gone):
    return Driver(plan.results, "a study", "local")


def dead_driver(plan, gone):
    write_dead_driver(plan.results)


def running_job_of_a_removed_size(plan, gone):
    attempt(gone, "begun", started=time.time())


@pytest.mark.parametrize("reason", [living_driver, dead_driver, running_job_of_a_removed_size])
def test_nothing_is_deleted_while_something_may_be_at_work(lab, reason, capsys):
    plan, _, gone = lab
    kept_alive = reason(plan, gone)
    before = below(plan.results)
    assert ask("--delete") == 1
    assert "nothing is deleted" in capsys.readouterr().err and below(plan.results) == before
    del kept_alive


def test_a_study_that_can_be_read_no_more_deletes_nothing(lab, capsys):
    plan, *_ = lab
    before = below(plan.results)
    Path("study.yaml").write_text("study: lab\nsizes: [20]\nreplicats: 1\n")
    assert ask("--delete") == 1
    assert "replicats: unknown setting" in capsys.readouterr().err and below(plan.results) == before


def test_thousands_stay_readable(lab):
    plan, *_ = lab
    for number in range(1000):
        touch(plan.results / f"gan/size-20/replicate-1/old-{number}.csv")
    found, unknown = leftovers(plan)
    text = report(plan, found, unknown)
    assert len(text.splitlines()) < 40 and "and 993 more: 993 files, 9.9 kB (`--all` lists them)" in text
    assert len(report(plan, found, unknown, everything=True).splitlines()) > 1000

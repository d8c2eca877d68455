"""What no longer belongs to a study is listed, and nothing else; it is deleted when asked."""

import hashlib
import time
from pathlib import Path

import pytest
import yaml

from ganaug.attempts import beside
from ganaug.cli import main
from ganaug.drivers import Driver
from ganaug.files import written_whole
from ganaug.overview.leftovers import leftovers, report
from ganaug.overview.plan import read_plan
from helpers.planned import attempt, finish, job, write_dead_driver, write_plan
from helpers.running import look

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


def make_all(plan: Path) -> set[Path]:
    """Write every file that the study's jobs leave; returns them."""
    made = []
    for ours in read_plan(plan).jobs:
        made += [path / "COVID/1.png" if path.name == "phantoms" else path for path in ours.outputs]
        made += [ours.log, beside(ours.log), *filter(None, [ours.benchmark])]
        if ours.checkpoints:
            made += [ours.checkpoints / key / "000000001000.pt" for key in ("0123456789abcdef", "fedcba9876543210")]
    for path in made:
        touch(path)
    return set(made)


@pytest.fixture
def study(tmp_path, monkeypatch):
    """A function that has the workflow make the plan of a study; returns the plan's path."""
    monkeypatch.chdir(tmp_path)

    def plan(name: str, **changes) -> Path:
        (tmp_path / "study.yaml").write_text(yaml.safe_dump(STUDY | changes))
        path = tmp_path / f"{name}.json"
        monkeypatch.setenv("GANAUG_PLAN", str(path))
        look(tmp_path, "--list-rules", "--configfile", "study.yaml")
        return path

    return plan


def below(folder: Path) -> set[Path]:
    """All files and links in a folder, or the file itself."""
    return {path for path in [folder, *folder.rglob("*")] if path.is_symlink() or not path.is_dir()}


def test_what_a_change_of_the_study_leaves_behind_is_found_exactly(study):
    """The whole layout, from the workflow's own rules: all files of a study, less those of the changed one."""
    everything = make_all(study("whole"))
    assert leftovers(read_plan(Path("whole.json"))) == ([], [])
    fewer = {"sizes": [20], "replicates": 1, "augmentations": ["none", "gan"], "backbones": ["resnet18"]}
    fewer |= {"synthetic": {"ratio_sweep": [2]}, "probes": {"border_only": False}}
    less = read_plan(study("less", **fewer))
    kept = make_all(Path("less.json")) & everything
    for own in below(less.results) - everything:
        own.unlink()
    found, _ = leftovers(less)
    assert kept and {file for leftover in found for file in below(leftover.path)} == everything - kept
    assert len(found) < len(everything - kept) / 4  # whole folders, where nothing in them belongs
    paths = {str(leftover.path.relative_to(less.results)) for leftover in found}
    assert {"cells/border-only", "cells/classical", "gan/size-10", "gan/size-20/replicate-2"} <= paths
    assert {"synthetic/size-20/replicate-1/ratio-0.5", "tables/shortcut.csv", "checkpoints/gan/size-10"} <= paths


@pytest.fixture
def lab(tmp_path, monkeypatch):
    """Results of one training and what a removed size has left."""
    monkeypatch.chdir(tmp_path)
    root = Path("results/lab")
    kept, gone = (job(root, "train_gan", size=size, replicate=1) for size in (20, 10))
    for made in (kept, gone):
        finish(made)
        attempt(made, "begun", outcome="done")
        touch(Path(made["checkpoints"]) / "0123456789abcdef" / "000000001000.pt")
    return root, kept, write_plan(root, [kept])


def test_deletion_takes_what_is_listed_and_nothing_else(lab, tmp_path, capsys):
    root, kept, plan = lab
    outside = tmp_path / "scratch/precious.bin"
    touch(outside)
    (root / "benchmarks").symlink_to(outside.parent)  # belongs, since the study writes there
    (root / "gan/size-10/replicate-1/link").symlink_to(outside.parent)
    (root / "gan/loose").symlink_to(outside)
    touch(root / "notes.txt")
    stays = {path for path in below(root) if "size-10" not in str(path) and path.name != "loose"}
    assert main(["list_leftovers", "--plan", str(plan)]) == 0
    told = capsys.readouterr().out
    assert "gan/size-10/  (3 files" in told and "gan/loose" in told and "left alone: notes.txt" in told
    assert "benchmarks" not in told and (root / "gan/size-10").is_dir()  # listing alone deletes nothing
    assert main(["list_leftovers", "--plan", str(plan), "--delete"]) == 0
    assert below(root) == stays and root / "benchmarks" in stays
    assert outside.is_file() and all(Path(output).is_file() for output in kept["outputs"])
    assert not list(root.rglob("size-10"))  # nor empty folders


def test_half_written_files_are_leftovers_once_nothing_is_at_work(lab):
    root, kept, plan = lab
    with pytest.raises(RuntimeError), written_whole(root / "gan/size-20/replicate-1/weights.bin") as temporary:
        raise RuntimeError
    touch(temporary)
    assert temporary in {leftover.path for leftover in leftovers(read_plan(plan))[0]}
    attempt(kept, "begun")  # on another machine: it may live
    assert temporary not in {leftover.path for leftover in leftovers(read_plan(plan))[0]}


def living_driver(root, kept, plan):
    return Driver(root, "a study", "local")


def dead_driver(root, kept, plan):
    write_dead_driver(root)


def running_job_of_a_removed_size(root, kept, plan):
    attempt(job(root, "train_gan", size=10, replicate=1), "begun", started=time.time())


def study_changed(root, kept, plan):
    Path("study.yaml").write_text("sizes: [10, 20]")
    write_plan(root, [kept], configs={"study.yaml": hashlib.sha256(b"sizes: [20]").hexdigest()})


@pytest.mark.parametrize("reason", [living_driver, dead_driver, running_job_of_a_removed_size, study_changed])
def test_nothing_is_deleted_while_something_may_be_at_work(lab, reason, capsys):
    root, kept, plan = lab
    kept_alive = reason(root, kept, plan)
    before = below(root)
    assert main(["list_leftovers", "--plan", str(plan), "--delete"]) == 1
    assert "nothing is deleted" in capsys.readouterr().err and below(root) == before
    del kept_alive


def test_thousands_stay_readable(lab):
    root, _, plan = lab
    for number in range(1000):
        touch(root / f"gan/size-20/replicate-1/old-{number}.csv")
    found, unknown = leftovers(read_plan(plan))
    text = report(read_plan(plan), found, unknown)
    assert len(text.splitlines()) < 40 and "and 993 more: 993 files, 9.9 kB (`-- --all` lists them)" in text
    assert len(report(read_plan(plan), found, unknown, everything=True).splitlines()) > 1000

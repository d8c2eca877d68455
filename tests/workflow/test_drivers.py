"""Snakemake's main process: started anew within a run, told to end, or in a folder that it can't write to."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from ganaug.attempts import here
from ganaug.drivers import Driver, lives, records
from helpers.disks import fill, make_read_only
from helpers.planned import write_dead_driver
from helpers.running import CLASSES, ROOT, dry_run, look, run, snakemake
from helpers.tiny import STUDY, command
from helpers.waiting import says, until

pytestmark = pytest.mark.slow
OTHER_SPLIT = STUDY | {"splits": {"test_share": 0.4, "validation_share": 0.3}}
RESULTS = Path("results/lab")
SUBSET = "results/lab/subsets/size-10/replicate-1"


def share(folder: Path) -> float:
    """Of the subset's validation images, as it was made."""
    return json.loads((folder / SUBSET / "provenance.json").read_text())["settings"]["validation_share"]


def test_relative_paths_hold_when_it_starts_anew(tmp_path):
    """--directory would be entered twice, and the program, like the settings, be looked for in it.

    Without the project's profile Snakemake has a lock of its own, which must not keep it from starting anew.
    """
    (tmp_path / "sub").mkdir()
    (tmp_path / "environment").symlink_to(Path(sys.executable).parent)
    for study in (STUDY, OTHER_SPLIT):
        (tmp_path / "study.yaml").write_text(yaml.safe_dump(study))
        start = ["environment/snakemake", "--snakefile", os.path.relpath(ROOT / "Snakefile", tmp_path)]
        start += ["--directory", "sub", "--configfile", "study.yaml", "--cores", "2", "--until", "check_leaks"]
        start += ["--workflow-profile", "none"]
        done = subprocess.run(start, cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    assert "first the subsets" in done.stdout and share(tmp_path / "sub") == 0.3
    assert not (tmp_path / "sub/sub").exists()
    assert not (tmp_path / "sub/.snakemake/locks").exists()  # it was there, and was taken away


def test_what_ended_without_a_driver_is_made_again_where_settings_have_changed(begun, monkeypatch):
    """As a job of SLURM that ends after its driver has died: done in the files, and not in Snakemake's books."""
    run(begun, STUDY, "--cleanup-metadata", *(f"{SUBSET}/{name}" for name in os.listdir(begun / SUBSET)))
    monkeypatch.chdir(begun)
    write_dead_driver(RESULTS)
    run(begun, OTHER_SPLIT, "--until", "check_leaks")
    assert share(begun) == 0.3 and not records(RESULTS)


@pytest.fixture
def making_first(begun):
    """A driver that makes what comes first, and the file that its output goes to."""
    log = begun / "driver.log"
    with open(log, "w") as file:
        process = subprocess.Popen(
            command(begun, OTHER_SPLIT, "--cores", "2"), cwd=begun, stdout=file, stderr=subprocess.STDOUT
        )
    try:
        until(says(log, "first the subsets"), process)
        yield process, log
    finally:
        process.kill()


def test_a_signal_ends_it_while_it_makes_what_comes_first(begun, making_first):
    process, log = making_first
    process.send_signal(signal.SIGTERM)
    assert process.wait(1500) != 0
    assert "ended by SIGTERM" in log.read_text() and "Traceback" not in log.read_text()
    assert not (begun / "results/lab/cells").exists()


def test_a_second_is_refused_while_the_first_lives_and_takes_over_once_that_is_killed(begun, making_first, monkeypatch):
    process, log = making_first
    until(lambda: "Building DAG" in log.read_text().partition("first the subsets")[2], process)
    second = subprocess.run(
        command(begun, OTHER_SPLIT, "--cores", "1", "--until", "check_leaks"), cwd=begun, capture_output=True, text=True
    )
    told = f"results/lab is being made already, by process {process.pid} on {here()}; wait for that process, or end it"
    assert second.returncode and told in second.stderr and "Traceback" not in second.stderr
    process.kill()
    process.wait()
    run(begun, OTHER_SPLIT, "--until", "check_leaks")  # it ends what that one has started
    assert share(begun) == 0.3
    monkeypatch.chdir(begun)
    assert not records(RESULTS)


LOOKS = [["-n"], ["--lint"], ["--list-rules"], ["--summary"]]


def files(folder: Path) -> dict[Path, tuple[bytes, int]]:
    """Content and time of every file below a folder, but for Snakemake's own notes of each run (iocache, log)."""
    found = [path for path in folder.rglob("*") if path.is_file() and path.parent.name not in ("iocache", "log")]
    return {path: (path.read_bytes(), path.lstat().st_mtime_ns) for path in found}


def test_who_only_looks_writes_and_deletes_nothing(begun, monkeypatch):
    """Beside a driver at work, one that has died, and a lock of Snakemake's own for another workflow in the folder."""
    monkeypatch.chdir(begun)
    write_dead_driver(RESULTS)
    driver = Driver(RESULTS, "a study", "local")
    Path(".snakemake/locks/0.output.lock").write_text("elsewhere/a.txt\n")
    before = files(begun)
    for how in LOOKS:
        look(begun, *how, "--cores", "2", "--configfile", "study.yaml")
        assert files(begun) == before, how
        assert lives(RESULTS), how
    driver.leave()


def test_who_only_looks_writes_in_an_empty_folder_what_is_asked_for_alone(tmp_path):
    """The file is an input of check_lineage, and Snakemake plans no job without its inputs.

    Raw images are looked at, too; what was found there is written down by a run.
    """
    for name in CLASSES:
        images = tmp_path / "raw" / name / "images"
        images.mkdir(parents=True)
        (images / f"{name}-1.png").write_bytes(b"")
    (tmp_path / "lab").mkdir()
    raw = STUDY | {"data": {"source": "radiography", "resolution": 16}, "data_root": str(tmp_path / "raw")}
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(raw))
    for how in LOOKS:
        look(tmp_path / "lab", *how, "--cores", "2", "--configfile", tmp_path / "study.yaml")
        assert {path.parent for path in files(tmp_path / "lab")} <= {tmp_path / "lab/.snakemake/asked/lab"}, how


@pytest.mark.parametrize("fault", [fill, make_read_only])
@pytest.mark.parametrize("used", [False, True])
def test_a_disk_that_can_not_be_written_to_is_told_in_words(disk, fault, used, request):
    """Before the first run in the folder, and where it has been used."""
    if used:
        subprocess.run(["mount", "-o", "remount,size=8m", str(disk)], check=True)
        shutil.copytree(request.getfixturevalue("begun"), disk, dirs_exist_ok=True)
    (disk / "study.yaml").write_text(yaml.safe_dump(STUDY))
    fault(disk)
    told = snakemake(disk, "--cores", "2", "--configfile", "study.yaml", fails=True)
    if fault is fill:
        assert "the disk is full" in told  # among what Snakemake says of its own log, for which there is no room
    else:
        assert "can't be written to: Read-only file system; make it" in told and "Traceback" not in told


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ({"data": STUDY["data"] | {"groups": "none.csv"}}, "data.groups: there is no file 'none.csv'"),
        ({"data": STUDY["data"] | {"groups": "/dev/zero"}}, "data.groups: there is no file '/dev/zero'"),
        ({"augmentations": ["none", "gan"], "gan": STUDY["gan"] | {"init_from": "a.pt"}}, "gan.init_from: there is no"),
        (
            {"weights": {"tf_efficientnet_lite0": {"source": "w.bin", "sha256": "0" * 64}}},
            "weights.tf_efficientnet_lite0.source: there is no file 'w.bin'",
        ),
    ],
)
def test_a_file_that_a_setting_names_and_that_is_not_there_is_told_with_the_setting(tmp_path, change, key):
    told = dry_run(tmp_path, study=STUDY | change, fails=True)
    assert key in told and "Traceback" not in told

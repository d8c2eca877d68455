"""Writers on a full disk, in a read-only folder, and after a kill."""

import logging
import os
import resource
import signal
import subprocess
import sys
import time

import matplotlib
import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from ganaug import files
from ganaug.checkpoint import Checkpoints
from ganaug.cli import main
from ganaug.errors import DiskFull, UserError
from helpers.disks import fill, make_read_only
from helpers.forks import end, fork
from helpers.running import ROOT
from helpers.trainings import contents, train_command

matplotlib.rcParams["svg.hashsalt"] = "ganaug"  # else every SVG has names of its own
SRC = ROOT / "src"
PIXELS = np.random.default_rng(0).integers(0, 256, (200, 400), np.uint8)


def draw(path):
    from matplotlib.figure import Figure

    figure = Figure()
    figure.subplots().plot(PIXELS[0])
    with files.written_whole(path) as temporary:
        figure.savefig(temporary, metadata={"Date": None} if path.suffix == ".svg" else {"Software": None})


def make_folder(path):
    with files.folder_written_whole(path) as folder:
        for name in ("a.png", "b.png"):
            Image.fromarray(PIXELS).save(folder / name)


def save_checkpoint(path):
    Checkpoints(path.parent).save(int(path.stem), {"weights": torch.from_numpy(PIXELS)})


WRITERS = {
    "a.txt": lambda path: files.write_text(path, "text"),
    "a.json": lambda path: files.write_json(path, {"a": [1, 2]}),
    "a.csv": lambda path: files.write_csv(path, pd.DataFrame(PIXELS)),
    "a.npy": lambda path: files.write_array(path, PIXELS),
    "a.safetensors": lambda path: files.write_tensors(path, {"a": torch.from_numpy(PIXELS)}),
    "a.png": draw,
    "a.svg": draw,
    "000000000008.pt": save_checkpoint,
    "folder": make_folder,
}


def tree(folder):
    """All files by name, with their bytes."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.mark.parametrize("name", WRITERS)
def test_a_full_disk_leaves_what_was_there_and_room_gives_the_same_bytes(disk, tmp_path, name, survived):
    write, target = WRITERS[name], disk / "results" / name
    target.parent.mkdir()
    if name == "folder":
        target.mkdir()
    old = (target / "old" if name == "folder" else target).write_bytes(b"old")
    filler = fill(disk)
    with pytest.raises(DiskFull, match=f"{name}.* can't be written: the disk is full"):
        write(target)
    assert [*tree(disk / "results").values()] == [b"old"] and old == 3  # and no temporary file
    filler.unlink()
    write(target)
    write(tmp_path / "elsewhere" / name)
    assert tree(disk / "results") == tree(tmp_path / "elsewhere")
    survived("a full disk under files of each kind")


@pytest.mark.parametrize("name", WRITERS)
def test_a_writer_killed_at_its_first_byte_leaves_nothing_that_the_next_does_not_remove(tmp_path, name):
    def write() -> int:
        signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_FSIZE, (1, 1))  # the second byte of a file kills
        WRITERS[name](tmp_path / "results" / name)
        return 0

    assert end(fork(write)) == -signal.SIGXFSZ
    assert not (tmp_path / "results" / name).exists()
    for folder in ("results", "elsewhere"):
        WRITERS[name](tmp_path / folder / name)
    assert tree(tmp_path / "results") == tree(tmp_path / "elsewhere")


@pytest.mark.parametrize("name", WRITERS)
def test_a_read_only_folder_is_named_with_what_to_do(disk, name):
    (disk / "results").mkdir()
    make_read_only(disk)
    for target in (disk / "results" / name, disk / "results" / "below" / name):
        with pytest.raises(UserError) as told:
            WRITERS[name](target)
        assert f"the folder {target.parent} can't be written to: Read-only file system; make it" in str(told.value)


def test_a_stage_on_a_full_or_read_only_disk_fails_with_a_message_and_then_goes_on(gan_inputs, disk, tmp_path, capsys):
    """Outputs, checkpoints and log are all there. A checkpoint that does not fit does not end the training."""
    short = {"kimg": 0.016, "snapshot_kimg": 1}
    assert main(train_command(gan_inputs, tmp_path / "whole", tmp_path / "c", **short)) == 0
    filler = fill(disk)
    command = train_command(gan_inputs, disk / "out", disk / "c", **short)
    assert main(command) == 1
    said = capsys.readouterr().err
    assert f"{disk}/out/generator.safetensors can't be written: the disk is full" in said and "Traceback" not in said
    assert said.count("log.txt can't be written: [Errno 28]") == 1  # the log's own trouble is told once
    assert {p.name for p in (disk / "out").iterdir()} <= {"log.txt", "log.attempts.jsonl"}
    assert not list((disk / "c").rglob("*.pt"))
    filler.unlink()
    logging.basicConfig(force=True)  # closes the log
    make_read_only(disk)
    assert main(command) == 1
    assert f"the folder {disk}/out can't be written to: Read-only file system" in capsys.readouterr().err
    subprocess.run(["mount", "-o", "remount,rw,size=4m", str(disk)], check=True)
    assert main(command) == 0
    assert contents(disk / "out") == contents(tmp_path / "whole")


def test_a_checkpoint_without_room_is_tried_again_and_reported_when_it_was_the_last_chance(disk, caplog):
    checkpoints = Checkpoints(disk / "c")
    checkpoints.save(8, {"a": torch.zeros(2)})
    filler = fill(disk)
    checkpoints.try_to_save(16, {"a": torch.zeros(2)})
    assert "the training goes on" in caplog.text and "000000000008.pt" in caplog.text
    told = str(checkpoints.stop("stopped at 3", 16, {"a": torch.zeros(2)}))
    assert "could not be saved" in told and "disk is full" in told and "000000000008.pt" in told
    assert [p.name for p in sorted((disk / "c").iterdir())] == ["000000000008.pt", "000000000008.pt.sha256"]
    filler.unlink()
    checkpoints.try_to_save(16, {"a": torch.zeros(2)})
    assert checkpoints.load_newest(16) is not None and len(list((disk / "c").glob("*.pt"))) == 2


def test_what_killed_writers_leave_is_removed_by_the_next(tmp_path):
    """But nothing of a living process, of another machine, or of another target."""
    script = """
import os, sys
from pathlib import Path
from ganaug import files
with files.written_whole(sys.argv[1]) as a, files.folder_written_whole(sys.argv[2]) as b:
    a.write_text("half"), (b / "half").write_text("half")
    print(flush=True)
    input()
"""
    command = [sys.executable, "-c", script, str(tmp_path / "a.csv"), str(tmp_path / "images")]
    process = subprocess.Popen(
        command, env={**os.environ, "PYTHONPATH": str(SRC)}, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    process.stdout.readline()
    left = {f".a.{files.HOST}-{process.pid}.csv", f".images.{files.HOST}-{process.pid}"}
    assert {p.name for p in tmp_path.iterdir()} == left
    files.write_text(tmp_path / "a.csv", "whole")
    assert left < {p.name for p in tmp_path.iterdir()}  # it is alive
    process.kill()
    process.wait()
    strangers = [tmp_path / ".a.elsewhere-1.csv", tmp_path / f".a.b.{files.HOST}-{process.pid}.csv"]
    for path in strangers:
        path.write_text("half")
    files.write_text(tmp_path / "a.csv", "whole")
    make_folder(tmp_path / "images")
    assert {p.name for p in tmp_path.iterdir()} == {"a.csv", "images", *(p.name for p in strangers)}
    old = time.time() - 2 * files.ABANDONED
    os.utime(strangers[0], (old, old))
    files.write_text(tmp_path / "a.csv", "whole")
    assert not strangers[0].exists()

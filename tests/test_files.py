"""Files are written whole or not at all, and read as they were written."""

import errno
import os

import numpy as np
import pandas as pd
import pytest
import torch

from ganaug import checkpoint, files
from ganaug.errors import DiskFull, UserError
from helpers.modes import other_modes


def test_a_failed_write_leaves_the_old_file(tmp_path):
    target = tmp_path / "table.csv"
    files.write_text(target, "old")
    with pytest.raises(RuntimeError), files.written_whole(target) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert target.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["table.csv"]


def test_a_failed_folder_leaves_the_old_folder(tmp_path):
    target = tmp_path / "images"
    with files.folder_written_whole(target) as temporary:
        (temporary / "a").write_text("old")
    with pytest.raises(RuntimeError), files.folder_written_whole(target) as temporary:
        (temporary / "b").write_text("half")
        raise RuntimeError
    assert [p.name for p in target.iterdir()] == ["a"]
    assert [p.name for p in tmp_path.iterdir()] == ["images"]


class OfALibrary(Exception):
    """A library's own error, with the system's number but not its words."""

    def __init__(self, number):
        super().__init__("the library's words")
        self.errno = number


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOSPC, errno.EDQUOT])
def test_a_librarys_error_of_the_disk_says_where_and_what_to_do(tmp_path, number):
    full = number in (errno.ENOSPC, errno.EDQUOT)
    words = "the disk is full" if full else "can't be written to: the library's words; make it writable"
    with pytest.raises(UserError, match=words) as told, files.disk_errors_explained(tmp_path / "table.csv"):
        raise OfALibrary(number)
    assert isinstance(told.value, DiskFull) == full and str(tmp_path) in str(told.value)


def test_other_errors_stay_as_they_are(tmp_path):
    with pytest.raises(OfALibrary), files.disk_errors_explained(tmp_path / "table.csv"):
        raise OfALibrary(errno.EIO)


def test_tables_keep_floats_and_names_that_look_missing(tmp_path):
    table = pd.DataFrame({"class": ["NA", "None", "x"], "value": [0.1 + 0.2, float("nan"), 1e-17]})
    files.write_csv(tmp_path / "t.csv", table)
    again = files.read_csv(tmp_path / "t.csv")
    assert list(again["class"]) == ["NA", "None", "x"]
    np.testing.assert_array_equal(again["value"], table["value"])


def test_arrays_are_memory_mapped(tmp_path):
    array = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    files.write_array(tmp_path / "a.npy", array)
    mapped = np.load(tmp_path / "a.npy", mmap_mode="r")
    assert isinstance(mapped, np.memmap)
    np.testing.assert_array_equal(mapped, array)


def test_images_can_be_read_from_a_copy_in_scratch(tmp_path, monkeypatch, caplog):
    array = np.arange(12, dtype=np.uint8).reshape(3, 2, 2)
    files.write_array(tmp_path / "a.npy", array)
    (tmp_path / "node").mkdir()
    monkeypatch.setenv("NODE_DISK", str(tmp_path / "node"))
    monkeypatch.setenv("GANAUG_SCRATCH", "$NODE_DISK")
    copy = files.open_array(tmp_path / "a.npy")
    (tmp_path / "a.npy").write_bytes(b"")  # in place: whoever mapped this very file would see it
    assert (copy == array).all() and not copy.flags.writeable
    assert not list((tmp_path / "node").iterdir())  # nothing to clean up
    files.write_array(tmp_path / "a.npy", array)
    monkeypatch.setenv("GANAUG_SCRATCH", str(tmp_path / "nowhere"))
    assert (files.open_array(tmp_path / "a.npy") == array).all() and "it is read where it is" in caplog.text


@pytest.mark.parametrize("umask", [0o022, 0o002, 0o077])
def test_every_file_and_folder_has_the_mode_of_the_users_umask(tmp_path, umask):
    before = os.umask(umask)
    try:
        files.write_tensors(tmp_path / "new" / "model.safetensors", {"weight": torch.zeros(3)})
        files.write_array(tmp_path / "new" / "images.npy", np.zeros(3))
        files.write_json(tmp_path / "new" / "a.json", {})
        checkpoint.Checkpoints(tmp_path / "checkpoints").save(1, {"weight": torch.zeros(3)})
        with files.folder_written_whole(tmp_path / "images") as temporary:
            files.write_tensors(temporary / "model.safetensors", {"weight": torch.zeros(3)})
    finally:
        os.umask(before)
    assert len(list(tmp_path.rglob("*"))) == 9
    assert other_modes(tmp_path, umask) == {}

"""Checkpoints that are broken, forged, or whose writer is killed."""

import hashlib
import os
import pickle
import random
import signal
import time

import pytest
import torch

from ganaug.checkpoint import Checkpoints
from helpers.forks import end, fork

BROKEN, KILLS = 60, 25


def state(position):
    return {"position": position, "tensor": torch.full((300,), float(position)), "rows": [{"loss": 0.5}]}


def broken(content: bytes, rng: random.Random) -> bytes:
    """Cut short, or with one bit changed."""
    place = rng.randrange(len(content))
    if rng.random() < 0.5:
        return content[:place]
    return content[:place] + bytes([content[place] ^ 1 << rng.randrange(8)]) + content[place + 1 :]


def test_any_truncation_or_flipped_bit_is_found_and_the_one_before_is_used(tmp_path, caplog, rng, survived):
    for number in range(BROKEN):
        checkpoints = Checkpoints(tmp_path / str(number))
        for position in (8, 16):
            checkpoints.save(position, state(position))
        newest = checkpoints.folder / ("000000000016.pt" if number % 6 else "000000000016.pt.sha256")
        newest.write_bytes(broken(newest.read_bytes().strip(), rng))
        caplog.clear()
        found = checkpoints.load_newest(100)
        assert found["position"] == 8 and torch.equal(found["tensor"], state(8)["tensor"]), number
        assert "000000000016.pt is broken; going back to the one before" in caplog.text
    survived("checkpoints cut off or with a flipped bit", BROKEN)


class Malicious:
    def __reduce__(self):
        return os.mkdir, ("was-here",)


@pytest.mark.parametrize("content", [b"", b"garbage", pickle.dumps(Malicious()), b"PK\x03\x04" + bytes(100)])
def test_a_file_that_pytorch_refuses_is_passed_over_though_its_checksum_is_right(
    tmp_path, caplog, monkeypatch, content
):
    monkeypatch.chdir(tmp_path)
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(8, state(8))
    (tmp_path / "000000000016.pt").write_bytes(content)
    (tmp_path / "000000000016.pt.sha256").write_text(hashlib.sha256(content).hexdigest() + "\n")
    assert checkpoints.load_newest(100)["position"] == 8
    assert "000000000016.pt can't be read" in caplog.text and not os.path.exists("was-here")


def test_a_lack_of_memory_is_no_broken_checkpoint(tmp_path, monkeypatch):
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(8, state(8))

    def load(*_, **__):
        raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes.")

    with monkeypatch.context() as patch, pytest.raises(RuntimeError, match="allocate"):
        patch.setattr(torch, "load", load)
        checkpoints.load_newest(100)
    assert checkpoints.load_newest(100)["position"] == 8


def save_on_and_on(checkpoints, first, told):
    for position in range(first, first + 100_000):
        checkpoints.save(position, state(position))
        os.write(told, f"{position}\n".encode())


def test_a_kill_while_saving_never_costs_more_than_that_checkpoint(tmp_path, rng, survived):
    """At random moments: within a file, between the checksum's rename and the file's, while old ones are deleted."""
    checkpoints = Checkpoints(tmp_path)
    reached = 0
    for _ in range(KILLS):
        reading, writing = os.pipe()
        child = fork(lambda first=reached + 1, to=writing: save_on_and_on(checkpoints, first, to))
        os.close(writing)
        first = os.read(reading, 6)  # once it has begun
        time.sleep(rng.uniform(0, 0.02))
        assert end(child, signal.SIGKILL) == -signal.SIGKILL
        told = first
        while more := os.read(reading, 4096):
            told += more
        os.close(reading)
        saved = int(told.split()[-1])
        found = checkpoints.load_newest(10**9)
        assert found["position"] in (saved, saved + 1)
        assert torch.equal(found["tensor"], torch.full((300,), float(found["position"])))
        assert not list(tmp_path.glob(".*")) and not list(tmp_path.glob("*.broken"))
        reached = found["position"]
    survived("SIGKILL of a process that does nothing but save", KILLS)


def test_saving_the_same_position_again_can_t_part_a_file_from_its_checksum(tmp_path):
    """A longer training begins with the checkpoint that a finished one has left, and may be killed at once."""
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(8, state(8))
    before = [(p.name, p.stat().st_ino) for p in sorted(tmp_path.iterdir())]
    checkpoints.save(8, state(8))
    assert [(p.name, p.stat().st_ino) for p in sorted(tmp_path.iterdir())] == before
    (tmp_path / "000000000008.pt").write_bytes(b"broken")
    checkpoints.save(8, state(8))
    assert checkpoints.load_newest(8)["position"] == 8

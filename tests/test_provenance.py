"""Inputs are compared with what the stage before wrote."""

import json
import platform
from pathlib import Path

import pytest

from ganaug import files, imports, provenance
from ganaug.cli import main
from ganaug.errors import UserError


def test_an_input_that_is_not_what_its_stage_wrote_is_named(tmp_path):
    images, made = tmp_path / "train.npy", tmp_path / "provenance.json"
    images.write_bytes(b"whole")
    files.write_json(made, {"stage": "make_subset", "outputs": {"results/x/train.npy": files.sha256_of(images)}})
    assert provenance.checked([images, tmp_path]) == {str(images): files.sha256_of(images), str(tmp_path): "folder"}
    images.write_bytes(b"whola")
    with pytest.raises(UserError, match=r"train.npy is not what make_subset wrote.*Delete it and run"):
        provenance.checked([images])
    made.unlink()
    assert provenance.checked([images])


def test_a_provenance_says_what_decided_the_bytes(tmp_path):
    """Code, settings, seed, threads and the CPU's model: with these the same machine makes the same bytes."""
    settings = {"images_per_class": 1, "resolution": 32}
    command = ["make_phantoms", "--settings", json.dumps(settings), "--seed", "5", "--threads", "2"]
    assert main([*command, "--out", str(tmp_path / "made"), "--provenance", str(tmp_path / "provenance.json")]) == 0
    record = files.read_json(tmp_path / "provenance.json")
    assert (record["settings"], record["seed"], record["threads"]) == (settings, 5, 2)
    assert record["code"] == imports.digest_of_stage("make_phantoms")
    assert record["machine"]["cpu"] == provenance.cpu_model() != ""
    if platform.system() == "Linux" and "model name" in (told := Path("/proc/cpuinfo").read_text()):
        assert record["machine"]["cpu"] in told

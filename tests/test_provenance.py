"""Inputs are compared with what the stage before wrote."""

import pytest

from ganaug import files, provenance
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

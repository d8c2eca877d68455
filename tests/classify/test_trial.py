"""A network that can't work is told in a sentence before anything costly; one that can leaves a file."""

import json

import pytest
import torch
from safetensors.torch import load_file
from timm.models import register_model

from ganaug.classify import trial
from ganaug.classify.networks import head_layers, pretrained
from ganaug.cli import main
from ganaug.errors import UserError
from ganaug.files import write_tensors
from helpers.networks import write_untrained

CPU = torch.device("cpu")


def settings(backbone, input_size=32, batch=4):
    return trial.Settings(backbone, input_size, batch, "float32", False, False)


def told(folder, backbone, **how) -> str:
    """What the user is told of a backbone with weights of its own, in one line."""
    with pytest.raises(UserError) as error:
        trial.check(settings(backbone, **how), write_untrained(folder, backbone), CPU)
    assert str(error.value).startswith(f"backbones: {backbone} ") and "\n" not in str(error.value)
    return str(error.value)


def test_a_backbone_that_works_leaves_what_was_tried(lite0, tmp_path):
    asked = {"backbone": "tf_efficientnet_lite0", "input_size": 64, "batch": 16}
    asked |= {"precision": "float32", "tf32": False, "cudnn_benchmark": False}
    command = ["check_backbone", "--settings", json.dumps(asked), "--device", "cpu", "--weights", str(lite0)]
    assert main([*command, "--report", str(tmp_path / "check.json"), "--log", str(tmp_path / "check.log")]) == 0
    assert json.loads((tmp_path / "check.json").read_text()) == asked


# A network with a position for each part of the image, and one with a table of distances.
@pytest.mark.parametrize("backbone", ["vit_tiny_patch16_224", "deit_tiny_distilled_patch16_224", "levit_128s"])
def test_a_backbone_of_one_input_size_is_told_with_that_size(backbone, tmp_path):
    message = told(tmp_path, backbone, input_size=64)
    assert "can't be trained on batches of 4 (classifier.batch) images of 64 x 64 pixels" in message
    assert message.endswith("write classifier.input_size: 224, or take another backbone")


@pytest.mark.slow
def test_images_that_are_too_small_are_told(tmp_path):
    message = told(tmp_path, "inception_v3", input_size=64)
    assert message.endswith("write classifier.input_size: 299, or take another backbone")


def test_batches_that_are_too_small_are_told(tmp_path):
    assert "write classifier.batch: 2" in told(tmp_path, "test_resnet", batch=1)


@pytest.mark.parametrize("backbone", ["levit_128s", "deit_tiny_distilled_patch16_224"])
def test_a_head_of_two_parts_starts_with_every_class_equally_likely(backbone, tmp_path):
    model = pretrained(backbone, write_untrained(tmp_path, backbone), 3, seed=1).eval()
    assert len(head_layers(model, backbone)) == 2
    assert model(torch.rand(1, 1, 224, 224)).count_nonzero() == 0
    trial.check(settings(backbone, input_size=224, batch=2), tmp_path / f"{backbone}.safetensors", CPU)


class Odd(torch.nn.Module):
    """A small network with a fault."""

    def __init__(self, fault, num_classes):
        super().__init__()
        self.fault, self.features, self.fc = fault, torch.nn.Linear(1, 8), torch.nn.Linear(8, num_classes)
        self.pretrained_cfg = {"mean": (0.5,), "std": (0.5,), "input_size": (3, 32, 32)}

    def get_classifier(self):
        return torch.nn.Identity() if self.fault == "no head" else self.fc

    def forward(self, x):
        features = self.features(x.mean((2, 3)))
        made = self.fc(features)
        if self.fault == "memory":
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 99 bytes.")
        faulty = {"tuple": (made, made), "map": made[..., None], "other": features[:, :2], "nan": made + torch.nan}
        return faulty.get(self.fault, made)


FAULT = {"next": ""}  # of the networks that are built next


@register_model
def odd_network(pretrained=False, num_classes=1000, **_):
    return Odd(FAULT["next"], num_classes)


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("no head", "has no classification layer that could be trained (timm's get_classifier gives Identity); take"),
        (
            "tuple",
            "gives a tuple of 2 in training, and not one number for each of 4 images and 2 classes; take another",
        ),
        ("map", "gives an array of 4 x 2 x 1 in training, and not one number for each of 4 images"),
        ("other", "the classification layer of odd_network gets no gradient of its loss; take another backbone"),
        ("nan", "gives no finite numbers (the training loss is nan at step 1); see whether weights.odd_network.source"),
        ("memory", "is too small to train odd_network on batches of 4 (classifier.batch) images of 32 x 32 pixels"),
    ],
)
def test_a_network_with_a_fault_is_told_in_a_sentence(fault, message, monkeypatch, tmp_path):
    monkeypatch.setitem(FAULT, "next", fault)
    monkeypatch.setattr(trial, "check_taken", lambda *_, **__: None)  # the network has none to take
    with pytest.raises(UserError) as error:
        trial.check(settings("odd_network"), tmp_path / "weights.safetensors", CPU)
    assert message in str(error.value) and "\n" not in str(error.value) and "odd_network" in str(error.value)


def test_weights_of_another_network_are_told(lite0, tmp_path):
    """timm takes of a file what has a name of the network's, and leaves the rest as drawn."""
    with pytest.raises(UserError, match=r"weights\.test_vit: \d+ of \d+ layers of test_vit are not among the weights"):
        trial.check(settings("test_vit"), write_untrained(tmp_path, "levit_128s"), CPU)
    state = load_file(lite0)
    write_tensors(tmp_path / "part.safetensors", {name: state[name] for name in list(state)[:100]})
    with pytest.raises(UserError, match=r"layers of tf_efficientnet_lite0 are not among the weights"):
        trial.check(settings("tf_efficientnet_lite0"), tmp_path / "part.safetensors", CPU)


def test_weights_that_are_no_numbers_are_told(lite0, tmp_path):
    state = load_file(lite0)
    state["conv_stem.weight"][0] = torch.nan
    write_tensors(tmp_path / "broken.safetensors", state)
    with pytest.raises(UserError, match=r"no finite numbers .*weights\.tf_efficientnet_lite0\.source"):
        trial.check(settings("tf_efficientnet_lite0"), tmp_path / "broken.safetensors", CPU)

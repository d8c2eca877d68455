"""Classifier networks: made from pretrained weights, saved with what is needed to use them, and asked."""

import json
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import torch
from safetensors import SafetensorError, safe_open

from ganaug.classify.image_sets import Batches, ImageSet
from ganaug.errors import UserError
from ganaug.files import write_tensors
from ganaug.seeding import derive_seed

SCORING_BATCH = {"cpu": 64, "cuda": 256}

Precision = Literal["float32", "bfloat16"]


def pretrained(backbone: str, weights: Path, classes: int, seed: int) -> torch.nn.Module:
    """A timm network for one grey channel with pretrained weights and a new, seeded classification layer.

    The first convolution's weights are summed over the three colours (timm's way), which is what a grey image in all
    three would give. Raises UserError where the weights are not this backbone's, or where it has no such layer.
    """
    import timm

    torch.manual_seed(derive_seed(seed, "initial weights"))
    try:
        model: Any = timm.create_model(  # a module and what timm adds to it
            backbone, pretrained=True, in_chans=1, num_classes=classes, pretrained_cfg_overlay={"file": str(weights)}
        )
    except (RuntimeError, KeyError) as error:
        raise UserError(f"{weights}: these are not the weights of timm's {backbone}: {error}") from error
    # timm draws the new layer's weights, for some backbones so wide that the first losses are many times ln(classes)
    # and a short training is spent on undoing them. From zero, every class starts equally likely.
    for layer in head_layers(model, backbone):
        torch.nn.init.zeros_(layer.weight)
        if layer.bias is not None:
            torch.nn.init.zeros_(layer.bias)
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            # Some backbones keep TensorFlow's 0.01, with which a short training is scored with ImageNet's statistics.
            module.momentum = 0.1
    return model


def head_layers(model: torch.nn.Module, backbone: str) -> list[torch.nn.Linear | torch.nn.Conv2d]:
    """The layers whose outputs are the logits: one, or as many as timm's classifier has parts, which it averages.

    Raises UserError where a part has none.
    """
    network: Any = model  # whose classifier timm tells
    classifier = network.get_classifier()
    parts = classifier if isinstance(classifier, tuple | list) else [classifier]
    found: list[torch.nn.Linear | torch.nn.Conv2d] = []
    for part in parts:
        modules = part.modules() if isinstance(part, torch.nn.Module) else []
        layers = [module for module in modules if isinstance(module, torch.nn.Linear | torch.nn.Conv2d)]
        if not layers:
            raise UserError(
                f"backbones: {backbone} has no classification layer that could be trained (timm's get_classifier gives "
                f"{type(part).__name__}); take another backbone"
            )
        found.append(layers[-1])
    return found


def save(path: Path, model: torch.nn.Module, backbone: str, classes: tuple[str, ...], input_size: int) -> None:
    """The weights as safetensors, with the network's backbone, classes and input size for `load`."""
    network = {"backbone": backbone, "classes": classes, "input_size": input_size}
    write_tensors(path, model.state_dict(), network=json.dumps(network))


def load(path: Path) -> tuple[torch.nn.Module, tuple[str, ...], int]:
    """(model, classes, input size) of a file written by `save`."""
    import timm

    try:
        with safe_open(path, "pt") as file:
            network = json.loads((file.metadata() or {}).get("network", "null"))
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no dict)
    except (SafetensorError, OSError) as error:
        raise UserError(f"{path} can't be read ({error}); delete it and run again") from None
    if network is None:
        raise UserError(f"{path} was not written by train_classifier of this version; delete it and run again")
    model = timm.create_model(network["backbone"], in_chans=1, num_classes=len(network["classes"]))
    model.load_state_dict(state)
    return model, tuple(network["classes"]), network["input_size"]


def network_input(model: torch.nn.Module, pixels: torch.Tensor) -> torch.Tensor:
    """Grey images, float32 [B, 1, S, S] in [0, 1], as the backbone saw colours in its pretraining, where the model is.

    Its mean and standard deviation are averaged over the colours.
    """
    config: Any = model.pretrained_cfg  # which timm adds to a module
    mean, std = (float(np.mean(config[key])) for key in ("mean", "std"))
    return ((pixels - mean) / std).to(next(model.parameters()).device, memory_format=torch.channels_last)


def outputs(model: torch.nn.Module, pixels: torch.Tensor, precision: Precision) -> torch.Tensor:
    """Logits, float32 [B, classes], of grey images as for `network_input`.

    precision: bfloat16 for autocast in all layers up to the pooling; what follows, weights and logits are float32, for
    8 bits would give many images the same probability.
    """
    images = network_input(model, pixels)
    if precision == "float32":
        return model(images)
    network: Any = model  # whose two halves timm adds to a module
    with torch.autocast(images.device.type, torch.bfloat16):
        features = network.forward_features(images)
    return network.forward_head(features.float())


@torch.inference_mode()
def logits(model: torch.nn.Module, images: Batches, precision: Precision) -> np.ndarray:
    """The model's outputs, float64 [N, classes], in evaluation mode. images: on the model's device."""
    model.eval()
    numbers, size = np.arange(len(images)), SCORING_BATCH[images.device.type]
    parts = [
        outputs(model, images.batch(numbers[start : start + size]), precision) for start in range(0, len(images), size)
    ]
    return torch.cat(parts).cpu().double().numpy()  # all at once: no batch waits for the one before


def probabilities(
    model: torch.nn.Module, images: ImageSet, input_size: int, precision: Precision = "float32"
) -> np.ndarray:
    """Softmax of the model's outputs, float64 [N, classes]; rows sum to 1."""
    batches = Batches(images, input_size, next(model.parameters()).device)
    return torch.softmax(torch.from_numpy(logits(model, batches, precision)), 1).numpy()


def predictions(images: ImageSet, probability: np.ndarray) -> pd.DataFrame:
    """image, label, predicted (class names), then a column `probability_<class>` per class."""
    names = np.array(images.classes, dtype=object)
    table = {"image": images.names, "label": names[images.labels], "predicted": names[probability.argmax(1)]}
    return pd.DataFrame(table | {f"probability_{name}": probability[:, i] for i, name in enumerate(names)})

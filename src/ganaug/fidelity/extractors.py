"""Networks whose features say how alike two sets of images are."""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

import numpy as np
import torch
from safetensors.torch import load_file

from ganaug.files import PythonFile, disk_errors_explained
from ganaug.gpu import send

INCEPTION = "inception-v3-compat"  # the network of the original FID, through torch-fidelity
BATCH = {"cpu": 32, "cuda": 256}


@dataclass(frozen=True)
class Extractor:
    """features: from uint8 [B, H, W] to float32 [B, D], both on the device."""

    features: Callable[[torch.Tensor], torch.Tensor]
    device: torch.device


def load_extractor(name: str, weights: Path, input_size: int, device: torch.device) -> Extractor:
    """The network of a name, on a device.

    `inception-v3-compat`: torch-fidelity's port of the original FID network, 2048 features; it scales images to 299
    itself. Else a timm network: features after its global pooling, of images scaled to `input_size`.
    """
    if name == INCEPTION:
        return _inception(weights, device)
    return _timm(name, weights, input_size, device)


def _inception(weights: Path, device: torch.device) -> Extractor:
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    # torch-fidelity reads torch's format; these are tensors.
    with disk_errors_explained(Path(tempfile.gettempdir())), tempfile.NamedTemporaryFile(suffix=".pth") as file:
        torch.save(load_file(weights), cast("IO[bytes]", PythonFile(file)))  # it asks for `write` and `flush` alone
        file.flush()
        network = FeatureExtractorInceptionV3(INCEPTION, ["2048"], feature_extractor_weights_path=file.name).to(device)
    return Extractor(lambda images: network(images[:, None].expand(-1, 3, -1, -1).contiguous())[0], device)


def _timm(name: str, weights: Path, input_size: int, device: torch.device) -> Extractor:
    import timm

    network = timm.create_model(name, pretrained=True, num_classes=0, pretrained_cfg_overlay={"file": str(weights)})
    network = network.to(device).eval()
    config: Any = network.pretrained_cfg  # which timm adds to a module
    mean, std = (torch.tensor(config[key], device=device).view(1, 3, 1, 1) for key in ("mean", "std"))

    def features(images: torch.Tensor) -> torch.Tensor:
        pixels = images[:, None].float() / 255
        size = (input_size, input_size)
        pixels = torch.nn.functional.interpolate(pixels, size, mode="bilinear", antialias=True).clamp(0, 1)
        return network((pixels - mean) / std)  # one grey channel against three means: [B, 3, S, S]

    return Extractor(features, device)


@torch.inference_mode()
def extract(extractor: Extractor, images: np.ndarray) -> torch.Tensor:
    """Features of an image set, uint8 [N, H, W] to float64 [N, D] on the CPU.

    On a GPU a batch waits for nothing; the features come back together.
    """
    size, device = BATCH[extractor.device.type], extractor.device
    batches = (torch.from_numpy(np.array(images[i : i + size])) for i in range(0, len(images), size))
    return torch.cat([extractor.features(send(batch, device)) for batch in batches]).cpu().double()

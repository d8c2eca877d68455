"""What gpu_classify.py's parts share: rows, the clock, and images, weights, generators and trainers made at random."""

import json
import sys
import time
from pathlib import Path

SOURCE = Path(__file__).parents[1] / "src"
sys.path.insert(0, str(SOURCE))
STARTED = time.perf_counter()

ARITHMETIC = {  # precision, tf32, cudnn_benchmark
    "float32": ("float32", False, False),
    "tf32": ("float32", True, False),
    "bfloat16": ("bfloat16", True, False),
    "bfloat16, cudnn_benchmark": ("bfloat16", True, True),
}
CLASSICAL = {"rotation_degrees": 10, "shift": 0.05, "zoom": 0.1, "brightness": 0.1}
AUGMENTATIONS = {
    **{"none": {}, "classical": CLASSICAL, "mixup": {"alpha": 0.2}, "cutmix": {"alpha": 1.0}, "trivialaugment": {}},
    "randaugment": {"operations": 2, "magnitude": 9},
}


def say(row: dict) -> None:
    print(json.dumps(row), flush=True)


def spent() -> float:
    return round(time.perf_counter() - STARTED, 2)


def now(device) -> float:
    """Seconds, once the device has done what it was given."""
    import torch

    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


def random_weights(folder: Path, backbone: str) -> Path:
    """A file as prepare_weights writes, of weights that nobody has trained."""
    import timm
    import torch

    from ganaug.files import write_tensors

    path = folder / f"{backbone}.safetensors"
    if not path.exists():
        torch.manual_seed(0)
        write_tensors(path, timm.create_model(backbone).state_dict(), weights="random")
    return path


def random_images(count: int, side: int, seed: int = 0, classes: int = 4):
    import numpy as np

    from ganaug.classify.image_sets import ImageSet

    images = np.random.default_rng(seed).integers(0, 256, (count, side, side), np.uint8)
    names = tuple(f"class {k}" for k in range(classes))
    return ImageSet(images, np.arange(count) % classes, names, tuple(f"{seed}-{i}" for i in range(count)))


def random_generator(resolution: int, channel_base: int, channel_max: int, latent: int):
    import torch

    from ganaug.stylegan2.generator import Architecture, Generator

    torch.manual_seed(0)
    a = Architecture(
        **{"resolution": resolution, "image_channels": 1, "class_count": 4, "latent": latent, "mapping_layers": 2},
        **{"channel_base": channel_base, "channel_max": channel_max},
    )
    return Generator(a).requires_grad_(False).eval()


def make_trainer(folder, backbone, device, images, validation, arithmetic="float32", augmentation="none", **changes):
    """A trainer of a new network. changes: of its settings, and `model` for a network that is there already."""
    import torch

    from ganaug.classify.networks import pretrained
    from ganaug.classify.trainer import Settings, Trainer
    from ganaug.gpu import set_arithmetic

    model = changes.pop("model", None)
    if model is None:
        model = pretrained(backbone, random_weights(folder, backbone), len(images.classes), 1)
        model = model.to(device).to(memory_format=torch.channels_last)
    precision, tf32, cudnn_benchmark = ARITHMETIC[arithmetic]
    set_arithmetic(tf32, cudnn_benchmark)
    settings = {
        **{"augmentation": augmentation, "augmentation_settings": AUGMENTATIONS[augmentation], "backbone": backbone},
        **{"input_size": 64, "epochs": 2, "steps_per_epoch": 3, "batch": 8, "learning_rate": 1e-4},
        **{"weight_decay": 0.01, "precision": precision, "tf32": tf32, "cudnn_benchmark": cudnn_benchmark},
    }
    return Trainer(model, images, validation, None, Settings(**settings | changes), 1)

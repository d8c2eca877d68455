"""Weights that nobody has trained, as prepare_weights writes them."""

from pathlib import Path

import timm
import torch

from ganaug.files import write_tensors


def write_untrained(folder: Path, name: str) -> Path:
    """A file with the weights that timm draws for a network."""
    torch.manual_seed(0)
    path = folder / f"{name}.safetensors"
    write_tensors(path, timm.create_model(name).state_dict())
    return path

"""Short trainings of a GAN, as stages in this process or in one of their own."""

import json
import os
import subprocess
import sys

import numpy as np
import torch

from ganaug.stylegan2.data import LabelledImages
from ganaug.stylegan2.settings import TrainingSettings
from ganaug.stylegan2.trainer import Trainer
from helpers.forks import stage_command
from helpers.running import ROOT

CPU = torch.device("cpu")
SETTINGS = {
    **{"kimg": 0.2, "batch": 8, "channel_base": 64, "channel_max": 8, "latent": 8, "mapping_layers": 2},
    **{"learning_rate": 0.0025, "r1_gamma": "auto", "ema_kimg": "auto", "ema_rampup": 0.05, "style_mixing": 0.9},
    **{"path_length_weight": 2.0, "ada_target": -1.0, "ada_kimg": 1.0, "mirror": True, "log_kimg": 0.05},
    **{"ada_pipeline": "bgc", "precision": "float32", "half_resolutions": 4, "tf32": False, "cudnn_benchmark": False},
    **{"snapshot_kimg": 0.06, "snapshot_images": 5, "checkpoint_seconds": 0.0},
}
# Two processes; the dashes keep torchrun from taking a stage's --log for a short form of its own options.
TORCHRUN = ("torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "--")
OUTPUTS = ("generator.safetensors", "training.csv", "snapshots.npy", "snapshots.csv")


def images_in_hand(n=30, size=8, classes=3, channels=None):
    shape = (n, size, size) if channels is None else (n, size, size, channels)
    images = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    return LabelledImages(images, np.arange(n) % classes, [f"class {k}" for k in range(classes)])


def trainer(**changes):
    data, part = changes.pop("data", images_in_hand()), changes.pop("part", None)
    return Trainer(data, TrainingSettings(**{**SETTINGS, **changes}), seed=1, device=CPU, part=part)


def train_command(folder, out, checkpoints, seed=1, **changes):
    out.mkdir(exist_ok=True)
    settings = {**SETTINGS, **changes}
    options = {"checkpoint-seconds": settings.pop("checkpoint_seconds"), "settings": json.dumps(settings)}
    options |= {"seed": seed, "threads": 1, "device": "cpu"}
    options |= {"log": out / "log.txt", "images": folder / "train.npy", "table": folder / "train.csv"}
    options |= {"generator": out / OUTPUTS[0], "training-log": out / OUTPUTS[1], "checkpoints": checkpoints}
    options |= {"snapshots": out / OUTPUTS[2], "snapshot-table": out / OUTPUTS[3]}
    return stage_command("train_gan", options)


def contents(folder):
    return {name: (folder / name).read_bytes() for name in OUTPUTS}


def start_process(command, launcher=()):
    """launcher: what follows `python -m` before the package's name."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    whole = [sys.executable, "-m", *launcher, "ganaug", *command]
    return subprocess.Popen(whole, env=environment, stderr=subprocess.DEVNULL)

"""Image sets that a small classifier can learn in a few steps, in memory and as files, and short trainings of it."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from ganaug import files
from ganaug.checkpoint import Checkpoints
from ganaug.classify import networks, trainer, training
from ganaug.classify.image_sets import ImageSet
from ganaug.cli import main
from ganaug.stopping import Steps, StopSignal
from helpers.forks import stage_command

BACKBONE = "tf_efficientnet_lite0"


def image_set(count, seed, classes=("a", "b")):
    """Bright squares at the left (a) or right (b) of noise."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % len(classes)
    images = rng.integers(0, 90, (count, 32, 32), np.uint8)
    for image, label in zip(images, labels, strict=True):
        top = rng.integers(0, 24)
        image[top : top + 8, 4 + 16 * label : 12 + 16 * label] += 140
    return ImageSet(images, labels, classes, tuple(f"{seed}-{i}" for i in range(count)))


def write_image_sets(folder: Path, **counts: int) -> dict[str, Path]:
    """Write an image set of so many images for each side; return train_classifier's options for the files."""
    options = {}
    for number, (side, count) in enumerate(counts.items(), 1):
        made = image_set(count, number)
        options |= {f"{side}-images": folder / f"{side}.npy", f"{side}-table": folder / f"{side}.csv"}
        files.write_array(options[f"{side}-images"], made.images)
        table = {"image": made.names, "class": np.array(made.classes)[made.labels], "label": made.labels}
        files.write_csv(options[f"{side}-table"], pd.DataFrame(table))
    return options


def settings(**changes):
    base = {"augmentation": "none", "augmentation_settings": {}, "backbone": BACKBONE, "input_size": 32, "epochs": 2}
    base |= {"steps_per_epoch": 3, "batch": 8, "learning_rate": 0.001, "weight_decay": 0.01}
    base |= {"precision": "float32", "tf32": False, "cudnn_benchmark": False}
    return trainer.Settings(**base | changes)


def fit(*arguments):
    """A trainer's model with the best epoch's weights, and the history; without checkpoints."""
    made = trainer.Trainer(*arguments)
    with StopSignal() as stop:
        training.train(made, Checkpoints(Path("nowhere")), 1e9, Steps(stop, made.step, made.state, False))
    history = made.take_best()
    return made.model, history


def trained(lite0, synthetic=None, seed=5, **changes):
    """Test probabilities and history of a small training."""
    torch.use_deterministic_algorithms(True)
    model = networks.pretrained(BACKBONE, lite0, 2, seed)
    chosen = settings(**changes)
    model, history = fit(model, image_set(20, 1), image_set(10, 2), synthetic, chosen, seed)
    return networks.probabilities(model, image_set(30, 3), chosen.input_size), history


def new_trainer(lite0, **changes):
    model = networks.pretrained(BACKBONE, lite0, 2, 1)
    return trainer.Trainer(model, image_set(20, 1), image_set(10, 2), None, settings(**changes), 1)


def run_stage(folder, lite0, augmentation, **more):
    """Runs train_classifier on sets whose only difference between classes lies in the middle."""
    chosen = settings(augmentation=augmentation, input_size=64, **more).__dict__
    predictions = folder / f"{augmentation}.csv"
    options = write_image_sets(folder, train=24, validation=12, test=30)
    options |= {"weights": lite0, "settings": json.dumps(chosen), "seed": 5, "checkpoints": folder / "c"}
    options |= {"model": folder / "model.safetensors", "history": folder / "history.csv", "predictions": predictions}
    assert main(stage_command("train_classifier", options)) == 0
    return pd.read_csv(predictions)

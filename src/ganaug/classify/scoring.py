"""Stage score_images: a trained classifier's predictions for another set of labelled images."""

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from ganaug.classify.image_sets import ImageSet
from ganaug.classify.networks import Precision, load, predictions, probabilities
from ganaug.device import pick_device
from ganaug.errors import UserError
from ganaug.files import open_array, read_csv, write_csv
from ganaug.gpu import check_precision, set_arithmetic
from ganaug.seeding import set_determinism

LESS_MEMORY = "lower classifier.input_size, or give the job more"


@dataclass(frozen=True)
class Settings:
    """precision, tf32, cudnn_benchmark: as the classifier was trained with."""

    precision: Precision = "float32"
    tf32: bool = False
    cudnn_benchmark: bool = False


def add_arguments(parser: argparse.ArgumentParser) -> None:
    inputs = parser.add_argument_group("inputs")
    inputs.add_argument("--model", type=Path, required=True, help="model.safetensors of train_classifier")
    inputs.add_argument("--images", type=Path, required=True, help="uint8 [N, H, W], .npy")
    inputs.add_argument("--table", type=Path, required=True, help="their image and class, .csv")
    outputs = parser.add_argument_group("outputs")
    outputs.add_argument("--predictions", type=Path, required=True)


def run(args: argparse.Namespace) -> None:
    settings = Settings(**args.settings)
    set_determinism(args.threads)
    set_arithmetic(settings.tf32, settings.cudnn_benchmark)
    device = pick_device(args.device)
    check_precision(settings.precision, device, "classifier.precision")
    model, classes, input_size = load(args.model)
    model = model.to(device).to(memory_format=torch.channels_last)
    images = labelled(args.images, args.table, classes)
    write_csv(args.predictions, predictions(images, probabilities(model, images, input_size, settings.precision)))


def labelled(images: Path, table: Path, classes: tuple[str, ...]) -> ImageSet:
    """An image set whose labels number the classifier's classes; it may lack some of them, but know no other."""
    rows = read_csv(table, dtype={"class": str, "image": str})
    unknown = sorted(set(rows["class"]) - set(classes))
    if unknown:
        raise UserError(
            f"{table}: the classifier does not know the class {unknown[0]!r}; it knows {', '.join(classes)}"
        )
    labels = rows["class"].map(classes.index).to_numpy(np.int64, copy=True)
    return ImageSet(open_array(images), labels, classes, tuple(rows["image"]))

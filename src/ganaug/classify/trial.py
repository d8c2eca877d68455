"""Stage check_backbone: a backbone takes one training step as the study will ask for it, before anything costly.

The network is built from its weights, trained on one batch of random grey images at the study's input size, scored,
written and read again. What fails is told in one sentence, with the setting and what to write instead.
"""

import argparse
import logging
import tempfile
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ganaug.classify.image_sets import ImageSet
from ganaug.classify.networks import Precision, head_layers, load, outputs, pretrained, probabilities, save
from ganaug.classify.trainer import Settings as TrainingSettings
from ganaug.classify.trainer import Trainer
from ganaug.device import pick_device
from ganaug.errors import NotFinite, UserError, first_line, out_of_memory
from ganaug.files import write_json
from ganaug.gpu import check_precision, set_arithmetic
from ganaug.pretrained_weights import check_taken
from ganaug.seeding import set_determinism

log = logging.getLogger("ganaug")
CLASSES = ("a", "b")  # what is tried does not depend on their number
ANOTHER = "take another backbone"


@dataclass(frozen=True)
class Settings:
    """Those of `trainer.Settings` that decide whether a training can work, and what memory it takes."""

    backbone: str
    input_size: int
    batch: int
    precision: Precision
    tf32: bool
    cudnn_benchmark: bool


def add_arguments(parser: argparse.ArgumentParser) -> None:
    inputs = parser.add_argument_group("inputs")
    inputs.add_argument("--weights", type=Path, required=True, help="pretrained weights of the backbone")
    outputs = parser.add_argument_group("outputs")
    outputs.add_argument("--report", type=Path, required=True, help="what has worked, .json")


def run(args: argparse.Namespace) -> None:
    settings = Settings(**args.settings)
    set_determinism(args.threads)
    set_arithmetic(settings.tf32, settings.cudnn_benchmark)
    device = pick_device(args.device)
    check_precision(settings.precision, device, "classifier.precision")
    check(settings, args.weights, device)
    write_json(args.report, asdict(settings))


def check(settings: Settings, weights: Path, device: torch.device) -> None:
    """Raises UserError that names the backbone, the setting and what to do, where a training could not work."""
    name, size, batch = settings.backbone, settings.input_size, settings.batch
    try:
        model = built(settings, weights)
        check_taken(name, weights, channels=1)
    except UserError:
        raise
    except Exception as error:
        log.info("what building %s failed with", name, exc_info=True)
        raise UserError(
            f"backbones: {name} can't be built as a classifier of grey images ({first_line(error)}); {ANOTHER}"
        ) from None
    try:
        try_out(model, settings, device)
    except UserError:
        raise
    except Exception as error:
        log.info("what training %s failed with", name, exc_info=True)
        told = first_line(error)
        if out_of_memory(error):
            raise UserError(
                f"backbones: memory is too small to train {name} on batches of {batch} (classifier.batch) images of "
                f"{size} x {size} pixels (classifier.input_size): {told}; lower one of the two"
            ) from None
        config: Any = model.pretrained_cfg  # which timm adds to a module
        what_to_do = advice(settings, config["input_size"][-1], weights, device)
        raise UserError(
            f"backbones: {name} can't be trained on batches of {batch} (classifier.batch) images of {size} x {size} "
            f"pixels (classifier.input_size): {told}; {what_to_do}"
        ) from None


def advice(settings: Settings, own_size: int, weights: Path, device: torch.device) -> str:
    """What to write instead, found by trying. own_size: of the images that the network was made for."""
    others = {
        f"write classifier.batch: 2, or {ANOTHER}": replace(settings, batch=max(2, settings.batch)),
        f"write classifier.input_size: {own_size}, or {ANOTHER}": replace(settings, input_size=own_size),
    }
    for words, other in others.items():
        if other != settings and works(other, weights, device):
            return words
    return ANOTHER


def works(settings: Settings, weights: Path, device: torch.device) -> bool:
    try:
        try_out(built(settings, weights), settings, device)
    except Exception:
        return False
    return True


def built(settings: Settings, weights: Path) -> torch.nn.Module:
    return pretrained(settings.backbone, weights, len(CLASSES), seed=0)


def try_out(model: torch.nn.Module, settings: Settings, device: torch.device) -> None:
    """One step of training, one validation, and the model written and read. Raises whatever goes wrong."""
    name, batch, size = settings.backbone, settings.batch, settings.input_size
    model = model.to(device).to(memory_format=torch.channels_last)
    images = random_images(max(batch, len(CLASSES)), size)
    with torch.no_grad():
        some = torch.from_numpy(images.images[:batch, None]).float() / 255
        check_output(name, outputs(model.train(), some, settings.precision), batch)
    trainer = Trainer(model, images, images, None, training(settings), seed=0)
    try:
        trainer.step()
        trainer.validate()
        trainer.check_finite()
    except NotFinite as error:
        raise UserError(
            f"backbones: {name} gives no finite numbers ({first_line(error).partition(';')[0]}); see whether "
            f"weights.{name}.source names whole weights, and whether classifier.precision: float32 helps"
        ) from None
    for layer in head_layers(model, name):
        if layer.weight.grad is None or not layer.weight.grad.any():
            raise UserError(f"backbones: the classification layer of {name} gets no gradient of its loss; {ANOTHER}")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "model.safetensors")
        save(file, model, name, CLASSES, size)
        again = load(file)[0].to(device)
    few = random_images(len(CLASSES), size)
    ours, theirs = (probabilities(network, few, size, settings.precision) for network in (model, again))
    if not np.allclose(ours, theirs, atol=1e-3):
        raise UserError(f"backbones: {name} scores otherwise once it has been written and read; {ANOTHER}")


def check_output(name: str, made: object, batch: int) -> None:
    """made: the network's output for a batch, which should be float [batch, classes]."""
    if not isinstance(made, torch.Tensor):
        found = f"a {type(made).__name__}" + (f" of {len(made)}" if isinstance(made, tuple | list) else "")
    elif made.shape != (batch, len(CLASSES)):
        found = f"an array of {' x '.join(map(str, made.shape))}"
    else:
        return
    raise UserError(
        f"backbones: {name} gives {found} in training, and not one number for each of {batch} images and "
        f"{len(CLASSES)} classes; {ANOTHER}"
    )


def random_images(count: int, size: int) -> ImageSet:
    """Noise, uint8 [count, size, size], in classes that alternate."""
    pixels = np.random.default_rng(0).integers(0, 256, (count, size, size), np.uint8)
    return ImageSet(pixels, np.arange(count) % len(CLASSES), CLASSES, tuple(map(str, range(count))))


def training(settings: Settings) -> TrainingSettings:
    """Of one step. What is not tried has values that do no harm."""
    return TrainingSettings(
        **asdict(settings),
        augmentation="none",
        augmentation_settings={},
        epochs=1,
        steps_per_epoch=1,
        learning_rate=1e-4,
        weight_decay=0.0,
    )

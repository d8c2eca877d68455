"""Stage train_classifier: one cell. Fine-tune a pretrained backbone, let validation pick the epoch, score the test set.

All augmentations of a (size, replicate, backbone) get the same seed. Initial weights, the number of optimiser steps,
the learning rates and the choice of the epoch are the same for all; steps are counted on the real images alone, so
synthetic images do not buy more of them.
"""

import argparse
import logging
from collections.abc import Callable
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path

import torch

from ganaug.checkpoint import Checkpoints, Timer, checkpoint_key
from ganaug.classify.augmentations import ALL
from ganaug.classify.image_sets import ImageSet
from ganaug.classify.networks import predictions, pretrained, probabilities, save
from ganaug.classify.trainer import Settings, Trainer
from ganaug.device import pick_device
from ganaug.errors import UserError
from ganaug.files import sha256_of, write_csv
from ganaug.gpu import check_precision, set_arithmetic
from ganaug.progress import Progress
from ganaug.seeding import set_determinism
from ganaug.stopping import Steps, Stopped, StopSignal, hear_signals_in_backward

log = logging.getLogger("ganaug")
HERE = Path(__file__).parent
# The code that decides what a training is at a given step: a change of other code does not begin it anew.
SOURCES = {*HERE.glob("*.py"), HERE.parent / "seeding.py", HERE.parent / "gpu.py"}
SOURCES -= {HERE / "scoring.py", HERE / "trial.py"}
LESS_MEMORY = "lower classifier.batch or classifier.input_size, or give the job more"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    inputs = parser.add_argument_group("inputs")
    for side in ("train", "validation", "test"):
        inputs.add_argument(f"--{side}-images", type=Path, required=True)
        inputs.add_argument(f"--{side}-table", type=Path, required=True)
    inputs.add_argument("--synthetic-images", type=Path, help="for augmentations that use synthetic images")
    inputs.add_argument("--synthetic-table", type=Path)
    inputs.add_argument("--weights", type=Path, required=True, help="pretrained weights of the backbone")
    outputs = parser.add_argument_group("outputs")
    outputs.add_argument("--model", type=Path, required=True)
    outputs.add_argument("--history", type=Path, required=True)
    outputs.add_argument("--predictions", type=Path, required=True)
    parser.add_argument("--checkpoints", type=Path, required=True, help="folder for checkpoints; none of the outputs")
    parser.add_argument("--checkpoint-seconds", type=float, default=600, help="between checkpoints")


def run(args: argparse.Namespace) -> Callable[[], None]:
    settings = Settings(**args.settings)
    set_determinism(args.threads)
    set_arithmetic(settings.tf32, settings.cudnn_benchmark)
    device = pick_device(args.device)
    check_precision(settings.precision, device, "classifier.precision")
    real, validation, test = (
        ImageSet.load(getattr(args, f"{side}_images"), getattr(args, f"{side}_table"))
        for side in ("train", "validation", "test")
    )
    augmentation = ALL[settings.augmentation]
    if augmentation.synthetic != bool(args.synthetic_images):
        raise UserError(f"augmentation {settings.augmentation!r} and --synthetic-images must both be there, or neither")
    synthetic = ImageSet.load(args.synthetic_images, args.synthetic_table) if args.synthetic_images else None

    if augmentation.region:
        region = augmentation.region(settings.augmentation_settings)
        real, validation, test = (images.changed(region) for images in (real, validation, test))
    model = pretrained(settings.backbone, args.weights, len(real.classes), args.seed)
    model = model.to(device).to(memory_format=torch.channels_last)  # a quarter less time on a CPU too
    trainer = Trainer(model, real, validation, synthetic, settings, args.seed)
    checkpoints = Checkpoints(args.checkpoints / checkpoint_key(identity(args, settings, device), SOURCES))
    with checkpoints.named_where_numbers_are_lost(), StopSignal() as stop:
        try:
            steps = Steps(stop, trainer.step, trainer.state, breakable=device.type == "cpu")
            train(trainer, checkpoints, args.checkpoint_seconds, steps)
            history = trainer.take_best()
            log.info("scoring %d test images", len(test.labels))
            with stop.at_once():
                scored = predictions(test, probabilities(model, test, settings.input_size, settings.precision))
        except Stopped:
            state = steps.whole_state()
            if steps.copy is not None:
                trainer.load_state(state)  # it was in the midst of a step
            trainer.check_finite()
            where = f"training stopped by a signal at step {state['done']}"
            raise checkpoints.stop(where, state["done"], state) from None
    write_csv(args.history, history)
    write_csv(args.predictions, scored)
    save(args.model, model, settings.backbone, real.classes, settings.input_size)
    return checkpoints.delete  # another number of epochs is another training from its first step on


def identity(args: argparse.Namespace, settings: Settings, device: torch.device) -> dict:
    """All that decides what a training is at a given step, but its code."""
    read = (
        "weights",
        *(f"{side}_{kind}" for side in ("train", "validation", "synthetic") for kind in ("images", "table")),
    )
    return {
        "settings": asdict(settings),
        "seed": args.seed,
        "threads": args.threads,
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
        "packages": {name: version(name) for name in ("numpy", "timm", "torchvision")},
        **{name: sha256_of(path) for name in read if (path := getattr(args, name))},
    }


def train(trainer: Trainer, checkpoints: Checkpoints, checkpoint_seconds: float, steps: Steps) -> None:
    """Trains to the end, from the newest checkpoint where there is one. Raises Stopped."""

    def save_state() -> None:
        trainer.check_finite()  # refuses to keep a state that has gone wrong
        checkpoints.try_to_save(trainer.done, trainer.state())

    if (found := checkpoints.load_newest(trainer.steps)) is not None:
        trainer.load_state(found)
        log.info("resuming at step %d", trainer.done)
    timer, stop = Timer(checkpoint_seconds), steps.stop
    if trainer.device.type == "cpu":  # on a GPU it is short
        hear_signals_in_backward(trainer.model.parameters())
    log.info("training for %d steps", trainer.steps)
    with Progress(trainer.steps, "training", "steps", initial=trainer.done) as progress:
        while True:
            if trainer.epoch_ends:
                with stop.at_once():
                    score = trainer.validate()
                trainer.end_epoch(score)
            if trainer.done == trainer.steps:
                break
            progress.update(1, loss=steps.run())
            stop.check()
            if timer.due():
                timer.call(save_state)

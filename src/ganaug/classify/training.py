"""Stage train_classifier: one cell. Fine-tune a pretrained backbone, let validation pick the epoch, score the test set.

All augmentations of a (size, replicate, backbone) get the same seed. Initial weights, the number of optimiser steps,
the learning rates and the choice of the epoch are the same for all; steps are counted on the real images alone, so
synthetic images do not buy more of them. The draws of batches, of transforms and of dropout have generators of their
own, so an augmentation that does nothing gives the very predictions of `none`.
"""

import argparse
import copy
import logging
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch.nn.functional import cross_entropy

from ganaug.classify.augmentations import ALL
from ganaug.classify.image_sets import ImageSet
from ganaug.classify.networks import logits, network_input, predictions, pretrained, probabilities, save
from ganaug.device import pick_device
from ganaug.errors import UserError
from ganaug.files import write_csv
from ganaug.progress import Progress
from ganaug.seeding import derive_seed, set_determinism

log = logging.getLogger("ganaug")
WARMUP = 0.1  # share of the steps in which the learning rate rises


@dataclass(frozen=True)
class Settings:
    """augmentation: its name. augmentation_settings: for its transform. backbone: its name in timm. input_size: pixels
    to which images are scaled. epochs, steps_per_epoch (None: one pass over the real training images), batch: the
    budget. learning_rate: AdamW's peak; linear warm-up, then a cosine to zero. weight_decay: AdamW's."""

    augmentation: str
    augmentation_settings: dict
    backbone: str
    input_size: int
    epochs: int
    steps_per_epoch: int | None
    batch: int
    learning_rate: float
    weight_decay: float


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


def run(args: argparse.Namespace) -> None:
    settings = Settings(**args.settings)
    set_determinism(args.threads)
    device = pick_device(args.device)
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
    model = model.to(device, memory_format=torch.channels_last)  # a quarter less time on a CPU too
    model, history = train(model, real, validation, synthetic, settings, args.seed)
    write_csv(args.history, history)
    write_csv(args.predictions, predictions(test, probabilities(model, test, settings.input_size)))
    save(args.model, model, settings.backbone, real.classes, settings.input_size)


def train(
    model: torch.nn.Module,
    real: ImageSet,
    validation: ImageSet,
    synthetic: ImageSet | None,
    settings: Settings,
    seed: int,
) -> tuple[torch.nn.Module, pd.DataFrame]:
    """(model with the weights of the best epoch, history). The best epoch has the lowest validation loss.

    The loss is cross-entropy with classes weighted by the inverse of their share among the real training images, so
    that an unbalanced set is trained and selected for all classes alike; in a balanced one all weights are 1.
    history: a row per epoch: epoch, step, learning_rate, train_loss, validation_loss, validation_balanced_accuracy,
    selected.
    """
    device = next(model.parameters()).device
    counts = np.bincount(real.labels, minlength=len(real.classes))
    weights = torch.tensor(counts.sum() / (len(counts) * counts), dtype=torch.float32, device=device)
    steps_per_epoch = settings.steps_per_epoch or math.ceil(len(real.labels) / settings.batch)
    steps = settings.epochs * steps_per_epoch
    augmentation = ALL[settings.augmentation]
    images = real if synthetic is None else real.joined(synthetic)
    images = images if augmentation.real else synthetic
    transform = augmentation.transform and augmentation.transform(settings.augmentation_settings)
    mix = augmentation.batch_transform
    mix = mix and mix(settings.augmentation_settings, len(real.classes))
    batches = batch_indices(len(images.labels), settings.batch, seed)
    optimiser = torch.optim.AdamW(model.parameters(), settings.learning_rate, weight_decay=settings.weight_decay)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: learning_rate_factor(step, steps))

    best_loss, best_weights, rows, losses = math.inf, None, [], []
    with Progress(steps, "training", "steps") as progress:
        for step in range(1, steps + 1):
            loss = _step(model, images, next(batches), transform, mix, settings, weights, optimiser, seed, step)
            if not math.isfinite(loss):
                raise UserError(f"the training loss is {loss} at step {step}; lower classifier.learning_rate")
            losses.append(loss)
            rate = schedule.get_last_lr()[0]
            schedule.step()
            progress.update(1, loss=loss)
            if step % steps_per_epoch == 0:
                score = _validate(model, validation, settings.input_size, weights)
                row = {"epoch": step // steps_per_epoch, "step": step, "learning_rate": rate}
                rows.append(row | {"train_loss": float(np.mean(losses))} | score)
                losses = []
                if score["validation_loss"] < best_loss:
                    best_loss, best_weights = score["validation_loss"], copy.deepcopy(model.state_dict())
    if best_weights is None:
        raise UserError("the validation loss was never finite; lower classifier.learning_rate")
    model.load_state_dict(best_weights)
    history = pd.DataFrame(rows)
    return model, history.assign(selected=history.index == history["validation_loss"].idxmin())


def learning_rate_factor(step: int, steps: int) -> float:
    """Of the peak, before step `step` (from 0) of `steps`: linear warm-up, then half a cosine towards zero."""
    warmup = max(1, round(WARMUP * steps))
    if step < warmup:
        return (step + 1) / warmup
    return 0.5 * (1 + math.cos(math.pi * (step - warmup + 1) / (steps - warmup + 1)))


def batch_indices(images: int, batch: int, seed: int):
    """Endless batches of image numbers: pass after pass over all images, each in a seeded order of its own."""
    waiting, passes = np.empty(0, np.int64), 0
    while True:
        while len(waiting) < batch:
            order = np.random.default_rng(derive_seed(seed, "order", number=passes)).permutation(images)
            waiting, passes = np.concatenate([waiting, order]), passes + 1
        yield waiting[:batch]
        waiting = waiting[batch:]


def _step(model, images, indices, transform, mix, settings, weights, optimiser, seed, step) -> float:
    """One optimiser step; returns the loss."""
    pixels = images.batch(indices, settings.input_size)
    if transform is not None:
        torch.manual_seed(derive_seed(seed, "transform", step=step))
        pixels = torch.stack([transform(image) for image in pixels])
    labels = torch.from_numpy(images.labels[indices])
    if mix is not None:
        torch.manual_seed(derive_seed(seed, "mix", step=step))
        pixels, labels = mix(pixels, labels)
    torch.manual_seed(derive_seed(seed, "dropout", step=step))
    model.train()
    loss = weighted_loss(model(network_input(model, pixels)), labels.to(weights.device), weights)
    optimiser.zero_grad(set_to_none=True)
    loss.backward()
    optimiser.step()
    return loss.item()


def weighted_loss(logits: torch.Tensor, labels: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """Cross-entropy of logits [B, C], classes weighted by [C]; labels int64 [B], or shares of the classes [B, C]."""
    if labels.ndim == 1:
        return cross_entropy(logits, labels, weights)
    # PyTorch divides by the number of images here, not by their weights as above.
    return cross_entropy(logits, labels, weights, reduction="sum") / (labels @ weights).sum()


def _validate(model, validation: ImageSet, input_size: int, weights: torch.Tensor) -> dict:
    scores = torch.from_numpy(logits(model, validation, input_size))
    labels = torch.from_numpy(validation.labels)
    right = (scores.argmax(1) == labels).double()
    recalls = [right[labels == label].mean().item() for label in labels.unique()]
    loss = cross_entropy(scores, labels, weights.cpu().double()).item()
    return {"validation_loss": loss, "validation_balanced_accuracy": float(np.mean(recalls))}

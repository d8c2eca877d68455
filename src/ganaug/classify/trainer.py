"""One step of a classifier's training, and all state that a step depends on.

The draws of batches, of transforms, of mixing and of dropout have generators of their own, made anew from the seed and
the step. So no generator's state is stored, a resumed training goes on exactly as it would have, and an augmentation
that does nothing gives the very predictions of `none`.
"""

import copy
import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from torch.nn.functional import cross_entropy

from ganaug.classify.augmentations import ALL
from ganaug.classify.image_sets import ImageSet
from ganaug.classify.networks import logits, network_input
from ganaug.errors import NotFinite
from ganaug.seeding import derive_seed

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


class Trainer:
    """A network in training: `step` trains on one batch, `validate` and `end_epoch` follow each epoch's last.

    The loss is cross-entropy with classes weighted by the inverse of their share among the real training images, so
    that an unbalanced set is trained and selected for all classes alike; in a balanced one all weights are 1.
    """

    def __init__(
        self,
        model: torch.nn.Module,
        real: ImageSet,
        validation: ImageSet,
        synthetic: ImageSet | None,
        settings: Settings,
        seed: int,
    ):
        self.model, self.validation, self.settings, self.seed = model, validation, settings, seed
        augmentation, classes = ALL[settings.augmentation], len(real.classes)
        counts = np.bincount(real.labels, minlength=classes)
        device = next(model.parameters()).device
        self.weights = torch.tensor(counts.sum() / (classes * counts), dtype=torch.float32, device=device)
        self.steps_per_epoch = settings.steps_per_epoch or math.ceil(len(real.labels) / settings.batch)
        self.steps = settings.epochs * self.steps_per_epoch
        images = real if synthetic is None else real.joined(synthetic)
        if not augmentation.real:
            if synthetic is None:
                raise ValueError(f"{settings.augmentation} trains on synthetic images alone, and there are none")
            images = synthetic
        self.images = images
        self.transform = augmentation.transform and augmentation.transform(settings.augmentation_settings)
        mix = augmentation.batch_transform
        self.mix = mix and mix(settings.augmentation_settings, classes)
        self.optimiser = torch.optim.AdamW(
            model.parameters(), settings.learning_rate, weight_decay=settings.weight_decay
        )
        self.schedule = torch.optim.lr_scheduler.LambdaLR(
            self.optimiser, lambda step: learning_rate_factor(step, self.steps)
        )
        self.batches = batch_indices(len(self.images.labels), settings.batch, seed)
        self.done = 0  # steps
        self.rate = math.nan  # of the last step
        self.losses: list[float] = []  # of this epoch
        self.rows: list[dict] = []
        self.best_loss = math.inf
        self.best_weights: dict | None = None

    @property
    def epoch_ends(self) -> bool:
        """Whether the epoch of the last step is over and not yet validated."""
        return self.done // self.steps_per_epoch > len(self.rows)

    def step(self) -> float:
        """One optimiser step; returns the loss. Raises NotFinite where that is no number."""
        settings, indices, step = self.settings, next(self.batches), self.done + 1
        pixels = self.images.batch(indices, settings.input_size)
        if self.transform is not None:
            torch.manual_seed(derive_seed(self.seed, "transform", step=step))
            pixels = torch.stack([self.transform(image) for image in pixels])
        labels = torch.from_numpy(self.images.labels[indices])
        if self.mix is not None:
            torch.manual_seed(derive_seed(self.seed, "mix", step=step))
            pixels, labels = self.mix(pixels, labels)
        torch.manual_seed(derive_seed(self.seed, "dropout", step=step))
        self.model.train()
        made = self.model(network_input(self.model, pixels))
        mean_loss = weighted_loss(made, labels.to(self.weights.device), self.weights)
        self.optimiser.zero_grad(set_to_none=True)
        mean_loss.backward()
        self.optimiser.step()
        if not math.isfinite(loss := mean_loss.item()):
            raise NotFinite(f"the training loss is {loss} at step {step}; lower classifier.learning_rate")
        self.losses.append(loss)
        self.rate = float(self.schedule.get_last_lr()[0])
        self.schedule.step()
        self.done = step
        return loss

    def validate(self) -> dict:
        """Loss and balanced accuracy for the validation images; changes nothing. Raises NotFinite."""
        scores = torch.from_numpy(logits(self.model, self.validation, self.settings.input_size))
        labels = torch.from_numpy(self.validation.labels)
        right = (scores.argmax(1) == labels).double()
        recalls = [right[labels == label].mean().item() for label in labels.unique()]
        loss = cross_entropy(scores, labels, self.weights.cpu().double()).item()
        if not math.isfinite(loss):
            raise NotFinite(f"the validation loss is {loss} at step {self.done}; lower classifier.learning_rate")
        return {"validation_loss": loss, "validation_balanced_accuracy": float(np.mean(recalls))}

    def end_epoch(self, score: dict) -> None:
        """score: of `validate`. The weights are kept where its loss is the lowest so far."""
        row = {"epoch": self.done // self.steps_per_epoch, "step": self.done, "learning_rate": self.rate}
        self.rows.append(row | {"train_loss": float(np.mean(self.losses))} | score)
        self.losses = []
        if score["validation_loss"] < self.best_loss:
            self.best_loss, self.best_weights = score["validation_loss"], copy.deepcopy(self.model.state_dict())

    def take_best(self) -> pd.DataFrame:
        """Gives the model the weights of the best epoch; returns the history.

        A row per epoch: epoch, step, learning_rate, train_loss, validation_loss, validation_balanced_accuracy,
        selected.
        """
        if self.best_weights is None:
            raise ValueError("no epoch has ended")
        self.model.load_state_dict(self.best_weights)
        history = pd.DataFrame(self.rows)
        return history.assign(selected=history.index == history["validation_loss"].idxmin())

    def check_finite(self) -> None:
        """Raises NotFinite where a weight or an optimiser's moment is."""
        moments = [value for state in self.optimiser.state.values() for value in state.values()]
        for name, values in (("weights", self.model.state_dict().values()), ("optimiser's moments", moments)):
            if not all(torch.isfinite(value).all() for value in values):
                raise NotFinite(
                    f"the classifier's {name} are not finite at step {self.done}; lower classifier.learning_rate"
                )

    def state(self) -> dict:
        """All that a later step depends on: tensors and plain values."""
        plain = {name: getattr(self, name) for name in ("done", "rate", "losses", "rows", "best_loss", "best_weights")}
        parts = {name: getattr(self, name).state_dict() for name in ("model", "optimiser", "schedule")}
        return plain | parts

    def load_state(self, state: dict) -> None:
        """Takes over what `state` returned, loaded to any device."""
        for name in ("done", "rate", "losses", "rows", "best_loss", "best_weights"):
            setattr(self, name, state[name])
        for name in ("model", "optimiser", "schedule"):
            getattr(self, name).load_state_dict(state[name])
        self.batches = batch_indices(len(self.images.labels), self.settings.batch, self.seed)
        for _ in range(self.done):
            next(self.batches)


def learning_rate_factor(step: int, steps: int) -> float:
    """Of the peak, before step `step` (from 0) of `steps`: linear warm-up, then half a cosine towards zero."""
    warmup = max(1, round(WARMUP * steps))
    if step < warmup:
        return (step + 1) / warmup
    return 0.5 * (1 + math.cos(math.pi * (step - warmup + 1) / (steps - warmup + 1)))


def batch_indices(images: int, batch: int, seed: int) -> Iterator[np.ndarray]:
    """Endless batches of image numbers: pass after pass over all images, each in a seeded order of its own."""
    waiting, passes = np.empty(0, np.int64), 0
    while True:
        while len(waiting) < batch:
            order = np.random.default_rng(derive_seed(seed, "order", number=passes)).permutation(images)
            waiting, passes = np.concatenate([waiting, order]), passes + 1
        yield waiting[:batch]
        waiting = waiting[batch:]


def weighted_loss(logits: torch.Tensor, labels: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """Cross-entropy of logits [B, C], classes weighted by [C]; labels int64 [B], or shares of the classes [B, C]."""
    if labels.ndim == 1:
        return cross_entropy(logits, labels, weights)
    # PyTorch divides by the number of images here, not by their weights as above.
    return cross_entropy(logits, labels, weights, reduction="sum") / (labels @ weights).sum()

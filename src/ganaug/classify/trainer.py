"""One step of a classifier's training, and all state that a step depends on.

The draws of batches, of transforms, of mixing and of dropout have generators of their own, made anew from the seed and
the step; all but those of dropout are made on the CPU. So no generator's state is stored, a resumed training goes on
exactly as it would have, and an augmentation that does nothing gives the very predictions of `none`.

On a GPU no step waits for the one before: images are there already or come through pinned memory, and losses stay there
until they are looked at.
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
from ganaug.classify.image_sets import Batches, ImageSet
from ganaug.classify.networks import Precision, logits, outputs
from ganaug.errors import NotFinite
from ganaug.gpu import send
from ganaug.seeding import derive_seed

WARMUP = 0.1  # share of the steps in which the learning rate rises
LOOKS = {"cpu": 1, "cuda": 16}  # steps after which losses are looked at, for which a GPU's queue must run empty


@dataclass(frozen=True)
class Settings:
    """augmentation: its name. augmentation_settings: for its transform. backbone: its name in timm. input_size: pixels
    to which images are scaled. epochs, steps_per_epoch (None: one pass over the real training images), batch: the
    budget. learning_rate: AdamW's peak; linear warm-up, then a cosine to zero. weight_decay: AdamW's. precision: as in
    `networks.outputs`. tf32, cudnn_benchmark: as in `gpu.set_arithmetic`."""

    augmentation: str
    augmentation_settings: dict
    backbone: str
    input_size: int
    epochs: int
    steps_per_epoch: int | None
    batch: int
    learning_rate: float
    weight_decay: float
    precision: Precision
    tf32: bool
    cudnn_benchmark: bool


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
        device = self.device = next(model.parameters()).device
        self.weights = torch.tensor(counts.sum() / (classes * counts), dtype=torch.float32, device=device)
        self.steps_per_epoch = settings.steps_per_epoch or math.ceil(len(real.labels) / settings.batch)
        self.steps = settings.epochs * self.steps_per_epoch
        images = real if synthetic is None else real.joined(synthetic)
        if not augmentation.real:
            if synthetic is None:
                raise ValueError(f"{settings.augmentation} trains on synthetic images alone, and there are none")
            images = synthetic
        self.labels = images.labels
        self.transform = augmentation.transform and augmentation.transform(settings.augmentation_settings)
        mix = augmentation.batch_transform
        self.mix = mix and mix(settings.augmentation_settings, classes)
        # A transform of single images would keep a GPU waiting at every one of its operations.
        self.images = Batches(images, settings.input_size, torch.device("cpu") if self.transform else device)
        self.validation_images = Batches(validation, settings.input_size, device)
        self.optimiser = torch.optim.AdamW(
            model.parameters(),
            settings.learning_rate,
            weight_decay=settings.weight_decay,
            fused=True if device.type == "cuda" else None,  # one kernel for all weights
        )
        self.schedule = torch.optim.lr_scheduler.LambdaLR(
            self.optimiser, lambda step: learning_rate_factor(step, self.steps)
        )
        self.batches = batch_indices(len(self.labels), settings.batch, seed)
        self.done = 0  # steps
        self.rate = math.nan  # of the last step
        self.losses = torch.zeros(self.steps_per_epoch, device=device)  # of this epoch
        self.looked = 0  # at so many of them
        self.loss = math.nan  # the newest that was looked at
        self.rows: list[dict] = []
        self.best_loss = math.inf
        self.best_weights: dict | None = None

    @property
    def epoch_ends(self) -> bool:
        """Whether the epoch of the last step is over and not yet validated."""
        return self.done // self.steps_per_epoch > len(self.rows)

    def step(self) -> float:
        """One optimiser step; returns the newest loss that is known: this step's on a CPU, an older one's on a GPU.

        Raises NotFinite where a loss is no number: before an epoch ends with it, and before `check_finite` returns.
        """
        settings, indices, step = self.settings, next(self.batches), self.done + 1
        pixels, labels = self.images.batch(indices), torch.from_numpy(self.labels[indices])
        if self.transform is not None:
            torch.manual_seed(derive_seed(self.seed, "transform", step=step))
            pixels = send(torch.stack([self.transform(image) for image in pixels]), self.device)
        if self.mix is not None:
            torch.manual_seed(derive_seed(self.seed, "mix", step=step))
            pixels, labels = self.mix(pixels, labels)
        torch.manual_seed(derive_seed(self.seed, "dropout", step=step))
        self.model.train()
        made = outputs(self.model, pixels, settings.precision)
        mean_loss = weighted_loss(made, send(labels, self.device), self.weights)
        self.optimiser.zero_grad(set_to_none=True)
        mean_loss.backward()
        self.optimiser.step()
        self.losses[(step - 1) % self.steps_per_epoch] = mean_loss.detach()
        self.rate = float(self.schedule.get_last_lr()[0])
        self.schedule.step()
        self.done = step
        if self.epoch_ends or step % LOOKS[self.device.type] == 0 or math.isnan(self.loss):
            self.look()
        return self.loss

    def look(self) -> None:
        """Raises NotFinite where a loss of this epoch that was not looked at yet is no number."""
        before = len(self.rows) * self.steps_per_epoch  # steps of the epochs that have ended
        losses = self.losses[self.looked : self.done - before].tolist()
        for step, loss in enumerate(losses, before + self.looked + 1):
            if not math.isfinite(loss):
                raise NotFinite(f"the training loss is {loss} at step {step}; lower classifier.learning_rate")
            self.loss = loss
        self.looked += len(losses)

    def validate(self) -> dict:
        """Loss and balanced accuracy for the validation images; changes nothing. Raises NotFinite."""
        scores = torch.from_numpy(logits(self.model, self.validation_images, self.settings.precision))
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
        self.rows.append(row | {"train_loss": float(np.mean(self.losses.tolist()))} | score)
        self.looked = 0
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
        """Raises NotFinite where a loss, a weight or an optimiser's moment is."""
        self.look()
        moments = [value for state in self.optimiser.state.values() for value in state.values()]
        for name, values in (("weights", self.model.state_dict().values()), ("optimiser's moments", moments)):
            finite = [torch.isfinite(value).all() for value in values]
            if finite and not torch.stack(finite).all():
                raise NotFinite(
                    f"the classifier's {name} are not finite at step {self.done}; lower classifier.learning_rate"
                )

    def state(self) -> dict:
        """All that a later step depends on: tensors and plain values."""
        plain = {name: getattr(self, name) for name in ("done", "rate", "rows", "best_loss", "best_weights")}
        parts = {name: getattr(self, name).state_dict() for name in ("model", "optimiser", "schedule")}
        return plain | parts | {"losses": self.losses}

    def load_state(self, state: dict) -> None:
        """Takes over what `state` returned, loaded to any device."""
        for name in ("done", "rate", "rows", "best_loss", "best_weights"):
            setattr(self, name, state[name])
        self.losses = state["losses"].to(self.device)
        self.looked = 0
        for name in ("model", "optimiser", "schedule"):
            getattr(self, name).load_state_dict(state[name])
        self.batches = batch_indices(len(self.labels), self.settings.batch, self.seed)
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

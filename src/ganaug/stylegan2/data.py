"""Images in hand for a GAN: uint8 arrays and labels in, normalised batches out."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ganaug.errors import UserError
from ganaug.files import open_array, read_csv
from ganaug.gpu import hold, send
from ganaug.seeding import derive_seed


@dataclass(frozen=True)
class LabelledImages:
    """images: uint8 [N, H, H] grey or [N, H, H, 3] colour; labels: int64 [N]; class_names in order of label."""

    images: np.ndarray
    labels: np.ndarray
    class_names: list[str]

    @property
    def channels(self) -> int:
        return 1 if self.images.ndim == 3 else self.images.shape[3]

    @property
    def class_count(self) -> int:
        """Number of classes to condition on: none where there is only one."""
        return len(self.class_names) if len(self.class_names) > 1 else 0


def read_classes(table_path: Path) -> tuple[np.ndarray, list[str]]:
    """Labels int64 [N] and class names in order of label from a table with columns `class` and `label`."""
    table = read_csv(table_path, dtype={"class": str, "label": int})
    names = table[["class", "label"]].drop_duplicates().sort_values("label")
    if list(names["label"]) != list(range(len(names))) or names["class"].duplicated().any():
        raise UserError(f"{table_path}: labels must count 0, 1, … without a gap, one class each; make the subset again")
    return table["label"].to_numpy(np.int64, copy=True), list(names["class"])


def read_images(images_path: Path, table_path: Path) -> LabelledImages:
    """Images, uint8 [N, H, H] or [N, H, H, 3], with their labels. Raises UserError where these do not fit together."""
    images = open_array(images_path)
    labels, names = read_classes(table_path)
    channels = images.shape[3:]
    if images.dtype != np.uint8 or images.ndim < 3 or channels not in ((), (3,)) or images.shape[1] != images.shape[2]:
        raise UserError(f"{images_path}: square uint8 images needed, this holds {images.dtype} {images.shape}")
    if len(images) != len(labels):
        raise UserError(
            f"{images_path} has {len(images)} images, {table_path} {len(labels)} rows; make the subset again"
        )
    return LabelledImages(images, labels, names)


class Stream:
    """Endless order of training images: every epoch a new permutation, a function of seed and position alone.

    On a GPU all images are held there where they fit, else every batch is read from their file.
    """

    def __init__(self, data: LabelledImages, seed: int, mirror: bool, device: torch.device):
        self.data, self.seed, self.mirror, self.device = data, seed, mirror, device
        self.held = hold(data.images, device)
        self.epoch, self.order = -1, np.empty(0, np.int64)

    def batch(self, position: int, count: int) -> tuple[Tensor, Tensor]:
        """Images float32 [count, C, H, H] in [-1, 1] and labels int64 [count], from `position` images on."""
        index = np.array([self._index(i) for i in range(position, position + count)])
        images = self._sent(self.data.images[index]) if self.held is None else self.held[self._sent(index)]
        if self.mirror:
            drawn = np.random.default_rng(derive_seed(self.seed, "mirror", images=position)).random(count) < 0.5
            flips = self._sent(drawn).reshape(-1, *[1] * (images.ndim - 1))
            images = torch.where(flips, images.flip(2), images)
        return to_float(images), self._sent(self.data.labels[index])

    def _sent(self, values: np.ndarray) -> Tensor:
        return send(torch.from_numpy(values), self.device)

    def _index(self, position: int) -> int:
        epoch, place = divmod(position, len(self.data.labels))
        if epoch != self.epoch:
            rng = np.random.default_rng(derive_seed(self.seed, "order", epoch=epoch))
            self.epoch, self.order = epoch, rng.permutation(len(self.data.labels))
        return self.order[place]


def to_float(images: Tensor) -> Tensor:
    """uint8 [N, H, W] or [N, H, W, C] -> float32 [N, C, H, W] in [-1, 1]."""
    x = images.float() / 127.5 - 1
    return x[:, None] if x.ndim == 3 else x.permute(0, 3, 1, 2).contiguous()


def to_uint8(images: Tensor) -> np.ndarray:
    """float [N, C, H, W], nominally in [-1, 1] -> uint8 [N, H, W] for one channel, else [N, H, W, C]."""
    x = (images.float() * 127.5 + 128).clamp(0, 255).to(torch.uint8).cpu().numpy()
    return x[:, 0] if x.shape[1] == 1 else np.ascontiguousarray(x.transpose(0, 2, 3, 1))

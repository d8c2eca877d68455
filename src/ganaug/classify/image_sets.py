"""Labelled images on disk, as batches for a network."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from ganaug.errors import UserError
from ganaug.files import open_array, read_csv
from ganaug.gpu import hold, send


@dataclass(frozen=True)
class ImageSet:
    """images: uint8 [N, H, W], memory-mapped. labels: int64 [N]. classes: names by label. names: of the images."""

    images: np.ndarray
    labels: np.ndarray
    classes: tuple[str, ...]
    names: tuple[str, ...]

    @classmethod
    def load(cls, images: Path, table: Path) -> "ImageSet":
        array = open_array(images)
        rows = read_csv(table, dtype={"class": str, "image": str})
        if len(array) != len(rows):
            raise UserError(f"{images} has {len(array)} images, {table} {len(rows)} rows; delete both and run again")
        by_label: dict[int, str] = dict(sorted(rows[["label", "class"]].drop_duplicates().itertuples(index=False)))
        return cls(array, rows["label"].to_numpy(np.int64, copy=True), tuple(by_label.values()), tuple(rows["image"]))

    def joined(self, other: "ImageSet") -> "ImageSet":
        """Both sets as one, this one first; their classes must be the same."""
        if self.classes != other.classes:
            raise UserError(f"the synthetic images have the classes {other.classes}, the real ones {self.classes}")
        images = np.concatenate([self.images, other.images])
        return ImageSet(images, np.concatenate([self.labels, other.labels]), self.classes, self.names + other.names)

    def changed(self, change: Callable[[np.ndarray], np.ndarray]) -> "ImageSet":
        """With other pixels, from a function of images, uint8 [N, H, W]."""
        return ImageSet(change(self.images), self.labels, self.classes, self.names)


class Batches:
    """The images of a set as a network's batches on a device: held there where they fit, else read from their file."""

    def __init__(self, images: ImageSet, size: int, device: torch.device):
        self.images, self.size, self.device = images.images, size, device
        self.held = hold(self.images, device)

    def __len__(self) -> int:
        return len(self.images)

    def batch(self, indices: np.ndarray) -> torch.Tensor:
        """Images as float32 [B, 1, size, size] in [0, 1], scaled with antialiased bilinear interpolation.

        indices: int64 [B]. On a GPU the CPU does not wait for them.
        """
        if self.held is None:
            chosen = send(torch.from_numpy(np.ascontiguousarray(self.images[indices])), self.device)
        else:
            chosen = self.held[send(torch.from_numpy(indices), self.device)]
        pixels = chosen[:, None].float() / 255
        if pixels.shape[-1] == self.size:
            return pixels
        return torch.nn.functional.interpolate(pixels, (self.size, self.size), mode="bilinear", antialias=True)

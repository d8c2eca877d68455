"""Features of labelled images."""

from dataclasses import dataclass

import numpy as np
import torch


@dataclass(frozen=True)
class Features:
    """values: float64 [N, D]. labels: class names, text [N]."""

    values: torch.Tensor
    labels: np.ndarray

    def of_class(self, name: str) -> "Features":
        return self.chosen(np.flatnonzero(self.labels == name))

    def shared_like(self, other: "Features", most: int, seed: int) -> "Features":
        """A seeded draw of at most `most` images whose classes have the shares that they have in `other`."""
        names, wanted = np.unique(other.labels, return_counts=True)
        there = np.array([(self.labels == name).sum() for name in names])
        factor = min(most / wanted.sum(), (there / wanted).min())
        rng = np.random.default_rng(seed)
        drawn = [
            rng.choice(np.flatnonzero(self.labels == name), int(factor * count + 1e-9), replace=False)
            for name, count in zip(names, wanted, strict=True)
        ]
        return self.chosen(np.sort(np.concatenate(drawn)))

    def chosen(self, numbers: np.ndarray) -> "Features":
        return Features(self.values[torch.from_numpy(numbers)], self.labels[numbers])


def equal_draws(a: Features, b: Features, seed: int) -> tuple[Features, Features]:
    """As many of each class from both: of every class all of the fewer, and a seeded draw of the others."""
    rng = np.random.default_rng(seed)
    chosen: tuple[list[np.ndarray], list[np.ndarray]] = ([], [])
    for name in np.unique(np.concatenate([a.labels, b.labels])):
        numbers = [np.flatnonzero(side.labels == name) for side in (a, b)]
        count = min(map(len, numbers))
        for own, found in zip(chosen, numbers, strict=True):
            own.append(np.sort(rng.choice(found, count, replace=False)))
    first, second = (side.chosen(np.sort(np.concatenate(own))) for side, own in zip((a, b), chosen, strict=True))
    return first, second

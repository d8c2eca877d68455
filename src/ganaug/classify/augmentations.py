"""The augmentations of the study. To add one, add an entry to AUGMENTATIONS and its name to a study.

The workflow reads this file too, to plan: heavy packages are imported inside the functions.
"""

from collections import ChainMap
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Augmentation:
    """What is done to the training images.

    synthetic: whether the subset's synthetic images are added to the real ones. transform: from its settings to a
    transform of one image, float32 [1, S, S] in [0, 1], that draws from torch's global generator; None for no
    transform. batch_transform: from its settings and the number of classes to a transform of a batch and its labels,
    int64 [B], whose labels come back as shares of the classes, [B, C]. real: whether the real images are trained on.
    region: from its settings to what is left of all images, those for validation and test too, uint8 [N, S, S].
    settings: the block of the study's settings that these are given; None for an empty one.
    """

    synthetic: bool = False
    real: bool = True
    transform: Callable[[dict], Callable] | None = None
    batch_transform: Callable[[dict, int], Callable] | None = None
    region: Callable[[dict], Callable] | None = None
    settings: str | None = None


def classical(settings: dict) -> Callable:
    """Rotation, shift, zoom and brightness, each uniform within its strength; what lies outside the image is black.

    A strength of 0 leaves its part out, so that no strength at all is exactly no augmentation. There is no flip: a
    heart on the right is not a normal film.
    """
    from torchvision.transforms import InterpolationMode, v2

    rotation, shift, zoom = (settings[key] for key in ("rotation_degrees", "shift", "zoom"))
    parts = []
    if rotation or shift or zoom:
        scale = (1 - zoom, 1 + zoom)
        parts.append(v2.RandomAffine(rotation, (shift, shift), scale, interpolation=InterpolationMode.BILINEAR))
    if settings["brightness"]:
        parts.append(v2.ColorJitter(brightness=settings["brightness"]))
    return v2.Compose(parts) if parts else v2.Identity()


def randaugment(settings: dict) -> Callable:
    """Cubuk et al. 2020: so many operations at random, at one magnitude."""
    from torchvision.transforms import v2

    return _on_bytes(v2.RandAugment(settings["operations"], settings["magnitude"]))


def trivialaugment(settings: dict) -> Callable:
    """Müller and Hutter 2021: one operation at random, at a random magnitude."""
    from torchvision.transforms import v2

    return _on_bytes(v2.TrivialAugmentWide())


def _on_bytes(transform: Callable) -> Callable:
    """On uint8, which some operations ask for."""
    import torch
    from torchvision.transforms import v2

    return v2.Compose([v2.ToDtype(torch.uint8, scale=True), transform, v2.ToDtype(torch.float32, scale=True)])


def mixup(settings: dict, classes: int) -> Callable:
    """Zhang et al. 2018: images and labels blended with another of the batch."""
    from torchvision.transforms import v2

    return v2.MixUp(alpha=float(settings["alpha"]), num_classes=classes)


def cutmix(settings: dict, classes: int) -> Callable:
    """Yun et al. 2019: a rectangle from another image of the batch, labels by area."""
    from torchvision.transforms import v2

    return v2.CutMix(alpha=float(settings["alpha"]), num_classes=classes)


def border(settings: dict) -> Callable:
    """The outer edge of every image, of a share of its side; the middle, with the lungs, is black."""
    import numpy as np

    def keep_border(images: np.ndarray) -> np.ndarray:
        side, kept = images.shape[-1], np.array(images)
        edge = round(settings["border"] * side)
        kept[:, edge : side - edge, edge : side - edge] = 0
        return kept

    return keep_border


AUGMENTATIONS = {
    "none": Augmentation(),
    "classical": Augmentation(transform=classical, settings="classical"),
    "randaugment": Augmentation(transform=randaugment, settings="randaugment"),
    "trivialaugment": Augmentation(transform=trivialaugment),
    "mixup": Augmentation(batch_transform=mixup, settings="mixup"),
    "cutmix": Augmentation(batch_transform=cutmix, settings="cutmix"),
    "gan": Augmentation(synthetic=True),
    "gan+classical": Augmentation(synthetic=True, transform=classical, settings="classical"),
}

# Not augmentations but trained like them, to learn something about the images: what the synthetic ones are worth alone,
# and how much of the class shows where there are no lungs.
PROBES = {
    "synthetic-only": Augmentation(synthetic=True, real=False),
    "border-only": Augmentation(region=border, settings="probes"),
}
ALL = ChainMap(AUGMENTATIONS, PROBES)

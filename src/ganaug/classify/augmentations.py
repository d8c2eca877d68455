"""The augmentations of the study. To add one, add an entry to AUGMENTATIONS and its name to a study.

The workflow reads this file too, to plan: heavy packages are imported inside the functions.
"""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Augmentation:
    """What is done to the training images.

    synthetic: whether the subset's synthetic images are added to the real ones. transform: from its settings to a
    transform of one image, float32 [1, S, S] in [0, 1], that draws from torch's global generator; None for no
    transform. batch_transform: from its settings and the number of classes to a transform of a batch and its labels,
    int64 [B], whose labels come back as shares of the classes, [B, C]. settings: the block of the study's settings that
    the two are given; None for an empty one.
    """

    synthetic: bool = False
    transform: Callable[[dict], Callable] | None = None
    batch_transform: Callable[[dict, int], Callable] | None = None
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

    return v2.MixUp(alpha=settings["alpha"], num_classes=classes)


def cutmix(settings: dict, classes: int) -> Callable:
    """Yun et al. 2019: a rectangle from another image of the batch, labels by area."""
    from torchvision.transforms import v2

    return v2.CutMix(alpha=settings["alpha"], num_classes=classes)


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

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
    transform of one image, float32 [1, S, S] in [0, 1], on the CPU; None for no transform. batch_transform: from its
    settings and the number of classes to a transform of a batch, float32 [B, 1, S, S] on any device, and its labels,
    int64 [B] on the CPU; the labels come back as they are, or as shares of the classes, [B, C]. Both transforms draw
    from torch's global generator of the CPU. An image at a time takes a GPU many times as long as a batch.
    real: whether the real images are trained on.
    region: from its settings to what is left of all images, those for validation and test too, uint8 [N, S, S].
    settings: the block of the study's settings that these are given; None for an empty one.
    description: what is done, for the report's Methods; {name} stands for a setting of that block.
    """

    synthetic: bool = False
    real: bool = True
    transform: Callable[[dict], Callable] | None = None
    batch_transform: Callable[[dict, int], Callable] | None = None
    region: Callable[[dict], Callable] | None = None
    settings: str | None = None
    description: str = ""


def classical(settings: dict, classes: int) -> Callable:
    """Rotation, shift, zoom and brightness, each uniform within its strength; what lies outside the image is black.

    Shifts are whole pixels. A strength of 0 leaves its part out, so that no strength at all is exactly no augmentation.
    There is no flip: a heart on the right is not a normal film.
    """
    import torch

    from ganaug.classify.affine import affine
    from ganaug.gpu import send

    rotation, shift, zoom = (settings[key] for key in ("rotation_degrees", "shift", "zoom"))
    brightness = settings["brightness"]

    def change(images: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        draws = 2 * torch.rand(5, len(images), dtype=torch.float64) - 1  # all of them, whatever the strengths
        if rotation or shift or zoom:
            pixels = (draws[1:3] * shift * images.shape[-1]).round()
            images = affine(images, draws[0] * rotation, pixels, 1 + draws[3] * zoom)
        if brightness:
            factors = send((1 + draws[4] * brightness).float(), images.device)
            images = (images * factors[:, None, None, None]).clamp(0, 1)
        return images, labels

    return change


def randaugment(settings: dict) -> Callable:
    """Cubuk et al. 2020: so many operations at random, at one magnitude. Image by image, on the CPU."""
    from torchvision.transforms import v2

    return _on_bytes(v2.RandAugment(settings["operations"], settings["magnitude"]))


def trivialaugment(settings: dict) -> Callable:
    """Müller and Hutter 2021: one operation at random, at a random magnitude. Image by image, on the CPU."""
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


CLASSICAL = (
    "each image rotated by up to {rotation_degrees:g}°, shifted by up to {shift:g} of its side, zoomed by a factor of "
    "1 ± {zoom:g} and made brighter or darker by a factor of 1 ± {brightness:g}, all at random; no flip"
)
AUGMENTATIONS = {
    "none": Augmentation(description="the training images as they are"),
    "classical": Augmentation(batch_transform=classical, settings="classical", description=CLASSICAL),
    "randaugment": Augmentation(
        transform=randaugment,
        settings="randaugment",
        description="{operations} random operations of magnitude {magnitude} (Cubuk et al. 2020)",
    ),
    "trivialaugment": Augmentation(
        transform=trivialaugment, description="one random operation of random magnitude (Müller and Hutter 2021)"
    ),
    "mixup": Augmentation(
        batch_transform=mixup,
        settings="mixup",
        description="images and labels blended with another's of the batch, α = {alpha:g} (Zhang et al. 2018)",
    ),
    "cutmix": Augmentation(
        batch_transform=cutmix,
        settings="cutmix",
        description="a rectangle of another image of the batch, α = {alpha:g} (Yun et al. 2019)",
    ),
    "gan": Augmentation(synthetic=True, description="the synthetic images beside the real ones"),
    "gan+classical": Augmentation(
        synthetic=True,
        batch_transform=classical,
        settings="classical",
        description="the synthetic images beside the real ones, and classical augmentation of both",
    ),
}

# Not augmentations but trained like them, to learn something about the images: what the synthetic ones are worth alone,
# and how much of the class shows where there are no lungs.
PROBES = {
    "synthetic-only": Augmentation(synthetic=True, real=False),
    "border-only": Augmentation(region=border, settings="probes"),
}
ALL = ChainMap(AUGMENTATIONS, PROBES)

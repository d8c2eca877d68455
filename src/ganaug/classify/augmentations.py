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
    transform. settings: the block of the study's settings that `transform` is given; None for an empty one.
    """

    synthetic: bool = False
    transform: Callable[[dict], Callable] | None = None
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


AUGMENTATIONS = {
    "none": Augmentation(),
    "classical": Augmentation(transform=classical, settings="classical"),
    "gan": Augmentation(synthetic=True),
    "gan+classical": Augmentation(synthetic=True, transform=classical, settings="classical"),
}

"""Images that a small classifier can learn in a few steps."""

import numpy as np

from ganaug.classify.image_sets import ImageSet

BACKBONE = "tf_efficientnet_lite0"


def image_set(count, seed, classes=("a", "b")):
    """Bright squares at the left (a) or right (b) of noise."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % len(classes)
    images = rng.integers(0, 90, (count, 32, 32), np.uint8)
    for image, label in zip(images, labels, strict=True):
        top = rng.integers(0, 24)
        image[top : top + 8, 4 + 16 * label : 12 + 16 * label] += 140
    return ImageSet(images, labels, classes, tuple(f"{seed}-{i}" for i in range(count)))

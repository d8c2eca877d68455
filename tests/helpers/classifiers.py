"""Image sets that a small classifier can learn in a few steps, in memory and as files."""

from pathlib import Path

import numpy as np
import pandas as pd

from ganaug import files
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


def write_image_sets(folder: Path, **counts: int) -> dict[str, Path]:
    """Write an image set of so many images for each side; return train_classifier's options for the files."""
    options = {}
    for number, (side, count) in enumerate(counts.items(), 1):
        made = image_set(count, number)
        options |= {f"{side}-images": folder / f"{side}.npy", f"{side}-table": folder / f"{side}.csv"}
        files.write_array(options[f"{side}-images"], made.images)
        table = {"image": made.names, "class": np.array(made.classes)[made.labels], "label": made.labels}
        files.write_csv(options[f"{side}-table"], pd.DataFrame(table))
    return options

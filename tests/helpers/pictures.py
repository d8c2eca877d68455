"""Made-up pictures, data folders of them, and the settings of their manifest."""

import io

import numpy as np
from PIL import Image

from ganaug.data.manifest import Settings


def picture(seed, side=48):
    """Smooth random uint8 image: different seeds are different people."""
    rng = np.random.default_rng(seed)
    small = Image.fromarray(rng.integers(0, 256, (12, 12), np.uint8))
    return np.asarray(small.resize((side, side), Image.Resampling.BICUBIC))


def encoded(image, format, **options) -> bytes:
    buffer = io.BytesIO()
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(buffer, format, **options)
    return buffer.getvalue()


def png(seed) -> bytes:
    return encoded(picture(seed), "PNG")


def folder_of(root, **classes):
    """A data root: class name to {file name: bytes or array}."""
    for name, contents in classes.items():
        (root / name).mkdir(parents=True)
        for file, content in contents.items():
            (root / name / file).write_bytes(content if isinstance(content, bytes) else encoded(content, format="PNG"))
    return root


def settings(**changes):
    return Settings(**{"source": "folder", "classes": None, "max_bad_share": 1.0, "near_copy_distance": 40} | changes)


def films(count, seed):
    """A list of smooth pictures that differ, uint8 [96, 96]."""
    rng = np.random.default_rng(seed)
    coarse = rng.normal(128, 50, (count, 12, 12)).clip(0, 255).astype(np.uint8)
    return [np.asarray(Image.fromarray(c).resize((96, 96), Image.Resampling.BICUBIC)) for c in coarse]

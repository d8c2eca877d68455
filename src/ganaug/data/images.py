"""Image files into square 8-bit grey arrays, each odd kind handled on purpose."""

import hashlib
import io
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image, ImageOps

from ganaug.errors import UserError
from ganaug.files import write_array, write_csv
from ganaug.progress import Progress

FORMATS = ("PNG", "JPEG", "TIFF", "BMP", "GIF", "WEBP")
SUFFIXES = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".tif": "TIFF", ".tiff": "TIFF", ".bmp": "BMP"}
SUFFIXES |= {".gif": "GIF", ".webp": "WEBP"}
MAX_PIXELS = 100_000_000  # beyond any radiograph; a small file that unpacks to more is a decompression bomb


class Unusable(Exception):
    """The file holds no image that can be used; the message is the problem's name."""


@dataclass(frozen=True)
class Decoded:
    """A decoded file. pixels: uint8 [H, W]. format, mode: Pillow's names. problems: what was converted on the way."""

    pixels: np.ndarray
    format: str
    mode: str
    problems: tuple[str, ...]


def decode(content: bytes, name: str = "") -> Decoded:
    """Decode a file's bytes to 8-bit grey.

    16-bit and float images are scaled by their own range to 0..255 (medical exports use a part of the 16 bits); colour,
    palette and CMYK become ITU-R 601 luma; transparency is laid on black; of an animation the first frame is taken;
    an EXIF orientation is applied. name: the file's name, whose suffix is compared with the content.
    Raises Unusable: `empty`, `not an image`, `truncated`, `too large`.
    """
    if not content:
        raise Unusable("empty")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            image = Image.open(io.BytesIO(content), formats=FORMATS)
            if image.width * image.height > MAX_PIXELS:
                raise Unusable("too large")
            image_format, mode = image.format, image.mode
            frames = getattr(image, "n_frames", 1)
            image.load()
            image = ImageOps.exif_transpose(image)
    except Unusable:
        raise
    except Image.DecompressionBombError:
        raise Unusable("too large") from None
    except Image.UnidentifiedImageError:
        raise Unusable("not an image") from None
    except Exception:  # Pillow's decoders raise many kinds for broken data
        raise Unusable("truncated") from None
    problems = []
    if SUFFIXES.get(Path(name).suffix.lower(), image_format) != image_format:
        problems.append("wrong suffix")
    if frames > 1:
        problems.append("several frames")
    pixels, problem = _grey(image)
    problems += [problem] if problem else []
    if pixels.shape[0] != pixels.shape[1]:
        problems.append("non-square")
    return Decoded(pixels, image_format, mode, tuple(problems))


def _grey(image: Image.Image) -> tuple[np.ndarray, str | None]:
    """(uint8 [H, W], what had to be converted)."""
    transparent = image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info
    if image.mode == "L" and not transparent:
        return np.asarray(image), None
    if image.mode.startswith("I") or image.mode == "F":
        values = np.nan_to_num(np.asarray(image, dtype=np.float64))
        low, high = values.min(), values.max()
        scaled = (values - low) * (255 / (high - low)) if high > low else np.zeros_like(values)
        return np.rint(scaled).astype(np.uint8), "16-bit" if image.mode.startswith("I") else "float"
    problem = {"RGBA": "RGBA", "LA": "transparency", "PA": "palette", "P": "palette", "CMYK": "CMYK", "1": "1-bit"}
    if transparent:
        rgba = image.convert("RGBA")
        background = Image.new("RGBA", rgba.size, (0, 0, 0, 255))
        grey = Image.alpha_composite(background, rgba).convert("RGB").convert("L")
    else:
        grey = image.convert("RGB").convert("L")
    return np.asarray(grey), problem.get(image.mode, "transparency" if transparent else "colour")


def pixels_sha256(pixels: np.ndarray) -> str:
    """Of the shape and the grey pixels, uint8 [H, W]."""
    height, width = pixels.shape
    return hashlib.sha256(f"{height}x{width}:".encode() + pixels.tobytes()).hexdigest()


def to_square(pixels: np.ndarray, resolution: int) -> np.ndarray:
    """uint8 [H, W] to uint8 [resolution, resolution].

    A longer side is cropped at its centre: chest films are centred, and bars of padding would tell the class wherever
    one hospital's images are not square. Resized with Lanczos, which averages over what it shrinks.
    """
    height, width = pixels.shape
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    image = Image.fromarray(np.ascontiguousarray(pixels[top : top + side, left : left + side]))
    if side != resolution:
        image = image.resize((resolution, resolution), Image.Resampling.LANCZOS)
    return np.asarray(image)


def pack(rows: pd.DataFrame, root: Path, resolution: int, classes: list[str], images: Path, table: Path) -> None:
    """Write an image set: `images` uint8 [N, resolution, resolution] as .npy, and `table`, a row per image.

    rows: columns file, class, group, pixels_sha256, in the order wanted. classes: their order gives the labels.
    """
    array = np.empty((len(rows), resolution, resolution), np.uint8)
    with Progress(len(rows), "packing", "images") as progress:
        for i, file in enumerate(rows["file"]):
            pixels = decode((root / file).read_bytes(), file).pixels
            if pixels_sha256(pixels) != rows["pixels_sha256"].iloc[i]:
                raise UserError(f"{root / file} has changed since its manifest was made; start the workflow again")
            array[i] = to_square(pixels, resolution)
            progress.update()
    columns = {"image": rows["file"], "class": rows["class"], "label": rows["class"].map(classes.index)}
    write_csv(table, pd.DataFrame(columns | {"group": rows["group"], "pixels_sha256": rows["pixels_sha256"]}))
    write_array(images, array)

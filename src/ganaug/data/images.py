"""Image files into square 8-bit grey arrays, each odd kind handled on purpose."""

import contextlib
import hashlib
import io
import os
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import ExifTags, Image

from ganaug.data.sources import read_file
from ganaug.errors import Unusable, UserError
from ganaug.files import write_array, write_csv
from ganaug.progress import Progress

FORMATS = ("PNG", "JPEG", "TIFF", "BMP", "GIF", "WEBP")
SUFFIXES = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".tif": "TIFF", ".tiff": "TIFF", ".bmp": "BMP"}
SUFFIXES |= {".gif": "GIF", ".webp": "WEBP"}
# What a small file may unpack to. The largest radiographs have some 20 million pixels.
MAX_PIXELS = 50_000_000
MAX_SIDE = 65_500  # as of a JPEG
MAX_SCANNED = 2_000_000_000  # pixels times scans of a JPEG, each of which is a pass over all pixels; about 2 seconds
BAND = 2_000_000  # pixels converted at a time: several numbers per pixel are needed on the way
# What is found in the place of images: kind, how it begins (in small letters), and from which byte on.
OTHERS = [
    ("DICOM file", b"dicm", 128),
    ("Git LFS pointer", b"version https://git-lfs.github.com/spec/", 0),
    ("web page", b"<!doctype html", 0),
    ("web page", b"<html", 0),
    ("ZIP archive", b"pk\x03\x04", 0),
    ("gzip archive", b"\x1f\x8b", 0),
]
# And what to do about it.
ADVICE = {
    "DICOM file": "convert DICOM files to PNG, with the window that a reader would use",
    "Git LFS pointer": "fetch the images that the pointers stand for: git lfs pull",
    "web page": "fetch the images again: the server answered with a page",
    "ZIP archive": "unpack the archives",
    "gzip archive": "unpack the archives",
}
TURNED = {2: "FLIP_LEFT_RIGHT", 3: "ROTATE_180", 4: "FLIP_TOP_BOTTOM", 5: "TRANSPOSE", 6: "ROTATE_270"}
TURNED |= {7: "TRANSVERSE", 8: "ROTATE_90"}


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
    Raises Unusable: `empty`, `not an image`, `truncated`, `too large`, or what the file is instead (see OTHERS).
    """
    if not content:
        raise Unusable("empty")
    for kind, start, place in OTHERS:
        if content[place : place + len(start)].lower() == start:
            raise Unusable(kind)
    try:
        with warnings.catch_warnings(), _quiet():
            warnings.simplefilter("ignore")
            image: Image.Image = Image.open(io.BytesIO(content), formats=FORMATS)
            # MPO: a photograph with a second one inside.
            image_format = "JPEG" if image.format == "MPO" else image.format or ""
            most = MAX_SCANNED // _scans(content) if image_format == "JPEG" else MAX_PIXELS
            if image.width * image.height > most or max(image.size) > MAX_SIDE:
                raise Unusable("too large")
            mode, several = image.mode, getattr(image, "is_animated", False)
            image.load()
            image, unturned = _upright(image)
            pixels, problem = _grey(image)
    except Unusable:
        raise
    except (Image.DecompressionBombError, MemoryError):
        raise Unusable("too large") from None
    except Image.UnidentifiedImageError:
        raise Unusable("not an image") from None
    except Exception:  # Pillow's decoders raise many kinds for broken data
        raise Unusable("truncated") from None
    problems = []
    if SUFFIXES.get(Path(name).suffix.lower(), image_format) != image_format:
        problems.append("wrong suffix")
    problems += ["several frames"] if several else []
    problems += [found for found in (unturned, problem) if found]
    if pixels.shape[0] != pixels.shape[1]:
        problems.append("non-square")
    return Decoded(pixels, image_format, mode, tuple(problems))


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Nothing on the process's standard error: libtiff complains there, without the file's name."""
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def _scans(content: bytes) -> int:
    """The scans of a JPEG, and those of its thumbnails; as many as keep it to MAX_PIXELS at least."""
    return max(content.count(b"\xff\xda"), MAX_SCANNED // MAX_PIXELS)


def _upright(image: Image.Image) -> tuple[Image.Image, str | None]:
    """(the image turned as its EXIF orientation says, what is wrong with that)."""
    try:
        turn = TURNED.get(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # as for the pixels
        return image, "EXIF unreadable"
    return image.transpose(Image.Transpose[turn]) if turn else image, None


def _grey(image: Image.Image) -> tuple[np.ndarray, str | None]:
    """(uint8 [H, W], what had to be converted)."""
    transparent = image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info
    if image.mode == "L" and not transparent:
        return np.asarray(image), None
    convert: Callable[[Image.Image], Image.Image | np.ndarray]
    if image.mode.startswith("I") or image.mode == "F":
        ranges = [_finite(band) for band in _bands(image)]
        low, high = (pick(values[i] for values in ranges) for i, pick in enumerate((min, max)))
        problem, convert = "float" if image.mode == "F" else "16-bit", lambda band: _scaled(band, low, high)
    else:
        names = {"RGBA": "RGBA", "LA": "transparency", "PA": "palette", "P": "palette", "CMYK": "CMYK", "1": "1-bit"}
        problem = names.get(image.mode, "transparency" if transparent else "colour")
        convert = _on_black if transparent else lambda band: band.convert("RGB").convert("L")
    pixels, top = np.empty((image.height, image.width), np.uint8), 0
    for band in _bands(image):
        pixels[top : top + band.height] = np.asarray(convert(band))
        top += band.height
    return pixels, problem


def _bands(image: Image.Image) -> Iterator[Image.Image]:
    rows = max(1, BAND // image.width)
    for top in range(0, image.height, rows):
        yield image.crop((0, top, image.width, min(image.height, top + rows)))


def _finite(band: Image.Image) -> tuple[float, float]:
    """Least and greatest value; NaN and infinities are none."""
    values = np.asarray(band, np.float64)
    values = values[np.isfinite(values)]
    return (values.min(), values.max()) if values.size else (np.inf, -np.inf)


def _scaled(band: Image.Image, low: float, high: float) -> np.ndarray:
    """Values from `low` to `high` as 0 to 255, NaN as 0."""
    if not low < high:
        return np.zeros((band.height, band.width), np.uint8)
    values = np.nan_to_num(np.asarray(band, np.float64), nan=low, posinf=high, neginf=low)
    return np.rint((values - low) * (255 / (high - low))).astype(np.uint8)


def _on_black(band: Image.Image) -> Image.Image:
    rgba = band.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", rgba.size, (0, 0, 0, 255)), rgba).convert("RGB").convert("L")


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
            pixels = decode(read_file(root / file), file).pixels
            if pixels_sha256(pixels) != rows["pixels_sha256"].iloc[i]:
                raise UserError(f"{root / file} has changed since its manifest was made; start the workflow again")
            array[i] = to_square(pixels, resolution)
            progress.update()
    columns = {"image": rows["file"], "class": rows["class"], "label": rows["class"].map(classes.index)}
    write_csv(table, pd.DataFrame(columns | {"group": rows["group"], "pixels_sha256": rows["pixels_sha256"]}))
    write_array(images, array)

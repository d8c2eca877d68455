"""Image files into square 8-bit grey arrays, each odd kind handled on purpose."""

import contextlib
import dataclasses
import hashlib
import io
import os
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import ExifTags, Image

from ganaug.data import deep
from ganaug.data.sources import read_file
from ganaug.data.window import Window, scaled
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
    deep.DEEP_JPEG: "convert such files to grey PNG of 16 bits",
    deep.UNREAD: "convert such files to grey PNG, of 8 or 16 bits",
}
TURNED = {2: "FLIP_LEFT_RIGHT", 3: "ROTATE_180", 4: "FLIP_TOP_BOTTOM", 5: "TRANSPOSE", 6: "ROTATE_270"}
TURNED |= {7: "TRANSVERSE", 8: "ROTATE_90"}


@dataclass(frozen=True)
class Decoded:
    """A decoded file. pixels: uint8 [H, W]. format, mode: Pillow's names (see deep.Deep, too). problems: what was
    converted on the way. window: what became 0 and 255, of a file of more than 8 bits."""

    pixels: np.ndarray
    format: str
    mode: str
    problems: tuple[str, ...]
    window: Window | None = None


def decode(content: bytes, name: str = "") -> Decoded:
    """Decode a file's bytes to 8-bit grey.

    Values of more than 8 bits are scaled by a window that neither a marker nor padding widens (medical exports use a
    part of the 16 bits; see ganaug.data.window); "white is zero" is turned round; colour, palette and CMYK become
    ITU-R 601 luma; transparency is laid on black; of an animation the first frame is taken; an EXIF orientation is
    applied. name: the file's name, whose suffix is compared with the content.
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
            found = _read(content)
    except (Unusable, UserError):
        raise
    except (Image.DecompressionBombError, MemoryError):
        raise Unusable("too large") from None
    except Image.UnidentifiedImageError:
        raise Unusable("not an image") from None
    except Exception:  # decoders raise many kinds for broken data
        raise Unusable("truncated") from None
    wrong = SUFFIXES.get(Path(name).suffix.lower(), found.format) != found.format
    height, width = found.pixels.shape
    problems = ("wrong suffix",) * wrong + found.problems + ("non-square",) * (height != width)
    return dataclasses.replace(found, problems=problems)


def _read(content: bytes) -> Decoded:
    """What `decode` gives, but for the problems that the file's name and its shape make."""
    try:
        image: Image.Image = Image.open(io.BytesIO(content), formats=FORMATS)
    except Image.UnidentifiedImageError:
        if deep.is_tiff(content):
            return _deep(content, None)
        if deep.is_deep_jpeg(content):
            raise Unusable(deep.DEEP_JPEG) from None
        raise
    # MPO: a photograph with a second one inside.
    image_format = "JPEG" if image.format == "MPO" else image.format or ""
    most = MAX_SCANNED // _scans(content) if image_format == "JPEG" else MAX_PIXELS
    if image.width * image.height > most or max(image.size) > MAX_SIDE:
        raise Unusable("too large")
    if deep.is_deep(image, content):
        return _deep(content, image)
    mode, several = image.mode, getattr(image, "is_animated", False)
    image.load()
    image, unturned = _upright(image)
    found = ["several frames"] * several + ([unturned] if unturned else [])
    if mode.startswith("I"):
        pixels, window = scaled(np.asarray(image), _rows(image.width))
        return Decoded(pixels, image_format, mode, (*found, "16-bit", *window.problems), window)
    pixels, problem = _grey(image)
    return Decoded(pixels, image_format, mode, (*found, problem) if problem else tuple(found))


def _deep(content: bytes, image: Image.Image | None) -> Decoded:
    """As _read, of a file that Pillow has opened, but can't read without a loss; or not opened (None)."""
    read = deep.read(content, image, MAX_PIXELS, MAX_SIDE, BAND)
    pixels, window = scaled(read.values, _rows(read.values.shape[1]))
    if read.turn in TURNED:
        pixels = np.asarray(Image.fromarray(pixels).transpose(Image.Transpose[TURNED[read.turn]]))
    problems = ("several frames",) * read.several + read.problems + tuple(window.problems)
    image_format = "TIFF" if image is None else image.format or ""
    return Decoded(pixels, image_format, read.mode, problems, window)


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
    names = {"RGBA": "RGBA", "LA": "transparency", "PA": "palette", "P": "palette", "CMYK": "CMYK", "1": "1-bit"}
    problem = names.get(image.mode, "transparency" if transparent else "colour")
    pixels, top = np.empty((image.height, image.width), np.uint8), 0
    for band in _bands(image):
        pixels[top : top + band.height] = np.asarray(
            _on_black(band) if transparent else band.convert("RGB").convert("L")
        )
        top += band.height
    return pixels, problem


def _rows(width: int) -> int:
    """Rows of a band."""
    return max(1, BAND // width)


def _bands(image: Image.Image) -> Iterator[Image.Image]:
    rows = _rows(image.width)
    for top in range(0, image.height, rows):
        yield image.crop((0, top, image.width, min(image.height, top + rows)))


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

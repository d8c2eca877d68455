"""Files of more than 8 bits a sample that Pillow reads with a loss or not at all: PNG in colour or with alpha, TIFF.

Pillow keeps 8 of 16 bits of colours, takes "white is zero" for "black is zero" at 16 bits, reads signed numbers as
unsigned ones and rounds colour maps. imagecodecs and tifffile keep what is stored. They are imported where such a file
is met: a machine that packs no images needs neither.
"""

import io
import math
import struct
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image, TiffImagePlugin

from ganaug.errors import Unusable, UserError

UNREAD = "TIFF of a kind that is not read"
DEEP_JPEG = "JPEG of more than 8 bits"
LUMA = (0.299, 0.587, 0.114)  # ITU-R 601
TIFF_STARTS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
MAX_BYTES_PER_PIXEL = 8  # four samples of 16 bits, or one of 64
MAX_SEGMENTS = 300_000  # strips or tiles: each is a call
# Photometric interpretations, compressions and extra samples that are read, by TIFF's numbers (TIFF 6.0).
WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, PALETTE = 0, 1, 2, 3
COMPRESSIONS = (1, 5, 8, 32773, 32946, 50000)  # none, LZW, deflate, PackBits, old deflate, Zstandard
UNSPECIFIED, PREMULTIPLIED, STRAIGHT = 0, 1, 2
PHOTOMETRIC, ORIENTATION = 262, 274


@dataclass(frozen=True)
class Deep:
    """A file's pixels in full depth. values: [H, W], integers or floats, black is the least; colour as ITU-R 601 luma,
    transparency laid on black. mode: Pillow's name of such samples in 8 bits, then the bits and S for signed, F for
    float. problems: what was converted. turn: EXIF's orientation, 1 to 8. several: whether more images follow."""

    values: np.ndarray
    mode: str
    problems: tuple[str, ...]
    turn: int
    several: bool


def kind_of(values: np.ndarray) -> str:
    """The problem's name for samples of this type."""
    if values.dtype.kind == "f":
        return "float"
    return {1: "8-bit signed", 2: "16-bit"}.get(values.dtype.itemsize, "32-bit")


def is_tiff(content: bytes) -> bool:
    return content[:4] in TIFF_STARTS


def is_deep_jpeg(content: bytes) -> bool:
    """Whether the frame's header tells more than 8 bits. Pillow opens no such file."""
    position = 2
    while content[:2] == b"\xff\xd8" and content[position : position + 1] == b"\xff":
        marker = int.from_bytes(content[position + 1 : position + 2], "big")
        length = int.from_bytes(content[position + 2 : position + 4], "big")
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            return content[position + 4 : position + 5] > b"\x08"
        position += 2 + max(length, 2)
    return False


def is_deep(image: Image.Image, content: bytes) -> bool:
    """Whether Pillow would lose something of this opened, not loaded file. Any grey PNG it reads well."""
    if image.format == "PNG":
        return content[12:16] == b"IHDR" and content[24] == 16 and (content[25] != 0 or "transparency" in image.info)
    if not isinstance(image, TiffImagePlugin.TiffImageFile):
        return False
    tags = image.tag_v2
    bits, formats = tags.get(TiffImagePlugin.BITSPERSAMPLE, (1,)), tags.get(TiffImagePlugin.SAMPLEFORMAT, (1,))
    colours = tags.get(TiffImagePlugin.COLORMAP, ())
    # Colour entries of 8 bits are written with the byte twice, or with a zero byte behind.
    rounded = image.mode in ("P", "PA") and any(entry % 257 and entry % 256 for entry in colours)
    # Sample formats: 1 is unsigned, 4 undefined.
    return max(bits) > 8 or not set(formats) <= {1, 4} or rounded


def read(content: bytes, image: Image.Image | None, max_pixels: int, max_side: int, band: int) -> Deep:
    """Read a PNG or TIFF. image: as Pillow has opened it, None where Pillow can't. band: pixels converted at a time.

    The size of a PNG is the caller's to check, that of a TIFF is checked here.
    Raises Unusable: UNREAD, `too large`; what else is wrong raises what imagecodecs and tifffile raise.
    """
    try:
        import imagecodecs
        import tifffile
    except ImportError as error:
        raise UserError(f"images of more than 8 bits take {error.name}: install envs/requirements.txt") from None
    if image is not None and image.format == "PNG":
        if struct.unpack(">II", content[16:24]) != image.size:
            raise ValueError("two headers")
        turn, several = image.getexif().get(ORIENTATION, 1), getattr(image, "is_animated", False)
        image.close()  # getexif has loaded it
        values = imagecodecs.png_decode(content)
        samples = values.reshape(*values.shape[:2], -1)
        grey = _laid(samples, 65535, samples.shape[2] in (2, 4), band)
        mode = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}[samples.shape[2]]
        return Deep(grey, f"{mode};16", _problems(samples, mode), turn, several)
    tifffile.logger().disabled = True  # it complains without the file's name
    with tifffile.TiffFile(io.BytesIO(content)) as file:
        page: Any = file.pages.first
        _check_size(page, max_pixels, max_side)
        _check_kind(page)
        _check_places(page, len(content))
        stored = page.asarray(squeeze=False, maxworkers=1)  # [planes, 1, H, W, samples of a plane]
        samples = np.moveaxis(stored[:, 0, :, :, 0], 0, -1) if stored.shape[0] > 1 else stored[0, 0]
        several = _has_second(file)
    return _of_page(page, samples, several, band)


def _check_size(page: Any, max_pixels: int, max_side: int) -> None:
    """Refuse what unpacks to much, by the tags alone."""
    height, width = page.imagelength, page.imagewidth
    bytes_per_pixel = page.samplesperpixel * (page.dtype.itemsize if page.dtype is not None else 8)
    segments, segment = math.prod(page.chunked), math.prod(page.chunks[:2])  # how many, and the pixels of one
    pixels = max(height * width, segments * segment // 4)  # tiles may reach over the edges
    if (
        max(height * width, segment) > max_pixels
        or max(height, width) > max_side
        or pixels * bytes_per_pixel > max_pixels * MAX_BYTES_PER_PIXEL
        or segments > MAX_SEGMENTS
    ):
        raise Unusable("too large")


def _check_kind(page: Any) -> None:
    """Refuse samples whose meaning or type is not known, rather than guess."""
    colours = {WHITE_IS_ZERO: 1, BLACK_IS_ZERO: 1, RGB: 3, PALETTE: 1}.get(page.photometric, 0)
    extra = tuple(page.extrasamples)
    has_alpha = extra in ((PREMULTIPLIED,), (STRAIGHT,))
    usual = (
        PHOTOMETRIC in page.tags  # else, is white or black zero?
        and page.compression in COMPRESSIONS
        and page.imagedepth == 1
        and page.samplesperpixel == colours + len(extra)
        and (not extra or has_alpha or (colours == 3 and extra == (UNSPECIFIED,)))
        and page.dtype is not None
    )
    if usual and page.photometric == PALETTE:
        usual = not extra and page.dtype.kind == "u" and _entries(page) == 2**page.bitspersample
    elif usual:
        # A float64 holds 32 bits. What Pillow doesn't read of 8 bits is odd.
        numbers = page.dtype.kind == "f" or (page.dtype.kind in "iu" and page.dtype.itemsize <= 4)
        usual = numbers and page.dtype != np.uint8 and not (has_alpha and page.dtype.kind == "i")
    if not usual:
        raise Unusable(UNREAD)


def _check_places(page: Any, size: int) -> None:
    """Raise ValueError where strips or tiles are missing: tifffile would fill them up."""
    if page.is_contiguous:
        return  # what is too short is told
    places = list(zip(page.dataoffsets, page.databytecounts, strict=True))
    if len(places) != math.prod(page.chunked) or any(count <= 0 or start + count > size for start, count in places):
        raise ValueError("strips or tiles are missing")


def _entries(page: Any) -> int:
    return 0 if page.colormap is None else page.colormap.shape[1]


def _has_second(file: Any) -> bool:
    try:
        return file.pages[1] is not None
    except (IndexError, ValueError):  # none, or a broken one
        return False


def _of_page(page: Any, samples: np.ndarray, several: bool, band: int) -> Deep:
    """The page's samples [H, W, S], the right way round and as one number a pixel."""
    kind, bits = samples.dtype.kind, page.bitspersample
    top = 1 if kind == "f" else 2**bits - 1
    if page.photometric == PALETTE:
        grey = _rounded(page.colormap.T.astype(np.float64) @ LUMA, np.dtype(np.uint16))[samples[..., 0]]
        return Deep(grey, f"P;{bits}", ("16-bit", "palette"), _orientation(page), several)
    if page.photometric == WHITE_IS_ZERO:
        _turn_round(samples[..., 0], top)
    alpha = tuple(page.extrasamples)[:1]
    grey = _laid(samples, top, alpha == (STRAIGHT,), band)
    mode = ("RGB" if page.photometric == RGB else "L") + ("A" if alpha not in ((), (UNSPECIFIED,)) else "")
    letter = {"f": "F", "i": "S", "u": ""}[kind]
    return Deep(grey, f"{mode};{bits}{letter}", _problems(samples, mode), _orientation(page), several)


def _turn_round(grey: np.ndarray, top: int) -> None:
    """White for black and black for white, in place."""
    if grey.dtype.kind == "f":
        np.negative(grey, out=grey)
    elif grey.dtype.kind == "i":
        np.invert(grey, out=grey)  # -1 - value, which is in range
    else:
        np.subtract(grey.dtype.type(top), grey, out=grey)


def _orientation(page: Any) -> int:
    return page.tags.valueof(ORIENTATION, default=1)


def _problems(samples: np.ndarray, mode: str) -> tuple[str, ...]:
    named = {"L": (), "LA": ("transparency",), "RGB": ("colour",), "RGBA": ("RGBA",)}
    return (kind_of(samples), *named[mode])


def _laid(samples: np.ndarray, top: int, straight: bool, size: int) -> np.ndarray:
    """[H, W, S] to [H, W]: colours as luma, on black by the last sample, of `top` at most, where that is `straight`.

    Grey alone keeps its type; else the result has 16 bits where the samples have, and is float64 where they have more.
    size: pixels converted at a time.
    """
    if samples.shape[2] == 1:
        return samples[..., 0]
    rows = max(1, size // samples.shape[1])
    deep = samples.dtype.kind != "u" or samples.dtype.itemsize > 2
    grey = np.empty(samples.shape[:2], np.float64 if deep else np.uint16)
    for start in range(0, len(samples), rows):
        band = samples[start : start + rows].astype(np.float64)
        value = band[..., :3] @ np.array(LUMA) if samples.shape[2] > 2 else band[..., 0]
        grey[start : start + rows] = _rounded(value * (band[..., -1] / top) if straight else value, grey.dtype)
    return grey


def _rounded(values: np.ndarray, kind: np.dtype) -> np.ndarray:
    return np.rint(values).astype(kind) if kind.kind == "u" else values

"""Broken and hostile image files: used, or left out in words; never a crash, a hang or a full memory."""

import itertools
import logging
import math
import resource
import signal
import struct
import zlib

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from ganaug.data import images
from ganaug.data.calibration import copy_hashes
from ganaug.data.deep import DEEP_JPEG, UNREAD
from ganaug.data.films import NOT_FILMS, why_no_film
from ganaug.data.manifest import ACTIONS
from ganaug.data.near_copies import perceptual_hash
from ganaug.errors import Unusable
from helpers.mutations import chunk, mutant, tiff, whole_files
from helpers.pictures import encoded

REASONS = {"empty", "not an image", "truncated", "too large", DEEP_JPEG, UNREAD}
MUTANTS = 3000


def read(content: bytes) -> set[str]:
    """What became of a file: its problems, or why it can't be used. What can be used goes all the way."""
    signal.alarm(600)
    try:
        decoded = images.decode(content, "x.png")
    except Unusable as problem:
        return {str(problem)}
    assert decoded.pixels.dtype == np.uint8 and min(decoded.pixels.shape) > 0 and decoded.format in images.FORMATS
    perceptual_hash(decoded.pixels)
    assert why_no_film(decoded.pixels) in ("", *NOT_FILMS)
    assert images.to_square(decoded.pixels, 16).shape == (16, 16)
    if decoded.pixels.size < 300_000:
        copy_hashes(decoded.pixels)
    return {"used", *decoded.problems}


def test_every_mutant_is_used_or_left_out_in_words(bounded, capfd, monkeypatch, seed):
    monkeypatch.setattr(logging.root, "handlers", [logging.NullHandler()])  # what stages that ran before have set up
    files = whole_files()
    assert {next(iter(read(file) & {"used"}), None) for file in files} == {"used"}
    words = []
    for number in range(MUTANTS * seed, MUTANTS * (seed + 1)):
        try:
            words += read(mutant(files, number))
        except BaseException as error:  # one that hangs is no Exception
            error.add_note(f"mutant {number}")
            raise
    found = pd.Series(words).value_counts()
    assert set(found.index) <= REASONS | ACTIONS.keys() | {"used"}
    assert (found[["used", "truncated", "not an image"]] > 0.1 * MUTANTS).all(), found
    assert capfd.readouterr() == ("", "")  # libtiff complains to nobody


def test_mutants_are_the_same_every_time():
    files = whole_files()
    assert files == whole_files() and mutant(files, 7) == mutant(files, 7) != mutant(files, 8)


def png(width, height, data, *more, depth=8, colour=0, interlaced=0) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlaced)
    body = b"".join([chunk(b"IHDR", header), *more, chunk(b"IDAT", data), chunk(b"IEND", b"")])
    return b"\x89PNG\r\n\x1a\n" + body


def many_scans() -> bytes:
    """70 kB that take a decoder seconds: a progressive JPEG whose last scan comes again and again."""
    content = encoded(Image.new("L", (4000, 4000)), "JPEG", progressive=True)
    return content[:-2] + content[content.rfind(b"\xff\xda") : -2] * 300 + b"\xff\xd9"


def many_frames() -> bytes:
    """A million frames of an animation, which count only to the second."""
    content = encoded(Image.new("L", (1, 1)), "GIF")
    start = content.find(b",")
    return content[:start] + content[start:-1] * 200_000 + b";"


def huge_bmp() -> bytes:
    content = encoded(Image.new("L", (1, 1)), "BMP")
    return content[:18] + struct.pack("<ii", 2**30, 2**30) + content[26:]


@pytest.mark.parametrize(
    ("make", "outcome"),
    [
        (many_scans, {"too large"}),
        (many_frames, {"used", "several frames", "wrong suffix", "palette"}),
        (lambda: encoded(Image.new("I;16", (7000, 7000)), "PNG"), {"used", "16-bit", "few grey levels in the window"}),
        (lambda: encoded(Image.new("RGBA", (7000, 7000)), "PNG"), {"used", "RGBA"}),
        (
            lambda: encoded(Image.new("F", (5000, 5000)), "TIFF"),
            {"used", "float", "few grey levels in the window", "wrong suffix"},
        ),
        (lambda: encoded(Image.new("L", (7100, 7100)), "PNG"), {"too large"}),
        (lambda: encoded(Image.new("L", (70_000, 1)), "PNG"), {"too large"}),
        (lambda: encoded(Image.new("L", (65_500, 1)), "PNG"), {"used", "non-square"}),
        (lambda: encoded(Image.new("L", (1, 65_500)), "PNG"), {"used", "non-square"}),
        (lambda: encoded(Image.new("L", (1, 1)), "PNG"), {"used"}),
        (lambda: png(2**31 - 1, 2**31 - 1, b""), {"too large"}),
        (lambda: png(0, 0, b""), {"not an image"}),
        # A palette of one colour, and 300 transparencies for it.
        (
            lambda: png(1, 1, zlib.compress(b"\0\0"), chunk(b"PLTE", bytes(3)), chunk(b"tRNS", bytes(300)), colour=3),
            {"truncated"},
        ),
        (lambda: png(7000, 7000, b"", interlaced=1), {"truncated"}),
        (huge_bmp, {"too large"}),
    ],
)
def test_what_unpacks_to_much_is_bounded(bounded, make, outcome):
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert read(make()) == outcome
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - peak < 800_000  # kB


def deep_png(side, samples, colour) -> bytes:
    """Noughts of 16 bits, made row by row."""
    packer, row = zlib.compressobj(1), bytes(1 + 2 * samples * side)
    data = b"".join(packer.compress(row) for _ in range(side)) + packer.flush()
    return png(side, side, data, depth=16, colour=colour)


def header(side) -> bytes:
    """A PNG's second one."""
    return chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 16, 2, 0, 0, 0))


def deep_tiff(side, kind, shape=(), **options) -> bytes:
    """Noughts, in tiles that all are one, so that the file is small and soon made."""
    tile = (1008, 1008)
    count = math.ceil(side / 1008) ** 2
    noughts = itertools.repeat(np.zeros((*tile, *shape), kind), count)
    given = {"photometric": "minisblack", "compression": "zlib"} | options
    return tiff(noughts, shape=(side, side, *shape), dtype=kind, tile=tile, **given)


def changed(content: bytes, tag: int, number: int) -> bytes:
    """A little-endian TIFF with the value of one tag, of one number, changed in place."""
    entries = struct.unpack("<I", content[4:8])[0]
    for i in range(struct.unpack_from("<H", content, entries)[0]):
        place = entries + 2 + 12 * i
        if struct.unpack_from("<H", content, place)[0] == tag:
            return content[:place] + struct.pack("<HHII", tag, 4, 1, number) + content[place + 12 :]
    raise AssertionError(f"no tag {tag}")


def resized(content: bytes, side: int) -> bytes:
    return changed(changed(content, WIDTH, side), HEIGHT, side)


def small(**options) -> bytes:
    return tiff(np.ones((64, 64), np.uint16), photometric="miniswhite", **options)


WIDTH, HEIGHT, STRIP_OFFSETS, STRIP_BYTES, TILE_WIDTH, TILE_HEIGHT = 256, 257, 273, 279, 322, 323
USED = {"used", "few grey levels in the window"}


@pytest.mark.parametrize(
    ("make", "outcome"),
    [
        pytest.param(lambda: deep_png(7000, 4, 6), USED | {"16-bit", "RGBA"}, marks=pytest.mark.slow),
        (lambda: deep_png(7100, 3, 2), {"too large"}),
        (lambda: png(30_000, 30_000, zlib.compress(bytes(7)), header(1), depth=16, colour=2), {"truncated"}),
        (lambda: deep_tiff(7000, "uint16", photometric="miniswhite"), USED | {"16-bit"}),
        pytest.param(lambda: deep_tiff(7000, "float64"), USED | {"float"}, marks=pytest.mark.slow),
        pytest.param(
            lambda: deep_tiff(7000, "uint16", (4,), photometric="rgb", extrasamples=[2]),
            USED | {"16-bit", "RGBA"},
            marks=pytest.mark.slow,
        ),
        (lambda: deep_tiff(7100, "uint16"), {"too large"}),
        (lambda: resized(deep_tiff(64, "float64", (3,), photometric="rgb"), 5000), {"too large"}),
        (lambda: resized(small(), 2**31 - 1), {"too large"}),
        (lambda: changed(small(), WIDTH, 65_501), {"too large"}),
        (lambda: changed(small(tile=(16, 16)), TILE_WIDTH, 2**31 - 16), {"too large"}),
        (lambda: changed(changed(small(tile=(16, 16)), TILE_WIDTH, 1), TILE_HEIGHT, 1), {"truncated"}),
        (lambda: resized(changed(changed(small(tile=(16, 16)), TILE_WIDTH, 1), TILE_HEIGHT, 1), 6000), {"too large"}),
        (lambda: changed(small(compression="zlib"), STRIP_BYTES, 0), {"truncated"}),
        (lambda: changed(small(compression="zlib"), STRIP_OFFSETS, 2**31), {"truncated"}),
        # A strip that unpacks to more than its rows hold.
        (lambda: changed(deep_strip(), HEIGHT, 8), {"truncated"}),
        (lambda: small()[:-3000], {"truncated"}),
        (lambda: small(compression="lzw")[:-10], {"truncated"}),
    ],
)
def test_what_the_deep_readers_unpack_is_bounded(bounded, make, outcome):
    content = make()
    assert len(content) < 3_000_000
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert read(content) - {"wrong suffix", "non-square"} == outcome
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - peak < 800_000  # kB


def deep_strip() -> bytes:
    """One strip of 100 MB in 100 kB."""
    return tiff(np.zeros((1000, 50_000), np.uint16), compression="zlib", rowsperstrip=1000, photometric="minisblack")


def test_numbers_that_are_none_do_not_shift_the_others():
    values = np.linspace(-5, 5, 400, dtype=np.float32).reshape(20, 20)
    plain = images.decode(encoded(Image.fromarray(values), "TIFF")).pixels
    values[3, 3:6] = np.nan, np.inf, -np.inf
    odd = images.decode(encoded(Image.fromarray(values), "TIFF")).pixels
    assert odd[3, 3:6].tolist() == [0, 255, 0]
    odd[3, 3:6] = plain[3, 3:6]
    np.testing.assert_array_equal(odd, plain)


def test_bands_are_not_seen(monkeypatch):
    rng = np.random.default_rng(0)
    kinds = [rng.integers(0, 65536, (50, 30), np.uint16), rng.integers(0, 256, (50, 30, 4), np.uint8)]
    for pixels in kinds:
        content = encoded(Image.fromarray(pixels), "PNG")
        whole = images.decode(content).pixels
        monkeypatch.setattr(images, "BAND", 100)
        np.testing.assert_array_equal(images.decode(content).pixels, whole)
        monkeypatch.undo()


def test_a_photographs_second_image_makes_it_no_other_format():
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (16, 16), np.uint8))
    decoded = images.decode(encoded(image, "MPO", save_all=True, append_images=[image]), "a.jpg")
    assert decoded.format == "JPEG" and decoded.problems == ("several frames",)


def test_an_exif_block_of_nonsense_costs_the_orientation_and_not_the_image():
    exif = b"Exif\0\0II*\0\xff\xff\xff\xff"
    content = encoded(Image.new("L", (8, 8), 90), "JPEG")
    content = content[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + content[2:]
    assert images.decode(content).problems in ((), ("EXIF unreadable",))
    assert (images.decode(content).pixels == 90).all()

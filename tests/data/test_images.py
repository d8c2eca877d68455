"""Image files become grey squares, or are left out with a reason."""

import io

import imagecodecs
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from ganaug.data import images
from ganaug.data.deep import DEEP_JPEG, UNREAD
from ganaug.data.manifest import inspect
from ganaug.report.content import problem_rows
from helpers.mutations import tiff
from helpers.pictures import encoded, picture, settings


def test_grey_is_read_as_it_is():
    pixels = picture(0)
    decoded = images.decode(encoded(pixels, format="PNG"), "a.png")
    np.testing.assert_array_equal(decoded.pixels, pixels)
    assert (decoded.format, decoded.mode, decoded.problems) == ("PNG", "L", ())


def test_16_bit_is_scaled_by_its_own_range():
    values = np.linspace(1000, 5095, 64 * 64).reshape(64, 64).astype(np.uint16)
    decoded = images.decode(encoded(values, format="PNG"), "a.png")
    assert decoded.problems == ("16-bit",)
    np.testing.assert_allclose(decoded.pixels, (values - 1000.0) / 4095 * 255, atol=0.51)


@pytest.mark.parametrize(
    ("mode", "suffix", "problem"),
    [("RGB", "PNG", "colour"), ("P", "PNG", "palette"), ("CMYK", "JPEG", "CMYK"), ("1", "PNG", "1-bit")],
)
def test_other_modes_become_grey(mode, suffix, problem):
    pixels = picture(1)
    if mode == "1":  # dithering would change a picture in greys
        pixels = np.where(pixels > 127, 255, 0).astype(np.uint8)
    image = Image.fromarray(pixels).convert("RGB" if mode == "CMYK" else "L").convert(mode)
    decoded = images.decode(encoded(image, format=suffix))
    assert decoded.problems == (problem,)
    assert decoded.pixels.dtype == np.uint8
    np.testing.assert_allclose(decoded.pixels.astype(int), pixels, atol=40)
    assert np.corrcoef(decoded.pixels.ravel(), pixels.ravel())[0, 1] > 0.98


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_a_transparent_colour_is_laid_on_black(mode):
    image = Image.new(mode, (8, 8), 200 if mode == "L" else (200, 200, 200))
    file = io.BytesIO()
    image.save(file, "PNG", transparency=200 if mode == "L" else (200, 200, 200))
    decoded = images.decode(file.getvalue(), "x.png")
    assert (decoded.pixels == 0).all() and decoded.problems == ("transparency",)


def test_transparency_is_laid_on_black():
    pixels = picture(2)
    rgba = np.dstack([pixels] * 3 + [np.full_like(pixels, 255)])
    rgba[:10, :, 3] = 0
    decoded = images.decode(encoded(Image.fromarray(rgba), format="PNG"))
    assert decoded.problems == ("RGBA",)
    assert (decoded.pixels[:10] == 0).all()
    np.testing.assert_array_equal(decoded.pixels[10:], pixels[10:])


def test_the_first_frame_of_an_animation_is_taken():
    frames = [Image.fromarray(picture(i)) for i in (3, 4)]
    decoded = images.decode(encoded(frames[0], format="TIFF", save_all=True, append_images=frames[1:]), "a.tif")
    assert "several frames" in decoded.problems
    np.testing.assert_array_equal(decoded.pixels, picture(3))


def test_a_wrong_suffix_is_read_by_content():
    assert images.decode(encoded(picture(5), format="PNG"), "a.jpg").problems == ("wrong suffix",)


def test_a_turned_photograph_is_turned_back():
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned by 90 degrees
    decoded = images.decode(encoded(picture(6), format="JPEG", quality=95, exif=exif))
    np.testing.assert_allclose(decoded.pixels, np.rot90(picture(6), -1), atol=12)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "empty"),
        (b"no image at all", "not an image"),
        (encoded(picture(7), format="PNG")[:300], "truncated"),
        (encoded(picture(7), format="JPEG")[:400], "truncated"),
        (encoded(Image.new("1", (20000, 20000)), format="PNG"), "too large"),
    ],
    ids=["empty", "text", "png", "jpeg", "bomb"],
)
def test_unusable_files_are_named(content, problem):
    with pytest.raises(images.Unusable, match=problem):
        images.decode(content)


def test_squares_are_cut_from_the_centre():
    pixels = np.zeros((40, 100), np.uint8)
    pixels[:, 30:70] = 200
    assert (images.to_square(pixels, 40) == 200).all()
    assert images.to_square(pixels.T, 16).shape == (16, 16)
    assert (images.to_square(np.full((8, 8), 77, np.uint8), 32) == 77).all()


def full_picture(seed) -> np.ndarray:
    """From 0 to 255, so that a window of its whole range leaves it as it is; uint8 [48, 48]."""
    pixels = picture(seed).copy()
    pixels[0, 0], pixels[-1, -1] = 0, 255
    return pixels


def deep_palette(factor) -> np.ndarray:
    """A colour map, uint16 [3, 256]."""
    return np.tile(np.arange(256, dtype=np.uint16) * np.uint16(factor), (3, 1))


GREY = {"photometric": "minisblack"}
NEGATIVE = {"photometric": "miniswhite"}
EVERY_DEPTH = {
    "RGB": lambda p: imagecodecs.png_encode(np.dstack([p * 16] * 3)),
    "RGBA": lambda p: imagecodecs.png_encode(np.dstack([*[p * 16] * 3, np.full_like(p, 65535)])),
    "grey + alpha": lambda p: imagecodecs.png_encode(np.dstack([p * 16, np.full_like(p, 65535)])),
    "TIFF": lambda p: tiff(p * 257, **GREY),
    "big-endian": lambda p: tiff(p * 16, byteorder=">", **GREY),
    "white is zero": lambda p: tiff(65535 - p * 257, **NEGATIVE),
    "white is zero, part of the range": lambda p: tiff(5000 - p * 16, **NEGATIVE),
    "white is zero, 8 bits": lambda p: tiff((255 - p).astype(np.uint8), **NEGATIVE),
    "white is zero, 12 bits": lambda p: tiff(4095 - p * 16, bitspersample=12, **NEGATIVE),
    "white is zero, signed": lambda p: tiff(-1000 - p.astype(np.int16), **NEGATIVE),
    "white is zero, floats": lambda p: tiff(-p.astype(np.float32), **NEGATIVE),
    "white is zero, alpha": lambda p: tiff(
        np.dstack([65535 - p * 257, np.full_like(p, 65535)]),
        extrasamples=["unassalpha"],
        planarconfig="contig",
        **NEGATIVE,
    ),
    "12 bits": lambda p: tiff(p * 16, bitspersample=12, **GREY),
    "8 bits, signed": lambda p: tiff((p.astype(int) - 128).astype(np.int8), **GREY),
    "16 bits, signed": lambda p: tiff(p.astype(np.int16) - 1024, **GREY),
    "32 bits": lambda p: tiff(p.astype(np.uint32) * 2**24, **GREY),
    "32 bits, a small part": lambda p: tiff(p.astype(np.uint32) + 2**31, **GREY),
    "32 bits, signed": lambda p: tiff(p.astype(np.int32) - 2**30, **GREY),
    "half floats": lambda p: tiff(p.astype(np.float16), **GREY),
    "floats": lambda p: tiff(p / np.float32(255), **GREY),
    "double floats": lambda p: tiff(p * 1e200, **GREY),
    "LZW": lambda p: tiff(p * 16, compression="lzw", predictor=2, rowsperstrip=7, **GREY),
    "tiles": lambda p: tiff(p * 16, compression="zlib", tile=(32, 32), **GREY),
    "float predictor": lambda p: tiff(p.astype(np.float32), compression="zlib", predictor=3, **GREY),
    "RGB TIFF": lambda p: tiff(np.dstack([p * 16] * 3), photometric="rgb"),
    "RGB TIFF, 32 bits": lambda p: tiff(np.dstack([p.astype(np.uint32) * 2**20] * 3), photometric="rgb"),
    "planes": lambda p: tiff(np.stack([p * 16] * 3), photometric="rgb", planarconfig="separate"),
    "RGBA TIFF": lambda p: tiff(
        np.dstack([*[p * 16] * 3, np.full_like(p, 65535)]), photometric="rgb", extrasamples=["unassalpha"]
    ),
    "a fourth sample of no meaning": lambda p: tiff(
        np.dstack([*[p * 16] * 3, np.zeros_like(p)]), photometric="rgb", extrasamples=["unspecified"]
    ),
    "12 bits in a colour map": lambda p: tiff(p.astype(np.uint8), photometric="palette", colormap=deep_palette(16)),
    "8 bits in a colour map": lambda p: tiff(p.astype(np.uint8), photometric="palette", colormap=deep_palette(1)),
    "BigTIFF": lambda p: tiff(p * 16, bigtiff=True, **GREY),
}


@pytest.mark.parametrize("make", EVERY_DEPTH.values(), ids=EVERY_DEPTH)
def test_depth_and_polarity_are_kept(make):
    pixels = full_picture(8)
    decoded = images.decode(make(pixels.astype(np.uint16)))
    np.testing.assert_array_equal(decoded.pixels, pixels)
    assert decoded.window is None or (decoded.window.outside, decoded.window.levels) == (0, len(np.unique(pixels)))


@pytest.mark.parametrize("factor", [256, 257])
def test_a_colour_map_of_8_bits_is_read_as_before(factor):
    pixels = picture(9)
    decoded = images.decode(tiff(pixels, photometric="palette", colormap=deep_palette(factor)))
    np.testing.assert_array_equal(decoded.pixels, pixels)
    assert (decoded.mode, decoded.problems, decoded.window) == ("P", ("palette",), None)


def test_deep_colours_become_luma():
    colours = np.random.default_rng(0).integers(0, 65536, (20, 20, 3), np.uint16)
    colours[0, 0], colours[0, 1] = 0, 65535
    luma = colours @ np.array([0.299, 0.587, 0.114]) / 257
    for content in (imagecodecs.png_encode(colours), tiff(colours, photometric="rgb")):
        np.testing.assert_allclose(images.decode(content).pixels, luma, atol=0.51)


@pytest.mark.parametrize("kind", ["png", "straight", "premultiplied"])
def test_deep_transparency_is_laid_on_black(kind):
    pixels = full_picture(10).astype(np.uint16)
    alpha = np.full_like(pixels, 65535)
    alpha[:10], alpha[10:20] = 0, 32768
    shown = np.rint(pixels * (alpha / 65535))
    stored = np.dstack([shown * 257 if kind == "premultiplied" else pixels * 257, alpha]).astype(np.uint16)
    extra = ["assocalpha" if kind == "premultiplied" else "unassalpha"]
    options = {"photometric": "minisblack", "planarconfig": "contig", "extrasamples": extra}
    decoded = images.decode(imagecodecs.png_encode(stored) if kind == "png" else tiff(stored, **options))
    np.testing.assert_allclose(decoded.pixels, shown, atol=1)
    assert decoded.problems == ("16-bit", "transparency")


def test_a_transparent_value_of_16_bits_is_laid_on_black():
    values = full_picture(11).astype(np.uint16) * 257
    values[:5] = 12345
    file = io.BytesIO()
    Image.fromarray(values).save(file, "PNG", transparency=12345)
    decoded = images.decode(file.getvalue())
    assert (decoded.pixels[:5] == 0).all() and decoded.problems == ("16-bit", "transparency")
    np.testing.assert_array_equal(decoded.pixels[5:], full_picture(11)[5:])


@pytest.mark.parametrize("value", [65535, 60000])
def test_a_burnt_in_marker_does_not_take_the_range(value):
    pixels = full_picture(12)
    values = pixels.astype(np.uint16) * 16
    values[1:7, 1:9] = value
    for content in (encoded(values, "PNG"), tiff(values, photometric="minisblack")):
        decoded = images.decode(content)
        np.testing.assert_array_equal(decoded.pixels[8:], pixels[8:])
        assert (decoded.pixels[1:7, 1:9] == 255).all()
        assert decoded.window.high == 4080 and decoded.window.outside == 48 / 48**2


def test_a_marker_with_soft_edges_takes_less_than_half_of_the_range():
    pixels = full_picture(12)
    values = pixels.astype(np.uint16) * 16
    values[1:7, 1:9] = np.linspace(4081, 65535, 48).reshape(6, 8)
    decoded = images.decode(encoded(values, "PNG"))
    assert 4080 < decoded.window.high < 2 * 4080
    np.testing.assert_allclose(decoded.pixels[8:], pixels[8:] * (4080 / decoded.window.high), atol=0.51)


@pytest.mark.parametrize("share", [0.02, 0.3, 0.8])
@pytest.mark.parametrize("value", [-32768, 32767])
def test_padding_does_not_take_the_range(share, value):
    pixels = full_picture(13)
    values = pixels.astype(np.int16) * 4 - 100
    padded = round(share * len(pixels))
    values[1 : 1 + padded] = value
    decoded = images.decode(tiff(values, photometric="minisblack"))
    np.testing.assert_array_equal(decoded.pixels[1 + padded :], pixels[1 + padded :])
    assert (decoded.pixels[1 : 1 + padded] == (0 if value < 0 else 255)).all()
    assert ("much outside the window" in decoded.problems) == (share > 0.1)


def test_a_background_of_most_pixels_leaves_the_film_its_range():
    pixels = full_picture(14)
    values = np.full((200, 200), 300, np.uint16)  # collimated: 94 % are outside of the beam
    values[:48, :48] = pixels.astype(np.uint16) * 16 + 300
    decoded = images.decode(encoded(values, "PNG"))
    np.testing.assert_array_equal(decoded.pixels[:48, :48], pixels)


def test_what_had_lost_its_depth_before_is_told():
    decoded = images.decode(encoded((picture(15) // 16).astype(np.uint16), "PNG"))
    assert decoded.window.levels <= 16 and "few grey levels in the window" in decoded.problems
    assert "few grey levels in the window" not in images.decode(encoded(picture(15).astype(np.uint16), "PNG")).problems


def test_a_tiff_is_turned_and_its_first_page_taken():
    pixels = full_picture(16)
    values = np.rot90(pixels).astype(np.uint16) * 257
    decoded = images.decode(tiff(values, photometric="minisblack", extratags=[(274, "H", 1, 6, True)]))
    np.testing.assert_array_equal(decoded.pixels, pixels)
    decoded = images.decode(tiff(np.stack([values, values // 2]), photometric="minisblack"))
    assert decoded.problems == ("several frames", "16-bit")
    np.testing.assert_array_equal(decoded.pixels, np.rot90(pixels))


def jpeg_of_12_bits() -> bytes:
    content = encoded(picture(17), "JPEG")
    start = content.find(b"\xff\xc0")
    return content[: start + 4] + b"\x0c" + content[start + 5 :]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (tiff(np.zeros((8, 8, 4), np.uint16), photometric="separated"), UNREAD),
        (tiff(np.zeros((8, 8, 3), np.uint16), photometric="minisblack", planarconfig="contig"), UNREAD),
        (tiff(np.zeros((8, 8, 5), np.uint8), photometric="minisblack", planarconfig="contig"), UNREAD),
        (tiff(np.zeros((8, 8), np.complex64), photometric="minisblack"), UNREAD),
        (tiff(np.zeros((8, 8), np.uint64), photometric="minisblack"), UNREAD),
        (
            tiff(np.zeros((8, 8), np.uint16), photometric="minisblack").replace(b"\x06\x01\x03\0", b"\x07\x01\x03\0"),
            UNREAD,
        ),
        (tiff(np.zeros((8, 8), np.uint16), photometric="minisblack", compression="lzma"), UNREAD),
        (tiff(np.zeros((8, 8, 3), np.uint16), photometric="cielab"), UNREAD),
        (jpeg_of_12_bits(), DEEP_JPEG),
    ],
    ids=["CMYK", "channels", "five channels", "complex", "64 bits", "no polarity", "LZMA", "LAB", "JPEG"],
)
def test_what_would_lose_its_depth_is_refused(content, reason):
    with pytest.raises(images.Unusable, match=reason):
        images.decode(content)
    assert images.ADVICE[reason]


def test_the_window_is_told_file_by_file_and_counted_as_one(tmp_path):
    rows = []
    for name, factor in (("a.png", 16), ("b.png", 100)):
        (tmp_path / name).write_bytes(encoded(full_picture(18).astype(np.uint16) * factor, "PNG"))
        rows += inspect(tmp_path, name, "A", settings())["problems"]
    levels = len(np.unique(full_picture(18)))
    told = f"scaled to 8 bits by the window 0 to 4080: {levels} grey levels, 0.0 % of the pixels outside"
    assert rows[0] == {"file": "a.png", "class": "A", "problem": "16-bit", "action": told}
    pd.DataFrame(rows).to_csv(tmp_path / "problems.csv", index=False)
    counted = {"problem": "16-bit", "class": "A", "action": "scaled to 8 bits", "files": 2}
    assert problem_rows(tmp_path / "problems.csv") == [counted]

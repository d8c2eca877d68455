"""Image files become grey squares, or are left out with a reason."""

import io

import numpy as np
import pytest
from PIL import Image

from ganaug.data import images
from helpers.pictures import encoded, picture


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

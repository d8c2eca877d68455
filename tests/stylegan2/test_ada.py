"""Adaptive discriminator augmentation: each transformation against its definition, and the control of p."""

import math

import numpy as np
import pytest
import torch
from torch.autograd import gradcheck, gradgradcheck

from ganaug.stylegan2 import ada, ada_colour, ada_geometry, ada_image_space


def batch(n=2, channels=1, size=16, dtype=torch.float64):
    """Smooth images in [-1, 1], so that a resampled one can be compared with an ideal."""
    coarse = torch.rand(n, channels, 6, 6, generator=torch.Generator().manual_seed(0), dtype=dtype) * 2 - 1
    return torch.nn.functional.interpolate(coarse, size=size, mode="bicubic", align_corners=True).clamp(-1, 1)


def full(value, n=2):
    return torch.full((n,), float(value), dtype=torch.float64)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def geometry_of(n, size, p):
    return ada_geometry.geometry_matrix(**ada.draw_geometry(n, size, p, p, generator()))


def colour_of(n, channels, p):
    return ada_colour.colour_matrix(**ada.draw_colour(n, channels, p, generator()))


def test_the_filter_is_an_orthogonal_wavelet_with_six_vanishing_moments():
    h = np.array(ada_geometry.SYM6)
    for shift in range(6):
        assert h[2 * shift :] @ h[: len(h) - 2 * shift] == pytest.approx(float(shift == 0), abs=1e-10)
    assert h.sum() == pytest.approx(math.sqrt(2))
    high = h[::-1] * (-1) ** np.arange(12)
    for moment in range(6):
        assert high @ np.arange(12.0) ** moment == pytest.approx(0, abs=1e-5)


def test_p_zero_gives_the_images_back():
    x = batch()
    assert ada.Augmentation(0.0)(x, generator()) is x


def test_identity_goes_through_the_filters_unchanged():
    x = torch.rand(2, 3, 16, 16, dtype=torch.float64)
    torch.testing.assert_close(ada_geometry.warp(x, torch.eye(3).double().expand(2, 3, 3)), x)


def test_whole_pixel_translation_moves_and_reflects_exactly():
    x = torch.rand(2, 1, 16, 16, dtype=torch.float64)
    got = ada_geometry.warp(x, ada_geometry.translation(full(3), full(-2)))
    expected = torch.nn.functional.pad(x, (3, 0, 0, 2), mode="reflect")[:, :, 2:, :16]
    torch.testing.assert_close(got, expected)


def test_fractional_translation_shifts_a_wave():
    u = torch.arange(32, dtype=torch.float64)
    x = torch.cos(2 * math.pi * u / 16).expand(1, 1, 32, 32)
    got = ada_geometry.warp(x, ada_geometry.translation(full(0.5, 1), full(0, 1)))
    expected = torch.cos(2 * math.pi * (u - 0.5) / 16).expand(1, 1, 32, 32)
    torch.testing.assert_close(got[..., 4:-4], expected[..., 4:-4], atol=0.02, rtol=0)


@pytest.mark.parametrize(
    ("matrix", "expected"),
    [
        (ada_geometry.scaling(full(-1), full(1)), lambda x: x.flip(3)),
        (ada_geometry.rotation(full(math.pi / 2)), lambda x: torch.rot90(x, 1, (2, 3))),
        (ada_geometry.rotation(full(math.pi)), lambda x: torch.rot90(x, 2, (2, 3))),
    ],
)
def test_flip_and_quarter_turns(matrix, expected):
    x = batch(size=32)
    got = ada_geometry.warp(x, matrix)
    assert (got - expected(x)).abs().mean() < 0.02  # the filter is nearly, not quite, symmetric
    assert (got - expected(x).flip(2)).abs().mean() > 0.3


def resampled_step_by_step(x, geometry):
    """The resampling of the original, operation by operation: reflect, double, grid_sample, halve."""
    size, margin = x.shape[2], x.shape[2] - 1
    taps = torch.tensor(ada_geometry.SYM6, dtype=x.dtype)
    kernel = taps.outer(taps).flip(0, 1).expand(x.shape[1], 1, 12, 12)  # conv2d correlates
    x = torch.nn.functional.pad(x, [margin] * 4, mode="reflect")
    spread = x.new_zeros(*x.shape[:2], 2 * x.shape[2], 2 * x.shape[3])
    spread[:, :, ::2, ::2] = x
    spread = torch.nn.functional.pad(spread, [6, 5, 6, 5])
    fine = 4 * torch.nn.functional.conv2d(spread, kernel / 2, groups=x.shape[1])
    eye = torch.eye(3, dtype=x.dtype)

    def about(matrix, before, after):
        return after @ matrix @ before

    half, double = eye.clone(), eye.clone()
    double[0, 0] = double[1, 1] = 2
    half[:2, 2] = -0.5
    inverse = about(about(geometry, double.inverse(), double), half.inverse(), half)
    wanted = [len(x), x.shape[1], 2 * (size + 6), 2 * (size + 6)]
    unit = [torch.diag(torch.tensor([2 / n, 2 / n, 1], dtype=x.dtype)) for n in (wanted[2], fine.shape[2])]
    grid = torch.nn.functional.affine_grid(
        about(inverse, unit[0].inverse(), unit[1])[:, :2], wanted, align_corners=False
    )
    read = torch.nn.functional.grid_sample(fine, grid, "bilinear", "zeros", align_corners=False)[:, :, 1:-1, 1:-1]
    return torch.nn.functional.conv2d(read, kernel.flip(2, 3) / 2, stride=2, groups=x.shape[1])


def test_warps_are_the_originals():
    x, geometry = batch(24), geometry_of(24, 16, 1.0).double()
    found = ada_geometry.warp(x, geometry)
    torch.testing.assert_close(found, resampled_step_by_step(x, geometry), atol=1e-5, rtol=0)


def test_scaling_magnifies_about_the_centre():
    u = torch.arange(32, dtype=torch.float64) - 15.5
    x = torch.cos(2 * math.pi * u / 32).expand(1, 1, 32, 32)
    got = ada_geometry.warp(x, ada_geometry.scaling(full(1 / 2, 1), full(1, 1)))
    expected = torch.cos(2 * math.pi * u / 2 / 32).expand(1, 1, 32, 32)
    torch.testing.assert_close(got, expected, atol=0.02, rtol=0)


def test_far_outside_there_is_nothing():
    x = torch.ones(1, 1, 16, 16, dtype=torch.float64)
    assert torch.equal(ada_geometry.warp(x, ada_geometry.translation(full(200, 1), full(0, 1))), torch.zeros_like(x))


def test_a_sample_does_not_depend_on_its_batch():
    x = batch(4)
    geometry = geometry_of(4, 16, 1.0).double()
    torch.testing.assert_close(ada_geometry.warp(x, geometry)[1:2], ada_geometry.warp(x[1:2], geometry[1:2]))


def test_brightness_contrast_and_luma_flip_of_grey_and_colour():
    for channels in (1, 3):
        x = batch(channels=channels)
        torch.testing.assert_close(ada_colour.recolour(x, ada_colour.brightness_shift(full(0.3))), x + 0.3)
        torch.testing.assert_close(ada_colour.recolour(x, ada_colour.contrast_scaling(full(1.5))), x * 1.5)
    grey, colour = batch(channels=1), batch(channels=3)
    torch.testing.assert_close(ada_colour.recolour(grey, ada_colour.luma_flip(full(1))), -grey)
    flipped = ada_colour.recolour(colour, ada_colour.luma_flip(full(1)))
    torch.testing.assert_close(flipped.mean(1), -colour.mean(1))
    torch.testing.assert_close(flipped - flipped.mean(1, keepdim=True), colour - colour.mean(1, keepdim=True))


def test_hue_and_saturation_leave_the_luma():
    x = batch(channels=3)
    chroma = x - x.mean(1, keepdim=True)
    for turn in (2 * math.pi / 3, -2 * math.pi / 3):  # a third of the circle permutes the channels
        got = ada_colour.recolour(x, ada_colour.hue_rotation(full(turn)))
        torch.testing.assert_close(got, x.roll(1 if turn > 0 else -1, 1))
    for factor in (0.0, 2.0):
        got = ada_colour.recolour(x, ada_colour.saturation_scaling(full(factor)))
        torch.testing.assert_close(got, x.mean(1, keepdim=True) + factor * chroma)


def test_grey_images_get_no_hue_or_saturation():
    colour = colour_of(500, 1, 1.0)
    assert torch.allclose(colour[:, 0, 0], colour[:, 1, 1]) and torch.allclose(colour[:, 0, 1], colour[:, 1, 0])
    reduced = ada_colour.recolour(torch.ones(500, 1, 1, 1), colour)
    assert (reduced < 0).float().mean().item() == pytest.approx(0.5, abs=0.1)  # luma flip, half of the time


@pytest.mark.parametrize("p", [0.3, 1.0])
def test_transformations_come_with_probability_p(p):
    """With every transformation left out with 1 - p, untouched images are (1 - p)^k of all, k of them effective."""
    n = 20000
    colour = colour_of(n, 1, p)
    untouched = (colour == torch.eye(4)).all(2).all(1).float().mean().item()
    assert untouched == pytest.approx((1 - p) ** 2 * (1 - p / 2), abs=0.02)  # half of the luma flips do nothing
    geometry = geometry_of(n, 32, p)
    moved = geometry[:, :2, :2] - torch.eye(2)
    # Flip (half of them effective), quarter turns (3 of 4), two scalings, and rotation with probability p in all.
    expected = (1 - p / 2) * (1 - 3 * p / 4) * (1 - p) ** 3
    assert (moved.abs().amax((1, 2)) < 1e-6).float().mean().item() == pytest.approx(expected, abs=0.02)


def test_strengths_are_the_published_ones():
    n, size = 40000, 100
    d = geometry_of(n, size, 1.0)
    area = torch.linalg.det(d[:, :2, :2].double()).abs().log2() / -2  # isotropic scale alone changes the area
    assert area.std().item() == pytest.approx(0.2, rel=0.03) and area.mean().item() == pytest.approx(0, abs=0.01)
    singular = torch.linalg.svdvals(d[:, :2, :2].double())
    aspect = (singular[:, 0] / singular[:, 1]).log2() / 2  # |N(0, 0.2^2)|
    assert aspect.mean().item() == pytest.approx(0.2 * math.sqrt(2 / math.pi), rel=0.03)
    assert (torch.linalg.det(d) < 0).float().mean().item() == pytest.approx(0.5, abs=0.02)  # mirrored
    c = colour_of(n, 1, 1.0)
    contrast = c[:, :3, :3].sum(2).mean(1).abs().log2()
    assert contrast.std().item() == pytest.approx(0.5, rel=0.03)
    shift = c[:, 0, 3] / c[:, :3, :3].sum(2).mean(1)
    assert shift.std().item() == pytest.approx(0.2, rel=0.03)


def test_rotation_turns_by_any_angle():
    u = torch.arange(48, dtype=torch.float64) - 23.5
    x, y = torch.meshgrid(u, u, indexing="xy")

    def blob(x, y):  # an ellipse off the centre
        return torch.exp(-((x - 8) ** 2) / 60 - y**2 / 20)[None, None]

    angle = math.radians(30)
    got = ada_geometry.warp(blob(x, y), ada_geometry.rotation(full(angle, 1)))
    c, s = math.cos(angle), math.sin(angle)
    expected = blob(c * x - s * y, s * x + c * y)
    torch.testing.assert_close(got[..., 9:-9, 9:-9], expected[..., 9:-9, 9:-9], atol=0.03, rtol=0)


NEUTRAL = {
    **{"flip": full(1), "quarter_turns": full(0), "whole_pixels": torch.zeros(2, 2).double(), "scale": full(1)},
    **{"angle_before": full(0), "aspect": full(1), "angle_after": full(0), "fraction": torch.zeros(2, 2).double()},
}
GEOMETRIC_ORDER = [
    ("flip", full(-1), ada_geometry.scaling(full(-1), full(1))),
    ("quarter_turns", full(1), ada_geometry.rotation(full(-math.pi / 2))),
    ("whole_pixels", torch.tensor([[3.0, -2.0]] * 2).double(), ada_geometry.translation(full(3), full(-2))),
    ("scale", full(1.3), ada_geometry.scaling(full(1 / 1.3), full(1 / 1.3))),
    ("angle_before", full(0.4), ada_geometry.rotation(full(0.4))),
    ("aspect", full(1.2), ada_geometry.scaling(full(1 / 1.2), full(1.2))),
    ("angle_after", full(-0.7), ada_geometry.rotation(full(-0.7))),
    ("fraction", torch.tensor([[0.5, 1.5]] * 2).double(), ada_geometry.translation(full(0.5), full(1.5))),
]


@pytest.mark.parametrize(("name", "value", "matrix"), GEOMETRIC_ORDER)
def test_each_geometric_transformation_alone_is_its_matrix(name, value, matrix):
    torch.testing.assert_close(ada_geometry.geometry_matrix(**NEUTRAL), torch.eye(3).double().expand(2, 3, 3))
    torch.testing.assert_close(ada_geometry.geometry_matrix(**{**NEUTRAL, name: value}), matrix)


def test_geometric_transformations_come_in_the_published_order():
    """Of any two, the one that is earlier in the paper is applied to the image first, the other to its result."""
    x = batch(size=64)
    inner = (slice(None), slice(None), slice(20, 44), slice(20, 44))  # away from edges, where nothing was reflected
    distinguished = 0
    for i, (first, value, matrix) in enumerate(GEOMETRIC_ORDER):
        for second, later_value, later_matrix in GEOMETRIC_ORDER[i + 1 :]:
            both = ada_geometry.geometry_matrix(**{**NEUTRAL, first: value, second: later_value})
            got = ada_geometry.warp(x, both)[inner]
            expected = ada_geometry.warp(ada_geometry.warp(x, matrix), later_matrix)[inner]
            reverse = ada_geometry.warp(ada_geometry.warp(x, later_matrix), matrix)[inner]
            assert (got - expected).abs().mean() < 0.01
            distinguished += (got - reverse).abs().mean() > 0.03
    assert distinguished >= 14  # of 28 pairs; the others commute, or nearly


def test_colour_transformations_come_in_the_published_order():
    values = {"brightness": full(0.3), "contrast": full(1.5), "flip": full(1), "hue": full(0.9), "saturation": full(2)}
    x = expected = batch(channels=3)
    for matrix in (
        *(ada_colour.brightness_shift(full(0.3)), ada_colour.contrast_scaling(full(1.5))),
        *(ada_colour.luma_flip(full(1)), ada_colour.hue_rotation(full(0.9)), ada_colour.saturation_scaling(full(2))),
    ):
        expected = ada_colour.recolour(expected, matrix)
    torch.testing.assert_close(ada_colour.recolour(x, ada_colour.colour_matrix(**values)), expected)


def test_draws_are_independent_of_each_other_and_between_images():
    n = 20000
    draws = {
        **{f"geometry {k}": v for k, v in ada.draw_geometry(n, 32, 0.5, 0.5, generator(1)).items()},
        **{f"colour {k}": v for k, v in ada.draw_colour(n, 3, 0.5, generator(2)).items()},
        **ada.draw_filter(n, 0.5, generator(3)),
        **ada.draw_cutout(n, 0.5, generator(4)),
        "deviation": ada.draw_noise(n, (1, 1, 1), 0.5, generator(5))["deviation"],
    }
    columns = torch.cat([v.reshape(n, -1).double() for v in draws.values()], 1)
    assert columns.std(0).min() > 0
    # Two numbers of one transformation are drawn together or not at all, yet do not go with one another.
    limit = 5 / math.sqrt(n / 2)
    for rows in (columns[::2], torch.cat([columns[::2], columns[1::2]], 1)):
        correlation = torch.corrcoef(rows.T)
        assert (correlation - torch.eye(len(correlation))).abs().max() < limit
    assert torch.corrcoef(torch.stack([columns[:-1, 3], columns[1:, 3]]))[0, 1].abs() < limit


def test_band_filters_share_the_frequencies_among_them():
    bands = ada_image_space.band_filters()
    impulse = torch.zeros(bands.shape[1], dtype=torch.float64)
    impulse[bands.shape[1] // 2] = 1
    torch.testing.assert_close(bands.sum(0), impulse, atol=1e-11, rtol=0)
    torch.testing.assert_close(bands, bands.flip(1))  # no shift
    frequency = torch.arange(bands.shape[1]) - bands.shape[1] // 2
    for band, inside in enumerate((math.pi / 16, 3 * math.pi / 16, 3 * math.pi / 8, 3 * math.pi / 4)):
        response = (bands * torch.cos(inside * frequency)).sum(1)
        assert response.argmax() == band and response[band] > 0.7


def test_filtering_amplifies_its_band_at_constant_expected_power():
    u = torch.arange(128, dtype=torch.float64)
    power = torch.tensor(ada_image_space.BAND_POWER, dtype=torch.float64)
    filters = ada_image_space.band_filters()
    k = torch.arange(filters.shape[1]) - filters.shape[1] // 2
    for band, frequency in enumerate((0.0, 3 / 32, 3 / 16, 1 / 2)):  # cycles a pixel, one wave in each band
        wave = torch.cos(2 * math.pi * frequency * u).expand(1, 1, 128, 128)
        one = torch.ones(1, 4, dtype=torch.float64)
        one[0, band] = 2
        norm = (power * one.square()).sum().sqrt()
        got = ada_image_space.filter_bands(wave, one)[0, 0, 64, 48:80]
        along = one[0] @ (filters * torch.cos(2 * math.pi * frequency * k)).sum(1) / norm
        across = one[0, 0] / norm  # down the columns the wave is constant: in the lowest band
        torch.testing.assert_close(got, wave[0, 0, 64, 48:80] * along * across)
        assert along * norm > 1.5
    x = batch(size=8)  # smaller than the filter: reflected again and again
    torch.testing.assert_close(ada_image_space.filter_bands(x, torch.ones(2, 4).double()), x)


def test_noise_has_its_deviation():
    x = torch.zeros(2, 1, 100, 100)
    deviation = torch.tensor([0.1, 0.0])
    got = ada_image_space.add_noise(x, deviation, torch.randn(x.shape, generator=generator()))
    assert got[0].std().item() == pytest.approx(0.1, rel=0.03) and not got[1].any()
    drawn = ada.draw_noise(20000, (1, 1, 1), 1.0, generator())
    assert drawn["deviation"].min() >= 0
    assert drawn["deviation"].square().mean().sqrt().item() == pytest.approx(0.1, rel=0.03)


def test_cutout_blanks_a_rectangle():
    x = torch.ones(3, 1, 16, 16)
    got = ada_image_space.cut_out(x, torch.tensor([0.5, 0.5, 0.0]), torch.tensor([[0.5, 0.5], [0.0, 1.0], [0.5, 0.5]]))
    expected = torch.ones(3, 1, 16, 16)
    expected[0, 0, 4:12, 4:12] = 0
    expected[1, 0, 12:, :4] = 0  # about the lower left corner
    assert torch.equal(got, expected)
    drawn = ada.draw_cutout(20000, 0.3, generator())
    assert (drawn["width"] > 0).float().mean().item() == pytest.approx(0.3, abs=0.02)
    assert set(drawn["width"].tolist()) == {0.0, 0.5}
    assert drawn["centre"].min() >= 0 and drawn["centre"].max() <= 1


def test_filter_strengths_are_lognormal_of_one_octave():
    drawn = ada.draw_filter(20000, 1.0, generator())["amplification"].log2()
    assert drawn.std(0).tolist() == pytest.approx([1] * 4, rel=0.03)
    some = ada.draw_filter(20000, 0.3, generator())["amplification"]
    assert (some != 1).float().mean(0).tolist() == pytest.approx([0.3] * 4, abs=0.02)


@pytest.mark.parametrize("last", ["color", "filter", "noise", "cutout"])
def test_a_pipeline_is_its_groups_one_after_the_other(last):
    names = ["bg", "color", "filter", "noise", "cutout"]
    names = names[: names.index(last) + 1]
    x = batch(8, 3, 16)
    whole = ada.Augmentation(0.8, "bgcfnc"[: len(names) + 1])(x, generator())
    random, step_by_step = generator(), x
    for name in names:
        before, step_by_step = step_by_step, ada.Augmentation(0.8, name)(step_by_step, random)
        assert not torch.equal(before, step_by_step)
    torch.testing.assert_close(whole, step_by_step)


def test_pipelines_have_the_reference_s_names():
    assert ada.PIPELINES["bgc"] == ("blit", "geom", "color")
    assert ada.PIPELINES["bgcfnc"] == ("blit", "geom", "color", "filter", "noise", "cutout")
    assert set(ada.PIPELINES) == {*ada.GROUPS, "bg", "bgc", "bgcf", "bgcfn", "bgcfnc"}


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("pipeline", ["blit", "geom", "color", "filter", "noise", "cutout", "bgcfnc"])
def test_augmentation_has_second_derivatives(channels, pipeline):
    x = batch(2, channels, 8).requires_grad_()

    def function(x):
        return ada.Augmentation(0.9, pipeline)(x, generator(3)).square()

    assert gradcheck(function, (x,), fast_mode=True)
    assert gradgradcheck(function, (x,), fast_mode=True)


def test_p_rises_on_overfitting_falls_else_and_stays_in_its_range():
    augmentation = ada.Augmentation(0.5)
    augmentation.adapt(r_t=0.9, target=0.6, images=128, ada_kimg=10)
    assert augmentation.p == pytest.approx(0.5128)
    augmentation.adapt(r_t=0.1, target=0.6, images=256, ada_kimg=10)
    assert augmentation.p == pytest.approx(0.4872)
    for r_t, end in ((1.0, 1.0), (-1.0, 0.0)):
        for _ in range(100):
            augmentation.adapt(r_t=r_t, target=0.6, images=128, ada_kimg=1)
        assert augmentation.p == end

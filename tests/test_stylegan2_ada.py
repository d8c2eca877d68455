"""Adaptive discriminator augmentation: each transformation against its definition, and the control of p."""

import math

import numpy as np
import pytest
import torch
from torch.autograd import gradcheck, gradgradcheck

from ganaug.stylegan2 import ada


def batch(n=2, channels=1, size=16, dtype=torch.float64):
    """Smooth images in [-1, 1], so that a resampled one can be compared with an ideal."""
    coarse = torch.rand(n, channels, 6, 6, generator=torch.Generator().manual_seed(0), dtype=dtype) * 2 - 1
    return torch.nn.functional.interpolate(coarse, size=size, mode="bicubic", align_corners=True).clamp(-1, 1)


def full(value, n=2):
    return torch.full((n,), float(value), dtype=torch.float64)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def test_the_filter_is_an_orthogonal_wavelet_with_six_vanishing_moments():
    h = np.array(ada.SYM6)
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
    torch.testing.assert_close(ada.warp(x, torch.eye(3).double().expand(2, 3, 3)), x)


def test_whole_pixel_translation_moves_and_reflects_exactly():
    x = torch.rand(2, 1, 16, 16, dtype=torch.float64)
    got = ada.warp(x, ada.translation(full(3), full(-2)))
    expected = torch.nn.functional.pad(x, (3, 0, 0, 2), mode="reflect")[:, :, 2:, :16]
    torch.testing.assert_close(got, expected)


def test_fractional_translation_shifts_a_wave():
    u = torch.arange(32, dtype=torch.float64)
    x = torch.cos(2 * math.pi * u / 16).expand(1, 1, 32, 32)
    got = ada.warp(x, ada.translation(full(0.5, 1), full(0, 1)))
    expected = torch.cos(2 * math.pi * (u - 0.5) / 16).expand(1, 1, 32, 32)
    torch.testing.assert_close(got[..., 4:-4], expected[..., 4:-4], atol=0.02, rtol=0)


@pytest.mark.parametrize(
    ("matrix", "expected"),
    [
        (ada.scaling(full(-1), full(1)), lambda x: x.flip(3)),
        (ada.rotation(full(math.pi / 2)), lambda x: torch.rot90(x, 1, (2, 3))),
        (ada.rotation(full(math.pi)), lambda x: torch.rot90(x, 2, (2, 3))),
    ],
)
def test_flip_and_quarter_turns(matrix, expected):
    x = batch(size=32)
    got = ada.warp(x, matrix)
    assert (got - expected(x)).abs().mean() < 0.08  # the filter is nearly, not quite, symmetric
    assert (got - expected(x).flip(2)).abs().mean() > 0.3


def test_scaling_magnifies_about_the_centre():
    u = torch.arange(32, dtype=torch.float64) - 15.5
    x = torch.cos(2 * math.pi * u / 32).expand(1, 1, 32, 32)
    got = ada.warp(x, ada.scaling(full(1 / 2, 1), full(1, 1)))
    expected = torch.cos(2 * math.pi * u / 2 / 32).expand(1, 1, 32, 32)
    torch.testing.assert_close(got, expected, atol=0.02, rtol=0)


def test_far_outside_there_is_nothing():
    x = torch.ones(1, 1, 16, 16, dtype=torch.float64)
    assert torch.equal(ada.warp(x, ada.translation(full(200, 1), full(0, 1))), torch.zeros_like(x))


def test_a_sample_does_not_depend_on_its_batch():
    x = batch(4)
    geometry = ada.draw_geometry(4, 16, 1.0, generator()).double()
    torch.testing.assert_close(ada.warp(x, geometry)[1:2], ada.warp(x[1:2], geometry[1:2]))


def test_brightness_contrast_and_luma_flip_of_grey_and_colour():
    for channels in (1, 3):
        x = batch(channels=channels)
        torch.testing.assert_close(ada.recolour(x, ada.brightness_shift(full(0.3))), x + 0.3)
        torch.testing.assert_close(ada.recolour(x, ada.contrast_scaling(full(1.5))), x * 1.5)
    grey, colour = batch(channels=1), batch(channels=3)
    torch.testing.assert_close(ada.recolour(grey, ada.luma_flip(full(1))), -grey)
    flipped = ada.recolour(colour, ada.luma_flip(full(1)))
    torch.testing.assert_close(flipped.mean(1), -colour.mean(1))
    torch.testing.assert_close(flipped - flipped.mean(1, keepdim=True), colour - colour.mean(1, keepdim=True))


def test_hue_and_saturation_leave_the_luma():
    x = batch(channels=3)
    chroma = x - x.mean(1, keepdim=True)
    for turn in (2 * math.pi / 3, -2 * math.pi / 3):  # a third of the circle permutes the channels
        got = ada.recolour(x, ada.hue_rotation(full(turn)))
        torch.testing.assert_close(got, x.roll(1 if turn > 0 else -1, 1))
    for factor in (0.0, 2.0):
        got = ada.recolour(x, ada.saturation_scaling(full(factor)))
        torch.testing.assert_close(got, x.mean(1, keepdim=True) + factor * chroma)


def test_grey_images_get_no_hue_or_saturation():
    colour = ada.draw_colour(500, 1, 1.0, generator())
    assert torch.allclose(colour[:, 0, 0], colour[:, 1, 1]) and torch.allclose(colour[:, 0, 1], colour[:, 1, 0])
    reduced = ada.recolour(torch.ones(500, 1, 1, 1), colour)
    assert (reduced < 0).float().mean().item() == pytest.approx(0.5, abs=0.1)  # luma flip, half of the time


@pytest.mark.parametrize("p", [0.3, 1.0])
def test_transformations_come_with_probability_p(p):
    """With every transformation left out with 1 - p, untouched images are (1 - p)^k of all, k of them effective."""
    n = 20000
    colour = ada.draw_colour(n, 1, p, generator())
    untouched = (colour == torch.eye(4)).all(2).all(1).float().mean().item()
    assert untouched == pytest.approx((1 - p) ** 2 * (1 - p / 2), abs=0.02)  # half of the luma flips do nothing
    geometry = ada.draw_geometry(n, 32, p, generator())
    moved = geometry[:, :2, :2] - torch.eye(2)
    # Flip (half of them effective), quarter turns (3 of 4), two scalings, and rotation with probability p in all.
    expected = (1 - p / 2) * (1 - 3 * p / 4) * (1 - p) ** 3
    assert (moved.abs().amax((1, 2)) < 1e-6).float().mean().item() == pytest.approx(expected, abs=0.02)


def test_strengths_are_the_published_ones():
    n, size = 40000, 100
    d = ada.draw_geometry(n, size, 1.0, generator())
    area = torch.linalg.det(d[:, :2, :2].double()).abs().log2() / -2  # isotropic scale alone changes the area
    assert area.std().item() == pytest.approx(0.2, rel=0.03) and area.mean().item() == pytest.approx(0, abs=0.01)
    singular = torch.linalg.svdvals(d[:, :2, :2].double())
    aspect = (singular[:, 0] / singular[:, 1]).log2() / 2  # |N(0, 0.2^2)|
    assert aspect.mean().item() == pytest.approx(0.2 * math.sqrt(2 / math.pi), rel=0.03)
    assert (torch.linalg.det(d) < 0).float().mean().item() == pytest.approx(0.5, abs=0.02)  # mirrored
    c = ada.draw_colour(n, 1, 1.0, generator())
    contrast = c[:, :3, :3].sum(2).mean(1).abs().log2()
    assert contrast.std().item() == pytest.approx(0.5, rel=0.03)
    shift = c[:, 0, 3] / c[:, :3, :3].sum(2).mean(1)
    assert shift.std().item() == pytest.approx(0.2, rel=0.03)


@pytest.mark.parametrize("channels", [1, 3])
def test_augmentation_has_second_derivatives(channels):
    x = batch(1, channels, 8).requires_grad_()

    def function(x):
        return ada.Augmentation(0.9)(x, generator(3)).square()

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

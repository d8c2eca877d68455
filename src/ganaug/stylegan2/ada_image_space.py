"""Corruptions of ADA that work on pixels: filtering by frequency bands, noise, cutout (ADA, appendix B)."""

from functools import lru_cache

import torch
from torch import Tensor

# The bands are made of the symlet wavelet's low-pass filter with 2 vanishing moments (Daubechies 1992, table 6.1).
SYM2 = (-0.12940952255092145, 0.22414386804185735, 0.836516303737469, 0.48296291314469025)
# Of a natural image's power in the bands, from low to high: 1/f falls in octaves.
BAND_POWER = (10 / 13, 1 / 13, 1 / 13, 1 / 13)


def band_filters() -> Tensor:
    """Four symmetric filters [4, 43], float64, of the bands up to pi/8, pi/4, pi/2 and pi; their sum is an impulse.

    With H the wavelet's low-pass filter, L(z) = H(z) H(1/z) / 2 and L(z) + L(-z) = 1: every octave is split by L(-z),
    the low half handed on to the next, lower one.
    """
    h = torch.tensor(SYM2, dtype=torch.float64)
    low = _convolve(h, h.flip(0)) / 2
    high = low * torch.tensor([-1.0, 1.0], dtype=torch.float64).repeat(4)[: len(low)]
    bands, below = [], torch.ones(1, dtype=torch.float64)
    for octave in range(3):
        bands.append(_convolve(below, _spread(high, 2**octave)))
        below = _convolve(below, _spread(low, 2**octave))
    bands.append(below)
    length = len(below)
    return torch.stack([torch.nn.functional.pad(b, [(length - len(b)) // 2] * 2) for b in reversed(bands)])


def _convolve(a: Tensor, b: Tensor) -> Tensor:
    return torch.nn.functional.conv1d(a[None, None], b.flip(0)[None, None], padding=len(b) - 1)[0, 0]


def _spread(taps: Tensor, factor: int) -> Tensor:
    """H(z) -> H(z^factor): zeros between the taps."""
    out = taps.new_zeros((len(taps) - 1) * factor + 1)
    out[::factor] = taps
    return out


@lru_cache(maxsize=8)
def _band_matrices(size: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """The bands' filters along one axis as matrices [4, size, size]; reflected at the edges, as often as it takes."""
    filters = band_filters()
    reach = filters.shape[1] // 2
    matrices = torch.zeros(4, size, size, dtype=torch.float64)
    period = max(2 * (size - 1), 1)
    for offset in range(-reach, reach + 1):
        source = (torch.arange(size) + offset) % period
        source = torch.where(source < size, source, period - source)
        matrices[:, torch.arange(size), source] += filters[:, reach + offset, None]
    return matrices.to(device, dtype)


@lru_cache(maxsize=8)
def _band_power(dtype: torch.dtype, device: torch.device) -> Tensor:
    """BAND_POWER; held, for a copy to a GPU waits for all that is under way."""
    return torch.tensor(BAND_POWER, dtype=dtype, device=device)


def filter_bands(images: Tensor, amplification: Tensor) -> Tensor:
    """Amplifies the frequency bands of images [N, C, H, H] by amplification [N, 4], along both axes.

    One band after the other, each time scaled back to the power that a natural image is expected to have.
    """
    power = _band_power(images.dtype, images.device)
    gain = torch.ones_like(amplification)
    for band in range(4):
        one = torch.ones_like(amplification)
        one[:, band] = amplification[:, band]
        gain = gain * one / (power * one.square()).sum(1, keepdim=True).sqrt()
    matrices = _band_matrices(images.shape[2], images.dtype, images.device)
    matrix = torch.einsum("nb,bij->nij", gain, matrices)[:, None]
    return matrix @ images @ matrix.mT


def add_noise(images: Tensor, deviation: Tensor, noise: Tensor) -> Tensor:
    """Adds noise [N, C, H, W], standard normal, times deviation [N]."""
    return images + noise * deviation[:, None, None, None]


def cut_out(images: Tensor, width: Tensor, centre: Tensor) -> Tensor:
    """Sets a rectangle to 0: width [N] in both directions about centre [N, 2], (x, y), as shares of the image."""
    height, across = images.shape[2:]
    x = (torch.arange(across, device=images.device, dtype=images.dtype) + 0.5) / across
    y = (torch.arange(height, device=images.device, dtype=images.dtype) + 0.5) / height
    outside_x = (x - centre[:, :1]).abs() >= width[:, None] / 2
    outside_y = (y - centre[:, 1:]).abs() >= width[:, None] / 2
    return images * (outside_y[:, :, None] | outside_x[:, None, :])[:, None]

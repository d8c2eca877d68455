"""Geometric transformations of ADA: 3x3 matrices, and the resampling that applies them.

The matrices are in pixels, about the centre of the image, and map a place in the output to the place in the input it is
taken from. So a later transformation is multiplied from the right. (ADA, appendix B.)
"""

import math
from collections.abc import Sequence
from functools import lru_cache

import torch
from torch import Tensor

from ganaug.stylegan2.ops import use_kernels

# Low-pass filter of the symlet wavelet with 6 vanishing moments (Daubechies 1992, table 6.3): orthogonal to its even
# shifts, so that sampling up and down again without a warp between gives the image back.
SYM6 = (
    *(0.015404109327027373, 0.0034907120842174702, -0.11799011114819057, -0.048311742585633),
    *(0.4910559419267466, 0.787641141030194, 0.3379294217276218, -0.07263752278646252),
    *(-0.021060292512300564, 0.04472490177066578, 0.0017677118642428036, -0.007800708325034148),
)
REACH = len(SYM6) // 2 - 1  # fine samples (half pixels) that the filter needs beyond the image, on each side


def geometry_matrix(
    flip: Tensor,
    quarter_turns: Tensor,
    whole_pixels: Tensor,
    scale: Tensor,
    angle_before: Tensor,
    aspect: Tensor,
    angle_after: Tensor,
    fraction: Tensor,
) -> Tensor:
    """All transformations in their order, [N, 3, 3].

    flip: -1 mirrors left to right, 1 does not. quarter_turns: 0 to 3. whole_pixels [N, 2]: shift (x, y). scale: factor
    of both axes. angle_before, angle_after: radians, before and after `aspect`, the factor of width and inverse of that
    of height. fraction [N, 2]: shift in pixels. All others [N].
    """
    return (
        scaling(flip, torch.ones_like(flip))
        @ rotation(-math.pi / 2 * quarter_turns)
        @ translation(*whole_pixels.unbind(1))
        @ scaling(1 / scale, 1 / scale)
        @ rotation(angle_before)
        @ scaling(1 / aspect, aspect)
        @ rotation(angle_after)
        @ translation(*fraction.unbind(1))
    )


def matrix_of(like: Tensor, rows: Sequence[Sequence[Tensor | float]]) -> Tensor:
    """[N, R, C] from rows of numbers and [N] tensors such as `like`."""
    numbers = {v: torch.full_like(like, v) for row in rows for v in row if not isinstance(v, Tensor)}
    entries = [v if isinstance(v, Tensor) else numbers[v] for row in rows for v in row]
    return torch.stack(entries, 1).unflatten(1, (len(rows), -1))


def scaling(x: Tensor, y: Tensor) -> Tensor:
    return matrix_of(x, [[x, 0, 0], [0, y, 0], [0, 0, 1]])


def rotation(angle: Tensor) -> Tensor:
    c, s = angle.cos(), angle.sin()
    return matrix_of(angle, [[c, -s, 0], [s, c, 0], [0, 0, 1]])


def translation(x: Tensor, y: Tensor) -> Tensor:
    """Takes output (u, v) from input (u - x, v - y): moves the image by (x, y)."""
    return matrix_of(x, [[1, 0, -x], [0, 1, -y], [0, 0, 1]])


@lru_cache(maxsize=8)
def _resampling(size: int, dtype: torch.dtype, device: torch.device) -> tuple[Tensor, Tensor]:
    """Matrices that work along one axis of `size` pixels.

    up [2 (3 size - 2) + 3, size]: reflects the image at its edges as far as reflection goes (size - 1 pixels), then
    doubles the resolution with the filter; a row of zeros before and two after stand for all beyond. down [size,
    2 size + 2 REACH]: the transposed filter, from warped fine samples that begin REACH before the image. The dense
    products cost less than convolutions with 12 taps at the sizes trained here, and padding always as far as possible
    keeps a sample independent of the others in its batch.
    """
    margin = size - 1
    taps = torch.tensor(SYM6, dtype=torch.float64)
    n_padded = size + 2 * margin
    reflect = torch.zeros(n_padded, size, dtype=torch.float64)
    source = (torch.arange(n_padded) - margin).abs()
    reflect[torch.arange(n_padded), torch.where(source > margin, 2 * margin - source, source)] = 1

    def filter_matrix(fine: Tensor, coarse: Tensor) -> Tensor:
        tap = REACH + fine[:, None] - 2 * coarse[None, :]
        inside = (tap >= 0) & (tap < len(taps))
        return torch.where(inside, taps[tap.clamp(0, len(taps) - 1)], 0.0)

    up = filter_matrix(torch.arange(2 * n_padded), torch.arange(n_padded)) @ reflect * math.sqrt(2)
    up = torch.nn.functional.pad(up, (0, 0, 1, 2))
    down = filter_matrix(torch.arange(fine_samples(size)) - REACH, torch.arange(size)).T / math.sqrt(2)
    return up.to(device, dtype), down.contiguous().to(device, dtype)


def warp(images: Tensor, geometry: Tensor) -> Tensor:
    """Images [N, C, H, H] taken from where `geometry` [N, 3, 3] points, through a twice finer grid.

    Reflected at the edges, sampled up with the wavelet's filter, read bilinearly, sampled down with the transposed
    filter (ADA, appendix B). Beyond the reflection there is 0, mid-grey.
    """
    size = images.shape[2]
    up, down = _resampling(size, images.dtype, images.device)
    if use_kernels(images):
        from ganaug.stylegan2.kernels import AffineSample

        up = up[1:-2]  # the kernel needs no zeros about the image
        read = AffineSample.apply(up @ images @ up.T, reading_matrix(geometry, size), fine_samples(size))
    else:
        read = read_fine(up @ images @ up.T, geometry, size)
    return down @ read @ down.T


def fine_samples(size: int) -> int:
    """How many of an image's fine samples are read along each axis."""
    return 2 * size + 2 * REACH


def _first(size: int) -> float:
    """Place of the first of them, in pixels about the centre.

    The filter's mass lies about its sixth tap, which puts fine sample i at (i + 1) / 2, not at (i + 1 / 2) / 2.
    """
    return (1 - REACH) / 2 - size / 2


def reading_matrix(geometry: Tensor, size: int) -> Tensor:
    """[N, 2, 3]: takes (column, row, 1) of a fine sample to its place in the upsampled, reflected images."""
    shift = 2 * (geometry[:, :2, :2].sum(2) * _first(size) + geometry[:, :2, 2]) + 3 * (size - 1)
    return torch.cat([geometry[:, :2, :2], shift[:, :, None]], 2)


def read_fine(fine: Tensor, geometry: Tensor, size: int) -> Tensor:
    """Reads bilinearly where `geometry` points: [N, C, S, S] of S = fine_samples(size).

    fine: the upsampled, reflected images with zeros about them, one row and column before and two after.
    """
    channels, width, count = fine.shape[1], fine.shape[3], fine_samples(size)
    # Places in pixels about the centre; through the geometry; then as indices into `fine`.
    place = torch.arange(count, device=fine.device, dtype=fine.dtype) / 2 + _first(size)
    x, y = torch.meshgrid(place, place, indexing="xy")
    source = geometry[:, :2] @ torch.stack([x, y, torch.ones_like(x)]).flatten(1)
    source = (source + size / 2) * 2 - 1 + 2 * (size - 1)
    source = source.clamp_(-1, width - 3) + 1  # for the zeros before
    corner = source.floor()
    fx, fy = (source - corner)[:, None].unbind(2)
    x0, y0 = corner.long().unbind(1)
    offsets = torch.tensor([0, 1, width, width + 1], device=fine.device)
    index = (y0 * width + x0)[:, None] + offsets[:, None]
    read = fine.flatten(2).gather(2, index.flatten(1)[:, None].expand(-1, channels, -1)).unflatten(2, (2, 2, -1))
    read = read[:, :, 0].lerp(read[:, :, 1], fy[:, :, None])
    read = read[:, :, 0].lerp(read[:, :, 1], fx)
    return read.unflatten(2, (count, count))

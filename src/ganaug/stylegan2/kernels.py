"""Triton kernels for a GPU: the low-pass filter with its resampling, and ADA's bilinear reading with its adjoint.

PyTorch's own depthwise convolutions take many times as long there, and the gradient of its gather sorts all that was
read. No kernel adds in an order that chance decides, so the same inputs give the same bits. Each function is linear in
its first argument and has derivatives of any order.
"""

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

BLOCK = 1024  # elements of an output that one program makes


class Fir(torch.autograd.Function):
    """x [N, C, H, W] filtered with the 4x4 binomial kernel, taps (1, 3, 3, 1) / 8 along each axis.

    y[o] = gain * sum over k of f[k] * z[o * down + k - pad], where z is x with up - 1 zeros between its samples, and 0
    beyond. up, down: 1 or 2. size: (height, width) of y. The adjoint is another such filter.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, up: int, down: int, pad: int, size: tuple[int, int], gain: float) -> Tensor:
        ctx.mode = (down, up, 3 - pad, tuple(x.shape[2:]), gain)
        x = x.contiguous(memory_format=torch.channels_last)
        n, channels, height, width = x.shape
        y = torch.empty(n, channels, *size, dtype=x.dtype, device=x.device, memory_format=torch.channels_last)
        across = min(triton.next_power_of_2(channels), 64)
        along = BLOCK // across
        grid = (n * size[0], triton.cdiv(size[1], along), triton.cdiv(channels, across))
        _fir[grid](x, y, height, width, *size, channels, pad, gain / 64, up, down, along, across)
        return y

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, ...]:
        return Fir.apply(g, *ctx.mode), None, None, None, None, None


@triton.jit(do_not_specialize=["height", "width", "out_height", "out_width", "pad"])
def _fir(
    x,
    y,
    height,
    width,
    out_height,
    out_width,
    channels,
    pad,
    gain,
    UP: tl.constexpr,
    DOWN: tl.constexpr,
    ALONG: tl.constexpr,
    ACROSS: tl.constexpr,
):
    row = tl.program_id(0)
    sample = (row // out_height).to(tl.int64)
    top = (row % out_height) * DOWN - pad + tl.zeros([ALONG], tl.int32)
    column = tl.program_id(1) * ALONG + tl.arange(0, ALONG)
    left = column * DOWN - pad
    c = tl.program_id(2) * ACROSS + tl.arange(0, ACROSS)
    total = tl.zeros([ALONG, ACROSS], tl.float32)
    first = x + sample * height * width * channels
    for j in tl.static_range(4 // UP):
        ky = (top & (UP - 1)) + UP * j  # the taps that meet a sample and not a zero between
        i_y = (top + ky) >> (UP - 1)
        for i in tl.static_range(4 // UP):
            kx = (left & (UP - 1)) + UP * i
            i_x = (left + kx) >> (UP - 1)
            tap = tl.where((ky == 0) | (ky == 3), 1.0, 3.0) * tl.where((kx == 0) | (kx == 3), 1.0, 3.0)
            inside = (i_x >= 0) & (i_x < width) & (i_y >= 0) & (i_y < height)
            place = first + (i_y * width + i_x)[:, None] * channels + c[None, :]
            value = tl.load(place, inside[:, None] & (c < channels)[None, :], 0.0)
            total += value.to(tl.float32) * tap[:, None]
    place = y + (row.to(tl.int64) * out_width + column)[:, None] * channels + c[None, :]
    tl.store(place, total * gain, (column < out_width)[:, None] & (c < channels)[None, :])


class Read(torch.autograd.Function):
    """Images [N, C, H, H] read bilinearly, 0 beyond: [N, C, size, size].

    matrix: float32 [N, 2, 3]; output (column, row) reads at (x, y) = matrix @ (column, row, 1), in samples of the
    images, and nothing is differentiated by it.
    """

    @staticmethod
    def forward(ctx: Any, images: Tensor, matrix: Tensor, size: int) -> Tensor:
        ctx.save_for_backward(matrix)
        ctx.size = images.shape[2]
        n, channels, height, _ = images.shape
        out = images.new_empty(n, channels, size, size)
        grid = (n, triton.cdiv(size, 16), triton.cdiv(size, 32))
        _read[grid](images.contiguous(), matrix, out, height, size, channels)
        return out

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, ...]:
        return Spread.apply(g, *ctx.saved_tensors, ctx.size), None, None


class Spread(torch.autograd.Function):
    """The adjoint of Read: each image sample gathers from all outputs that have read it. [N, C, S, S] to [., size, size]."""

    @staticmethod
    def forward(ctx: Any, g: Tensor, matrix: Tensor, size: int) -> Tensor:
        ctx.save_for_backward(matrix)
        ctx.size = g.shape[2]
        n, channels, height, _ = g.shape
        out = g.new_empty(n, channels, size, size)
        grid = (n, triton.cdiv(size, 16), triton.cdiv(size, 32))
        _spread[grid](g.contiguous(), matrix, out, height, size, channels)
        return out

    @staticmethod
    def backward(ctx: Any, gg: Tensor) -> tuple[Tensor | None, ...]:
        return Read.apply(gg, *ctx.saved_tensors, ctx.size), None, None


@triton.jit
def _tile():
    """Sample, rows [16, 1] and columns [1, 32] of this program."""
    row = tl.program_id(1) * 16 + tl.arange(0, 16)
    column = tl.program_id(2) * 32 + tl.arange(0, 32)
    return tl.program_id(0).to(tl.int64), row[:, None], column[None, :]


@triton.jit(do_not_specialize=["height", "size"])
def _read(images, matrix, out, height, size, channels: tl.constexpr):
    sample, row, column = _tile()
    m = matrix + sample * 6
    x = tl.load(m) * column + tl.load(m + 1) * row + tl.load(m + 2)
    y = tl.load(m + 3) * column + tl.load(m + 4) * row + tl.load(m + 5)
    # So far beyond the image that nothing is read; keeps the integers small.
    x = tl.minimum(tl.maximum(x, -2.0), height + 1.0)
    y = tl.minimum(tl.maximum(y, -2.0), height + 1.0)
    left, top = tl.floor(x), tl.floor(y)
    fx, fy = x - left, y - top
    x0, y0 = left.to(tl.int32), top.to(tl.int32)
    kept = (row < size) & (column < size)
    for c in tl.static_range(channels):
        image = images + (sample * channels + c) * height * height
        total = tl.zeros([16, 32], tl.float32)
        for j in tl.static_range(2):
            for i in tl.static_range(2):
                inside = kept & (x0 + i >= 0) & (x0 + i < height) & (y0 + j >= 0) & (y0 + j < height)
                value = tl.load(image + (y0 + j) * height + x0 + i, inside, 0.0)
                total += value * (fx if i else 1 - fx) * (fy if j else 1 - fy)
        tl.store(out + (sample * channels + c) * size * size + row * size + column, total, kept)


@triton.jit(do_not_specialize=["height", "size"])
def _spread(g, matrix, out, height, size, channels: tl.constexpr):
    sample, row, column = _tile()
    m = matrix + sample * 6
    a, b, tx = tl.load(m), tl.load(m + 1), tl.load(m + 2)
    c, d, ty = tl.load(m + 3), tl.load(m + 4), tl.load(m + 5)
    # Outputs that read here lie about the inverse image of this place, within that of a square of two samples.
    determinant = a * d - b * c
    reach_x = (tl.abs(d) + tl.abs(b)) / tl.abs(determinant)
    reach_y = (tl.abs(c) + tl.abs(a)) / tl.abs(determinant)
    centre_x = (d * (column - tx) - b * (row - ty)) / determinant
    centre_y = (a * (row - ty) - c * (column - tx)) / determinant
    # A little more, for the rounding; and never so far that integers overflow.
    first_x = tl.minimum(tl.maximum(tl.ceil(centre_x - reach_x - 0.01), -1e6), 1e6).to(tl.int32)
    first_y = tl.minimum(tl.maximum(tl.ceil(centre_y - reach_y - 0.01), -1e6), 1e6).to(tl.int32)
    across = (2 * reach_x + 0.02).to(tl.int32) + 1
    along = (2 * reach_y + 0.02).to(tl.int32) + 1
    # Most of a padded image is read by no output.
    nowhere = (tl.max(first_x) + across < 0) | (tl.min(first_x) >= height)
    nowhere = nowhere | (tl.max(first_y) + along < 0) | (tl.min(first_y) >= height)
    along = tl.where(nowhere, 0, along)
    for k in tl.static_range(channels):
        source = g + (sample * channels + k) * height * height
        total = tl.zeros([16, 32], tl.float32)
        for j in range(along):
            y = first_y + j
            for i in range(across):
                x = first_x + i
                inside = (x >= 0) & (x < height) & (y >= 0) & (y < height)
                from_x = tl.abs(a * x + b * y + tx - column)
                from_y = tl.abs(c * x + d * y + ty - row)
                weight = tl.maximum(1 - from_x, 0.0) * tl.maximum(1 - from_y, 0.0)
                total += weight * tl.load(source + y * height + x, inside, 0.0)
        tl.store(out + (sample * channels + k) * size * size + row * size + column, total, (row < size) & (column < size))

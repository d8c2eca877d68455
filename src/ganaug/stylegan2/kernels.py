"""Triton kernels for a GPU: the low-pass filter with its resampling, activations, and ADA's bilinear reading.

PyTorch's own depthwise convolutions take many times as long there, and its gradient of a gather sorts all that was
read. An activation made of its operations passes over memory six times, and ten times for the gradient.

No kernel adds in an order that chance decides, so the same inputs give the same bits. Each function is linear in its
first argument, or nearly so, and has derivatives of any order.
"""

# mypy: disable-error-code="untyped-decorator, no-untyped-def, import-untyped"

import math
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

BLOCK = 1024  # elements of an output that one program makes
PIXELS = 256  # over which a program sums a gradient


class UpFirDn(torch.autograd.Function):
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
        return UpFirDn.apply(g, *ctx.mode), None, None, None, None, None


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


class AffineSample(torch.autograd.Function):
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
        return AffineSampleAdjoint.apply(g, *ctx.saved_tensors, ctx.size), None, None


class AffineSampleAdjoint(torch.autograd.Function):
    """The adjoint of AffineSample, [N, C, S, S] to [N, C, size, size]: a sample gathers from all that have read it."""

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
        return AffineSample.apply(gg, *ctx.saved_tensors, ctx.size), None, None


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
        tl.store(
            out + (sample * channels + k) * size * size + row * size + column, total, (row < size) & (column < size)
        )


class Activate(torch.autograd.Function):
    """y = clamp(lrelu(scale x + bias + noise)) in one pass; its gradient takes another.

    x: [N, C, H, W]. scale: [N, C], or None for 1. bias: [C] or None. noise: [N or 1, 1, H, W] or None. slope: of the
    leaky ReLU for negative values; 1 leaves values as they are. limit: of the magnitude of y; infinite for no clamp.
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, scale: Tensor | None, bias: Tensor | None, noise: Tensor | None, slope: float, limit: float
    ) -> Tensor:
        x = x.contiguous(memory_format=torch.channels_last)
        scale, bias, noise = (None if v is None else v.contiguous() for v in (scale, bias, noise))
        y = torch.empty_like(x)
        n, channels, pixels = x.shape[0], x.shape[1], x.shape[2] * x.shape[3]
        stride = pixels if noise is not None and len(noise) > 1 else 0
        across = min(triton.next_power_of_2(channels), 64)
        along = BLOCK // across
        grid = (n * triton.cdiv(pixels, along), triton.cdiv(channels, across))
        _activate[grid](
            *(x, x if scale is None else scale, x if bias is None else bias, x if noise is None else noise, y),
            *(pixels, channels, stride, limit, slope),
            *(scale is not None, bias is not None, noise is not None, along, across),
        )
        ctx.save_for_backward(x if scale is not None else None, scale, y)
        ctx.mode = (slope, limit)
        ctx.of_bias = None if bias is None else bias.dtype
        ctx.of_noise = None if noise is None else (noise.dtype, len(noise))
        return y

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, ...]:
        if not torch.is_grad_enabled():
            return *Activate.gradients(ctx, g), None, None
        x, scale, y = ctx.saved_tensors  # the same from operations that have derivatives
        g = ActivationGradient.apply(g, y, *ctx.mode)
        for_bias = None if ctx.of_bias is None else g.sum((0, 2, 3)).to(ctx.of_bias)
        for_noise = None
        if ctx.of_noise is not None:
            for_noise = g.sum(1, keepdim=True).to(ctx.of_noise[0])
            for_noise = for_noise if ctx.of_noise[1] > 1 else for_noise.sum(0, keepdim=True)
        if scale is None:
            return g, None, for_bias, for_noise, None, None
        for_scale = (g * x).sum((2, 3)).to(scale.dtype)
        return Activate.apply(g, scale, None, None, 1.0, math.inf), for_scale, for_bias, for_noise, None, None

    @staticmethod
    def gradients(ctx: Any, g: Tensor) -> tuple[Tensor | None, ...]:
        """For x, scale, bias and noise, in one pass; sums over pixels are made of blocks' in an order that is fixed."""
        x, scale, y = ctx.saved_tensors
        slope, limit = ctx.mode
        g = g.contiguous(memory_format=torch.channels_last)
        n, channels, pixels = g.shape[0], g.shape[1], g.shape[2] * g.shape[3]
        blocks, across = triton.cdiv(pixels, PIXELS), triton.next_power_of_2(channels)
        for_x = torch.empty_like(g)
        sums = torch.empty(2, n, blocks, channels, dtype=torch.float32, device=g.device)
        noise = torch.empty(n, 1, *g.shape[2:], dtype=torch.float32, device=g.device) if ctx.of_noise else None
        _activate_backward[(n, blocks)](
            *(g, y, g if x is None else x, g if scale is None else scale, for_x),
            *(sums[0], sums[1], g if noise is None else noise),
            *(pixels, channels, limit, slope, slope != 1 or limit < math.inf),
            *(scale is not None, ctx.of_bias is not None, noise is not None),
            *(PIXELS, min(PIXELS, max(1, 2 * BLOCK // across)), across),
        )
        for_scale = None if scale is None else sums[1].sum(1).to(scale.dtype)
        for_bias = None if ctx.of_bias is None else sums[0].sum((0, 1)).to(ctx.of_bias)
        if noise is not None and ctx.of_noise is not None:
            noise = (noise if ctx.of_noise[1] > 1 else noise.sum(0, keepdim=True)).to(ctx.of_noise[0])
        return for_x, for_scale, for_bias, noise


class ActivationGradient(torch.autograd.Function):
    """g times the derivative that `Activate` has where its output is y; by y itself that is constant."""

    @staticmethod
    def forward(ctx: Any, g: Tensor, y: Tensor, slope: float, limit: float) -> Tensor:
        ctx.save_for_backward(y)
        ctx.mode = (slope, limit)
        g = g.contiguous(memory_format=torch.channels_last)
        out = torch.empty_like(g)
        _slope[(triton.cdiv(g.numel(), BLOCK),)](g, y, out, g.numel(), limit, slope, BLOCK)
        return out

    @staticmethod
    def backward(ctx: Any, gg: Tensor) -> tuple[Tensor | None, ...]:
        return ActivationGradient.apply(gg, *ctx.saved_tensors, *ctx.mode), None, None, None


@triton.jit
def _derivative(y, limit, slope):
    """Of the leaky ReLU and the clamp, where their output is y."""
    return tl.where(tl.abs(y) < limit, tl.where(y > 0, 1.0, slope), 0.0)


@triton.jit(do_not_specialize=["count"])
def _slope(g, y, out, count, limit, slope, SIZE: tl.constexpr):
    place = tl.program_id(0).to(tl.int64) * SIZE + tl.arange(0, SIZE)
    kept = place < count
    value = tl.load(g + place, kept, 0.0).to(tl.float32)
    tl.store(out + place, value * _derivative(tl.load(y + place, kept, 0.0).to(tl.float32), limit, slope), kept)


@triton.jit(do_not_specialize=["pixels", "stride"])
def _activate(
    x,
    scale,
    bias,
    noise,
    y,
    pixels,
    channels,
    stride,
    limit,
    slope,
    SCALED: tl.constexpr,
    BIASED: tl.constexpr,
    NOISY: tl.constexpr,
    ALONG: tl.constexpr,
    ACROSS: tl.constexpr,
):
    blocks = tl.cdiv(pixels, ALONG)
    sample = (tl.program_id(0) // blocks).to(tl.int64)
    pixel = (tl.program_id(0) % blocks) * ALONG + tl.arange(0, ALONG)
    c = tl.program_id(1) * ACROSS + tl.arange(0, ACROSS)
    kept = (pixel < pixels)[:, None] & (c < channels)[None, :]
    place = (sample * pixels + pixel)[:, None] * channels + c[None, :]
    value = tl.load(x + place, kept, 0.0).to(tl.float32)
    if SCALED:
        value = value * tl.load(scale + sample * channels + c, c < channels, 0.0).to(tl.float32)[None, :]
    if BIASED:
        value = value + tl.load(bias + c, c < channels, 0.0).to(tl.float32)[None, :]
    if NOISY:
        value = value + tl.load(noise + sample * stride + pixel, pixel < pixels, 0.0).to(tl.float32)[:, None]
    value = tl.where(value > 0, value, value * slope)
    value = tl.where(value > limit, limit, tl.where(value < -limit, -limit, value))  # a NaN stays one
    tl.store(y + place, value, kept)


@triton.jit(do_not_specialize=["pixels"])
def _activate_backward(
    g,
    y,
    x,
    scale,
    for_x,
    sums,
    sums_x,
    for_noise,
    pixels,
    channels,
    limit,
    slope,
    CURVED: tl.constexpr,
    SCALED: tl.constexpr,
    BIASED: tl.constexpr,
    NOISY: tl.constexpr,
    SIZE: tl.constexpr,
    ALONG: tl.constexpr,
    ACROSS: tl.constexpr,
):
    sample, block = tl.program_id(0).to(tl.int64), tl.program_id(1)
    c = tl.arange(0, ACROSS)
    total, total_x = tl.zeros([ACROSS], tl.float32), tl.zeros([ACROSS], tl.float32)
    factor = tl.zeros([ACROSS], tl.float32) + 1
    if SCALED:
        factor = tl.load(scale + sample * channels + c, c < channels, 0.0).to(tl.float32)
    for start in range(0, SIZE, ALONG):
        pixel = block * SIZE + start + tl.arange(0, ALONG)
        kept = (pixel < pixels)[:, None] & (c < channels)[None, :]
        place = (sample * pixels + pixel)[:, None] * channels + c[None, :]
        value = tl.load(g + place, kept, 0.0).to(tl.float32)
        if CURVED:
            value = value * _derivative(tl.load(y + place, kept, 0.0).to(tl.float32), limit, slope)
        if BIASED:
            total += tl.sum(value, 0)
        if SCALED:
            total_x += tl.sum(value * tl.load(x + place, kept, 0.0).to(tl.float32), 0)
        if NOISY:
            tl.store(for_noise + sample * pixels + pixel, tl.sum(value, 1), pixel < pixels)
        tl.store(for_x + place, value * factor[None, :], kept)
    place = (sample * tl.num_programs(1) + block) * channels + c
    if BIASED:
        tl.store(sums + place, total, c < channels)
    if SCALED:
        tl.store(sums_x + place, total_x, c < channels)

"""Resampling, convolution and activation, differentiable any number of times.

Activations are kept in the channels-last memory format, in which CPU and GPU convolutions are fastest; no function
here depends on it. All tensors are floating point, images and activations [N, C, H, W]. On a GPU filters and
activations are the Triton kernels of `kernels`, where these work; elsewhere they are PyTorch's operations.
"""

import logging
import math
from functools import lru_cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

log = logging.getLogger("ganaug")
LRELU_SLOPE = 0.2
LRELU_GAIN = math.sqrt(2)  # keeps the second moment of a unit-variance input


def fir_kernel() -> Tensor:
    """The [1, 3, 3, 1] binomial low-pass filter as a [4, 4] kernel with sum 1 (StyleGAN2, appendix B)."""
    taps = torch.tensor([1.0, 3.0, 3.0, 1.0])
    kernel = torch.outer(taps, taps)
    return kernel / kernel.sum()


class _Convolve(torch.autograd.Function):
    """conv2d, or conv_transpose2d where `transposed`, with derivatives of any order made of the same few operations.

    PyTorch's own second derivative of a convolution takes several times as long, for depthwise ones a loop over the
    groups. The stride must divide so that the transposed convolution gives the input's size back.
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, stride: int, padding: int, transposed: bool, groups: int
    ) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.mode = (stride, padding, transposed, groups)
        function = F.conv_transpose2d if transposed else F.conv2d
        return function(x, weight, stride=stride, padding=padding, groups=groups)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        stride, padding, transposed, groups = ctx.mode
        for_x = for_weight = None
        if ctx.needs_input_grad[0]:
            for_x = _Convolve.apply(g, weight, stride, padding, not transposed, groups)
        if ctx.needs_input_grad[1]:
            for_weight = _WeightGradient.apply(g, x, weight.shape, *ctx.mode)
        return for_x, for_weight, None, None, None, None


class _WeightGradient(torch.autograd.Function):
    """Gradient of a convolution by its weight, given the output's gradient g and the input x: bilinear in both."""

    @staticmethod
    def forward(
        ctx: Any, g: Tensor, x: Tensor, shape: torch.Size, stride: int, padding: int, transposed: bool, groups: int
    ) -> Tensor:
        ctx.save_for_backward(g, x)
        ctx.mode = (stride, padding, transposed, groups)
        pair = ([stride] * 2, [padding] * 2, [1, 1], transposed, [0, 0], groups, (False, True, False))
        return torch.ops.aten.convolution_backward(g, x, g.new_empty(1).expand(shape), None, *pair)[1]

    @staticmethod
    def backward(ctx: Any, gg: Tensor) -> tuple[Tensor | None, ...]:
        g, x = ctx.saved_tensors
        stride, padding, transposed, groups = ctx.mode
        for_g = for_x = None
        if ctx.needs_input_grad[0]:
            for_g = _Convolve.apply(x, gg, stride, padding, transposed, groups)
        if ctx.needs_input_grad[1]:
            for_x = _Convolve.apply(g, gg, stride, padding, not transposed, groups)
        return for_g, for_x, None, None, None, None, None


def convolve(
    x: Tensor, weight: Tensor, stride: int = 1, padding: int = 0, transposed: bool = False, groups: int = 1
) -> Tensor:
    """x [N, I, H, W] with weight [O, I / groups, K, K], transposed: [I, O / groups, K, K]."""
    return _Convolve.apply(x, weight, stride, padding, transposed, groups)


def pointwise(x: Tensor, weight: Tensor, bias: Tensor | None, gain: float = 1.0) -> Tensor:
    """1x1 convolution of x [N, I, H, W] with weight [O, I, 1, 1]; with a bias [O], bias and leaky ReLU. Clamped.

    A matrix product, whose result is channels-last. (A convolution takes an image of one channel for channels-first,
    and gives its output that layout.)
    """
    if use_kernels(x):
        y = F.linear(x.permute(0, 2, 3, 1), weight[:, :, 0, 0]).permute(0, 3, 1, 2)
        if bias is not None or y.element_size() == 2:
            y = _activated(y, None, bias, None, 1.0 if bias is None else LRELU_SLOPE, bound(gain, y.dtype))
        return y
    y = F.linear(x.permute(0, 2, 3, 1), weight[:, :, 0, 0], bias)
    if bias is not None:
        y = leaky_relu(y)
    return clamp(y.permute(0, 3, 1, 2), gain)


CLAMP = 256.0  # bound of activations in 16 bits (ADA, appendix C: 10 times what well-behaved networks reach)


def clamp(x: Tensor, gain: float = 1.0) -> Tensor:
    """Keeps activations of 16 bits within +-256 gain, where float16 can't overflow; others pass unchanged."""
    return x.clamp(-CLAMP * gain, CLAMP * gain) if x.element_size() == 2 else x


def activate(
    x: Tensor, bias: Tensor, scale: Tensor | None = None, noise: Tensor | None = None, gain: float = 1.0
) -> Tensor:
    """Leaky ReLU, without its gain, of scale x + bias + noise; clamped. May overwrite x.

    bias: [C]; scale: [N, C]; noise: broadcastable to [N, 1, H, W]. gain * lrelu(x) = lrelu(gain * x), so callers fold
    all gains into what makes x, and tell `gain` for the bound.
    """
    if use_kernels(x):
        noise = None if noise is None else noise.reshape(-1, 1, *x.shape[2:])
        return _activated(x, scale, bias, noise, LRELU_SLOPE, bound(gain, x.dtype))
    bias = bias.to(x.dtype)[:, None, None]
    x = x.add_(bias) if scale is None else torch.addcmul(bias, x, scale.to(x.dtype)[:, :, None, None])
    if noise is not None:
        x = x.add_(noise.to(x.dtype))
    return clamp(leaky_relu(x), gain)


def _activated(
    x: Tensor, scale: Tensor | None, bias: Tensor | None, noise: Tensor | None, slope: float, limit: float
) -> Tensor:
    from ganaug.stylegan2.kernels import Activate

    return Activate.apply(x, scale, bias, noise, slope, limit)


@lru_cache(maxsize=8)
def bound(gain: float, dtype: torch.dtype) -> float:
    """That of `clamp` as a type of 16 bits stores it, so that a clamped value equals it; infinite for others."""
    return torch.tensor(CLAMP * gain, dtype=dtype).item() if dtype.itemsize == 2 else math.inf


def blur(x: Tensor, kernel: Tensor, padding: int, stride: int = 1, gain: float = 1.0) -> Tensor:
    """Filters every channel of x with `kernel` after zero padding on each side, keeping each `stride`-th sample.

    kernel: that of `fir_kernel`, on x's device. It is symmetric, so that convolution and correlation are the same.
    """
    if use_kernels(x):
        height, width = ((side + 2 * padding - 4) // stride + 1 for side in x.shape[2:])
        return _fir(x, 1, stride, padding, (height, width), gain)
    weight = (kernel * gain).to(x.dtype).expand(x.shape[1], 1, *kernel.shape)
    return convolve(x, weight, stride, padding, groups=x.shape[1])


def upsample(x: Tensor, kernel: Tensor) -> Tensor:
    """[N, C, H, W] -> [N, C, 2H, 2W]: zeros between the samples, then the filter with gain 4."""
    if use_kernels(x):
        return _fir(x, 2, 1, 2, (2 * x.shape[2], 2 * x.shape[3]), 4.0)
    weight = (kernel * 4).to(x.dtype).expand(x.shape[1], 1, *kernel.shape)
    return convolve(x, weight, stride=2, padding=1, transposed=True, groups=x.shape[1])


def downsample(x: Tensor, kernel: Tensor) -> Tensor:
    """[N, C, H, W] -> [N, C, H/2, W/2]: the filter, then every second sample."""
    return blur(x, kernel, padding=1, stride=2)


def use_kernels(x: Tensor) -> bool:
    return x.is_cuda and kernels_work(x.device)


def kernels_work(device: torch.device) -> bool:
    """Whether the kernels run on a GPU and are right; else the log says why, and PyTorch's operations are used."""
    index = torch.cuda.current_device() if device.type == "cuda" and device.index is None else device.index
    return _work(torch.device(device.type, index))


@lru_cache(maxsize=8)
def _work(device: torch.device) -> bool:
    try:
        from ganaug.stylegan2.kernel_check import check_kernels

        check_kernels(device)
    except torch.OutOfMemoryError:
        raise  # the job lacks memory; its arithmetic must not depend on that
    except Exception as error:  # whatever a compiler can say
        what = (str(error) or type(error).__name__).strip().splitlines()[-1]
        log.warning(
            "PyTorch's operations replace the GAN's kernels and take several times as long: %s (Triton compiles the "
            "kernels; it needs a C compiler and Python's headers, on Debian gcc and python3-dev)",
            what,
            extra={"on_terminal": True},
        )
        return False
    return True


def _fir(x: Tensor, up: int, down: int, pad: int, size: tuple[int, int], gain: float) -> Tensor:
    from ganaug.stylegan2.kernels import UpFirDn

    return UpFirDn.apply(x, up, down, pad, size, gain)


def leaky_relu(x: Tensor) -> Tensor:
    """Leaky ReLU in place, without its gain: see `activate`."""
    return F.leaky_relu_(x, LRELU_SLOPE)


def demodulation(weight: Tensor, styles: Tensor) -> Tensor:
    """Scale [N, O] that brings each output channel back to unit variance (StyleGAN2, eq. 3).

    weight: [O, I, K, K]; styles: [N, I]. 1 / sqrt(sum over i, k of (s_i w_oik)^2 + 1e-8), as one matrix product.
    """
    return torch.rsqrt(styles.square() @ weight.square().sum((2, 3)).T + 1e-8)


def modulated_convolution(x: Tensor, weight: Tensor, styles: Tensor, kernel: Tensor | None = None) -> Tensor:
    """3x3 convolution of x [N, I, H, W] with weights [O, I, 3, 3] scaled per sample by styles [N, I]; no demodulation.

    Scaling the weights of input channel i is scaling channel i of the input, so one ordinary convolution serves all
    samples. With `kernel` the output is twice the size: transposed convolution with stride 2, then the low-pass filter.
    """
    weight = weight.to(x.dtype)
    x = _activated(x, styles, None, None, 1.0, math.inf) if use_kernels(x) else x * styles.to(x.dtype)[:, :, None, None]
    if kernel is None:
        return convolve(x, weight, padding=1)
    return blur(convolve(x, weight.transpose(0, 1), stride=2, transposed=True), kernel, padding=1, gain=4.0)

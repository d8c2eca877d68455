"""The kernels for GPUs against PyTorch's own operations, run on the CPU by Triton's interpreter."""

import math

import pytest
import torch

from ganaug.stylegan2 import ada_geometry, kernels, ops
from ganaug.stylegan2.ada import draw_geometry
from ganaug.stylegan2.kernels import Activate, AffineSample, UpFirDn
from ganaug.stylegan2.ops import blur, bound, downsample, fir_kernel, kernels_work, upsample

KERNEL = fir_kernel()
FILTERS = {
    "before a convolution with stride": (lambda x: blur(x, KERNEL, 2), (1, 1, 2, (9, 9), 1.0)),
    "after a transposed convolution": (lambda x: blur(x, KERNEL, 1, gain=4.0), (1, 1, 1, (7, 7), 4.0)),
    "up": (lambda x: upsample(x, KERNEL), (2, 1, 2, (16, 16), 4.0)),
    "down": (lambda x: downsample(x, KERNEL), (1, 2, 1, (4, 4), 1.0)),
}


def channels_last(*shape):
    return torch.randn(*shape).contiguous(memory_format=torch.channels_last)


def derivatives(function, x):
    """Its value at x, a gradient, and the gradient of that by the weights of the first."""
    x = x.clone().requires_grad_()
    y = function(x)
    torch.manual_seed(1)
    g = torch.randn_like(y).requires_grad_()
    (first,) = torch.autograd.grad(y, x, g, create_graph=True)
    (second,) = torch.autograd.grad(first, g, torch.randn_like(first))
    return y, first, second


@pytest.mark.parametrize("channels", [1, 70])
@pytest.mark.parametrize("name", FILTERS)
def test_the_filter_is_that_of_depthwise_convolutions(name, channels):
    torch.manual_seed(0)
    expected, mode = FILTERS[name]
    x = channels_last(1, channels, 8, 8)
    for a, b in zip(derivatives(expected, x), derivatives(lambda x: UpFirDn.apply(x, *mode), x), strict=True):
        torch.testing.assert_close(b, a, rtol=0, atol=2e-6)


def test_the_filter_keeps_16_bits():
    x = channels_last(1, 16, 8, 8)
    y = UpFirDn.apply(x.bfloat16(), 1, 1, 2, (9, 9), 1.0)
    assert y.dtype == torch.bfloat16 and y.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(y.float(), blur(x, KERNEL, 2), rtol=0.01, atol=0.02)


@pytest.mark.parametrize(("channels", "size", "seed"), [(1, 8, 0), (3, 4, 1)])
def test_reading_through_a_matrix_is_gathering(channels, size, seed):
    """Reads beyond the image included; each output's gradient comes back to all samples that it has read."""
    geometry = ada_geometry.geometry_matrix(**draw_geometry(2, size, 0.9, 0.9, torch.Generator().manual_seed(seed)))
    up, _ = ada_geometry._resampling(size, torch.float32, torch.device("cpu"))
    torch.manual_seed(seed)
    x = torch.randn(2, channels, size, size)

    def kernel(x):
        matrix = ada_geometry.reading_matrix(geometry, size)
        return AffineSample.apply(up[1:-2] @ x @ up[1:-2].T, matrix, ada_geometry.fine_samples(size))

    def gather(x):
        return ada_geometry.read_fine(up @ x @ up.T, geometry, size)

    for a, b in zip(derivatives(gather, x), derivatives(kernel, x), strict=True):
        assert a.abs().max() > 0.5
        torch.testing.assert_close(b, a, rtol=0, atol=2e-5 * a.abs().max().item())


def by_operations(x, scale, bias, noise, slope, limit):
    x = x if scale is None else x * scale[:, :, None, None]
    x = x if bias is None else x + bias[:, None, None]
    x = x if noise is None else x + noise
    return torch.where(x > 0, x, x * slope).clamp(-limit, limit)


@pytest.mark.parametrize(
    ("shape", "scaled", "biased", "maps", "slope", "limit"),
    [
        ((2, 6, 18, 18), True, True, 2, 0.2, math.inf),  # more pixels than one program sums
        ((2, 6, 5, 5), False, True, 0, 0.2, 1.0),
        ((2, 32, 4, 4), True, False, 0, 1.0, math.inf),
        ((2, 3, 18, 18), True, True, 1, 0.2, 1.5),
        ((1, 1, 17, 17), True, True, 1, 0.2, math.inf),
        ((1, 70, 4, 4), False, False, 0, 1.0, 1.0),
    ],
)
def test_an_activation_and_its_first_and_second_derivatives(shape, scaled, biased, maps, slope, limit):
    torch.manual_seed(0)
    n, channels, height, width = shape
    inputs = [
        channels_last(*shape),
        torch.randn(n, channels) if scaled else None,
        torch.randn(channels) if biased else None,
        torch.randn(maps, 1, height, width) if maps else None,
    ]
    g = channels_last(*shape)

    def results(function):
        given = [None if v is None else v.clone().requires_grad_() for v in inputs]
        leaves, weights = [v for v in given if v is not None], g.clone().requires_grad_()
        y = function(*given, slope, limit)
        once = torch.autograd.grad(y, leaves, g, retain_graph=True)  # in one pass
        first = torch.autograd.grad(y, leaves, weights, create_graph=True)
        loss = sum((v * torch.linspace(-1, 1, v.numel()).view(v.shape)).sum() + v.square().sum() for v in first)
        second = torch.autograd.grad(loss, [weights, *leaves], materialize_grads=True, allow_unused=True)
        return [y, *once, *first, *second]

    for a, b in zip(results(by_operations), results(Activate.apply), strict=True):
        torch.testing.assert_close(b, a, rtol=1e-5, atol=1e-5 * (a.detach().abs().max().item() + 1))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_what_is_clamped_passes_no_gradient(dtype):
    """Though the discriminator's bound, 256 sqrt(1/2), is no number of 16 bits."""
    x = torch.tensor([100.0, 500.0, -100.0, -5000.0], dtype=dtype).view(1, 1, 2, 2).requires_grad_()
    y = Activate.apply(x, None, None, None, 0.2, bound(math.sqrt(0.5), dtype))
    (gradient,) = torch.autograd.grad(y.sum(), x)
    torch.testing.assert_close(gradient.flatten().float(), torch.tensor([1.0, 0.0, 0.2, 0.0]), rtol=0, atol=1e-3)


def test_a_lost_number_stays_one():
    x = channels_last(1, 2, 2, 2)
    x[0, 0, 0, 0] = math.nan
    assert Activate.apply(x, None, None, None, 0.2, 1.0).isnan().sum() == 1


CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("name", "of"),
    [
        *(("blur", "UpFirDn"), ("activation", "Activate")),
        *(("activation", "ActivationGradient"), ("reading", "AffineSampleAdjoint")),
    ],
)
def test_a_kernel_that_is_wrong_is_not_used(name, of, monkeypatch, caplog):
    """Kernels are compared on the card before their first use; here with one of them off by a hundredth."""
    right = getattr(kernels, of).apply
    monkeypatch.setattr(getattr(kernels, of), "apply", lambda *given: 1.01 * right(*given))
    ops._work.cache_clear()
    assert not kernels_work(CPU) and f"the kernel for {name} is wrong by" in caplog.text
    ops._work.cache_clear()


def test_kernels_that_are_right_are_used():
    ops._work.cache_clear()
    with torch.inference_mode():
        assert kernels_work(CPU)
    ops._work.cache_clear()

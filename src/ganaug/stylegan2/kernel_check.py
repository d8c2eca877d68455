"""Whether the kernels for GPUs give on a device what PyTorch's operations give on the CPU.

Asked once a process, before a kernel is used: compilers and cards are many, and a wrong filter would still train.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from ganaug.stylegan2.ada_geometry import fine_samples, geometry_matrix, read_fine, reading_matrix
from ganaug.stylegan2.kernels import Activate, AffineSample, UpFirDn
from ganaug.stylegan2.ops import LRELU_SLOPE, activate, blur, bound, downsample, fir_kernel, upsample

TOLERANCE = {torch.float32: 1e-4, torch.float16: 0.01}  # of a result's largest magnitude
SIDE = 4


@torch.inference_mode(False)  # whatever the network that asks is run for
@torch.enable_grad()
def check_kernels(device: torch.device) -> None:
    """Raises ArithmeticError where a kernel, its gradient or the gradient of that differs.

    It takes milliseconds, and seconds where Triton has not compiled the kernels yet.
    """
    random = torch.Generator().manual_seed(0)  # of its own: nothing else may draw other numbers for this

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=random)

    x = draw(2, 3, SIDE, SIDE).contiguous(memory_format=torch.channels_last)
    filter_, twice, half = fir_kernel(), (2 * SIDE, 2 * SIDE), (SIDE // 2, SIDE // 2)
    for name, dtype, kernel, operation in (
        (
            "blur",
            torch.float32,
            lambda v: UpFirDn.apply(v, 1, 1, 2, (SIDE + 1, SIDE + 1), 1.0),
            lambda v: blur(v, filter_, 2),
        ),
        ("upsample", torch.float32, lambda v: UpFirDn.apply(v, 2, 1, 2, twice, 4.0), lambda v: upsample(v, filter_)),
        ("downsample", torch.float16, lambda v: UpFirDn.apply(v, 1, 2, 1, half, 1.0), lambda v: downsample(v, filter_)),
    ):
        _compare(name, kernel, operation, [x], device, dtype, draw)

    limit = bound(math.sqrt(0.5), torch.float16)  # the discriminator's
    # More pixels than one program sums.
    many = draw(2, 3, 17, 17).contiguous(memory_format=torch.channels_last)
    inputs = [many, draw(2, 3), draw(3), draw(2, 1, 17, 17)]
    _compare(
        "activation",
        lambda v, scale, bias, noise: Activate.apply(v, scale, bias, noise, LRELU_SLOPE, math.inf),
        lambda v, scale, bias, noise: activate(v * 1, bias, scale, noise),
        *(inputs, device, torch.float32, draw),
    )
    _compare(
        "clamp",
        lambda v: Activate.apply(v, None, None, None, 1.0, limit),
        lambda v: v.clamp(-limit, limit),
        *([200 * x], device, torch.float16, draw),
    )

    numbers = {
        "flip": -1.0,
        "quarter_turns": 1.0,
        "scale": 1.2,
        "angle_before": 0.5,
        "aspect": 1.1,
        "angle_after": -0.3,
    }
    shifts = {"whole_pixels": [1.0, 0.0], "fraction": [0.3, 0.9]}
    geometry = geometry_matrix(**{name: torch.tensor([value]) for name, value in (numbers | shifts).items()})
    matrix = reading_matrix(geometry, SIDE)
    _compare(
        "reading",
        lambda v: AffineSample.apply(v, matrix.to(v.device), fine_samples(SIDE)),
        lambda v: read_fine(torch.nn.functional.pad(v, (1, 2, 1, 2)), geometry, SIDE),
        *([draw(1, 1, 6 * SIDE - 4, 6 * SIDE - 4)], device, torch.float32, draw),
    )


def _compare(
    name: str,
    kernel: Callable[..., Tensor],
    operation: Callable[..., Tensor],
    inputs: list[Tensor],
    device: torch.device,
    dtype: torch.dtype,
    draw: Callable[..., Tensor],
) -> None:
    shape = operation(*inputs).shape
    g, weights = draw(*shape), [draw(*value.shape) for value in inputs]

    def results(function: Callable[..., Tensor], where: torch.device, dtype: torch.dtype) -> list[Tensor]:
        given = [value.detach().to(where, dtype, copy=True).requires_grad_() for value in inputs]
        out, gradient = function(*given), g.to(where, dtype, copy=True).requires_grad_()
        # Without create_graph: the kernel that makes all gradients in one pass.
        once = torch.autograd.grad(out, given, gradient, retain_graph=True)
        first = torch.autograd.grad(out, given, gradient, create_graph=True)
        (second,) = torch.autograd.grad(first, gradient, [weight.to(where, dtype) for weight in weights])
        return [out, *once, *first, second]

    expected = results(operation, torch.device("cpu"), torch.float32)
    for found, value in zip(results(kernel, device, dtype), expected, strict=True):
        error = ((found.float().cpu() - value).abs().max() / value.abs().max()).item()
        if not error <= TOLERANCE[dtype]:
            raise ArithmeticError(f"the kernel for {name} is wrong by {error:.2g} on {device}")

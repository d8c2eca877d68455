"""The StyleGAN2 discriminator: residual blocks, minibatch standard deviation, projection on the class."""

import math

import torch
from torch import Tensor, nn

from ganaug.stylegan2.generator import Architecture
from ganaug.stylegan2.layers import FullyConnected, Mapping
from ganaug.stylegan2.ops import LRELU_GAIN, activate, blur, convolve, downsample, fir_kernel, pointwise
from ganaug.stylegan2.settings import GROUP

MAPPING_LAYERS = 8


class Convolution(nn.Module):
    """3x3 or 1x1 convolution with equalised learning rate, optionally to half the resolution.

    activate: with bias and leaky ReLU; else with neither. gain: applied to the output. All gains are folded into weight
    and bias.
    """

    resample_filter: Tensor

    def __init__(
        self, inputs: int, outputs: int, size: int, down: bool = False, activate: bool = True, gain: float = 1.0
    ):
        super().__init__()
        self.size, self.down = size, down
        self.weight = nn.Parameter(torch.randn(outputs, inputs, size, size))
        self.bias = nn.Parameter(torch.zeros(outputs)) if activate else None
        self.register_buffer("resample_filter", fir_kernel())
        self.outer_gain = gain
        self.gain = gain * (LRELU_GAIN if activate else 1.0)
        self.weight_gain = self.gain / math.sqrt(inputs * size**2)

    def forward(self, x: Tensor) -> Tensor:
        weight = (self.weight * self.weight_gain).to(x.dtype)
        bias = None if self.bias is None else self.bias * self.gain
        if self.size == 1:
            x = downsample(x, self.resample_filter) if self.down else x
            return pointwise(x, weight, None if bias is None else bias.to(x.dtype), self.outer_gain)
        if self.down:
            x = convolve(blur(x, self.resample_filter, padding=2), weight, stride=2)
        else:
            x = convolve(x, weight, padding=1)
        assert bias is not None  # those of 1x1 alone are without
        return activate(x, bias, gain=self.outer_gain)


class Block(nn.Module):
    """Residual block from one resolution to its half; the first one also takes in the image.

    half_type: bfloat16 or float16, in which the block computes; None for the precision of what comes in.
    """

    half_type: torch.dtype | None = None

    def __init__(self, inputs: int, outputs: int, image_channels: int | None):
        super().__init__()
        half = math.sqrt(0.5)  # keeps the variance of a sum of two branches
        self.register_buffer("resample_filter", fir_kernel())
        self.fromrgb = Convolution(image_channels, inputs, 1) if image_channels else None
        self.conv0 = Convolution(inputs, inputs, 3)
        self.conv1 = Convolution(inputs, outputs, 3, down=True, gain=half)
        self.skip = Convolution(inputs, outputs, 1, down=True, activate=False, gain=half)

    def forward(self, x: Tensor) -> Tensor:
        if self.fromrgb is not None:
            x = self.fromrgb(x)
        return self.skip(x) + self.conv1(self.conv0(x))


def minibatch_deviation(x: Tensor) -> Tensor:
    """[N, C, H, W] -> [N, 1, H, W]: the standard deviation over a group, averaged over channels and pixels.

    Sample n shares its group with n + N/4, n + 2N/4, … (Karras et al. 2018, section 3, groups of 4).
    """
    n = len(x)
    groups = x.reshape(min(GROUP, n), -1, *x.shape[1:])  # [group, N / group, C, H, W]
    deviation = (groups.var(0, unbiased=False) + 1e-8).sqrt().mean((1, 2, 3))
    return deviation.repeat(len(groups))[:, None, None, None].expand(n, 1, *x.shape[2:])


class Epilogue(nn.Module):
    """From 4x4 feature maps to one number or, for projection, to a vector."""

    def __init__(self, channels: int, outputs: int):
        super().__init__()
        self.conv = Convolution(channels + 1, channels, 3)
        self.fc = FullyConnected(channels * 16, channels, activate=True)
        self.out = FullyConnected(channels, outputs)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(torch.cat([x, minibatch_deviation(x)], 1))
        return self.out(self.fc(x.flatten(1)))


class Discriminator(nn.Module):
    """Images [N, C, H, W] and one-hot classes [N, class_count] to logits [N, 1], high where an image looks real.

    With classes the logit is the inner product of the image's features with the mapped class
    (Miyato and Koyama 2018, "cGANs with projection discriminator").
    """

    def __init__(self, architecture: Architecture):
        super().__init__()
        a = self.architecture = architecture
        self.resolutions = a.resolutions[:0:-1]
        for r in self.resolutions:
            image_channels = a.image_channels if r == a.resolution else None
            self.add_module(f"b{r}", Block(a.channels(r), a.channels(r // 2), image_channels))
        last = a.channels(4)
        self.b4 = Epilogue(last, last if a.class_count else 1)
        self.mapping = Mapping(0, a.class_count, last, MAPPING_LAYERS, track_average=False) if a.class_count else None

    def forward(self, images: Tensor, c: Tensor) -> Tensor:
        x = images
        for r in self.resolutions:
            block = getattr(self, f"b{r}")
            x = block(x.to(block.half_type or images.dtype))
        x = self.b4(x.to(images.dtype))
        if self.mapping is None:
            return x
        return (x * self.mapping(None, c)).sum(1, keepdim=True) / math.sqrt(x.shape[1])

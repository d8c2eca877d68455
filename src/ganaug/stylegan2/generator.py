"""The StyleGAN2 generator: mapping network and skip synthesis network (StyleGAN2, figures 2 and 7)."""

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, Protocol

import torch
from torch import Tensor, nn

from ganaug.errors import UserError
from ganaug.files import write_tensors
from ganaug.stylegan2.layers import FullyConnected, Mapping
from ganaug.stylegan2.ops import (
    LRELU_GAIN,
    activate,
    clamp,
    demodulation,
    fir_kernel,
    modulated_convolution,
    upsample,
)
from ganaug.stylegan2.settings import channel_base_mistake

Noise = Sequence[Tensor] | Literal["const"] | None


@dataclass(frozen=True)
class Architecture:
    """What decides the shapes of the networks.

    resolution: height and width of the images, a power of two from 8 on; image_channels: 1 grey or 3 colour;
    class_count: 0 for unconditional; latent: dimension of z and of w; mapping_layers: depth of the generator's
    mapping network; channel_base, channel_max: feature maps at resolution r are min(channel_base // r, channel_max).
    """

    resolution: int
    image_channels: int
    class_count: int
    latent: int
    mapping_layers: int
    channel_base: int
    channel_max: int

    def __post_init__(self) -> None:
        if self.resolution < 8 or self.resolution & (self.resolution - 1):
            raise UserError(f"GAN: images are {self.resolution} pixels wide; make it a power of two, 8 or more")
        if mistake := channel_base_mistake(self.channel_base, self.resolution):
            raise UserError(f"GAN: channel_base {mistake}")

    def channels(self, resolution: int) -> int:
        """Feature maps at a resolution: halved as the resolution doubles, at most channel_max."""
        return min(self.channel_base // resolution, self.channel_max)

    @property
    def resolutions(self) -> list[int]:
        """Resolutions of the blocks: 4, 8, … up to the images'."""
        return [2**i for i in range(2, int(math.log2(self.resolution)) + 1)]


class SynthesisLayer(nn.Module):
    """Modulated and demodulated 3x3 convolution, noise, bias and leaky ReLU; optionally to twice the resolution."""

    noise_const: Tensor
    resample_filter: Tensor

    def __init__(self, inputs: int, outputs: int, latent: int, resolution: int, up: bool):
        super().__init__()
        self.up = up
        self.affine = FullyConnected(latent, inputs, bias_init=1)
        self.weight = nn.Parameter(torch.randn(outputs, inputs, 3, 3))
        self.noise_strength = nn.Parameter(torch.zeros(()))
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.register_buffer("noise_const", torch.randn(resolution, resolution))
        self.register_buffer("resample_filter", fir_kernel())

    def forward(self, x: Tensor, w: Tensor, noise: Tensor | None) -> Tensor:
        """x: [N, I, H, W]; w: [N, latent]; noise: standard normal, broadcastable to [N, 1, H', W']."""
        styles: Tensor = self.affine(w)
        weight: Tensor = self.weight
        if x.element_size() == 2:  # demodulation takes out any scale, and with this one 16 bits do not overflow before
            styles = styles / styles.abs().amax(1, keepdim=True)
            weight = weight / (weight.abs().amax((1, 2, 3), keepdim=True) * math.sqrt(weight[0].numel()))
        scale = demodulation(weight, styles) * LRELU_GAIN
        x = modulated_convolution(x, weight, styles, self.resample_filter if self.up else None)
        noise = None if noise is None else noise * (self.noise_strength * LRELU_GAIN)
        return activate(x, self.bias * LRELU_GAIN, scale, noise)


class ToImage(nn.Module):
    """Modulated 1x1 convolution from feature maps to image channels, without demodulation."""

    def __init__(self, inputs: int, image_channels: int, latent: int):
        super().__init__()
        self.affine = FullyConnected(latent, inputs, bias_init=1)
        self.weight = nn.Parameter(torch.randn(image_channels, inputs, 1, 1))
        self.bias = nn.Parameter(torch.zeros(image_channels))

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        # A matrix product per sample: [N, HW, I] x [N, I, O].
        weight = self.weight[:, :, 0, 0] * (self.affine(w) / math.sqrt(x.shape[1]))[:, None]
        pixels = torch.bmm(x.permute(0, 2, 3, 1).flatten(1, 2), weight.transpose(1, 2).to(x.dtype))
        return clamp(pixels + self.bias.to(x.dtype)).transpose(1, 2).unflatten(2, x.shape[2:]).to(w.dtype)


class SynthesisBlock(nn.Module):
    """The layers of one resolution and its addition to the image. The first block starts from a learned constant.

    half_type: bfloat16 or float16, in which the block computes; None for the precision of w.
    """

    half_type: torch.dtype | None = None
    resample_filter: Tensor

    def __init__(self, resolution: int, architecture: Architecture):
        super().__init__()
        a, self.first = architecture, resolution == 4
        outputs = a.channels(resolution)
        self.register_buffer("resample_filter", fir_kernel())
        if self.first:
            self.const = nn.Parameter(torch.randn(outputs, 4, 4))
        else:
            self.conv0 = SynthesisLayer(a.channels(resolution // 2), outputs, a.latent, resolution, up=True)
        self.conv1 = SynthesisLayer(outputs, outputs, a.latent, resolution, up=False)
        self.torgb = ToImage(outputs, a.image_channels, a.latent)

    @property
    def layers(self) -> list[SynthesisLayer]:
        return [self.conv1] if self.first else [self.conv0, self.conv1]

    def forward(
        self, x: Tensor | None, image: Tensor | None, ws: Sequence[Tensor], noise: Sequence[Tensor | None]
    ) -> tuple[Tensor, Tensor]:
        """x, image: of the block before, None for the first. ws: one w per layer and one for the image, noise: one per
        layer. Returns feature maps and image so far."""
        if x is None:
            x = self.const.expand(len(ws[0]), -1, -1, -1).contiguous(memory_format=torch.channels_last)
        x = x.to(self.half_type or ws[0].dtype)
        for layer, w, layer_noise in zip(self.layers, ws, noise, strict=False):
            x = layer(x, w, layer_noise)
        addition = self.torgb(x, ws[-1])
        return x, addition if image is None else upsample(image, self.resample_filter) + addition


class Synthesis(nn.Module):
    """The synthesis network g: one w per layer to images, the sum of each resolution's contribution."""

    def __init__(self, architecture: Architecture):
        super().__init__()
        self.resolutions = architecture.resolutions
        for resolution in self.resolutions:
            self.add_module(f"b{resolution}", SynthesisBlock(resolution, architecture))
        self.w_count = 2 * len(self.resolutions)  # every convolution, and the last block's ToImage

    @property
    def blocks(self) -> list[SynthesisBlock]:
        return [getattr(self, f"b{r}") for r in self.resolutions]

    def draw_noise(self, count: int, generator: torch.Generator) -> list[Tensor]:
        """Standard normal noise for `count` images: one [count, 1, H, W] per convolution, on the generator's device."""
        sizes = [layer.noise_const.shape for block in self.blocks for layer in block.layers]
        return [torch.randn(count, 1, *s, generator=generator, device=generator.device) for s in sizes]

    def forward(self, ws: Tensor, noise: Noise) -> Tensor:
        """ws: [N, w_count, latent]; noise: as from `draw_noise`, "const" for the stored maps, or None for none.

        Returns images [N, C, resolution, resolution], nominally in [-1, 1].
        """
        layers = [layer for block in self.blocks for layer in block.layers]
        maps: Sequence[Tensor | None]
        if noise is None:
            maps = [None] * len(layers)
        elif isinstance(noise, str):
            maps = [layer.noise_const for layer in layers]
        else:
            maps = noise
        w, i = ws.unbind(1), 0
        x: Tensor | None = None
        image: Tensor | None = None
        for block in self.blocks:  # ToImage of a block and the first convolution of the next share a w
            n = len(block.layers)
            x, image = block(x, image, w[i : i + n + 1], maps[i : i + n])
            i += n
        assert image is not None
        return image


class Generator(nn.Module):
    """mapping: z and class to w; synthesis: w to images."""

    def __init__(self, architecture: Architecture):
        super().__init__()
        a = self.architecture = architecture
        self.mapping = Mapping(a.latent, a.class_count, a.latent, a.mapping_layers, track_average=True)
        self.synthesis = Synthesis(a)

    def latents(self, z: Tensor, c: Tensor, psi: float = 1.0) -> Tensor:
        """z [N, latent], one-hot c [N, class_count] -> ws [N, w_count, latent], the same w for all layers."""
        w = self.mapping.truncate(self.mapping(z, c), psi)
        return w[:, None].expand(-1, self.synthesis.w_count, -1)

    def forward(self, z: Tensor, c: Tensor, psi: float = 1.0, noise: Noise = "const") -> Tensor:
        return self.synthesis(self.latents(z, c, psi), noise)


class _Blocks(Protocol):
    """What Synthesis and Discriminator have in common: a block `b<r>` for every resolution r."""

    resolutions: list[int]


def use_half(network: _Blocks, dtype: torch.dtype, count: int) -> None:
    """Has the blocks of the `count` highest resolutions, from 8 pixels on, compute in 16 bits (ADA, appendix C).

    network: a Synthesis or a Discriminator. Weights, styles, images and all else stay as they are.
    """
    for r in sorted(network.resolutions, reverse=True)[:count]:
        if r >= 8:
            getattr(network, f"b{r}").half_type = dtype


def save_generator(path: Path, generator: Generator, class_names: list[str]) -> None:
    """Writes a safetensors file; its metadata holds the architecture and the class names in order of label."""
    description = json.dumps({"architecture": asdict(generator.architecture), "classes": class_names})
    write_tensors(path, generator.state_dict(), stylegan2=description)


def load_generator(path: Path) -> tuple[Generator, list[str]]:
    """The generator of `save_generator` and its class names. Raises UserError where the file is not one."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "pt") as file:
            description = json.loads((file.metadata() or {})["stylegan2"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
        generator = Generator(Architecture(**description["architecture"]))
        generator.load_state_dict(tensors)
    except (SafetensorError, OSError, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise UserError(
            f"{path} is not a generator written by train_gan ({error}); delete it and train again"
        ) from None
    return generator.requires_grad_(False).eval(), description["classes"]

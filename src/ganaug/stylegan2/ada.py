"""Adaptive discriminator augmentation: the published pipeline and the control of its strength.

Karras et al. 2020, "Training generative adversarial networks with limited data", section 3 and appendix B: pixel
blitting, general geometric and colour transformations, image-space filtering, noise and cutout, in this order, each
transformation applied with probability p. Every one is made of operations with derivatives of any order, as R1 through
the augmentation needs.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from ganaug.stylegan2.ada_colour import colour_matrix, recolour
from ganaug.stylegan2.ada_geometry import geometry_matrix, warp
from ganaug.stylegan2.ada_image_space import add_noise, cut_out, filter_bands
from ganaug.stylegan2.parallel import Part

Chance = float | Tensor  # a probability, as a number or without dimensions
GROUPS = ("blit", "geom", "color", "filter", "noise", "cutout")
# By the reference's names: one group of transformations alone, or the first two to six of them.
PIPELINES = {group: (group,) for group in GROUPS} | {"bgcfnc"[:n]: GROUPS[:n] for n in range(2, 7)}


class Augmentation:
    """The pipeline at strength p. Call with images in [-1, 1] and a generator on their device.

    p: probability of each transformation, in [0, 1]; 0 returns the images themselves. part: whose images of the batch
    come: all are drawn for, so that it makes no difference to an image which process it falls to.

    `held` may be a tensor without dimensions that holds p: then what is recorded as a CUDA graph follows p. Whether
    p is 0 is part of the recording.
    """

    held: Tensor | None = None

    def __init__(self, p: float = 0.0, pipeline: str = "bgc", part: Part | None = None):
        self.p, self.groups, self.part = p, PIPELINES[pipeline], part or Part()

    def __call__(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """images: [N, C, H, H], C of 1 or 3. Returns augmented images of the same shape, not clipped."""
        if self.p == 0:
            return images
        n, (channels, size) = len(images) * self.part.count, images.shape[1:3]
        p = self.p if self.held is None else self.held
        chance = {group: p if group in self.groups else 0.0 for group in GROUPS}

        def own(draws: dict[str, Tensor]) -> dict[str, Tensor]:
            return {name: self.part.of(values).to(images.dtype) for name, values in draws.items()}

        if "blit" in self.groups or "geom" in self.groups:
            draws = own(draw_geometry(n, size, chance["blit"], chance["geom"], generator))
            images = warp(images, geometry_matrix(**draws))
        if "color" in self.groups:
            images = recolour(images, colour_matrix(**own(draw_colour(n, channels, chance["color"], generator))))
        if "filter" in self.groups:
            images = filter_bands(images, **own(draw_filter(n, chance["filter"], generator)))
        if "noise" in self.groups:
            images = add_noise(images, **own(draw_noise(n, images.shape[1:], chance["noise"], generator)))
        if "cutout" in self.groups:
            images = cut_out(images, **own(draw_cutout(n, chance["cutout"], generator)))
        return images

    def adapt(self, r_t: float, target: float, images: int, ada_kimg: float) -> None:
        """Moves p by `images` seen: up where r_t = E[sign(D(real))], the measure of overfitting, exceeds the target.

        ada_kimg: thousands of images in which p can go from 0 to 1.
        """
        change = images / (ada_kimg * 1000)
        if r_t != target:
            self.p = min(max(self.p + math.copysign(change, r_t - target), 0.0), 1.0)


class _Draws:
    """Draws parameters for n samples; `maybe` puts the neutral value in their place with probability 1 - p."""

    def __init__(self, n: int, generator: torch.Generator):
        self.n, self.generator = n, generator

    def uniform(self, low: float = 0.0, high: float = 1.0, *shape: int) -> Tensor:
        r = torch.rand(self.n, *shape, generator=self.generator, device=self.generator.device)
        return r if (low, high) == (0.0, 1.0) else low + (high - low) * r

    def normal(self, *shape: int) -> Tensor:
        return torch.randn(self.n, *shape, generator=self.generator, device=self.generator.device)

    def maybe(self, values: Tensor, neutral: float, p: Chance) -> Tensor:
        chosen = self.uniform() < p
        # A tensor of neutral values: a number would be copied to a GPU, which waits for all that is under way.
        return torch.where(chosen.reshape(-1, *[1] * (values.ndim - 1)), values, torch.full_like(values, neutral))


def draw_geometry(n: int, size: int, p_blit: Chance, p_geom: Chance, generator: torch.Generator) -> dict[str, Tensor]:
    """Arguments of `geometry_matrix` for n images of `size` pixels."""
    d = _Draws(n, generator)
    p_rotation = 1 - (1 - p_geom) ** 0.5  # before or after the anisotropic scaling: in all with probability p
    return {
        "flip": d.maybe(1 - 2 * d.uniform(0, 2).floor(), 1, p_blit),
        "quarter_turns": d.maybe(d.uniform(0, 4).floor(), 0, p_blit),
        "whole_pixels": (d.maybe(d.uniform(-0.125, 0.125, 2), 0, p_blit) * size).round(),
        "scale": d.maybe(torch.exp2(0.2 * d.normal()), 1, p_geom),
        "angle_before": d.maybe(d.uniform(-math.pi, math.pi), 0, p_rotation),
        "aspect": d.maybe(torch.exp2(0.2 * d.normal()), 1, p_geom),
        "angle_after": d.maybe(d.uniform(-math.pi, math.pi), 0, p_rotation),
        "fraction": d.maybe(0.125 * d.normal(2), 0, p_geom) * size,
    }


def draw_colour(n: int, channels: int, p: Chance, generator: torch.Generator) -> dict[str, Tensor]:
    """Arguments of `colour_matrix` for n images; hue and saturation only for colour ones (3 channels)."""
    d = _Draws(n, generator)
    draws = {
        "brightness": d.maybe(0.2 * d.normal(), 0, p),
        "contrast": d.maybe(torch.exp2(0.5 * d.normal()), 1, p),
        "flip": d.maybe(d.uniform(0, 2).floor(), 0, p),
    }
    if channels == 3:
        draws["hue"] = d.maybe(d.uniform(-math.pi, math.pi), 0, p)
        draws["saturation"] = d.maybe(torch.exp2(d.normal()), 1, p)
    return draws


def draw_filter(n: int, p: Chance, generator: torch.Generator) -> dict[str, Tensor]:
    """Arguments of `filter_bands`: amplifications [n, 4], each band's of its own accord."""
    d = _Draws(n, generator)
    return {"amplification": torch.stack([d.maybe(torch.exp2(d.normal()), 1, p) for _ in range(4)], 1)}


def draw_noise(n: int, shape: Sequence[int], p: Chance, generator: torch.Generator) -> dict[str, Tensor]:
    """Arguments of `add_noise` for n images of `shape` (C, H, W)."""
    d = _Draws(n, generator)
    return {"deviation": d.maybe(0.1 * d.normal().abs(), 0, p), "noise": d.normal(*shape)}


def draw_cutout(n: int, p: Chance, generator: torch.Generator) -> dict[str, Tensor]:
    """Arguments of `cut_out`: half the width and height, about a centre anywhere in the image."""
    d = _Draws(n, generator)
    return {"width": d.maybe(torch.full((n,), 0.5, device=generator.device), 0, p), "centre": d.uniform(0, 1, 2)}

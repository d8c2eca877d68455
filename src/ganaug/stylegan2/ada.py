"""Adaptive discriminator augmentation: the published "bgc" pipeline and the control of its strength.

Karras et al. 2020, "Training generative adversarial networks with limited data", section 3 and appendix B: pixel
blitting, general geometric and colour transformations, each applied with probability p. Every step is linear in the
image and built from operations with derivatives of any order, as R1 through the augmentation needs.

Geometric transformations are 3x3 matrices in pixels, about the centre of the image, that map a place in the output to
the place in the input it is taken from. So a later transformation is multiplied from the right.
"""

import math
from functools import lru_cache

import torch
from torch import Tensor

# Low-pass filter of the symlet wavelet with 6 vanishing moments (Daubechies 1992, table 6.3): orthogonal to its even
# shifts, so that sampling up and down again without a warp between gives the image back.
SYM6 = (
    *(0.015404109327027373, 0.0034907120842174702, -0.11799011114819057, -0.048311742585633),
    *(0.4910559419267466, 0.787641141030194, 0.3379294217276218, -0.07263752278646252),
    *(-0.021060292512300564, 0.04472490177066578, 0.0017677118642428036, -0.007800708325034148),
)
REACH = len(SYM6) // 2 - 1  # fine samples (half pixels) that the filter needs beyond the image, on each side


class Augmentation:
    """The pipeline at strength p. Call with images in [-1, 1] and a generator on their device.

    p: probability of each transformation, in [0, 1]; 0 returns the images themselves.
    """

    def __init__(self, p: float = 0.0):
        self.p = p

    def __call__(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """images: [N, C, H, H], C of 1 or 3. Returns augmented images of the same shape, not clipped."""
        if self.p == 0:
            return images
        geometry = draw_geometry(len(images), images.shape[2], self.p, generator)
        colour = draw_colour(len(images), images.shape[1], self.p, generator)
        return recolour(warp(images, geometry.to(images.dtype)), colour.to(images.dtype))

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
        return low + (high - low) * r

    def normal(self, *shape: int) -> Tensor:
        return torch.randn(self.n, *shape, generator=self.generator, device=self.generator.device)

    def maybe(self, values: Tensor, neutral: float, p: float) -> Tensor:
        chosen = self.uniform() < p
        return torch.where(chosen.reshape(-1, *[1] * (values.ndim - 1)), values, neutral)


def draw_geometry(n: int, size: int, p: float, generator: torch.Generator) -> Tensor:
    """Pixel blitting and general geometric transformations of n images of `size` pixels, [n, 3, 3]."""
    d = _Draws(n, generator)
    one = torch.ones(n, device=generator.device)
    flip = d.maybe(1 - 2 * d.uniform(0, 2).floor(), 1, p)
    quarter_turns = d.maybe(d.uniform(0, 4).floor(), 0, p)
    whole_pixels = (d.maybe(d.uniform(-0.125, 0.125, 2), 0, p) * size).round()
    scale = d.maybe(torch.exp2(0.2 * d.normal()), 1, p)
    p_rotation = 1 - math.sqrt(1 - p)  # before or after the anisotropic scaling: in all with probability p
    angle_before = d.maybe(d.uniform(-math.pi, math.pi), 0, p_rotation)
    aspect = d.maybe(torch.exp2(0.2 * d.normal()), 1, p)
    angle_after = d.maybe(d.uniform(-math.pi, math.pi), 0, p_rotation)
    fraction = d.maybe(0.125 * d.normal(2), 0, p) * size
    return (
        scaling(flip, one)
        @ rotation(-math.pi / 2 * quarter_turns)
        @ translation(*whole_pixels.unbind(1))
        @ scaling(1 / scale, 1 / scale)
        @ rotation(angle_before)
        @ scaling(1 / aspect, aspect)
        @ rotation(angle_after)
        @ translation(*fraction.unbind(1))
    )


def _matrix(n_like: Tensor, rows) -> Tensor:
    """[N, R, C] from rows of numbers and [N] tensors."""
    return torch.stack([torch.stack([torch.zeros_like(n_like) + v for v in row], 1) for row in rows], 1)


def scaling(x: Tensor, y: Tensor) -> Tensor:
    return _matrix(x, [[x, 0, 0], [0, y, 0], [0, 0, 1]])


def rotation(angle: Tensor) -> Tensor:
    c, s = angle.cos(), angle.sin()
    return _matrix(angle, [[c, -s, 0], [s, c, 0], [0, 0, 1]])


def translation(x: Tensor, y: Tensor) -> Tensor:
    """Takes output (u, v) from input (u - x, v - y): moves the image by (x, y)."""
    return _matrix(x, [[1, 0, -x], [0, 1, -y], [0, 0, 1]])


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
    down = filter_matrix(torch.arange(-REACH, 2 * size + REACH), torch.arange(size)).T / math.sqrt(2)
    return up.to(device, dtype), down.contiguous().to(device, dtype)


def warp(images: Tensor, geometry: Tensor) -> Tensor:
    """Images [N, C, H, H] taken from where `geometry` [N, 3, 3] points, through a twice finer grid.

    Reflected at the edges, sampled up with the wavelet's filter, read bilinearly, sampled down with the transposed
    filter (ADA, appendix B). Beyond the reflection there is 0, mid-grey.
    """
    channels, size = images.shape[1:3]
    up, down = _resampling(size, images.dtype, images.device)
    fine = up @ images @ up.T
    width = fine.shape[3]

    # Places of the fine samples, in pixels about the centre; through the geometry; then as indices into `fine`.
    place = (torch.arange(down.shape[1], device=images.device, dtype=images.dtype) - REACH + 0.5) / 2 - size / 2
    x, y = torch.meshgrid(place, place, indexing="xy")
    source = geometry[:, :2] @ torch.stack([x, y, torch.ones_like(x)]).flatten(1)
    source = (source + size / 2) * 2 - 0.5 + 2 * (size - 1)
    source = source.clamp_(-1, width - 3) + 1  # for the zeros before
    corner = source.floor()
    fx, fy = (source - corner)[:, None].unbind(2)
    x0, y0 = corner.long().unbind(1)
    offsets = torch.tensor([0, 1, width, width + 1], device=images.device)
    index = (y0 * width + x0)[:, None] + offsets[:, None]
    read = fine.flatten(2).gather(2, index.flatten(1)[:, None].expand(-1, channels, -1)).unflatten(2, (2, 2, -1))
    read = read[:, :, 0].lerp(read[:, :, 1], fy[:, :, None])
    read = read[:, :, 0].lerp(read[:, :, 1], fx)
    return down @ read.unflatten(2, (len(place), len(place))) @ down.T


def draw_colour(n: int, channels: int, p: float, generator: torch.Generator) -> Tensor:
    """Colour transformations of n images, [n, 4, 4] on homogeneous (r, g, b, 1).

    Brightness, contrast and luma flip; for colour images (3 channels) hue and saturation too.
    """
    d = _Draws(n, generator)
    brightness = d.maybe(0.2 * d.normal(), 0, p)
    contrast = d.maybe(torch.exp2(0.5 * d.normal()), 1, p)
    flip = d.maybe(d.uniform(0, 2).floor(), 0, p)
    matrix = luma_flip(flip) @ contrast_scaling(contrast) @ brightness_shift(brightness)
    if channels == 3:
        hue = d.maybe(d.uniform(-math.pi, math.pi), 0, p)
        saturation = d.maybe(torch.exp2(d.normal()), 1, p)
        matrix = saturation_scaling(saturation) @ hue_rotation(hue) @ matrix
    return matrix


def brightness_shift(b: Tensor) -> Tensor:
    return _matrix(b, [[1, 0, 0, b], [0, 1, 0, b], [0, 0, 1, b], [0, 0, 0, 1]])


def contrast_scaling(c: Tensor) -> Tensor:
    return _matrix(c, [[c, 0, 0, 0], [0, c, 0, 0], [0, 0, c, 0], [0, 0, 0, 1]])


def _luma_projection(like: Tensor) -> tuple[Tensor, Tensor]:
    """Identity [4, 4], and the projection on the luma axis (1, 1, 1) / sqrt(3)."""
    identity = torch.eye(4, dtype=like.dtype, device=like.device)
    projection = torch.zeros_like(identity)
    projection[:3, :3] = 1 / 3
    return identity, projection


def luma_flip(i: Tensor) -> Tensor:
    """i = 1: reflection that inverts the luma and keeps the chroma; i = 0: nothing."""
    identity, luma = _luma_projection(i)
    return identity - 2 * luma * i[:, None, None]


def hue_rotation(angle: Tensor) -> Tensor:
    """Rotation about the luma axis (Rodrigues' formula)."""
    identity, luma = _luma_projection(angle)
    cross = torch.tensor([[0, -1, 1, 0], [1, 0, -1, 0], [-1, 1, 0, 0], [0, 0, 0, 0]]).to(luma) / math.sqrt(3)
    chroma = identity - luma
    chroma[3, 3] = 0
    fixed = identity - chroma
    c, s = angle.cos()[:, None, None], angle.sin()[:, None, None]
    return fixed + c * chroma + s * cross


def saturation_scaling(s: Tensor) -> Tensor:
    """Scales the chroma, what is left of a colour without its luma."""
    identity, luma = _luma_projection(s)
    fixed = luma.clone()
    fixed[3, 3] = 1
    return fixed + s[:, None, None] * (identity - fixed)


def recolour(images: Tensor, colour: Tensor) -> Tensor:
    """Applies `colour` [N, 4, 4] to images [N, C, H, W]; on grey ones, the mean of what becomes of r = g = b."""
    matrix, shift = colour[:, :3, :3], colour[:, :3, 3:]
    if images.shape[1] == 1:
        matrix, shift = matrix.sum(2, keepdim=True).mean(1, keepdim=True), shift.mean(1, keepdim=True)
    return (matrix @ images.flatten(2) + shift).reshape(images.shape)

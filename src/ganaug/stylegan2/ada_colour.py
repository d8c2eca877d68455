"""Colour transformations of ADA: 4x4 matrices on homogeneous (r, g, b, 1) (ADA, appendix B)."""

import math
from functools import lru_cache

import torch
from torch import Tensor

from ganaug.stylegan2.ada_geometry import matrix_of


def colour_matrix(
    brightness: Tensor, contrast: Tensor, flip: Tensor, hue: Tensor | None = None, saturation: Tensor | None = None
) -> Tensor:
    """All transformations in their order, [N, 4, 4].

    brightness: added. contrast: factor. flip: 1 inverts the luma, 0 does not. hue: radians. saturation: factor of the
    chroma; without hue and saturation the matrix is for grey images. All [N].
    """
    matrix = luma_flip(flip) @ contrast_scaling(contrast) @ brightness_shift(brightness)
    if hue is None:
        return matrix
    assert saturation is not None
    return saturation_scaling(saturation) @ hue_rotation(hue) @ matrix


def brightness_shift(b: Tensor) -> Tensor:
    return matrix_of(b, [[1, 0, 0, b], [0, 1, 0, b], [0, 0, 1, b], [0, 0, 0, 1]])


def contrast_scaling(c: Tensor) -> Tensor:
    return matrix_of(c, [[c, 0, 0, 0], [0, c, 0, 0], [0, 0, c, 0], [0, 0, 0, 1]])


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


@lru_cache(maxsize=8)
def _cross_product(device: torch.device) -> Tensor:
    """The matrix of the cross product with (1, 1, 1), [4, 4]; held, for a copy to a GPU waits for all under way."""
    return torch.tensor([[0, -1, 1, 0], [1, 0, -1, 0], [-1, 1, 0, 0], [0, 0, 0, 0]], device=device)


def hue_rotation(angle: Tensor) -> Tensor:
    """Rotation about the luma axis (Rodrigues' formula)."""
    identity, luma = _luma_projection(angle)
    cross = _cross_product(angle.device).to(luma) / math.sqrt(3)
    chroma = identity - luma
    chroma[3:, 3:] = 0
    fixed = identity - chroma
    c, s = angle.cos()[:, None, None], angle.sin()[:, None, None]
    return fixed + c * chroma + s * cross


def saturation_scaling(s: Tensor) -> Tensor:
    """Scales the chroma, what is left of a colour without its luma."""
    identity, luma = _luma_projection(s)
    fixed = luma.clone()
    fixed[3:, 3:] = 1
    return fixed + s[:, None, None] * (identity - fixed)


def recolour(images: Tensor, colour: Tensor) -> Tensor:
    """Applies `colour` [N, 4, 4] to images [N, C, H, W]; on grey ones, the mean of what becomes of r = g = b."""
    matrix, shift = colour[:, :3, :3], colour[:, :3, 3:]
    if images.shape[1] == 1:
        matrix, shift = matrix.sum(2, keepdim=True).mean(1, keepdim=True), shift.mean(1, keepdim=True)
    return (matrix @ images.flatten(2) + shift).reshape(images.shape)

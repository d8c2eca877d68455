"""Rotation, shift and zoom of a batch of images, each by parameters of its own."""

import torch

from ganaug.gpu import send


def affine(images: torch.Tensor, degrees: torch.Tensor, shift: torch.Tensor, zoom: torch.Tensor) -> torch.Tensor:
    """Images rotated clockwise about their centre, zoomed and then shifted, by bilinear interpolation.

    images: float32 [B, C, H, W], on any device. On the CPU, float64: degrees [B]; shift [2, B], pixels to the right and
    down; zoom [B], factors above 0. What lies outside an image is 0. The same as torchvision's `affine` of each image
    alone, to rounding. The sums are written out: a product of matrices would be rounded as TF32 or autocast have it.
    """
    (height, width), (right, down) = images.shape[-2:], shift
    cos, sin = degrees.deg2rad().cos() / zoom, degrees.deg2rad().sin() / zoom
    # A pixel at (x, y) from the centre is taken from (a x + b y + c, d x + e y + f), in halves of the image's sides.
    matrix = torch.stack([cos, sin, -cos * right - sin * down, -sin, cos, sin * right - cos * down])
    matrix *= torch.tensor([2 / width] * 3 + [2 / height] * 3, dtype=torch.float64)[:, None]
    a, b, c, d, e, f = send(matrix.float(), images.device)[:, :, None, None]
    x = torch.arange(width, dtype=torch.float32, device=images.device) - (width - 1) / 2
    y = (torch.arange(height, dtype=torch.float32, device=images.device) - (height - 1) / 2)[:, None]
    places = torch.stack([a * x + (b * y + c), d * x + (e * y + f)], -1)
    return torch.nn.functional.grid_sample(images, places, padding_mode="zeros", align_corners=False)

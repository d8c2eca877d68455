"""Shapes and textures as parallel rays see them: path lengths in cm over a film with coordinates x, y in cm."""

import math
from collections.abc import Sequence

import numpy as np
from scipy import ndimage


def ellipsoid(
    x: np.ndarray,
    y: np.ndarray,
    centre: Sequence[float] | np.ndarray,
    radii: tuple[float, float, float],
    tilt: float = 0.0,
) -> np.ndarray:
    """Chord of an ellipsoid: 2 rz sqrt(1 - (x'/rx)² - (y'/ry)²). radii: rx, ry, rz; tilt: turn in the film's plane."""
    c, s = math.cos(tilt), math.sin(tilt)
    u, v = x - centre[0], y - centre[1]
    inside = 1 - ((c * u + s * v) / radii[0]) ** 2 - ((c * v - s * u) / radii[1]) ** 2
    return 2 * radii[2] * np.sqrt(np.maximum(inside, 0))


def tube(distance: np.ndarray, radius: np.ndarray | float, wall: float = 0.35) -> np.ndarray:
    """Chord through a tube across the ray: full cortex, and a third of the mineral within it."""
    outer = np.sqrt(np.maximum(radius**2 - distance**2, 0))
    inner = np.sqrt(np.maximum((radius * (1 - wall)) ** 2 - distance**2, 0))
    return 2 * (outer - 0.67 * inner)


def smooth_noise(
    rng: np.random.Generator, x: np.ndarray, y: np.ndarray, scale: float, extent: float = 30.0
) -> np.ndarray:
    """Gaussian random field of about unit variance on the body; scale: distance between knots in cm.

    The knots are drawn in cm, not in pixels, so that a person looks the same at every resolution.
    """
    n = int(2 * extent / scale) + 4
    knots = rng.standard_normal((n, n), dtype=np.float32)
    knots = ndimage.gaussian_filter(knots, 0.7, mode="wrap") * 2.5
    return ndimage.map_coordinates(knots, [(y + extent) / scale, (x + extent) / scale], order=1, mode="grid-wrap")


def splat(row: np.ndarray, column: np.ndarray, weight: np.ndarray, shape: tuple[int, ...], sigma: float) -> np.ndarray:
    """Point masses shared between the four nearest pixels, then blurred by sigma (pixels); float32 [H, W]."""
    row, column, weight = row.ravel(), column.ravel(), weight.ravel()
    r, c = np.floor(row).astype(int), np.floor(column).astype(int)
    fr, fc = row - r, column - c
    image = np.zeros(shape[0] * shape[1])
    for i, j, w in ((0, 0, (1 - fr) * (1 - fc)), (0, 1, (1 - fr) * fc), (1, 0, fr * (1 - fc)), (1, 1, fr * fc)):
        ok = (r + i >= 0) & (r + i < shape[0]) & (c + j >= 0) & (c + j < shape[1])
        image += np.bincount((r[ok] + i) * shape[1] + c[ok] + j, (weight * w)[ok], shape[0] * shape[1])
    return ndimage.gaussian_filter(image.reshape(shape).astype(np.float32), sigma)

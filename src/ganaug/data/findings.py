"""Findings in the lungs of a phantom, as added attenuation. Lengths and scales are in cm."""

import numpy as np

from ganaug.data.rays import smooth_noise

FINDINGS = ("Normal", "Ground-glass", "Focal opacity", "Interstitial")


def draw_finding(finding: str, lung: np.ndarray, x: np.ndarray, y: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Added attenuation (dimensionless, along the ray) of a finding; float32 [H, W], zero outside the lungs.

    lung: path length in aerated lung, cm, [H, W]. x, y: film coordinates in cm. The severity is drawn from hardly
    visible to obvious.
    """
    if finding == "Normal":
        return np.zeros_like(lung)
    added = {"Ground-glass": _ground_glass, "Focal opacity": _focal, "Interstitial": _interstitial}[finding]
    return (added(lung, x, y, rng) * np.clip(lung / 5, 0, 1)).astype(np.float32)


def _places(lung: np.ndarray, rng: np.random.Generator, weight: np.ndarray, count: int) -> tuple[np.ndarray, ...]:
    """`count` pixels drawn with probability in proportion to `weight` within the lungs, as (rows, columns)."""
    mass = np.cumsum((weight * np.clip(lung - 2, 0, 8)).ravel())
    flat = np.searchsorted(mass, rng.random(count) * mass[-1] * (1 - 1e-6))
    return np.unravel_index(np.minimum(flat, lung.size - 1), lung.shape)


def _bounds(lung: np.ndarray, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.floating]:
    inside = lung > 2
    return np.percentile(y[inside], [2, 98]), np.percentile(np.abs(x[inside]), 97)


def _ground_glass(lung: np.ndarray, x: np.ndarray, y: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Soft blobs near the pleura of both lungs, more in the lower zones (a Gaussian ball projects to a Gaussian)."""
    severity, low = rng.uniform(0.4, 1.8), rng.uniform(1.0, 2.0)
    (top, bottom), side = _bounds(lung, x, y)
    height = np.clip((y - top) / (bottom - top), 0, 1)
    weight = np.clip(np.abs(x) / side, 0, 1) ** 4 * height**low
    total = np.zeros_like(lung)
    for half in (x < 0, x >= 0):
        n = int(rng.integers(4, 9))
        r, c = _places(lung, rng, weight * half, n)
        for row, column, size, strength in zip(r, c, rng.uniform(1.5, 3.4, n), rng.uniform(0.5, 1, n), strict=True):
            u, v = x - x[row, column], y - y[row, column]
            total += strength * np.exp(-0.5 * (u**2 + (v / 1.25) ** 2) / size**2) * half
    return severity * 0.75 * np.tanh(total) * np.maximum(1 + 0.35 * smooth_noise(rng, x, y, 1.2), 0)


def _focal(lung: np.ndarray, x: np.ndarray, y: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """One dense opacity with an uneven edge."""
    severity, size = rng.uniform(0.7, 2.1), rng.uniform(2.0, 4.5)
    (top, bottom), side = _bounds(lung, x, y)
    height = np.clip((y - top) / (bottom - top), 0, 1)
    central = np.exp(-0.5 * ((np.abs(x) / side - 0.6) / 0.15) ** 2 - 0.5 * ((height - 0.5) / 0.18) ** 2)
    r, c = _places(lung, rng, central, 1)
    stretch, tilt = rng.uniform(0.75, 1.35), rng.uniform(0, np.pi)
    u, v = x - x[r[0], c[0]], y - y[r[0], c[0]]
    a, b = np.cos(tilt) * u + np.sin(tilt) * v, np.cos(tilt) * v - np.sin(tilt) * u
    away = np.sqrt((a / stretch) ** 2 + (b * stretch) ** 2) / size + 0.12 * smooth_noise(rng, x, y, 1.3)
    away = away + 0.06 * smooth_noise(rng, x, y, 0.6)
    return severity * np.clip((1.15 - away) / rng.uniform(0.45, 1.1), 0, 1)


def _interstitial(lung: np.ndarray, x: np.ndarray, y: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Lines (ridges of random fields at two scales) and small nodules all over both lungs."""
    severity = rng.uniform(0.35, 1.4)
    (top, bottom), _ = _bounds(lung, x, y)
    height = np.clip((y - top) / (bottom - top), 0, 1)
    coarse = np.maximum(1 - 2.2 * np.abs(smooth_noise(rng, x, y, 1.1)), 0)
    fine = np.maximum(1 - 2.0 * np.abs(smooth_noise(rng, x, y, 0.6)), 0)
    nodules = np.maximum(smooth_noise(rng, x, y, 0.5) - 1.2, 0)
    patches = 1 + 0.3 * smooth_noise(rng, x, y, 6)
    pattern = 0.4 + 0.9 * coarse + 0.8 * fine + 0.7 * nodules
    return severity * 0.35 * pattern * (0.7 + 0.3 * height) * np.maximum(patches, 0.2)

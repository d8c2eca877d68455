"""Made-up chest radiographs, so that the whole study runs without anybody's data.

A random thorax (`ganaug.data.thorax`) with or without a finding (`ganaug.data.findings`) is projected onto a film:
Beer-Lambert attenuation, scatter, film curve, quantum noise, detector blur, collimation. The images are meant to look
like PA radiographs and to be hard to classify; they hold no clinical truth.
"""

import argparse
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image
from scipy import ndimage

from ganaug.data.findings import FINDINGS, draw_finding
from ganaug.data.rays import ellipsoid
from ganaug.data.thorax import Thorax, draw_person, project
from ganaug.errors import UserError
from ganaug.files import folder_written_whole
from ganaug.progress import Progress
from ganaug.seeding import derive_seed

SOFT, LUNG, BONE = 0.165, 0.045, 0.42  # attenuation per cm at about 100 kV; bone: what it adds to soft tissue
SMALLEST_GRID = 128  # rays per side; smaller images are averaged from it, so that fine structures do not alias


@dataclass(frozen=True)
class Settings:
    images_per_class: int
    resolution: int  # pixels per side


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument_group("outputs").add_argument("--out", type=Path, required=True, help="folder of class folders")


def run(args: argparse.Namespace) -> None:
    settings = Settings(**args.settings)
    if not 16 <= settings.resolution <= 1024 or settings.images_per_class < 1:
        raise UserError("make_phantoms: `resolution` must lie in 16…1024 and `images_per_class` be at least 1")
    with (
        folder_written_whole(args.out) as folder,
        Progress(len(FINDINGS) * settings.images_per_class, "phantoms", "image") as progress,
    ):
        for finding in FINDINGS:
            (folder / finding).mkdir()
            for index in range(1, settings.images_per_class + 1):
                person = derive_seed(args.seed, "phantom person", finding=finding, index=index)
                inside = derive_seed(args.seed, "phantom finding", finding=finding, index=index)
                image = render_phantom(finding, settings.resolution, person, inside)
                Image.fromarray(image).save(folder / finding / f"{finding}-{index:05d}.png")
                progress.update()


def render_phantom(finding: str, resolution: int, person_seed: int, finding_seed: int) -> np.ndarray:
    """One radiograph, uint8 [resolution, resolution], white where little came through.

    finding: one of FINDINGS. person_seed: anatomy, devices, exposure and noise. finding_seed: the finding alone, so
    that the same person with another finding differs only within the lungs.
    """
    person_rng, exposure_rng, device_rng, noise_rng = (
        np.random.default_rng([person_seed, stream]) for stream in range(4)
    )
    coarser = max(1, -(-SMALLEST_GRID // resolution))
    x, y = _film(resolution * coarser, exposure_rng)
    thorax = project(draw_person(person_rng), x, y, person_rng)
    attenuation = SOFT * thorax.soft + LUNG * thorax.lung + BONE * thorax.bone + SOFT * thorax.vessels
    attenuation += _devices(thorax, x, y, device_rng)
    added = draw_finding(finding, thorax.lung, x, y, np.random.default_rng(finding_seed))
    film = _expose(attenuation, added, exposure_rng, noise_rng, resolution)
    return (255 * film + 0.5).astype(np.uint8)


def _film(pixels: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Film coordinates in cm: field of view, shift and tilt of the cassette."""
    field, tilt = rng.uniform(32, 36.5), rng.normal(0, 0.03)
    across, down = rng.normal(0, 0.5), rng.normal(-1.0, 0.8)
    u = (np.arange(pixels, dtype=np.float32) + 0.5) / pixels * field - field / 2
    u, v = np.meshgrid(u, u)
    c, s = math.cos(tilt), math.sin(tilt)
    return c * u - s * v + across, s * u + c * v + down


def _devices(thorax: Thorax, x: np.ndarray, y: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Benign things in any class: ECG leads, a feeding tube, a calcified nodule."""
    added = np.zeros_like(x)
    if rng.random() < 0.15:
        for _ in range(rng.integers(2, 5)):
            at, bend = rng.uniform([-10, -8], [10, 6]), rng.normal(0, 1.5, 2)
            added += 0.5 * (ellipsoid(x, y, at, (0.6, 0.6, 0.5)) > 0)
            wire = at[0] + bend[0] * (y - at[1]) / 6 + bend[1] * np.sin((y - at[1]) / 4)
            added += 0.35 * np.maximum(1 - np.abs(x - wire) / 0.22, 0) * (y > at[1] - rng.uniform(0, 12))
    if rng.random() < 0.15:
        side, bottom = rng.choice([-1, 1]), rng.uniform(-5, 3)
        line = side * np.clip(-(y + 9) * 1.2, -1, 9) * 0.8 + rng.normal(0.5, 0.7)
        added += 0.3 * np.maximum(1 - np.abs(x - line) / 0.3, 0) * (y < bottom)
    if rng.random() < 0.25:
        flat = rng.choice(np.flatnonzero(thorax.lung > 4))
        size = rng.uniform(0.25, 0.6)
        added += ellipsoid(x, y, (x.flat[flat], y.flat[flat]), (size, size, 0.8))
    return added.astype(np.float32)


def _expose(
    attenuation: np.ndarray,
    added: np.ndarray,
    exposure_rng: np.random.Generator,
    noise_rng: np.random.Generator,
    resolution: int,
) -> np.ndarray:
    """Rays to film, float [resolution, resolution] in [0, 1].

    Scatter, window and noise level are taken from the film without the finding: they then tell nothing of it.
    """
    rng = exposure_rng
    pixels = len(attenuation)
    primary = np.exp(-attenuation)
    scatter = rng.uniform(0.6, 1.4) * ndimage.gaussian_filter(np.minimum(primary, 0.2), pixels * 0.09)
    scatter += rng.uniform(0.004, 0.02)
    plain = primary + scatter
    log_plain, log_film = -np.log(plain), -np.log(primary * np.exp(-added) + scatter)

    mid = slice(pixels // 8, -pixels // 8)
    low, high = np.percentile(log_plain[mid, mid], [rng.uniform(2, 5), rng.uniform(93, 99)])
    width = (high - low) * rng.uniform(1.05, 1.4)
    middle = (low + high) / 2 + (high - low) * rng.normal(-0.07, 0.05)
    film = (log_film - middle) / width  # about -0.5 … 0.5 within the body
    dose = rng.uniform(0.004, 0.02)
    grain = noise_rng.standard_normal(film.shape, dtype=np.float32) * np.minimum(1.4, np.exp(0.9 * (film - 0.1)))
    film = film + dose * math.sqrt(pixels / 128) * grain
    film = ndimage.gaussian_filter(film, rng.uniform(0.3, 0.8) * pixels / 128)
    film = 1 / (1 + np.exp(-rng.uniform(3.4, 5.0) * film))  # toe and shoulder of the film curve
    film = (film - 0.06) / 0.90 * rng.uniform(0.85, 1.0)
    film = np.clip(film, 0, 1) ** np.exp(rng.normal(0, 0.12))

    if rng.random() < 0.25:  # collimator blades
        for axis in (0, 1):
            first, last = rng.integers(0, pixels // 14, 2)
            blade = np.ones(pixels, np.float32)
            blade[:first], blade[pixels - last :] = 0, 0
            film = film * np.expand_dims(blade, 1 - axis)
    side = pixels // resolution
    return film.reshape(resolution, side, resolution, side).mean((1, 3))

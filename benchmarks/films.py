"""What ganaug.data.films takes for no film or for inverted: false alarms on real radiographs, and troubles found.

    python benchmarks/films.py DATA_ROOT [--phantoms 25]

DATA_ROOT: class folders of radiographs, in the layout of the COVID-19 Radiography Database. Prints, per class, the
false alarms by kind and how near the films come to the limits; of troubles made from every tenth film, the share found;
and the false alarms among phantoms of several sizes.
"""

import argparse
import io
import sys
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "src"))

import numpy as np
from PIL import Image, ImageDraw
from scipy import ndimage

from ganaug.data import films
from ganaug.data.findings import FINDINGS
from ganaug.data.images import decode
from ganaug.data.near_copies import reduced
from ganaug.data.phantom import render_phantom
from ganaug.data.sources import list_images, read_file


def jpeg(pixels: np.ndarray) -> np.ndarray:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=75)
    return np.asarray(Image.open(buffer))


def resized(pixels: np.ndarray, factor: float) -> np.ndarray:
    size = tuple(max(1, round(side * factor)) for side in pixels.shape[::-1])
    return np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BILINEAR))


def marked(pixels: np.ndarray) -> np.ndarray:
    """With an L and a line of text, as on many films."""
    image = Image.fromarray(pixels)
    draw, side = ImageDraw.Draw(image), min(pixels.shape)
    draw.text((side // 20, side // 20), "L  PORTABLE 12:30", fill=255, font_size=side / 14)
    return np.asarray(image)


def mask(pixels: np.ndarray) -> np.ndarray:
    """Of the brighter half, with smooth edges as of an organ."""
    smooth = ndimage.gaussian_filter(pixels.astype(np.float32), min(pixels.shape) / 40)
    return np.where(smooth > np.median(smooth), 255, 0).astype(np.uint8)


def noisy(value: float, spread: float):
    noise = np.random.default_rng(0)
    return lambda p: (value + spread * noise.standard_normal(p.shape)).clip(0, 255).astype(np.uint8)


TROUBLES = {
    "black": np.zeros_like,
    "white": lambda p: np.full_like(p, 255),
    "black, noise of 1 grey level": noisy(0, 1),
    "grey, noise of 3 grey levels": noisy(128, 3),
    "grey, noise of 5 grey levels": noisy(128, 5),
    "black with a marker": lambda p: marked(np.zeros_like(p)),
    "black with a marker, JPEG": lambda p: jpeg(marked(np.zeros_like(p))),
    "film at a 16th of its contrast": lambda p: p // 16 + 100,
    "film in 20 neighbouring grey levels": lambda p: (p * (20 / 256)).astype(np.uint8),
    "film in 30 neighbouring grey levels": lambda p: (p * (30 / 256)).astype(np.uint8),
    "film on a black canvas of twice the side": lambda p: np.pad(p, min(p.shape) // 2),
    "film on a black canvas of 1.5 times the side": lambda p: np.pad(p, min(p.shape) // 4),
    "mask 0 and 1": lambda p: mask(p) // 255,
    "mask 0 and 255": mask,
    "mask, JPEG": lambda p: jpeg(mask(p)),
    "mask, enlarged twice": lambda p: resized(mask(p), 2),
    "mask, half the size": lambda p: resized(mask(p), 0.5),
    "mask, a quarter of the size": lambda p: resized(mask(p), 0.25),
    "label map of 4 values": lambda p: p // 64 * 64,
    "8 grey levels": lambda p: p // 32 * 32,
    "16 grey levels": lambda p: p // 16 * 16,
    "a 16th of the size": lambda p: resized(p, 1 / 16),
    "binary noise": lambda p: np.random.default_rng(0).integers(0, 2, p.shape, np.uint8) * 255,
    "noise of 40 grey levels, JPEG": lambda p: jpeg(noisy(128, 40)(p)),
    "noise of all levels": lambda p: np.random.default_rng(0).integers(0, 256, p.shape, np.uint8),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data_root", type=Path)
    parser.add_argument("--phantoms", type=int, default=25, help="of each finding and size")
    args = parser.parse_args()
    listed = list_images(args.data_root, "radiography", None)
    labels = np.array([label for _, label in listed])
    every, found, made = [], [], Counter()
    for number, (file, _) in enumerate(listed):
        pixels = decode(read_file(args.data_root / file), file).pixels
        every.append(films.coarse(reduced(pixels)))
        shares = np.array(Image.fromarray(pixels).histogram()) / pixels.size
        measured = films.in_one_band(shares), films.separability(shares), np.count_nonzero(shares)
        measured += (films.smoothness(pixels),)
        found.append((films.why_no_film(pixels), *measured))
        for name, change in TROUBLES.items() if number % 10 == 0 else ():
            made[name, films.why_no_film(np.asarray(change(pixels)))] += 1
    report(np.array(every), labels, found)
    report_troubles(made)
    for side in (16, 32, 64, 128, 256):
        phantoms = [(name, render_phantom(name, side, i, i)) for name in FINDINGS for i in range(args.phantoms)]
        told = Counter(films.why_no_film(pixels) for _, pixels in phantoms)
        inverted, pairs = films.looks_inverted(
            np.array([films.coarse(reduced(pixels)) for _, pixels in phantoms]), [name for name, _ in phantoms]
        )
        told = f"{len(phantoms) - told['']} no films, {inverted.sum()} inverted, opposite classes {pairs}"
        print(f"{len(phantoms)} phantoms of {side} pixels: {told}")


def report(every: np.ndarray, labels: np.ndarray, found: list[tuple]) -> None:
    inverted, pairs = films.looks_inverted(every, labels)
    print("false alarms, and the nearest to a limit: share in one band, separability, grey levels, smoothness")
    for name in np.unique(labels):
        own = np.flatnonzero(labels == name)
        kinds, band, eta, levels, smooth = zip(*(found[i] for i in own), strict=True)
        counts = {kind: kinds.count(kind) for kind in films.NOT_FILMS}
        print(f"  {name}: {len(own)} films, {counts}, looks inverted {inverted[own].sum()}", end="; ")
        print(f"{max(band):.2f}, {max(eta):.2f}, {min(levels)}, {min(smooth):.2f}")
        # One negative at a time hardly changes the median: correlations change their sign.
        near = films.correlation(every[own], np.median(every[own], axis=0))
        told = {
            limit: f"{(near < limit).mean():.2%}, {(-near < limit).mean():.2%}" for limit in (-0.1, -0.2, -0.3, -0.4)
        }
        print(f"    median correlation {np.median(near):.2f}; below a limit films, negatives: {told}")
    print("  classes that look inverted beside another:", pairs)
    for share in (0.1, 0.3, 0.45, 0.6, 1):
        mixed, first = every.copy(), np.unique(labels)[0]
        own = np.flatnonzero(labels == first)
        turned = own[: round(share * len(own))]
        mixed[turned] = 255 - mixed[turned]
        told, pairs = films.looks_inverted(mixed, labels)
        rest = np.setdiff1d(own, turned)
        print(f"  {share:.0%} of {first} inverted: {told[turned].mean():.1%} of them told", end=", ")
        print(f"{told[rest].mean() if len(rest) else 0:.1%} of the others; opposite classes {pairs}")


def report_troubles(made: Counter) -> None:
    print("troubles made of every tenth film: what they are taken for")
    for name in TROUBLES:
        told = {kind or "a film": count for (trouble, kind), count in made.items() if trouble == name}
        total = sum(told.values())
        print(f"  {name}: " + ", ".join(f"{kind} {count / total:.1%}" for kind, count in told.items()))


if __name__ == "__main__":
    main()

"""Stage check_synthetic: a GAN was trained on its subset's training images, and its samples hold no real image."""

import argparse
from pathlib import Path

import numpy as np

from ganaug.errors import UserError
from ganaug.files import read_csv, read_json, sha256_of, write_json

SIDES = ("train", "validation", "test")
BLOCK = 512  # images compared at a time


def add_arguments(parser: argparse.ArgumentParser) -> None:
    inputs = parser.add_argument_group("inputs")
    inputs.add_argument("--gan-provenance", type=Path, required=True, help="provenance of train_gan")
    inputs.add_argument("--synthetic-images", type=Path, required=True)
    for side in SIDES:
        inputs.add_argument(f"--{side}-images", type=Path, required=True)
        inputs.add_argument(f"--{side}-table", type=Path, required=True)
    outputs = parser.add_argument_group("outputs")
    outputs.add_argument("--report", type=Path, required=True, help="what was compared, .json")


def run(args: argparse.Namespace) -> None:
    check_training_list(args.gan_provenance, [args.train_images, args.train_table])
    synthetic = np.load(args.synthetic_images, mmap_mode="r")
    compared = {}
    for side in SIDES:
        images = np.load(getattr(args, f"{side}_images"), mmap_mode="r")
        copies = same_pairs(synthetic, images)
        if copies:
            names = read_csv(getattr(args, f"{side}_table"), dtype={"image": str})["image"]
            lines = "\n".join(f"  image {i + 1} is {names[j]}" for i, j in copies)
            raise UserError(f"{args.synthetic_images} holds real {side} images, but for rounding:\n{lines}")
        compared[side] = len(images)
    write_json(args.report, {"synthetic": len(synthetic), "compared": compared, "copies": 0})


def check_training_list(provenance: Path, files: list[Path]) -> None:
    """Raises UserError where a GAN was not trained on just these files as they are now."""
    inputs = read_json(provenance)["inputs"]
    # All image sets and lists it read; a generator to start from is none.
    read = {path: digest for path, digest in inputs.items() if Path(path).suffix in (".npy", ".csv")}
    if read != {str(path): sha256_of(path) for path in files}:
        raise UserError(
            f"{provenance}: the GAN was trained on {', '.join(read)}, which is not what {files[0]} and {files[1]} hold "
            "now; delete its folder and run the study again"
        )


def same_pairs(a: np.ndarray, b: np.ndarray) -> list[tuple[int, int]]:
    """Numbers (i, j) of images, uint8 [N, H, W] and [M, H, W], that differ by no more than one grey level (root mean
    square), each i with its nearest j. Compared at 64 x 64 pixels at most."""
    a, b = (_reduced(images) for images in (a, b))
    squares, found = (b**2).sum(1), []
    for start in range(0, len(a), BLOCK):
        rows = a[start : start + BLOCK]
        distance = (rows**2).sum(1)[:, None] + squares - 2 * rows @ b.T
        nearest = distance.argmin(1)
        for i in np.flatnonzero(distance.min(1) <= a.shape[1] * 1.02):  # float32 is off by no more
            found.append((int(i) + start, int(nearest[i])))
    return found


def _reduced(images: np.ndarray) -> np.ndarray:
    """float32 [N, pixels]: means over blocks of pixels where there are more than 64 x 64."""
    count, side = len(images), images.shape[1]
    block = max(1, side // 64)
    means = [im.reshape(side // block, block, side // block, block).mean((1, 3), dtype=np.float32) for im in images]
    return np.stack(means).reshape(count, -1) if means else np.empty((0, 1), np.float32)

"""From which distance on two films are near-copies: measured on copies made here and on films of different people."""

import io
import math

import numpy as np
import pandas as pd
from PIL import Image

from ganaug.data.near_copies import differing_bits, perceptual_hash

COPIED = 300  # images of which copies are made
FOUND = 0.99  # share of the made copies that the threshold is to find
CONFUSED = 1e-6  # share of the pairs of different classes that it may take for copies
CHANCE = 0.1  # pairs of different people expected among those that are called label conflicts
NEAREST = 20  # pairs of different people from which that is reckoned
ALWAYS_ALLOWED = 3  # of such pairs, where a millionth of them is less than that


def _jpeg(pixels: np.ndarray) -> np.ndarray:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=50)
    return np.asarray(Image.open(buffer))


def _half(pixels: np.ndarray) -> np.ndarray:
    height, width = pixels.shape
    size = max(1, width // 2), max(1, height // 2)
    return np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BILINEAR))


def _window(pixels: np.ndarray) -> np.ndarray:
    return ((np.clip(pixels, 15, 235) - 15.0) * (255 / 220)).astype(np.uint8)


def _gamma(pixels: np.ndarray) -> np.ndarray:
    return (255 * (pixels / 255) ** 1.3).astype(np.uint8)


def _crop(pixels: np.ndarray) -> np.ndarray:
    top, left = (math.ceil(0.01 * side) for side in pixels.shape)
    return np.ascontiguousarray(pixels[top : pixels.shape[0] - top, left : pixels.shape[1] - left])


# How films come to be in a collection twice.
COPIES = {
    "JPEG of quality 50": _jpeg,
    "half the size": _half,
    "narrower window": _window,
    "gamma 1.3": _gamma,
    "cropped by 2 %": _crop,
}
DIFFERENT = "films of different classes"


def copy_hashes(pixels: np.ndarray) -> dict[str, np.ndarray]:
    """Perceptual hashes, uint8 [32], of the copies made of an image, uint8 [H, W], by kind."""
    return {kind: perceptual_hash(made(pixels)) for kind, made in COPIES.items()}


def distances(hashes: np.ndarray, classes: np.ndarray, copies: dict[int, dict[str, np.ndarray]]) -> pd.DataFrame:
    """kind, distance (bits of 256), pairs: how far made copies lie from their films, and films from each other.

    hashes: uint8 [N, 32]. classes: [N]; films of different classes are of different people, as a rule. copies: hashes
    of the copies made of some of the images, by the image's number.
    """
    counts = {kind: np.zeros(257, np.int64) for kind in [*COPIES, DIFFERENT]}
    for number, made in copies.items():
        for kind, copy in made.items():
            counts[kind][differing_bits(hashes[number : number + 1], copy[None])[0, 0]] += 1
    for start in range(0, len(hashes), 1024):
        rows = slice(start, start + 1024)
        different = classes[rows, None] != classes[None, start:]
        apart = np.triu(different, k=1)  # each pair once; the columns begin with the rows
        counts[DIFFERENT] += np.bincount(differing_bits(hashes[rows], hashes[start:])[apart], minlength=257)
    pairs = [(kind, d, int(n)) for kind, found in counts.items() for d, n in enumerate(found) if n]
    return pd.DataFrame(pairs, columns=["kind", "distance", "pairs"])


def choose(table: pd.DataFrame) -> int:
    """The distance, in bits, up to which two films are called near-copies, from a table of `distances`.

    Midway between where 99 of 100 made copies are found and where more than one in a million pairs of different
    classes (but three are always allowed) would be taken for copies; there, if that comes first. A pair of different
    classes no farther apart than the median made copy does not count: it is one film with two labels.
    """
    made = table[table["kind"] != DIFFERENT]
    if made.empty:
        return 0  # no usable image
    copies = np.repeat(made["distance"], made["pairs"])
    found, median = (int(np.quantile(copies, q, method="inverted_cdf")) for q in (FOUND, 0.5))
    different = table[(table["kind"] == DIFFERENT) & (table["distance"] > median)].sort_values("distance")
    allowed = max(ALWAYS_ALLOWED, CONFUSED * different["pairs"].sum())
    too_many = different.loc[different["pairs"].cumsum() > allowed, "distance"]
    limit = int(too_many.min()) - 1 if len(too_many) else found
    return min(limit, (found + limit) // 2)


def conflict_distance(table: pd.DataFrame, threshold: int) -> int:
    """The distance, in bits, up to which near-copies of different classes are taken for one film with two labels.

    `threshold` at most, and what `choose` makes of the table, within which it allows a few pairs of different people.
    How many of these are to be expected up to a distance is reckoned from the NEAREST pairs beyond: their distances
    have an exponential tail, whose scale is their mean distance to the farthest of them (Hill 1975, "A simple general
    approach to inference about the tail of a distribution", on a linear scale). CHANCE of a pair is allowed.
    """
    limit = min(threshold, choose(table))
    beyond = table[(table["kind"] == DIFFERENT) & (table["distance"] > limit)].sort_values("distance")
    nearest = np.repeat(beyond["distance"], beyond["pairs"].clip(upper=NEAREST))[:NEAREST]
    if len(nearest) < 2:
        return limit
    scale = max(1.0, (nearest.max() - nearest).sum() / (len(nearest) - 1))
    return max(0, min(limit, math.floor(nearest.max() - scale * math.log(len(nearest) / CHANCE))))


def describe(table: pd.DataFrame, threshold: int, chosen: str) -> dict:
    """What a threshold does, JSON-serialisable: share of each kind of copy found, pairs of different films."""
    within = table["pairs"].where(table["distance"] <= threshold, 0).groupby(table["kind"], sort=False).sum()
    pairs = table.groupby("kind", sort=False)["pairs"].sum()
    return {
        "distance": threshold,
        "chosen": chosen,
        "found": {kind: float(within[kind] / pairs[kind]) for kind in COPIES if kind in pairs},
        "different_pairs": int(pairs.get(DIFFERENT, 0)),
        "different_within": int(within.get(DIFFERENT, 0)),
    }

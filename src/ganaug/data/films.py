"""Whether an image can be a film: by what its grey levels are, and by how it looks beside its class.

The limits were measured on 4,000 radiographs of the COVID-19 Radiography Database (1,000 per class, 128 x 128 pixels)
by benchmarks/films.py, which prints the false alarms and what is found of made-up troubles. No radiograph is taken for
no film, and one for inverted: a film at the top of a black image. Found are all blank images, noise, icons, masks at
half to twice their size, 4 of 10 masks at a quarter, and 98.8 % of negatives. Not found are pages of text, photographs,
films of other parts of the body, turned films, and films with broad borders or clipped grey levels. Films that were
changed before may be taken for no films: on a black canvas of twice their side 22 of 400 are called two-valued, and in
16, 20 or 30 neighbouring grey levels 400, 252 or 52 of 400 nearly blank.
"""

from collections.abc import Iterable

import numpy as np
from PIL import Image

from ganaug.data.near_copies import SIDE

BLANK, NEARLY_BLANK, TWO_VALUED, FEW_LEVELS = "blank", "nearly blank", "two-valued", "few grey levels"
NOISE, TINY = "noise", "tiny"
NOT_FILMS = (BLANK, NEARLY_BLANK, TWO_VALUED, FEW_LEVELS, NOISE, TINY)
INVERTED, CLASSES_INVERTED = "looks inverted", "class looks inverted beside another"
SMALL = "smaller than data.resolution"

BAND = 16  # neighbouring grey levels
FILLED = 0.95  # share of the pixels in one band (radiographs: at most 0.82)
SEPARATED = 0.95  # Otsu's eta; masks that were resized or compressed have more (radiographs: at most 0.90)
FEWEST_LEVELS = 8  # of a label map, at most; radiographs have 100 or more
SMOOTH = 0.3  # correlation of neighbouring pixels (radiographs: at least 0.89, phantoms of 16 pixels 0.71; noise: 0.17)
ROWS = 16  # in which they are compared, at least
SHORTEST_SIDE = 16  # pixels, the least data.resolution

OPPOSITE = -0.3  # correlation with the median film; below are 1 of 4,000 radiographs, and 98.8 % of their negatives
COARSE = 16  # side to which films are averaged before they are compared
FEWEST_FILMS = 10  # of a class; the median of fewer is of their chance differences
ALIKE = 0.5  # median correlation of a class's films with their median film, at least (radiographs: 0.74)


def why_no_film(pixels: np.ndarray) -> str:
    """One of NOT_FILMS, or nothing where an image, uint8 [H, W], may be a film.

    `tiny`: a side shorter than SHORTEST_SIDE. `blank`: one grey level. `nearly blank`: FILLED of the pixels lie in one
    band of BAND neighbouring grey levels. `two-valued`: two grey levels, or nearly so (SEPARATED), as of a mask. `few
    grey levels`: at most FEWEST_LEVELS, as of a label map. `noise`: neighbouring pixels are unrelated (SMOOTH), as in a
    blank film of 16 bits whose own range was scaled to 8. Of 4,000 radiographs none is any of these.
    """
    if min(pixels.shape) < SHORTEST_SIDE:
        return TINY
    counts = np.array(Image.fromarray(pixels).histogram())
    levels = np.count_nonzero(counts)
    if levels <= 2:
        return (BLANK, TWO_VALUED)[levels - 1]
    shares = counts / pixels.size
    if in_one_band(shares) >= FILLED:
        return NEARLY_BLANK
    if separability(shares) >= SEPARATED:
        return TWO_VALUED
    if levels <= FEWEST_LEVELS:
        return FEW_LEVELS
    return NOISE if smoothness(pixels) < SMOOTH else ""


def in_one_band(shares: np.ndarray) -> float:
    """Share of the pixels in the fullest band of BAND neighbouring grey levels; shares: of each level, [256]."""
    return float(np.convolve(shares, np.ones(BAND), "valid").max())


def separability(shares: np.ndarray) -> float:
    """How near an image is to two values, in [0, 1]; shares: of each grey level, [256], of two levels at least.

    Otsu's eta, the variance between the two classes of the best threshold over the whole variance (Otsu 1979, "A
    threshold selection method from gray-level histograms", equations 18 and 19).
    """
    levels = np.arange(256)
    below, mean_below, mean = shares.cumsum()[:-1], (shares * levels).cumsum()[:-1], (shares * levels).sum()
    apart = (mean * below - mean_below) ** 2
    weights = below * (1 - below)
    between = np.divide(apart, weights, out=np.zeros_like(apart), where=weights > 1e-12)
    return float(between.max() / (shares * (levels - mean) ** 2).sum())


def smoothness(pixels: np.ndarray) -> float:
    """Correlation (Pearson) of pixels, uint8 [H, W], with their right neighbours, in some rows; 1 if one is blank."""
    rows = pixels[:: max(1, len(pixels) // ROWS)].astype(np.float32)
    left, right = rows[:, :-1].ravel(), rows[:, 1:].ravel()
    left, right = left - left.mean(), right - right.mean()
    scale = np.sqrt((left @ left) * (right @ right))
    return float(left @ right / scale) if scale else 1.0


def is_enlarged(height: int, width: int, resolution: int) -> bool:
    """Whether the square of an image's shorter side, in pixels, has to be enlarged to `resolution`."""
    return min(height, width) < resolution


def coarse(small: np.ndarray) -> np.ndarray:
    """What is compared of an image that near_copies.reduced made, uint8 [SIDE, SIDE]: means, float32 [COARSE**2]."""
    block = SIDE // COARSE
    return small.reshape(COARSE, block, COARSE, block).mean((1, 3), dtype=np.float32).ravel()


def looks_inverted(images: np.ndarray, classes: Iterable[str]) -> tuple[np.ndarray, list[tuple[str, str]]]:
    """(which images look inverted beside their class, pairs of classes whose median images are opposites).

    images: as `coarse` makes them, [N, P]. classes: [N]. An image looks inverted, bool [N], where its correlation
    (Pearson) with the median image of its class is less than OPPOSITE; two classes are opposites where that of their
    medians is. Nothing is said of a class of fewer than FEWEST_FILMS images, nor of one whose images are not alike
    (ALIKE). Where most of a class is inverted, it is the opposite of others, and its upright images look inverted.
    """
    labels = np.asarray(list(classes), str)
    inverted, medians = np.zeros(len(images), bool), {}
    for name in np.unique(labels):
        own = np.flatnonzero(labels == name)
        median = np.median(images[own], axis=0)
        near = correlation(images[own], median)
        if len(own) >= FEWEST_FILMS and np.median(near) >= ALIKE:
            inverted[own], medians[str(name)] = near < OPPOSITE, median
    pairs = [(a, b) for a in medians for b in medians if a < b and correlation(medians[a], medians[b]) < OPPOSITE]
    return inverted, pairs


def correlation(images: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Pearson's, of [..., P] and [P]; 0 where either is constant."""
    images, other = images - images.mean(-1, keepdims=True), other - other.mean()
    scale = np.sqrt((images**2).sum(-1) * (other**2).sum())
    return np.divide(images @ other, scale, out=np.zeros_like(scale), where=scale > 0)

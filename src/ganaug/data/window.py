"""Values of more than 8 bits as 8: by a window that a marker or a padding value doesn't widen."""

from dataclasses import dataclass

import numpy as np

# The window holds the values no farther beyond the percentiles than these lie apart: Tukey's fences, with wider
# percentiles, since most of a collimated film may be background. Of 800 real films 99 % keep their whole range, one
# loses more than 1 % of its pixels (2.5 %). A burnt-in marker of 5 % of the pixels moves neither percentile.
PERCENTILES = (5, 95)
BEYOND = 1.0
SAMPLED = 8_000_000  # values that the percentiles are of: beyond, of every second row, third row …
MIN_LEVELS = 64  # of 256; of 4,000 real films none has fewer than 100
MAX_OUTSIDE = 0.1  # share of pixels


@dataclass(frozen=True)
class Window:
    """What became of a file's values: `low` and less are 0, `high` and more are 255, others in proportion.

    outside: share of pixels, in [0, 1], below `low`, above `high` or no number. levels: different greys, 1 to 256.
    """

    low: float
    high: float
    outside: float
    levels: int

    def __str__(self) -> str:
        pixels = f"{self.outside:.1%}".replace("%", " %")
        return f"window {self.low:.6g} to {self.high:.6g}: {self.levels} grey levels, {pixels} of the pixels outside"

    @property
    def problems(self) -> list[str]:
        """What is odd about the result."""
        odd = {
            "few grey levels in the window": self.levels < MIN_LEVELS,
            "much outside the window": self.outside > MAX_OUTSIDE,
        }
        return [problem for problem, is_so in odd.items() if is_so]


def scaled(values: np.ndarray, rows: int) -> tuple[np.ndarray, Window]:
    """(uint8 [H, W], the window) of numbers [H, W] of any type; NaN becomes 0. rows: converted at a time."""
    low, high = limits(values, rows)
    pixels, counts, outside = np.zeros(values.shape, np.uint8), np.zeros(256, int), 0
    for top in range(0, len(values), rows):
        band = values[top : top + rows].astype(np.float64)
        outside += band.size - int(np.count_nonzero((band >= low) & (band <= high)))
        if low < high:
            band = np.clip(np.nan_to_num(band, nan=low), low, high)
            # Halved, since the difference of two numbers may be too large for one.
            pixels[top : top + rows] = np.rint(255 * ((band / 2 - low / 2) / (high / 2 - low / 2)))
        counts += np.bincount(pixels[top : top + rows].ravel(), minlength=256)
    return pixels, Window(low, high, outside / values.size, int(np.count_nonzero(counts)))


def limits(values: np.ndarray, rows: int) -> tuple[float, float]:
    """The window's ends: the least and the greatest value within the fences. Infinities and NaN count for nothing.

    The percentiles are of what lies between the least and the greatest value: background, saturation, padding or a
    marker may have any share of the pixels.
    """
    least, greatest = _range(values, rows, -np.inf, np.inf)
    drawn = values[:: 1 + values.size // SAMPLED]
    inner = drawn[(drawn > least) & (drawn < greatest)].astype(np.float64)
    if not inner.size:
        return least, greatest
    lower, upper = (float(value) for value in np.percentile(inner, PERCENTILES))
    if lower == upper:
        lower, upper = float(inner.min()), float(inner.max())
    reach = BEYOND * (upper - lower)
    if not np.isfinite(reach):
        return least, greatest
    return _range(values, rows, lower - reach, upper + reach)


def _range(values: np.ndarray, rows: int, low: float, high: float) -> tuple[float, float]:
    """Least and greatest finite value from `low` to `high`; (0, 0) where none is."""
    found = []
    for top in range(0, len(values), rows):
        band = values[top : top + rows]
        band = band[np.isfinite(band) & (band >= low) & (band <= high)]
        found += [float(band.min()), float(band.max())] if band.size else []
    return (min(found), max(found)) if found else (0.0, 0.0)

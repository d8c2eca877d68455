"""Progress for long work: a bar with rate and time left on a terminal, plain lines in the log."""

import logging
import sys
import time
from typing import Self

log = logging.getLogger("ganaug")

LOG_SECONDS = 15


class Progress:
    """Counts units of work done.

    total: number of units; description: what is counted. `update(n, **figures)` adds n units and shows the figures
    (losses, say). Lines go to the log at most every LOG_SECONDS, and at the end.
    """

    def __init__(self, total: float, description: str, unit: str, initial: float = 0):
        from tqdm import tqdm

        self.total, self.description, self.unit = total, description, unit
        self.done = self.initial = initial
        self.start = self.last_line = time.monotonic()
        self.bar = tqdm(
            total=total,
            initial=initial,
            desc=description,
            unit=unit,
            disable=not sys.stderr.isatty(),
            leave=False,
            dynamic_ncols=True,
        )

    def update(self, n: float = 1, **figures: object) -> None:
        self.done += n
        self.bar.set_postfix({k: _short(v) for k, v in figures.items()}, refresh=False)
        self.bar.update(n)
        now = time.monotonic()
        if now - self.last_line >= LOG_SECONDS or self.done >= self.total:
            self.last_line = now
            rate = (self.done - self.initial) / max(now - self.start, 1e-9)
            left = (self.total - self.done) / rate if rate > 0 else float("inf")
            shown = " ".join(f"{k}={_short(v)}" for k, v in figures.items())
            log.info(
                "%s: %s of %s %s, %s %s/s, %.0f s left %s",
                *(self.description, _short(self.done), _short(self.total), self.unit),
                *(_short(rate), self.unit, left, shown),
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.bar.close()


def _short(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)

"""Numbers and tables for a terminal."""

from collections.abc import Sequence


def table(rows: Sequence[tuple[str, ...]], left: int = 1) -> list[str]:
    """Lines of a table: the first `left` columns flush left, the others right, two spaces between."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    aligned = [
        [cell.ljust(w) if i < left else cell.rjust(w) for i, (cell, w) in enumerate(zip(row, widths, strict=True))]
        for row in rows
    ]
    return ["  ".join(cells).rstrip() for cells in aligned]


def duration(seconds: float) -> str:
    """In the unit that makes it a small number: `40 s`, `12 min`, `3.1 h`, `16 days`."""
    for unit, size, most in (("s", 1, 90), ("min", 60, 90 * 60), ("h", 3600, 72 * 3600)):
        if seconds < most:
            return f"{_two_digits(seconds / size)} {unit}"
    return f"{_two_digits(seconds / 86400)} days"


def in_hours(value: float) -> str:
    """Hours, which sums of GPU and CPU time are counted in, or less where it is less; `-` for none."""
    if value * 3600 < 0.5:
        return "-"
    return f"{_two_digits(value)} h" if value >= 1 else duration(value * 3600)


def in_bytes(value: float) -> str:
    for unit, size in (("kB", 1e3), ("MB", 1e6), ("GB", 1e9)):
        if value < 999.5 * size:
            return f"{_two_digits(value / size)} {unit}" if value else "-"
    return f"{_two_digits(value / 1e12)} TB"


def _two_digits(value: float) -> str:
    return f"{value:,.0f}" if value >= 9.95 else f"{value:.1f}"

"""What a job's log tells of its end: why it failed, and its last lines."""

import re
from pathlib import Path

ENTRY = re.compile(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d+ (\w+) (.*)$")
ENDED = re.compile(r"^\w+ done in [\d.]+ s$")
WITHOUT_A_WORD = "it ended without a word: killed, out of memory (a smaller batch takes less), or at its time limit"
NO_OUTPUT = (
    "it ended well, but not all of its outputs were there afterwards (a slow file system, or something in their way)"
)
LONGEST = 300  # characters


def why_failed(log: Path | None) -> str:
    """The reason for a failed job in one line: the last error in its log, or that there is none.

    log: as the stages write it; None or a path without a file for a job that wrote none. Of a message without the
    stage's name before it, of a traceback the last line.
    """
    entries = _entries(log.read_text(encoding="utf-8", errors="replace")) if log and log.is_file() else []
    errors = [lines for level, lines in entries if level == "ERROR"]
    if not errors:
        ended = bool(entries) and ENDED.match(entries[-1][1][0])
        return NO_OUTPUT if ended else WITHOUT_A_WORD
    first, *rest = errors[-1]
    traced = bool(rest) and rest[0].startswith("Traceback")
    text = rest[-1] if traced else " ".join([re.sub(r"^[a-z]+_[a-z_]+: ", "", first), *rest])
    return _shortened(re.sub(r"\s+", " ", text).strip())


def last_lines(log: Path, count: int) -> list[str]:
    """The last lines of a log, without the command, which is long."""
    if not log.is_file():
        return ["(no such file)"]
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    return [line for line in lines if " INFO $ " not in line][-count:]


def _entries(text: str) -> list[tuple[str, list[str]]]:
    """(level, lines) of each entry; an entry's further lines are those without a time of their own."""
    entries = []
    for line in text.splitlines():
        if match := ENTRY.match(line):
            entries.append((match[1], [match[2]]))
        elif entries and line.strip():
            entries[-1][1].append(line)
    return entries


def _shortened(text: str) -> str:
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"

"""What of a study's file is not even looked at: YAML's aliases multiply, and some text can't be printed."""

import re

from ganaug.study.settings.types import key, shown

MOST_VALUES = 10_000
MOST_BLOCKS = 20  # in each other
MOST_NUMBER = 10**300  # a float holds no more, and Python does not write out all of it
UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


def unfit(config: object) -> list[str]:
    """One line per mistake: too many or too deep values, unprintable text, absurd numbers, names that are no text."""
    waiting: list[tuple[str, object, int]] = [("", config, 0)]
    lines: list[str] = []
    looked_at = 0
    while waiting:
        path, value, depth = waiting.pop()
        looked_at += 1
        if looked_at > MOST_VALUES or depth > MOST_BLOCKS:
            return [f"more than {MOST_VALUES} values, or blocks too deep in each other: this is no study"]
        if isinstance(value, str) and UNPRINTABLE.search(value):
            lines.append(f"{path}: {shown(value)} holds a control character or half of one; write plain text")
        if isinstance(value, int) and abs(value) > MOST_NUMBER:
            lines.append(f"{path}: {shown(value)} is no number of anything here")
        if isinstance(value, dict):
            odd = [name for name in value if not isinstance(name, str)]
            lines += [
                f"{f'{path}.' if path else ''}{key(name)}: not the name of a setting; a name is text" for name in odd
            ]
        children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
        waiting += [(f"{path}.{key(name)}".lstrip("."), child, depth + 1) for name, child in children]
    return lines

"""What the registries share: entries by name, and the functions that entries name.

An entry names a function, so that a registry imports none of the modules that draw or compute.
"""

import importlib
from collections.abc import Callable, Iterable
from typing import Any, Protocol, TypeVar

# What a study can have, beside what every study has.
PARTS = {
    "gan": "an augmentation that uses synthetic images",
    "ratio_sweep": "further ratios of synthetic to real images",
    "synthetic_only": "classifiers trained on synthetic images alone",
    "border_only": "classifiers that see the images' border alone",
    "external": "test images from elsewhere",
    "films": "figures that show films, or what generators made of them",
    "incomplete": "jobs that failed",
}

# Places of the page, in its order, with the section that each is in.
PLACES = {
    "data": "Data",
    "results": "Results",
    "differences": "Results, differences between augmentations",
    "classes": "By class",
    "curves": "By class, curves",
    "calibration": "Calibration",
    "synthetic": "Synthetic images",
    "ratios": "Synthetic images, what they are worth",
    "copies": "Synthetic images, copies",
    "fidelity": "Synthetic images, fidelity",
    "training": "Synthetic images, training",
}


class Named(Protocol):
    """An entry of a registry."""

    @property
    def name(self) -> str: ...


Entry = TypeVar("Entry", bound=Named)


def by_name(entries: Iterable[Entry]) -> dict[str, Entry]:
    """Entries by their names, in their order. Raises ValueError where two have one name."""
    found: dict[str, Entry] = {}
    for entry in entries:
        if entry.name in found:
            raise ValueError(f"{entry.name}: two entries have this name; rename one")
        found[entry.name] = entry
    return found


def function_of(name: str) -> Callable[..., Any]:
    """The function that a text `module:function` names.

    Raises ImportError or AttributeError where there is none.
    """
    module, _, function = name.partition(":")
    found: Callable[..., Any] = getattr(importlib.import_module(module), function)
    return found


def check(name: str, needs: Iterable[str], place: str | None) -> None:
    """Raises ValueError where an entry needs what no study has, or stands where the page has no place."""
    for what, word, known in [*(("needs", need, PARTS) for need in needs), ("place", place, PLACES)]:
        if word is not None and word not in known:
            raise ValueError(f"{name}: {what}: {word!r} is unknown; write one of {', '.join(known)}")

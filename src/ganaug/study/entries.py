"""What the registries share: entries by name, and the functions that entries name.

An entry names a function, so that a registry imports none of the modules that draw or compute.
"""

import importlib
from collections.abc import Callable, Iterable
from typing import Any, Protocol, TypeVar


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

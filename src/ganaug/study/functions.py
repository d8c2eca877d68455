"""Functions that an entry of a registry names, so that a registry imports none of their modules."""

import importlib
from collections.abc import Callable
from typing import Any


def function_of(name: str) -> Callable[..., Any]:
    """The function that a text `module:function` names.

    Raises ImportError or AttributeError where there is none.
    """
    module, _, function = name.partition(":")
    found: Callable[..., Any] = getattr(importlib.import_module(module), function)
    return found

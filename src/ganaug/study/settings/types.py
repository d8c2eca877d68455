"""Types of settings. Numbers may be text: Snakemake's `--config 'sizes=[5, 10]'` hands on texts, in blocks as well."""

import re
from collections.abc import Callable
from typing import Annotated, Any, TypeVar

import yaml
from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    ValidationError,
    WrapValidator,
)
from pydantic_core import CoreSchema, core_schema

T = TypeVar("T")


class Repeats(ValueError):
    """A list with an entry twice. value: the list as it was read."""

    def __init__(self, value: list):
        super().__init__("repeats")
        self.value = value


def shown(value: object) -> str:
    """A value for a message, cut off after 60 characters."""
    try:
        text = repr(value)
    except ValueError:  # Python does not write out a whole number of more than 4,300 digits
        text = "a number of thousands of digits"
    return text if len(text) <= 60 else text[:57] + "..."


def key(name: object) -> str:
    """A setting's name or an index as text: plain where it is a name, short and escaped where it is not."""
    return name if isinstance(name, str) and name.isprintable() and len(name) <= 60 else shown(name)


def meant_by(value: Any) -> Any:
    """What YAML makes of a text: the number that the text is in Python, too, true, false or null; else the value."""
    if not isinstance(value, str) or not value or len(value) > 30:
        return value
    try:
        read = yaml.safe_load(value)
        if isinstance(read, int | float) and not isinstance(read, bool):
            return read if type(read)(value) == read else value  # not 017 nor 1:30, which YAML reads as 15 and 90
    except (yaml.YAMLError, ValueError):
        return value
    return read if read is None or isinstance(read, bool) else value


def _as_written(value: Any, check: Callable[[Any], float]) -> float:
    """A number as the user wrote it: pydantic makes 5.0 of 5, and a job's parameters would differ."""
    value = meant_by(value)
    check(value)
    return value


def _null_as_text(value: Any, check: Callable[[Any], Any]) -> Any:
    """None for `null`, always, and for YAML's other words for it where no text is wanted."""
    if value == "null":
        return check(None)
    try:
        return check(value)
    except ValidationError:
        if isinstance(value, str) and meant_by(value) is None:
            return check(None)
        raise


class _Unique:
    """Of a list: without repeats."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self.check, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict:
        return handler(schema) | {"uniqueItems": True}

    @staticmethod
    def check(value: list) -> list:
        if len(set(value)) < len(value):
            raise Repeats(value)
        return value


def _without_braces(file: str) -> str:
    if re.search(r"[{}]", file):
        raise ValueError(f"{shown(file)} has braces, which Snakemake takes for a wildcard; rename the file")
    return file


def _choice(value: Any) -> Any:
    """For a choice of whole numbers, of which 16.0 is none."""
    value = meant_by(value)
    return None if isinstance(value, float) else value


FromText, AsWritten = BeforeValidator(meant_by), WrapValidator(_as_written)
Choice = BeforeValidator(_choice)
Whole = Annotated[int, FromText]
Number = Annotated[float, AsWritten]
Flag = Annotated[bool, FromText]
OrNull = Annotated[T | None, WrapValidator(_null_as_text)]
Text = Annotated[str, Field(min_length=1)]
File = Annotated[str, Field(min_length=1), AfterValidator(_without_braces)]
Unique = _Unique()

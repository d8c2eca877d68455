"""The JSON schema of a study, made from the models: what messages, documentation and editors say of a setting."""

from functools import cache
from typing import Any

from ganaug.study.settings.study import StudySettings


@cache
def json_schema() -> dict:
    """JSON Schema, draft 2020-12, with every block in place."""
    schema = StudySettings.model_json_schema()
    blocks = schema.pop("$defs")
    return {"$schema": "https://json-schema.org/draft/2020-12/schema"} | _in_place(schema, blocks)


def _in_place(part: Any, blocks: dict) -> Any:
    """A part of pydantic's schema with blocks where it refers to them, and without what repeats the settings' names."""
    if isinstance(part, list):
        return [_in_place(entry, blocks) for entry in part]
    if not isinstance(part, dict):
        return part
    if "$ref" in part:
        block = _in_place(blocks[part["$ref"].rpartition("/")[2]], blocks)
        return block | ({"default": {}} if "default" in part else {})  # a block is the defaults of its settings
    if "properties" in part:
        part = part | {"properties": {name: _in_place(sub, blocks) for name, sub in part["properties"].items()}}
        return {name: _plain(name, value) for name, value in part.items() if name != "title"}
    return {name: _plain(name, _in_place(value, blocks)) for name, value in part.items() if name != "title"}


def _plain(name: str, value: Any) -> Any:
    return " ".join(value.split()) if name == "description" else value

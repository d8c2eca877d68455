"""What is told of a mistake in a study's settings: the key's path, what is wrong, what to write."""

import difflib
import re
from collections.abc import Iterator, Sequence
from typing import Any

from ganaug.study.settings.block import Contradictions
from ganaug.study.settings.types import Repeats, key, meant_by, shown

TYPES = {"integer": "a whole number", "number": "a number", "string": "text", "null": "null", "array": "a list"}
TYPES |= {"object": "a block of settings", "boolean": "true or false"}
BOUNDS = {"minimum": "at least", "exclusiveMinimum": "above", "maximum": "at most", "exclusiveMaximum": "below"}
COUNTS = {"minItems": "at least", "maxItems": "at most"}


def explain(errors: Sequence[Any], config: Any, schema: dict) -> set[str]:
    """The lines of pydantic's errors about `config`; schema: of a study."""
    lines = {line for error in errors for line in _explain(error, config, schema)}
    places = (_place(error["loc"], config, schema)[0] for error in errors)
    lists = {tuple(keys[:-1]) for keys in places if keys and isinstance(keys[-1], int)}
    return lines | {line for keys in lists for line in _of_list(*_place(keys, config, schema))}


def _of_list(keys: list, value: list, schema: dict) -> Iterator[str]:
    """Of a list with unusable entries, for which pydantic does not look at the list itself."""
    limits = next(option for option in _options(schema) if "items" in option)
    repeats = limits.get("uniqueItems") and len({repr(meant_by(entry)) for entry in value}) < len(value)
    if repeats or not limits.get("minItems", 0) <= len(value) <= limits.get("maxItems", len(value)):
        yield f"{'.'.join(map(key, keys))}: {shown(value)} can't be used; write {wanted(schema)}"


def _explain(error: Any, config: Any, schema: dict) -> list[str]:
    kind, cause = error["type"], error.get("ctx", {}).get("error")
    keys, value, part = _place(error["loc"], config, schema)
    path = ".".join(map(key, keys))
    inside = f"{path}." if path else ""
    if kind == "extra_forbidden":
        known, name = part["properties"], error["loc"][-1]
        near = difflib.get_close_matches(key(name), known, n=1)
        advice = f'did you mean "{near[0]}"?' if near else f"known here: {', '.join(known)}"
        return [f"{inside}{key(name)}: unknown setting; {advice}"]
    if kind == "missing":
        return [f"{inside}{error['loc'][-1]}: missing; it has no default"]
    if isinstance(cause, Contradictions):
        return [f"{inside}{line}" for line in cause.lines]
    if isinstance(cause, Repeats):
        value = cause.value
    elif cause:
        return [f"{path}: {cause}"]
    hint = _hint(value) or _in_quotes(value, part) or _on_command_line(value, part, keys)
    return [f"{path or 'all of it'}: {shown(value)} can't be used; write {wanted(part)}{hint}"]


def _place(loc: Sequence, config: Any, schema: dict) -> tuple[list, Any, dict]:
    """Keys, the user's value and the schema of the setting that an error is about.

    pydantic names the branch of a union behind the setting's own place, and a setting that is not there.
    """
    keys: list = []
    for name in loc:
        below = _below(schema, name)
        there = name in config if isinstance(config, dict) else isinstance(config, list) and isinstance(name, int)
        if below is None or not there:
            break
        keys, config, schema = [*keys, name], config[name], below
    return keys, config, schema if "anyOf" not in schema else _block(schema, len(loc) > len(keys))


def _block(schema: dict, inside: bool) -> dict:
    """Of a block that may be null the block, for an error inside of it."""
    blocks = [option for option in _options(schema) if "properties" in option]
    return blocks[0] if blocks and inside else schema


def _options(schema: dict) -> Iterator[dict]:
    for option in schema.get("anyOf", ()):
        yield from _options(option)
    if "anyOf" not in schema:
        yield schema


def _below(schema: dict, name: object) -> dict | None:
    """The schema of an entry of a block or list, None where there is none."""
    for option in _options(schema):
        entry = option.get("items") if isinstance(name, int) else option.get("properties", {}).get(name)
        entry = entry or (option.get("additionalProperties") if isinstance(name, str) else None)
        if entry:
            return entry
    return None


def _types(schema: dict) -> set:
    return {option.get("type") for option in _options(schema) if not {"enum", "const"} & option.keys()}


def _hint(value: object) -> str:
    """YAML reads 1e-3 as text: say so, since it looks like a number."""
    if isinstance(value, str) and re.fullmatch(r"[-+]?\d+(\.\d*)?[eE][-+]?\d+", value):
        return f" (YAML reads {value} as text: write {float(value)})"
    return ""


def _in_quotes(value: object, schema: dict) -> str:
    """For a class that is called 1 or no, say, which YAML reads as a number and as false."""
    if "string" in _types(schema) and isinstance(value, int | float):
        return " (in a file in quotes)" if isinstance(value, bool) else f' (in a file in quotes: "{shown(value)}")'
    return ""


def _on_command_line(value: object, schema: dict, keys: list) -> str:
    """How a list or a block is written there, where a setting should be one and is none."""
    types = _types(schema)
    brackets = "[a, b]" if "array" in types else "{name: value}" if "object" in types else ""
    if not brackets or not keys or isinstance(value, list if "array" in types else dict):
        return ""
    for name in reversed(list(map(key, keys[1:]))):
        brackets = f"{{{name}: {brackets}}}"
    return f" (on the command line: --config '{key(keys[0])}={brackets}')"


def wanted(schema: dict) -> str:
    """What a schema asks for, in words."""
    if "anyOf" in schema:
        words = [wanted(option) for option in schema["anyOf"]]
        return " or ".join(sorted(words, key=lambda word: word != "null"))  # null before the limits of what else may be
    if "const" in schema:
        return str(schema["const"])
    if "enum" in schema:
        return "one of " + ", ".join(map(str, schema["enum"]))
    limits = [f"{word} {schema[name]}" for name, word in BOUNDS.items() if name in schema]
    limits += [f"with {word} {schema[name]} entries" for name, word in COUNTS.items() if name in schema]
    limits += [f"a multiple of {schema['multipleOf']}"] if "multipleOf" in schema else []
    limits += ["without repeats"] if schema.get("uniqueItems") else []
    limits += [f"with at most {schema['maxLength']} characters"] if "maxLength" in schema else []
    limits += [f"of the form {schema['pattern']}"] if "pattern" in schema else []
    return " ".join([TYPES[schema["type"]], " and ".join(limits)]).strip()

"""The settings as Markdown, for config/README.md."""

from collections.abc import Iterator

import yaml

from ganaug.study.settings.messages import wanted
from ganaug.study.settings.schema import json_schema

HEAD = "| setting | what to write | default | meaning |\n| --- | --- | --- | --- |"


def document() -> str:
    """A table per block."""
    schema = json_schema()
    parts = ["### Study\n", _table("", schema), ""]
    for path, block in _blocks("", schema):
        parts += [f"### `{path}`\n", block["description"] + "\n", _table(f"{path}.", block), ""]
    return "\n".join(parts)


def _blocks(prefix: str, schema: dict) -> Iterator[tuple[str, dict]]:
    """Every block with its path, those inside of it after it."""
    for name, sub in schema["properties"].items():
        block = next((option for option in [sub, *sub.get("anyOf", ())] if "properties" in option), None)
        if block:
            yield f"{prefix}{name}", block
            yield from _blocks(f"{prefix}{name}.", block)
        elif isinstance(each := sub.get("additionalProperties"), dict):
            yield f"{prefix}{name}.NAME", each


def _table(prefix: str, block: dict) -> str:
    rows = [HEAD]
    for name, sub in block["properties"].items():
        if "properties" in sub:
            continue
        default = f"`{_default(sub['default'])}`" if "default" in sub else "(needed)"
        words = wanted(sub).replace("|", "\\|")
        rows.append(f"| `{prefix}{name}` | {words} | {default} | {sub['description']} |")
    return "\n".join(rows)


def _default(value: object) -> str:
    return yaml.safe_dump(value, default_flow_style=True).replace("\n...", "").strip()

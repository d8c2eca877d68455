"""A study's configuration: checked against the schema, defaults filled in, contradictions refused."""

import copy
import difflib
import math
import re
from pathlib import Path
from typing import Any, TypeVar

import jsonschema
import yaml

from ganaug.downloads import hash_in, is_url
from ganaug.errors import UserError

# JSON takes 2.0 for a whole number, and YAML has .nan and .inf: neither is a count or an amount of anything.
_Validator = jsonschema.Draft202012Validator
StrictValidator = jsonschema.validators.extend(
    _Validator,
    type_checker=_Validator.TYPE_CHECKER.redefine_many(
        {
            "integer": lambda _, value: isinstance(value, int) and not isinstance(value, bool),
            "number": lambda _, value: (
                isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
            ),
        }
    ),
)


MOST_VALUES = 10_000
MOST_NUMBER = 10**300  # a float holds no more, and Python does not write out all of it
UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
MOST_CLASSIFIERS = 20_000  # more jobs than Snakemake plans in minutes

Value = TypeVar("Value")


def load_schema(path: Path | str) -> dict:
    return yaml.safe_load(Path(path).read_text(encoding="utf-8"))


def resolve(config: dict, schema: dict, augmentations: dict[str, bool]) -> dict:
    """The checked study with every default filled in.

    config: what the user wrote. schema: the JSON schema of a study. augmentations: names of the known augmentations,
    each with whether it needs synthetic images. A number in a list or block may be text, as Snakemake passes it on from
    the command line. Raises UserError with one line per mistake: the key's path, what is wrong and what to write.
    """
    mistakes = unfit(config)
    if not mistakes:
        config = _without_text_for_values(config, schema)
        errors = StrictValidator(schema).iter_errors(config)
        mistakes = list(dict.fromkeys(line for error in errors for line in _explain(error)))
    if not mistakes:
        config = with_defaults(copy.deepcopy(config), schema)
        config["sizes"].sort(key=lambda size: math.inf if size == "all" else size)  # so that curves run left to right
        mistakes = _contradictions(config, augmentations)
    if mistakes:
        raise UserError("the study's configuration can't be used:\n" + "\n".join(f"  {m}" for m in sorted(mistakes)))
    return config


def unfit(config: object) -> list[str]:
    """What must not even be looked at more closely: too much of it (YAML's aliases multiply), unprintable text."""
    waiting: list[tuple[str, object]] = [("", config)]
    lines: list[str] = []
    looked_at = 0
    while waiting:
        path, value = waiting.pop()
        looked_at += 1
        if looked_at > MOST_VALUES or path.count(".") > 20:
            return [f"more than {MOST_VALUES} values, or blocks too deep in each other: this is no study"]
        if isinstance(value, str) and UNPRINTABLE.search(value):
            lines.append(f"{path}: {_shown(value)} holds a control character or half of one; write plain text")
        if isinstance(value, int) and abs(value) > MOST_NUMBER:
            lines.append(f"{path}: {_shown(value)} is no number of anything here")
        if isinstance(value, dict):
            odd = [key for key in value if not isinstance(key, str)]
            lines += [
                f"{f'{path}.' if path else ''}{_key(key)}: not the name of a setting; a name is text" for key in odd
            ]
        children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
        waiting += [(f"{path}.{_key(key)}".lstrip("."), child) for key, child in children]
    return lines


def _without_text_for_values(value: Any, schema: dict) -> Any:
    """`value`, with a number, true, false or null in place of its text, where the schema refuses the text; null always.

    Snakemake reads `--config 'sizes=[5, 10]'` as a list of texts, and every value in a block likewise.
    """
    if isinstance(value, dict):
        known, extra = schema.get("properties", {}), schema.get("additionalProperties")
        others = extra if isinstance(extra, dict) else {}
        return {key: _without_text_for_values(child, known.get(key, others)) for key, child in value.items()}
    if isinstance(value, list):
        return [_without_text_for_values(child, schema.get("items", {})) for child in value]
    if isinstance(value, str) and (value == "null" or not StrictValidator(schema).is_valid(value)):
        meant = _meant_by(value)
        return meant if StrictValidator(schema).is_valid(meant) else value
    return value


def _meant_by(text: str) -> object:
    """What YAML makes of a text: the number that the text is in Python, too, true, false or null; else the text."""
    if not text or len(text) > 30:
        return text
    try:
        value = yaml.safe_load(text)
        if isinstance(value, int | float) and not isinstance(value, bool):
            return value if type(value)(text) == value else text  # not 017 nor 1:30, which YAML reads as 15 and 90
    except (yaml.YAMLError, ValueError):
        return text
    return value if value is None or isinstance(value, bool) else text


def with_defaults(value: Value, schema: dict) -> Value:
    """`value` with the schema's defaults for keys it lacks, blocks included."""
    if isinstance(value, dict):
        for key, sub in schema.get("properties", {}).items():
            if key not in value and "default" in sub:
                value[key] = copy.deepcopy(sub["default"])
            if key in value:
                with_defaults(value[key], sub)
        extra = schema.get("additionalProperties")
        if isinstance(extra, dict):
            for key in value.keys() - schema.get("properties", {}).keys():
                with_defaults(value[key], extra)
    return value


def _explain(error: Any) -> list[str]:
    """One line per mistake of a jsonschema error, whose own types call every part of it perhaps unset."""
    path = ".".join(map(_key, error.absolute_path))
    if error.validator == "additionalProperties":
        known = error.schema["properties"]
        lines = []
        for key in error.instance.keys() - known.keys():
            near = difflib.get_close_matches(_key(key), known, n=1)
            advice = f'did you mean "{near[0]}"?' if near else f"known here: {', '.join(known)}"
            lines.append(f"{f'{path}.' if path else ''}{_key(key)}: unknown setting; {advice}")
        return lines
    if error.validator == "required":
        missing = [key for key in error.validator_value if key not in error.instance]
        return [f"{f'{path}.{key}' if path else key}: missing; it has no default" for key in missing]
    hint = _hint(error.instance) or _in_quotes(error) or _on_command_line(error)
    told = f"{_shown(error.instance)} can't be used; write {_wanted(error.schema)}{hint}"
    return [f"{path or 'all of it'}: {told}"]


def _key(key: object) -> str:
    """A key or an index as text: plain where it is a name, short and escaped where it is not."""
    return key if isinstance(key, str) and key.isprintable() and len(key) <= 60 else _shown(key)


def _shown(value: object) -> str:
    try:
        text = repr(value)
    except ValueError:  # Python does not write out a whole number of more than 4,300 digits
        text = "a number of thousands of digits"
    return text if len(text) <= 60 else text[:57] + "..."


def _hint(value: object) -> str:
    """YAML reads 1e-3 as text: say so, since it looks like a number."""
    if isinstance(value, str) and re.fullmatch(r"[-+]?\d+(\.\d*)?[eE][-+]?\d+", value):
        return f" (YAML reads {value} as text: write {float(value)})"
    return ""


def _in_quotes(error: Any) -> str:
    """For a class that is called 1 or no, say, which YAML reads as a number and as false."""
    value = error.instance
    if error.validator == "type" and "string" in error.schema["type"] and isinstance(value, int | float):
        return " (in a file in quotes)" if isinstance(value, bool) else f' (in a file in quotes: "{_shown(value)}")'
    return ""


def _on_command_line(error: Any) -> str:
    """How a list or a block is written there, where a setting should be one and is none."""
    brackets = {"array": "[a, b]", "object": "{name: value}"}.get(str(error.schema.get("type")), "")
    keys = [_key(key) for key in error.absolute_path]
    if not (error.validator == "type" and brackets and keys):
        return ""
    for key in reversed(keys[1:]):
        brackets = f"{{{key}: {brackets}}}"
    return f" (on the command line: --config '{keys[0]}={brackets}')"


def _wanted(schema: dict) -> str:
    """What a schema asks for, in words."""
    if "anyOf" in schema:
        return " or ".join(_wanted(option) for option in schema["anyOf"])
    if "const" in schema:
        return str(schema["const"])
    if "enum" in schema:
        return "one of " + ", ".join(map(str, schema["enum"]))
    types = schema.get("type", "a value")
    names = {"integer": "a whole number", "number": "a number", "string": "text", "null": "null", "array": "a list"}
    names |= {"object": "a block of settings", "boolean": "true or false"}
    words = " or ".join(names.get(t, t) for t in ([types] if isinstance(types, str) else types))
    bounds = {"minimum": "at least", "exclusiveMinimum": "above", "maximum": "at most", "exclusiveMaximum": "below"}
    limits = [f"{word} {schema[key]}" for key, word in bounds.items() if key in schema]
    for key, word in {"minItems": "at least", "maxItems": "at most"}.items():
        limits += [f"with {word} {schema[key]} entries"] if key in schema else []
    limits += [f"a multiple of {schema['multipleOf']}"] if "multipleOf" in schema else []
    limits += ["without repeats"] if schema.get("uniqueItems") else []
    limits += [f"with at most {schema['maxLength']} characters"] if "maxLength" in schema else []
    limits += [f"of the form {schema['pattern']}"] if "pattern" in schema else []
    return " ".join([words, " and ".join(limits)]).strip()


def _contradictions(config: dict, augmentations: dict[str, bool]) -> list[str]:
    """Settings that are well-formed alone but can't stand together."""
    lines = []
    for name in config["augmentations"]:
        if name not in augmentations:
            lines.append(f"augmentations: {name!r} is unknown; known: {', '.join(augmentations)}")
    data = config["data"]
    if data["source"] != "phantom" and not config["data_root"]:
        lines.append(f"data_root: missing; source {data['source']!r} needs the folder of the images")
    if data["source"] == "phantom" and config["data_root"]:
        lines.append(
            "data_root: source is 'phantom', which makes its own images; set data.source to radiography or folder"
        )
    for size in config["sizes"]:
        if size == "all":
            continue
        validation = max(1, round(size * config["splits"]["validation_share"]))
        if size - validation < 2:
            lines.append(
                f"sizes: {size} leaves fewer than 2 training images per class beside {validation} for validation"
            )
    networks = {*config["backbones"], config["fidelity"]["extractor"]}
    for name in config["weights"].keys() - networks:
        lines.append(f"weights.{_key(name)}: the study has no such network; it has {', '.join(sorted(networks))}")
    for name, weights in config["weights"].items():
        if weights["source"] == "package" and weights["sha256"]:
            lines.append(
                f"weights.{_key(name)}.sha256: comes with the package, whose hash pip has checked; leave it out"
            )
        if is_url(weights["source"]) and not (weights["sha256"] or hash_in(weights["source"])):
            lines.append(
                f"weights.{_key(name)}.sha256: missing; what is fetched is checked against it. Fetch the file once, "
                "make sure that it is the right one, and write what `sha256sum` says of it"
            )
    files = {"data.groups": data["groups"], "gan.init_from": config["gan"]["init_from"]}
    files |= {f"weights.{name}.source": weights["source"] for name, weights in config["weights"].items()}
    for path, file in files.items():
        if file and re.search(r"[{}]", file):
            lines.append(f"{path}: {_shown(file)} has braces, which Snakemake takes for a wildcard; rename the file")
    ratios = {f"{ratio:g}" for ratio in config["synthetic"]["ratio_sweep"]}
    if len(ratios) < len(config["synthetic"]["ratio_sweep"]):
        lines.append("synthetic.ratio_sweep: two ratios are the same in 6 digits; leave one out")
    grid = [len(config[name]) for name in ("augmentations", "sizes", "backbones")]
    classifiers = (grid[0] + len(ratios)) * grid[1] * grid[2] * config["replicates"]
    if classifiers > MOST_CLASSIFIERS:
        lines.append(
            f"replicates: with sizes, augmentations, ratios and backbones that makes {classifiers:,} classifiers; "
            f"{MOST_CLASSIFIERS:,} is the most"
        )
    if any(augmentations.get(name) for name in config["augmentations"]):
        lines += _gan_contradictions(config)
    return lines


def _gan_contradictions(config: dict) -> list[str]:
    """Those of a study with GANs."""
    lines, gan, fidelity = [], config["gan"], config["fidelity"]
    if gan["snapshot_kimg"] > gan["kimg"]:
        lines.append(f"gan.snapshot_kimg: {gan['snapshot_kimg']} is above gan.kimg {gan['kimg']}; write at most that")
    if min(gan["log_kimg"], gan["snapshot_kimg"]) * 100_000 < gan["kimg"]:
        lines.append("gan.log_kimg or gan.snapshot_kimg: makes more than 100,000 entries of gan.kimg; write more")
    if gan["batch"] % (4 * gan["gpus"]):
        lines.append(
            f"gan.batch: {gan['batch']} can't be shared by {gan['gpus']} GPUs; write a multiple of {4 * gan['gpus']}"
        )
    if gan["channel_base"] < config["data"]["resolution"]:
        lines.append(
            f"gan.channel_base: {gan['channel_base']} leaves no feature map at data.resolution "
            f"{config['data']['resolution']}; write at least {16 * config['data']['resolution']}"
        )
    for size in config["sizes"]:
        if size == "all":
            continue
        # A group of near-copies may take the validation set one or two images above its share.
        train = size - max(1, round(size * config["splits"]["validation_share"])) - 2
        smallest = round(train * min(1, config["synthetic"]["ratio"]))
        if smallest < fidelity["kid_subset_size"]:
            lines.append(
                f"fidelity.kid_subset_size: {fidelity['kid_subset_size']} is too much for size {size}, with {smallest} "
                f"training images per class or a few more; write at most {smallest}"
            )
        if smallest <= fidelity["prc_neighborhood"]:
            lines.append(
                f"fidelity.prc_neighborhood: {fidelity['prc_neighborhood']} is too much for size {size}, with "
                f"{smallest} training images per class or a few more; write at most {smallest - 1}"
            )
    return lines


def document(schema: dict) -> str:
    """The settings as Markdown tables, one per block, for config/README.md."""
    blocks = {"Study": {k: v for k, v in schema["properties"].items() if "properties" not in v}}
    _collect(schema, "", blocks)
    out = []
    for block, settings in blocks.items():
        out.append(f"### {block if block == 'Study' else f'`{block}`'}\n")
        if block != "Study":
            out.append(_block_description(schema, block) + "\n")
        out.append("| setting | what to write | default | meaning |\n| --- | --- | --- | --- |")
        for key, sub in settings.items():
            default = (
                "(needed)" if "default" not in sub else f"`{yaml.safe_dump(sub['default'], default_flow_style=True)}"
            )
            default = default.replace("\n...", "").strip() + ("`" if default.startswith("`") else "")
            name = key if block == "Study" else f"{block}.{key}"
            wanted = _wanted(sub).replace("|", "\\|")
            out.append(f"| `{name}` | {wanted} | {default} | {' '.join(sub['description'].split())} |")
        out.append("")
    return "\n".join(out)


def _collect(schema: dict, prefix: str, blocks: dict) -> None:
    for key, sub in schema["properties"].items():
        if "properties" in sub:
            path = f"{prefix}{key}"
            blocks[path] = {k: v for k, v in sub["properties"].items() if "properties" not in v}
            _collect(sub, f"{path}.", blocks)


def _block_description(schema: dict, path: str) -> str:
    for key in path.split("."):
        schema = schema["properties"][key]
    return " ".join(schema["description"].split())

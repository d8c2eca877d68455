"""Whatever stands in a study's file is accepted or refused with one line per mistake, and never breaks the check."""

import copy
import datetime
import itertools
import math

import numpy as np
import pytest
import yaml

from ganaug.errors import UserError
from ganaug.study.settings.resolve import resolve
from ganaug.study.settings.schema import json_schema
from helpers.running import dry_run

BASE = {"study": "s", "sizes": [100]}
KNOTTED = [1]
KNOTTED.append(KNOTTED)
LAUGHS = ["ha"] * 10
for _ in range(9):
    LAUGHS = [LAUGHS] * 10
DEEP = {}
for _ in range(3000):
    DEEP = {"a": DEEP}
VALUES = [
    *(None, True, False, "", " ", 0, -1, 1, 2, 3.5, -0.0, 10**18, 10**400, 1 << 20000, -(10**30), 1e308, 5e-324, 1e-9),
    *(
        math.nan,
        math.inf,
        -math.inf,
        [],
        [[]],
        [1, 1],
        [None],
        {},
        {"a": 1},
        {1: 2},
        {1 << 20000: 1},
        {None: None},
        {(1, 2): 3},
    ),
    *(
        "x" * 100_000,
        "..",
        "../..",
        "con",
        "a" * 300,
        "a/b",
        "/dev/zero",
        "~nobody/x",
        "{size}",
        "$(touch x)",
        "\0",
        "a\nb",
    ),
    *("\ud800", "é", "e\u0301", "\u202e", "\u200b", "🫁", "=cmd()", "-rf", "1e-3", "null", "auto", "all", "nan"),
    *(datetime.date(2020, 1, 1), datetime.datetime(2020, 1, 1), b"bytes", {"a", "b"}, 0o17, 12 * 60 + 30),
    *(KNOTTED, LAUGHS, DEEP, ["a"] * 20_000, {"x" * 70_000: 1}, {"a\nb": {"c": 1}}, {"": 0}, {True: 1, "b": 2}),
]


def keys(schema, path=()):
    """The paths of all settings and blocks."""
    for name, sub in schema.get("properties", {}).items():
        yield (*path, name)
        for option in [sub, *sub.get("anyOf", ())]:
            yield from keys(option, (*path, name))


SCHEMA = json_schema()
# Two places that the schema leaves to the user, and a key it does not know.
PATHS = [*keys(SCHEMA), ("weights", "resnet18"), ("weights", "efficientnet_b0", "source"), ("sizes", 0), ("unknown",)]


def study(*changes):
    config = copy.deepcopy(BASE)
    for path, value in changes:
        block = config
        for key in path[:-1]:
            if not isinstance(block, dict):
                break
            block = block.setdefault(key, {})
        if isinstance(block, dict):
            block[path[-1]] = value
        elif isinstance(block, list) and block:
            block[0] = value
    return config


def told(config) -> str | None:
    """The refusal of a study, each of its lines short and with a setting's path; None where it is accepted."""
    try:
        resolve(config)
    except UserError as error:
        first, *lines = str(error).split("\n")
        assert first.endswith("can't be used:") and lines
        for line in lines:
            assert line.startswith("  ") and (": " in line or "must be" in line) and len(line) < 1500, line
            assert line.isprintable() and line in set(lines), line
        assert len(lines) == len(set(lines))
        return str(error)
    return None


def test_odd_values_at_every_key_are_accepted_or_refused():
    cases = list(itertools.product(PATHS, VALUES))
    accepted = 0
    for path, value in cases:
        message = told(study((path, value)))
        accepted += message is None
        if isinstance(value, float) and not math.isfinite(value):
            assert message is not None, path
    assert 100 < accepted < 0.4 * len(cases)


def test_pairs_of_odd_values_are_accepted_or_refused(seed):
    rng = np.random.default_rng(seed)
    for _ in range(500):
        told(study(*((PATHS[rng.integers(len(PATHS))], VALUES[rng.integers(len(VALUES))]) for _ in range(2))))


@pytest.mark.parametrize(
    "config", [VALUES[0], [], "text", 3, LAUGHS, KNOTTED, DEEP, {1: 2, "study": "s"}], ids=range(8)
)
def test_what_is_no_block_of_settings_is_refused(config):
    assert told(config)


def test_no_study_is_too_much_to_plan():
    assert "20,000 is the most" in told(BASE | {"replicates": 1000, "sizes": [100, 200, 300], "backbones": ["a", "b"]})


def test_every_number_has_an_upper_end():
    """An absurd one would keep the planning, or a job, busy for ever."""

    def numbers(schema, path=""):
        kinds = schema.get("type") if isinstance(schema, dict) else None
        if {"integer", "number"} & set([kinds] if isinstance(kinds, str) else kinds or []) and "enum" not in schema:
            yield path, schema
        for key, sub in schema.items() if isinstance(schema, dict) else enumerate(schema):
            if isinstance(sub, dict | list):
                yield from numbers(sub, f"{path}.{key}")

    found = list(numbers(SCHEMA))
    assert len(found) > 50
    assert not [path for path, schema in found if not {"maximum", "exclusiveMaximum"} & schema.keys()]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "a: &a [x, x, x, x, x, x, x, x]\n"
            + "".join(f"{b}: &{b} [{', '.join([f'*{a}'] * 8)}]\n" for a, b in itertools.pairwise("abcdefg")),
            "this is no study",
        ),
        ('study: s\nsizes: [100]\nseed: 2020-01-01\n1: 2\ndata_root: "a\\0b"', "data_root: 'a\\x00b' holds a control"),
    ],
    ids=["laughs", "odd"],
)
def test_snakemake_shows_a_message_and_no_traceback(text, message, tmp_path):
    (tmp_path / "c.yaml").write_text(text)
    output = dry_run(tmp_path, "--configfile", "c.yaml", fails=True)
    assert message in output and "Traceback" not in output


def test_what_yaml_makes_of_numbers_is_what_is_checked():
    assert "seed: datetime.date(2020, 1, 1)" in told(BASE | yaml.safe_load("seed: 2020-01-01"))
    assert resolve(BASE | yaml.safe_load("seed: 017"))["seed"] == 15

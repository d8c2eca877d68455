"""A command is told of a study by the words that Snakemake is told of it, and understands the same."""

import argparse
import itertools
import json
from pathlib import Path

import pytest
import yaml

from ganaug.errors import UserError
from ganaug.study import arguments
from helpers.running import ROOT, look

FIRST = """
study: first
sizes: [100, all]
gan: {kimg: 5, batch: 8}
data: {source: folder, phantom: {resolution: 32}}
seed: 1e-3
weights: null
"""
SECOND = '{"study": "second", "gan": {"kimg": 1e-3, "r1": null}, "data": {"phantom": {}}, "sizes": {"a": 1}}'
THIRD = "gan: [1, 2]\ndata: {phantom: 3, source: {a: 1}}\nday: 2020-01-01\nseed: 017\nsame: &b {c: 1}\nagain: *b"


def given(*words) -> dict:
    parser = argparse.ArgumentParser()
    arguments.add_study(parser)
    return arguments.given(parser.parse_args(list(map(str, words))))


def settings(*words) -> dict:
    parser = argparse.ArgumentParser()
    arguments.add_study(parser)
    return arguments.settings_of(parser.parse_args(list(map(str, words))))


@pytest.fixture
def files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, text in (("1.yaml", FIRST), ("2.json", SECOND), ("3.yaml", THIRD), ("blocks.yaml", BLOCKS)):
        (tmp_path / name).write_text(text)
    (tmp_path / "Snakefile").write_text(
        'import json\nwith open("told.json", "w") as file:\n    json.dump(config, file, default=repr)\n\n'
        "rule all:\n    default_target: True\n"
    )
    return tmp_path


VALUES = ["", "3", "-3", "3.5", "1e-3", "1_000", "017", "0x1F", "nan", "True", "true", "no", "null", "~", "None"]
VALUES += ["text", "two words", "'quoted'", '"3"', "[5, all]", "[1e-3, 2]", "[]", "{}", "{kimg: 5, more: {a: [1]}}"]
VALUES += ["{'kimg': 42}", "{kimg: }", "[", "a: b", "*x", "!!python/none ''", "2020-01-01", "a=b", "{a: &x [1], b: *x}"]
BLOCKS = "".join(f"block_{i}: {('{a: {b: 1}, kimg: 3}', '[1, 2]', '3', '{}')[i % 4]}\n" for i in range(len(VALUES)))
LAUGHS = "a: &a {x: 1, y: 2}\n"
for old, new in itertools.pairwise("abcdefg"):
    LAUGHS += f"{new}: &{new} {{{', '.join(f'k{i}: *{old}' for i in range(9))}}}\n"
LINES = [
    *(("1.yaml",), ("1.yaml", "2.json"), ("2.json", "1.yaml"), ("1.yaml", "3.yaml"), ("3.yaml", "1.yaml", "2.json")),
    ("blocks.yaml", "--config", *(f"block_{i}={value}" for i, value in enumerate(VALUES))),
    ("1.yaml", "3.yaml", "-C", "gan={kimg: 7}", "gan={r1: 1}", "data={phantom: {seed: 2}}", "study=x", "study=y"),
    ("1.yaml", "--config", "data={phantom: {resolution: 64}}", "sizes=[1]"),
    ("1.yaml", "--config", "study=a", "--config", "seed=2"),
]


@pytest.mark.slow
def test_settings_are_what_snakemake_makes_of_the_same_words(files):
    for words in LINES:
        look(files, "--list-rules", "--configfile", *words, checkout=files)
        theirs = json.loads((files / "told.json").read_text())
        assert json.loads(json.dumps(given("--configfile", *words), default=repr)) == theirs, words
        (files / "told.json").unlink()


def test_without_a_file_the_study_is_the_quickstart():
    quickstart = yaml.safe_load((ROOT / "config/config.yaml").read_text())
    assert given() == quickstart
    changed = given("--config", "replicates=7", "gan={kimg: 1}")
    assert changed == quickstart | {"replicates": 7, "gan": quickstart["gan"] | {"kimg": "1"}}
    assert settings("--config", "gan={kimg: 1, snapshot_kimg: 1}")["gan"]["kimg"] == 1


def test_files_are_looked_for_where_the_command_is_given_and_all_else_in_the_directory(files):
    (files / "there").mkdir()
    parser = argparse.ArgumentParser()
    arguments.add_study(parser)
    args = parser.parse_args(["--configfile", "1.yaml", "-d", "there"])
    with arguments.study_folder(args):
        assert Path.cwd() == files / "there" and arguments.given(args)["study"] == "first"
    assert Path.cwd() == files
    args = parser.parse_args(["-d", "nowhere"])
    with pytest.raises(UserError, match="--directory nowhere: No such file"), arguments.study_folder(args):
        pass


@pytest.mark.parametrize(
    ("text", "message"),
    [
        *(("", "has no settings"), ("- a\n- b", "has no settings"), ("3", "has no settings")),
        ("a: [1, 2\nb: 3", "line 2: no YAML"),
        ("a:\n\t- 1", "line 2: no YAML"),
        ("a: !!python/object/apply:os.system [touch x]", "no YAML"),
        ("day: 2020-13-40", "can't make a value of"),
        ("a: " + "[" * 5000, "can't make a value of"),
        ('{"a": ' * 900 + "1" + "}" * 900, "too deep in each other"),
        ('{"": ' * 900 + "1" + "}" * 900, "too deep in each other"),
        ("a: &a {b: *a}", "this is no study"),
        (LAUGHS, "this is no study"),
        ("1: 2", "not the name of a setting"),
        ('a: "x\\0y"', "control character"),
        ("a: \x07", "no YAML"),
        ("__use_yte__: true\nstudy: ?1 + 1", "is a template"),
        ("a: x\n" * 300_000, "more than 1,000,000 characters"),
    ],
    ids=range(17),
)
def test_a_file_that_is_no_study_is_refused_in_words(text, message, tmp_path):
    (tmp_path / "c.yaml").write_text(text)
    with pytest.raises(UserError, match=message) as refused:
        settings("--configfile", tmp_path / "c.yaml")
    assert all(line.isprintable() and len(line) < 500 for line in str(refused.value).split("\n"))


def test_a_file_that_cannot_be_read_is_told(tmp_path):
    (tmp_path / "c.yaml").write_bytes(b"study: \xff\xfe")
    for path, message in (("none.yaml", "No such file"), (".", "Is a directory"), ("c.yaml", "no text in UTF-8")):
        with pytest.raises(UserError, match=message):
            given("--configfile", tmp_path / path)
    with pytest.raises(UserError, match="more than 1,000,000 characters"):
        given("--configfile", "/dev/zero")


@pytest.mark.parametrize("entry", ["replicates", "=3", "1a=3", "a b=3", "gan.kimg=3", "x=3", ""])
def test_an_entry_of_config_that_is_none_is_refused(entry):
    """As Snakemake does, though of a name of one letter only since it says so."""
    with pytest.raises(UserError, match="is no setting: write NAME=VALUE"):
        given("--config", entry)


def test_what_is_wrong_with_a_study_is_told_at_once(tmp_path):
    (tmp_path / "c.yaml").write_text("study: s\nsizes: [100]\nreplicats: 2\n")
    with pytest.raises(UserError) as refused:
        settings("--configfile", tmp_path / "c.yaml", "--config", "seed=[1]")
    assert 'did you mean "replicates"?' in str(refused.value) and "seed: ['1'] can't be used" in str(refused.value)

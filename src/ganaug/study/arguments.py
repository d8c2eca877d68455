"""Options by which a command is told of a study: `--configfile`, `--config` and `--directory`, as Snakemake has them.

So the words that run a study also ask about the study. The settings are the same, to the type of each value: a test
compares them with what Snakemake hands to a Snakefile. A file whose YAML is a template of YTE (`__use_yte__`), which
Snakemake fills in by running code, is refused.
"""

import argparse
import contextlib
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path

import yaml

from ganaug.errors import UserError
from ganaug.study.settings.hostile import unfit
from ganaug.study.settings.resolve import resolve

CHECKOUT = Path(__file__).parents[3]
QUICKSTART = CHECKOUT / "config" / "config.yaml"
MOST_CHARACTERS = 1_000_000  # of a file; all shipped studies together have 10,000
NAME = re.compile(r"[a-zA-Z_][\w-]*\w")


def add_study(parser: argparse.ArgumentParser) -> None:
    """Adds the options, which `given`, `settings_of` and `study_folder` read."""
    group = parser.add_argument_group("study, told as Snakemake is told")
    group.add_argument(
        *("--configfile", "--configfiles"),
        nargs="+",
        type=_absolute,
        metavar="FILE",
        help="the study's settings; of several files a later one adds to those before (default: the quickstart)",
    )
    group.add_argument(
        *("--config", "-C"),
        nargs="*",
        metavar="KEY=VALUE",
        help="settings beside those of the files, or in place of them; a list or a block goes in quotes",
    )
    group.add_argument("--directory", "-d", type=Path, metavar="DIR", help="folder of the study (default: this)")


def _absolute(path: str) -> Path:
    """Files are looked for where the command is given, whatever `--directory` says."""
    return Path(path).absolute()


@contextlib.contextmanager
def study_folder(args: argparse.Namespace) -> Iterator[None]:
    """Context in which the study's folder is the working folder. Raises UserError where there is no such folder."""
    folder = args.directory or Path()
    try:
        before = os.getcwd()
        os.chdir(folder)
    except OSError as error:
        raise UserError(f"--directory {folder}: {error.strerror}; name the folder that the study is run in") from None
    try:
        yield
    finally:
        os.chdir(before)


def settings_of(args: argparse.Namespace) -> dict:
    """The checked settings of the study, with every default filled in. Raises UserError as `resolve` does."""
    try:
        return resolve(given(args))
    except RecursionError:
        raise UserError("the study's configuration has blocks too deep in each other: this is no study") from None


def given(args: argparse.Namespace) -> dict:
    """The settings as the user gives them: those of each file, then those of `--config`, unchecked.

    Raises UserError, in one sentence, for a file that can't be read and for an entry of `--config` that is none.
    """
    settings: dict = {}
    for path in args.configfile or [QUICKSTART]:
        merge(settings, read(path))
    for entry in args.config or []:
        merge(settings, _entry(entry))
    return settings


def merge(before: object, later: dict) -> object:
    """`before` with the values of `later` in place of its own, in blocks one by one; changes `before` where a block."""
    for key, value in later.items():
        if not isinstance(before, dict):
            before = {}
        before[key] = merge(before.get(key, {}), value) if isinstance(value, dict) else value
    return before


def read(path: Path) -> dict:
    """What a file of settings holds, JSON or YAML. Raises UserError, in one sentence, where that can't be used."""
    try:
        with open(path, encoding="utf-8") as file:
            text = file.read(MOST_CHARACTERS + 1)
        settings = _parsed(text) if len(text) <= MOST_CHARACTERS else None
    except OSError as error:
        raise UserError(f"{path} can't be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise UserError(f"{path} is no text in UTF-8: write the study's settings as YAML") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or getattr(error, "reason", "what it means can't be told")
        raise UserError(f"{path}{where}: no YAML: {problem}") from None
    except (RecursionError, ValueError):  # a date of month 13, a number of thousands of digits
        raise UserError(f"{path} holds what YAML can't make a value of: this is no study") from None
    if len(text) > MOST_CHARACTERS:
        raise UserError(f"{path} has more than {MOST_CHARACTERS:,} characters: this is no study")
    if not isinstance(settings, dict):
        raise UserError(f"{path} has no settings: write `name: value`, one a line")
    if settings.pop("__use_yte__", None):
        raise UserError(f"{path} is a template (__use_yte__), which needs Snakemake: write its settings out")
    _refuse_unfit(settings, str(path))
    return settings


def _parsed(text: str) -> object:
    """JSON first: 1e-3 is a number there, in YAML it is text."""
    try:
        return json.loads(text)
    except ValueError:
        return yaml.safe_load(text)


def _entry(entry: str) -> dict:
    """The setting that an entry of `--config` gives."""
    name, equals, text = entry.partition("=")
    if not equals or not NAME.fullmatch(name):
        raise UserError(f"--config {entry[:60]!r} is no setting: write NAME=VALUE")
    setting = {name: _value(text.strip("'\""))}
    _refuse_unfit(setting, "--config")
    return setting


def _value(text: str) -> object:
    """A whole number, a number, True or False; else YAML in which all that is no list or block is text; else text."""
    if not text:
        return None
    for reader in (int, float, {"True": True, "False": False}.__getitem__, _yaml_of_texts):
        with contextlib.suppress(ValueError, KeyError, yaml.YAMLError, RecursionError):
            return reader(text)
    return text


def _yaml_of_texts(text: str) -> object:
    return yaml.load(text, Loader=yaml.BaseLoader)  # makes lists, blocks and texts, and nothing else


def _refuse_unfit(settings: dict, where: str) -> None:
    """Before they are merged, which would write out what YAML's aliases multiply."""
    if lines := unfit(settings):
        raise UserError("\n".join([f"{where} can't be used:", *(f"  {line}" for line in sorted(lines))]))

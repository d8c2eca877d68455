"""What a stage depends on: the source files that it imports."""

import pytest

from ganaug import cli, imports
from helpers.running import ROOT

SRC = ROOT / "src"


def names(stage):
    return {str(path.relative_to(SRC / "ganaug")) for path in imports.files_of_stage(stage)}


def test_a_stage_depends_on_what_it_imports_and_on_nothing_else():
    assert {"stylegan2/training.py", "seeding.py", "files.py"} <= names("train_gan")
    assert not {n for n in names("train_gan") if n.startswith(("classify", "data", "analysis", "fidelity", "report"))}
    assert not {n for n in names("train_classifier") if n.startswith(("stylegan2", "data", "analysis", "fidelity"))}
    assert not {n for n in names("make_figure") if n.startswith(("stylegan2", "data", "fidelity", "classify/training"))}
    # The command line imports stages by name: a new stage must not rerun the others.
    assert all("cli.py" not in names(stage) for stage in cli.STAGES)


BEFORE = '''"""What it does."""

import os  # a comment


class Empty:
    """Nothing."""


def size(path: str, *, exact: bool = True) -> float:
    """Of a file."""
    return os.stat(path).st_size * 1.0 if exact else 0.0


NAMES = ["a", f"{size('b'):>{3}}"]
'''


def meaning(folder, source):
    """The digest of a file with this source, apart from its name."""
    path = folder / f"{len(list(folder.iterdir()))}.py"
    path.write_text(source)
    return imports._read(path)[-1]


@pytest.mark.parametrize(
    ("old", "new", "same"),
    [
        ("What it does", "What it is for", True),
        ("Of a file", "Of a file, in bytes", True),
        ('    """Of a file."""\n', "", True),
        ("  # a comment", "", True),
        ("path: str, *, exact: bool = True", "path: str,\n    *,\n    exact: bool = True,\n", True),
        ("* 1.0", "* 2.0", False),
        ("* 1.0", "* 1", False),
        ("* 1.0", "/ 1.0", False),
        ("exact: bool = True", "exact: bool = False", False),
        ("*, exact", "exact", False),
        ("if exact", "if not exact", False),
        ("return ", "yield ", False),
        ('"a"', '"A"', False),
        ("{3}", "{4}", False),
        (":>", ":<", False),
    ],
)
def test_a_digest_changes_with_what_the_code_does_and_not_with_what_is_said_of_it(tmp_path, old, new, same):
    assert old in BEFORE
    assert (meaning(tmp_path, BEFORE) == meaning(tmp_path, BEFORE.replace(old, new, 1))) == same


def test_a_digest_is_the_same_with_every_version_of_python(tmp_path):
    """Results from a machine with another Python must not look like those of other code."""
    assert meaning(tmp_path, BEFORE) == "77a6e740828b72cb5c457d997999e31777541370efa7ccef9006c0863f9a73f6"

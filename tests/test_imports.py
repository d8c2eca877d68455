"""What a stage depends on: the source files that it imports."""

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

"""The project's own files say what is so: one version, the same checks everywhere, paths that exist."""

import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from ganaug import __version__
from ganaug.study.settings.schema import json_schema
from helpers import reruns
from helpers.running import ROOT

WORKFLOWS = sorted((ROOT / ".github" / "workflows").iterdir())
PINNED = re.compile(r"(- )?uses: [\w.-]+(/[\w.-]+)+@(v\d+\.\d+\.\d+|[0-9a-f]{40} # v\d+\.\d+\.\d+)")


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def steps(workflow: Path) -> list[dict]:
    return [step for job in yaml.safe_load(workflow.read_text())["jobs"].values() for step in job["steps"]]


def commands(workflow: Path) -> set[str]:
    return {line.strip() for step in steps(workflow) for line in step.get("run", "").splitlines()}


def readme_lines() -> list[str]:
    """Those of the README's first fenced block: install and run, test."""
    block = re.search(r"^```sh\n(.*?)^```$", read("README.md"), flags=re.MULTILINE | re.DOTALL)
    return block[1].splitlines() if block else []


def paths_named(text: str) -> Iterator[str]:
    """Paths in a Markdown text's code and links, but for those that only a run or an installation makes."""
    code = re.findall(r"^```.*?\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)
    code += re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL))
    words = [word for span in code for word in span.split()] + re.findall(r"\]\(([^)#:]+)\)", text)
    for word in words:
        path = re.fullmatch(r"[\w.-]+/[\w./-]*|[\w-]+\.(md|py|toml|cff|ya?ml|txt)", word)
        if path and not word.startswith((".venv/", "results/")):
            yield word


def test_version_and_date_agree_wherever_they_stand():
    citation = yaml.safe_load(read("CITATION.cff"))
    headings = re.findall(r"^## \[(.+?)\](?: - (\S+))?$", read("CHANGELOG.md"), flags=re.MULTILINE)
    assert headings[0] == ("Unreleased", "")
    assert headings[1] == (__version__, str(citation["date-released"]))
    assert citation["version"] == __version__


def test_workflows_are_there():
    assert {path.name for path in WORKFLOWS} >= {"lint.yaml", "tests.yaml", "quickstart.yaml"}


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_a_workflow_may_only_read_ends_in_time_and_uses_fixed_versions(path):
    workflow = yaml.safe_load(path.read_text())
    assert workflow["permissions"] == {"contents": "read"}
    for job in workflow["jobs"].values():
        assert job.get("permissions", {"contents": "read"}) == {"contents": "read"}
        assert 0 < job["timeout-minutes"] <= 120
    uses = [line.strip() for line in path.read_text().splitlines() if re.match(r" *(- )?uses:", line)]
    assert len(uses) == sum("uses" in step for step in steps(path)) > 0
    assert [line for line in uses if not PINNED.fullmatch(line)] == []


def test_ci_and_the_workflow_run_the_same_checks():
    function = re.search(r"^checks\(\) {\n(.+?)\n}$", read(".ci/run"), flags=re.MULTILINE | re.DOTALL)
    assert function is not None
    checks = {line.strip() for line in function[1].splitlines()}
    assert len(checks) == 5 and checks <= commands(ROOT / ".github/workflows/lint.yaml")


def test_hooks_run_tools_of_the_pinned_environment_that_the_workflow_runs_too():
    hooks = [hook for repo in yaml.safe_load(read(".pre-commit-config.yaml"))["repos"] for hook in repo["hooks"]]
    tools = {hook["entry"].split()[0] for hook in hooks}
    assert {hook["language"] for hook in hooks} == {"system"}
    assert tools == {".venv/bin/ruff", ".venv/bin/snakefmt", ".venv/bin/mypy"}
    assert tools <= {line.split()[0] for line in commands(ROOT / ".github/workflows/lint.yaml")}


def test_everyone_installs_by_the_readmes_line():
    run = readme_lines()[0]
    install = run.rpartition(" && ")[0]
    assert "--require-hashes" in install
    assert run in commands(ROOT / ".github/workflows/quickstart.yaml")
    for name in ("lint.yaml", "tests.yaml"):
        assert install in commands(ROOT / ".github/workflows" / name)
    assert install in read("CONTRIBUTING.md").splitlines()


@pytest.mark.slow
def test_the_readmes_line_installs_the_command(tmp_path):
    """From a copy of the checkout, into an environment beside this one that has this one's packages."""
    for folder in ("src", "config", "workflow"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "LICENSE"):
        shutil.copy(ROOT / name, tmp_path)
    python = tmp_path / ".venv/bin/python"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / ".venv"], check=True)
    (packages,) = tmp_path.glob(".venv/lib/python*/site-packages")
    (packages / "others.pth").write_text(sysconfig.get_path("purelib"))
    (line,) = [step for step in readme_lines()[0].split(" && ") if step.endswith(" -e .")]
    pip, *options = line.split()
    assert pip == ".venv/bin/pip"
    subprocess.run([sys.executable, "-m", "pip", "--python", python, *options], cwd=tmp_path, check=True)
    told = subprocess.run([python.with_name("ganaug"), "estimate"], cwd=packages, capture_output=True, text=True)
    assert told.returncode == 0 and "What the study quickstart takes" in told.stdout, told.stderr
    version = subprocess.run([python.with_name("ganaug"), "--version"], cwd=packages, capture_output=True, text=True)
    assert version.stdout == f"ganaug {__version__}\n"


@pytest.mark.parametrize("name", ["CONTRIBUTING.md", "SECURITY.md"])
def test_every_path_that_a_document_names_exists(name):
    named = set(paths_named(read(name)))
    assert named
    assert {path for path in named if not (ROOT / path).exists()} == set()


@pytest.mark.parametrize(
    ("script", "made"),
    [
        ("config/make_readme.py", "config/README.md"),
        ("config/make_readme.py", "workflow/schemas/config.schema.yaml"),
        ("envs/make_conda.py", "envs/ganaug.yaml"),
        ("workflow/report/make_captions.py", "workflow/report/figure.rst"),
    ],
)
def test_made_files_are_up_to_date(script, made, tmp_path):
    """Made in a copy of what the scripts read."""
    for folder in ("config", "envs", "workflow/schemas", "workflow/report"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    (tmp_path / "src").symlink_to(ROOT / "src")
    subprocess.run([sys.executable, script], cwd=tmp_path, check=True)
    assert (tmp_path / made).read_text() == (ROOT / made).read_text(), f"run `python {script}` and commit {made}"


def test_the_studies_readme_names_every_study():
    studies = {path.name for path in (ROOT / "config").glob("*.yaml")}
    assert set(re.findall(r"^\| `([\w-]+\.yaml)` \|", read("config/README.md"), flags=re.MULTILINE)) == studies


def test_the_catalog_of_workflows_finds_what_it_expects():
    """By the catalog's documentation, "Adding workflows": two files, these keys, and what of the software is true."""
    assert (ROOT / "workflow" / "Snakefile").is_file() and (ROOT / "config" / "README.md").is_file()
    usage = yaml.safe_load(read(".snakemake-workflow-catalog.yml"))["usage"]
    assert usage.keys() == {"mandatory-flags", "software-stack-deployment"}
    assert usage["mandatory-flags"].keys() == {"desc", "flags"} and usage["mandatory-flags"]["flags"] == []
    assert "deployed by clone" in usage["mandatory-flags"]["desc"]
    rules = "".join(path.read_text() for path in (ROOT / "workflow" / "rules").iterdir())
    software = {"conda": "conda:" in rules, "apptainer": "container:" in rules, "report": "report(" in rules}
    assert usage["software-stack-deployment"] == software | {"apptainer+conda": software["apptainer"]}


def test_the_table_of_reruns_is_up_to_date():
    told = "run `PYTHONPATH=src:tests python tests/helpers/reruns.py` and commit docs/reruns.md"
    assert reruns.page() == read("docs/reruns.md"), told


def test_every_setting_is_in_the_table_of_reruns():
    tried = [change.partition(":")[0] for row in reruns.SETTINGS for change in row.changes]
    assert set(settings_of(json_schema())) == {*tried, *reruns.UNTRIED} and not set(tried) & set(reruns.UNTRIED)


def settings_of(block: dict, above: str = "") -> Iterator[str]:
    """Names of a schema's settings, those of blocks with the block's before a dot."""
    for name, setting in block["properties"].items():
        inner = next((part for part in [setting, *setting.get("anyOf", [])] if "properties" in part), None)
        if inner:
            yield from settings_of(inner, f"{above}{name}.")
        else:
            yield above + name


def test_requirements_are_pinned_with_hashes_and_name_no_index():
    text = (ROOT / "envs/requirements.txt").read_text()
    assert "://" not in text and "--index" not in text and "--extra-index" not in text
    requirements = [line for line in text.splitlines() if line[:1].isalnum()]
    assert len(requirements) > 50
    assert all("==" in line for line in requirements)
    assert text.count("--hash=sha256:") >= len(requirements)


def test_the_snakemake_versions_are_the_same_wherever_they_stand():
    """The least and the pinned one; and that the profile of a plain run has nothing that an old one does not know."""
    least = re.search(r'^min_version\("(.+)"\)$', read("workflow/Snakefile"), flags=re.MULTILINE)
    pinned = re.search(r"^snakemake==((\d+\.\d+)\.\d+)$", read("envs/requirements.in"), flags=re.MULTILINE)
    assert least and pinned
    assert f"Snakemake {least[1]} to {pinned[2]}" in read("README.md")
    oldest = dict(re.findall(r"^(\S+)==(\S+) \\$", read("envs/requirements-oldest.txt"), flags=re.MULTILINE))
    assert oldest["snakemake"].rpartition(".")[0] == least[1]
    plugin = re.search(r"^snakemake-executor-plugin-slurm==(\S+)", read("envs/requirements.txt"), flags=re.MULTILINE)
    assert plugin and f"{oldest['snakemake-executor-plugin-slurm']} to {plugin[1]}" in read("profiles/README.md")
    ci = read(".github/workflows/tests.yaml")
    assert "-r envs/requirements-oldest.txt && .venv/bin/snakemake -n" in ci
    assert [int(older) < int(least[1].partition(".")[0]) for older in re.findall(r"snakemake==(\d+)", ci)] == [True]
    assert yaml.safe_load(read("profiles/default/config.yaml")) == {"keep-going": True}
    assert yaml.safe_load(read("profiles/default/config.v9+.yaml"))["max-checksum-file-size"] == 10**11


def test_no_test_imports_another():
    lines = [line for path in (ROOT / "tests").rglob("*.py") for line in path.read_text().splitlines()]
    assert [line for line in lines if re.match(r"\s*(from|import) [\w.]*\b(test_|conftest)", line)] == []


def test_what_counts_as_a_path():
    text = (
        "`src/a.py` and [b](C.md), `results/x`, `a.b` and `.venv/bin/mypy`\n\n```sh\nrun -r envs/r.txt\n```\n`tests/d/`"
    )
    assert set(paths_named(text)) == {"src/a.py", "C.md", "envs/r.txt", "tests/d/"}

"""Inputs are compared with what the stage before wrote; the commit is the project's own."""

import json
import os
import platform
import subprocess
from pathlib import Path

import pytest

from ganaug import files, imports, provenance
from ganaug.cli import main
from ganaug.errors import UserError


def test_an_input_that_is_not_what_its_stage_wrote_is_named(tmp_path):
    images, made = tmp_path / "train.npy", tmp_path / "provenance.json"
    images.write_bytes(b"whole")
    files.write_json(made, {"stage": "make_subset", "outputs": {"results/x/train.npy": files.sha256_of(images)}})
    assert provenance.checked([images, tmp_path]) == {str(images): files.sha256_of(images), str(tmp_path): "folder"}
    images.write_bytes(b"whola")
    with pytest.raises(UserError, match=r"train.npy is not what make_subset wrote.*Delete it and run"):
        provenance.checked([images])
    made.unlink()
    assert provenance.checked([images])


IDENTITY = {"GIT_AUTHOR_NAME": "A", "GIT_AUTHOR_EMAIL": "a@example.org"}
IDENTITY |= {"GIT_COMMITTER_NAME": "A", "GIT_COMMITTER_EMAIL": "a@example.org"}


def repository(folder):
    """A repository of all that lies in the folder; its commit."""

    def git(*arguments):
        command = ["git", "-C", folder, *arguments]
        return subprocess.run(command, env=os.environ | IDENTITY, check=True, capture_output=True, text=True).stdout

    git("init", "-q")
    git("add", ".")
    git("commit", "-q", "--allow-empty", "-m", "first")
    return git("rev-parse", "HEAD").strip()


@pytest.fixture
def commit_of(monkeypatch):
    """commit_of(root): what a copy of this code below `root` takes for its commit."""
    for name in ("GANAUG_COMMIT", "GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"):
        monkeypatch.delenv(name, raising=False)

    def commit(root):
        monkeypatch.setattr(provenance, "__file__", str(root / "src/ganaug/provenance.py"))
        return provenance.git_commit()

    return commit


def unpacked(folder):
    """The project's files, as far as it matters here."""
    (folder / "src" / "ganaug").mkdir(parents=True)
    (folder / "src" / "ganaug" / "provenance.py").write_text("")
    return folder


def test_the_commit_is_that_of_the_projects_own_repository(tmp_path, commit_of, monkeypatch):
    root = unpacked(tmp_path / "ganaug")
    commit = repository(root)
    assert commit_of(root) == commit
    (tmp_path / "link").symlink_to(root)
    assert commit_of(tmp_path / "link") == commit
    (root / "src/ganaug/provenance.py").write_text("changed")
    assert commit_of(root) == f"{commit}+changes"
    (tmp_path / "other").mkdir()
    repository(tmp_path / "other")
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "other" / ".git"))  # as in a hook of that repository
    assert commit_of(root) == f"{commit}+changes"


def test_another_repositorys_commit_is_not_taken(tmp_path, commit_of, monkeypatch):
    root = unpacked(tmp_path / "thesis" / "ganaug-main")  # a ZIP of the project, unpacked there
    repository(tmp_path / "thesis")
    assert commit_of(root) is None
    monkeypatch.setenv("GANAUG_COMMIT", "1234567")
    assert commit_of(root) == "1234567"


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give files away")
def test_a_repository_whose_owner_git_distrusts_gives_no_commit(tmp_path, commit_of, monkeypatch):
    root = unpacked(tmp_path / "ganaug")
    commit = repository(root)
    for path in (root, *root.rglob("*")):
        os.chown(path, 12345, 12345)
    for name in ("GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM"):  # where this machine may trust all owners
        monkeypatch.setenv(name, os.devnull)
    assert commit_of(root) is None
    (tmp_path / "trusted").write_text(f"[safe]\n\tdirectory = {root}\n")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "trusted"))
    assert commit_of(root) == commit


def test_without_git_there_is_no_commit(tmp_path, commit_of, monkeypatch):
    root = unpacked(tmp_path / "ganaug")
    repository(root)
    monkeypatch.setenv("PATH", "")
    assert commit_of(root) is None


def test_a_provenance_says_what_decided_the_bytes(tmp_path):
    """Code, settings, seed, threads and the CPU's model: with these the same machine makes the same bytes."""
    settings = {"images_per_class": 1, "resolution": 32}
    command = ["make_phantoms", "--settings", json.dumps(settings), "--seed", "5", "--threads", "2"]
    assert main([*command, "--out", str(tmp_path / "made"), "--provenance", str(tmp_path / "provenance.json")]) == 0
    record = files.read_json(tmp_path / "provenance.json")
    assert (record["settings"], record["seed"], record["threads"]) == (settings, 5, 2)
    assert record["code"] == imports.digest_of_stage("make_phantoms")
    assert record["machine"]["cpu"] == provenance.cpu_model() != ""
    if platform.system() == "Linux" and "model name" in (told := Path("/proc/cpuinfo").read_text()):
        assert record["machine"]["cpu"] in told

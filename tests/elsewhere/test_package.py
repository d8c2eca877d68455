"""A package brings what jobs read, each image once, and comes out as it went in."""

import json
import tarfile

import numpy as np
import pytest

from ganaug.elsewhere.jobs import Job
from ganaug.elsewhere.package import IMAGES, unpack, write_package
from ganaug.errors import UserError
from ganaug.files import sha256_of, write_array, write_json
from helpers.modes import other_modes, users_umask


@pytest.fixture
def study(tmp_path, seed):
    """(folder, jobs): two subsets, the first of which is a part of the second, and a job for each."""
    folder, images = tmp_path / "here", np.random.default_rng(seed).integers(0, 256, (40, 8, 8), np.uint8)
    jobs = []
    for name, count in (("small", 25), ("large", 40)):
        below = f"results/s/{name}"
        write_array(folder / below / "train.npy", images[:count][::-1])
        write_array(folder / below / "latents.npy", np.arange(5.0))
        write_json(folder / below / "provenance.json", {"stage": name})
        words = ["train_gan", "--settings", '{"a": "b/c"}', "--images", f"{below}/train.npy"]
        words += ["--latents", f"{below}/latents.npy", "--out", f"{below}/made.csv", "--log", f"{below}/log"]
        jobs.append(Job(name, "train_gan", 1, words, [f"{below}/made.csv"], f"{below}/log", []))
    return folder, jobs


def test_what_is_unpacked_has_the_bytes_of_what_was_packed(study, tmp_path):
    folder, jobs = study
    write_package(tmp_path / "p.tar.xz", folder, folder / "results/s", jobs, ["tqdm"])
    there = tmp_path / "there"
    table = unpack(tmp_path / "p.tar.xz", there)
    assert [Job(**job) for job in table["jobs"]] == jobs
    files = sorted(path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    assert files
    assert all(sha256_of(folder / file) == sha256_of(there / file) for file in files)
    assert (there / "modules/tqdm/__init__.py").is_file()
    assert unpack(tmp_path / "p.tar.xz", there) == table  # again, in the same folder


def test_what_is_unpacked_has_the_mode_of_the_users_umask(study, tmp_path):
    folder, jobs = study
    for path in folder.rglob("*.npy"):
        path.chmod(0o600)  # there it was another user's
    write_package(tmp_path / "p.tar.xz", folder, folder / "results/s", jobs, ["tqdm"])
    unpack(tmp_path / "p.tar.xz", tmp_path / "there")
    assert other_modes(tmp_path / "there", users_umask()) == {}


def test_each_image_lies_in_the_package_once(study, tmp_path):
    folder, jobs = study
    write_package(tmp_path / "p.tar.xz", folder, folder / "results/s", jobs, [])
    with tarfile.open(tmp_path / "p.tar.xz") as tar:
        tar.extract(IMAGES, tmp_path, filter="data")
    assert len(np.load(tmp_path / IMAGES)) == 40


def test_a_folder_with_another_package_or_other_files_is_refused(study, tmp_path):
    folder, jobs = study
    for name, chosen in (("a", jobs), ("b", jobs[:1])):
        write_package(tmp_path / name, folder, folder / "results/s", chosen, [])
    unpack(tmp_path / "a", tmp_path / "there")
    for place in (tmp_path / "there", folder):
        with pytest.raises(UserError, match="not of this package"):
            unpack(tmp_path / "b", place)


def test_an_array_that_was_changed_on_the_way_is_told(study, tmp_path):
    folder, jobs = study
    write_package(tmp_path / "a", folder, folder / "results/s", jobs, [])
    unpack(tmp_path / "a", tmp_path / "there")
    table = json.loads((tmp_path / "there/package.json").read_text())
    next(iter(table["arrays"].values()))["images"][0] += 1
    with tarfile.open(tmp_path / "a") as old, tarfile.open(tmp_path / "b", "w:xz") as new:
        old.extractall(tmp_path / "parts", filter="data")
        (tmp_path / "parts/package.json").write_text(json.dumps(table))
        new.add(tmp_path / "parts", "")
    with pytest.raises(UserError, match="does not come out"):
        unpack(tmp_path / "b", tmp_path / "elsewhere")


@pytest.mark.parametrize("path", ["/outside/x.npy", "../x.npy", "results/s/none.npy"])
def test_inputs_outside_of_the_folder_or_not_yet_made_are_refused(study, tmp_path, path):
    folder, jobs = study
    jobs[0].arguments.extend(["--more", path])
    with pytest.raises(UserError, match="reads"):
        write_package(tmp_path / "a", folder, folder / "results/s", jobs, [])

"""What comes back: the most important first, within the limits, and what it says it is."""

import hashlib
import tarfile

import numpy as np
import pytest

from ganaug.elsewhere import results
from ganaug.elsewhere.jobs import Job
from ganaug.elsewhere.pool import DONE, WAITING, Attempt
from ganaug.errors import UserError
from ganaug.files import read_json, sha256_of, write_json


@pytest.fixture
def made(tmp_path, seed):
    """(folder, attempts): a GAN and a classifier of two replicates; of the second the classifier is not done."""
    folder, rng, tried = tmp_path / "there", np.random.default_rng(seed), []
    for replicate in (1, 2):
        for rule, files in (
            ("train_gan", ["generator.safetensors", "training.csv", "snapshots.npy"]),
            ("train_classifier", ["model.safetensors", "predictions.csv"]),
        ):
            place = f"results/s/{rule}/{replicate}"
            outputs = [f"{place}/{file}" for file in [*files, "provenance.json"]]
            log = f"results/s/logs/{rule}/{replicate}.log"
            job = Job(f"{rule} {replicate}", rule, replicate, [rule], outputs, log, [])
            done = rule == "train_gan" or replicate == 1
            tried.append(Attempt(job, DONE if done else WAITING))
            if not done:
                continue
            for path in [*outputs[:-1], log]:
                (folder / path).parent.mkdir(parents=True, exist_ok=True)
                (folder / path).write_bytes(rng.bytes(20_000) if results.heavy(path) else b"a,b\n1,2\n" * 20)
            hashes = {path: sha256_of(folder / path) for path in outputs[:-1]}
            write_json(folder / outputs[-1], {"inputs": {"data/x.npy": "0" * 64}, "outputs": hashes})
    return folder, tried


def came_back(out) -> dict[str, bytes]:
    return dict(results.read_results(sorted(out.glob("results-*.tar"))))


def test_what_comes_back_is_what_was_made_but_for_networks_that_nothing_reads(made, tmp_path):
    folder, tried = made
    assert results.pack_results(tried, {"of": "this"}, folder, tmp_path / "out") == []
    came = came_back(tmp_path / "out")
    wanted = {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name != "model.safetensors"
    }
    assert came.pop(results.RECORD) == b'{"of": "this"}'
    assert came == wanted


def test_a_classifier_that_a_waiting_job_reads_comes_back_too(made, tmp_path):
    folder, tried = made
    waits = Job("score_synthetic 1", "score_synthetic", 1, ["score_images"], ["x.csv"], "x.log", ["train_classifier 1"])
    results.pack_results([*tried, Attempt(waits, WAITING)], {}, folder, tmp_path / "out")
    models = [name for name in came_back(tmp_path / "out") if name.endswith("model.safetensors")]
    assert models == ["results/s/train_classifier/1/model.safetensors"]


def test_where_not_all_fits_tables_come_before_images_and_these_before_generators(made, tmp_path):
    folder, tried = made
    left = results.pack_results(tried, {}, folder, tmp_path / "out", count=2, most=40_000)
    assert left == [f"results/s/train_gan/{replicate}/generator.safetensors" for replicate in (1, 2)]
    parts = sorted((tmp_path / "out").iterdir())
    assert [part.name for part in parts] == ["results-1.tar", "results-2.tar"]
    assert all(part.stat().st_size <= 40_000 for part in parts)


def test_results_that_are_not_what_their_provenance_says_are_refused(made, tmp_path):
    folder, tried = made
    results.pack_results(tried, {}, folder, tmp_path / "out")
    came, here = tmp_path / "came", tmp_path / "here"
    results.lay_out(sorted((tmp_path / "out").iterdir()), came)
    outputs = tried[0].job.outputs
    results.check(outputs, came, here)  # what they were made from does not lie here
    content = b"other images"
    (here / "data").mkdir(parents=True)
    (here / "data/x.npy").write_bytes(content)
    assert hashlib.sha256(content).hexdigest() != "0" * 64
    with pytest.raises(UserError, match="do not belong together"):
        results.check(outputs, came, here)
    (here / "data/x.npy").unlink()
    (came / outputs[1]).write_bytes(b"a,b\n1,3\n")
    with pytest.raises(UserError, match=r"training\.csv is not what"):
        results.check(outputs, came, here)
    (came / outputs[1]).unlink()
    with pytest.raises(UserError, match="is missing"):
        results.check(outputs, came, here)


@pytest.mark.parametrize(("code", "marked"), [("here", False), ("of before", True), (None, True)])
def test_what_was_made_by_other_code_is_marked_as_accepted(made, code, marked):
    folder, tried = made
    outputs = tried[0].job.outputs
    record = read_json(folder / outputs[-1]) | ({"code": code} if code else {})
    write_json(folder / outputs[-1], record)
    results.accept(outputs, folder, "here")
    assert read_json(folder / outputs[-1]) == record | ({"accepted_for": "here"} if marked else {})


def test_a_check_of_a_gan_of_other_code_is_taken_after_the_gan(made, tmp_path):
    """It has read the GAN's provenance as that was before somebody accepted it."""
    folder, tried = made
    gan = tried[0].job.outputs
    record = {"inputs": {gan[-1]: sha256_of(folder / gan[-1])}, "outputs": {}}
    write_json(folder / "results/s/check.provenance.json", record)
    results.accept(gan, folder, "here")
    results.check(["results/s/check.provenance.json"], folder, tmp_path / "here")


@pytest.mark.parametrize("name", ["../outside.csv", "/tmp/outside.csv"])
def test_a_part_that_leads_out_of_the_folder_writes_nothing_there(tmp_path, name):
    with tarfile.open(tmp_path / "results-1.tar", "w") as tar:
        results.add_bytes(tar, "0000.tar.xz", results.tar_of({name: b"x", results.RECORD: b"{}"}))
    with pytest.raises(UserError, match="leads out"):
        results.lay_out([tmp_path / "results-1.tar"], tmp_path / "study")
    assert not (tmp_path / "outside.csv").exists()


def test_a_torn_part_is_told(made, tmp_path):
    folder, tried = made
    results.pack_results(tried, {}, folder, tmp_path / "out")
    part = tmp_path / "out/results-1.tar"
    part.write_bytes(part.read_bytes()[:5000])
    with pytest.raises(UserError, match="can't be read"):
        results.lay_out([part], tmp_path / "came")

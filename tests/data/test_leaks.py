"""Leaks that were planted are found: between sides, and from real into synthetic images."""

import json

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from ganaug import files
from ganaug.cli import main
from ganaug.data import leaks, near_copies
from helpers.pictures import films


@pytest.mark.parametrize(
    ("column", "what"), [("image", "same file"), ("pixels_sha256", "same pixels"), ("group", "same group")]
)
@pytest.mark.parametrize("sides", [("train", "validation"), ("train", "test"), ("validation", "test")])
def test_a_planted_leak_is_found(column, what, sides):
    tables = {
        side: pd.DataFrame({key: [f"{side}{key}{i}" for i in range(3)] for key in leaks.SHARED})
        for side in ("train", "validation", "test")
    }
    assert leaks.breaches(tables) == []
    tables[sides[1]].loc[2, column] = tables[sides[0]].loc[0, column]
    (line,) = leaks.breaches(tables)
    assert what in line and tables[sides[0]].loc[0, "image"] in line and tables[sides[1]].loc[2, "image"] in line


@pytest.mark.parametrize("sides", [("train", "validation"), ("train", "test"), ("validation", "test")])
def test_a_planted_near_copy_is_found_whatever_its_group(tmp_path, sides, capsys):
    """A film and the same one re-encoded at half the size, on two sides and not in one group."""
    names = {side: [f"A/{side}{i}.png" for i in range(3)] for side in leaks.SIDES}
    shown = dict(zip(np.concatenate(list(names.values())), films(9, 1), strict=True))
    half = Image.fromarray(shown[names[sides[0]][0]]).resize((48, 48), Image.Resampling.BILINEAR)
    planted = names[sides[1]][2]
    arguments = ["--manifest", tmp_path / "m.csv", "--near-copies", tmp_path / "near.json"]
    for side, own in names.items():
        table = {"image": own, "pixels_sha256": own, "group": own}
        files.write_csv(tmp_path / f"{side}.csv", pd.DataFrame(table))
        arguments += [f"--{side}-table", tmp_path / f"{side}.csv"]
    files.write_json(tmp_path / "near.json", {"distance": 40})
    command = ["check_leaks", *map(str, arguments), "--report", str(tmp_path / "leaks.json")]
    for film, status in ((shown[planted], 0), (np.asarray(half), 1)):
        hashes = {name: near_copies.perceptual_hash(pixels) for name, pixels in (shown | {planted: film}).items()}
        rows = {"file": list(hashes), "perceptual_hash": [h.tobytes().hex() for h in hashes.values()]}
        files.write_csv(tmp_path / "m.csv", pd.DataFrame(rows))
        (tmp_path / "leaks.json").unlink(missing_ok=True)
        assert main(command) == status
    assert f"{sides[0]} and {sides[1]}, near-copies: {names[sides[0]][0]} | {planted}" in capsys.readouterr().err
    assert not (tmp_path / "leaks.json").exists()


@pytest.mark.parametrize("known", [["p", "q", "r", "p"], ["p", "q", "r", ""]])
def test_a_planted_patient_is_found_whatever_the_groups(tmp_path, known, capsys):
    """The last row is a copy, left out, of the test image: its patient is the training image's."""
    rows = {"file": ["A/a.png", "A/b.png", "A/c.png", "A/d.png"], "pixels_sha256": ["a", "b", "c", "c"]}
    hashes = [near_copies.perceptual_hash(pixels).tobytes().hex() for pixels in films(3, 1)]
    manifest = pd.DataFrame({**rows, "perceptual_hash": [*hashes, hashes[2]], "known_group": known})
    files.write_csv(tmp_path / "m.csv", manifest)
    files.write_json(tmp_path / "near.json", {"distance": 10})
    arguments = ["--manifest", tmp_path / "m.csv", "--near-copies", tmp_path / "near.json"]
    for side, row in zip(leaks.SIDES, range(3), strict=True):
        own = manifest.loc[[row], ["file", "pixels_sha256"]].rename(columns={"file": "image"})
        files.write_csv(tmp_path / f"{side}.csv", own.assign(group=side))
        arguments += [f"--{side}-table", tmp_path / f"{side}.csv"]
    shared = known[3] == "p"
    assert main(["check_leaks", *map(str, arguments), "--report", str(tmp_path / "leaks.json")]) == shared
    if shared:
        assert "train and test, the same group in data.groups: A/a.png | A/c.png" in capsys.readouterr().err
    else:
        assert "known_group" in json.loads((tmp_path / "leaks.json").read_text())["compared"]


def image_sets(folder):
    """The files of check_synthetic: train, validation, test and synthetic images, and the GAN's provenance."""
    rng = np.random.default_rng(3)
    arguments = []
    for side in ("train", "validation", "test"):
        files.write_array(folder / f"{side}.npy", rng.integers(0, 256, (5, 8, 8), np.uint8))
        files.write_csv(folder / f"{side}.csv", pd.DataFrame({"image": [f"{side}/{i}.png" for i in range(5)]}))
        arguments += [f"--{side}-images", folder / f"{side}.npy", f"--{side}-table", folder / f"{side}.csv"]
    files.write_array(folder / "images.npy", rng.integers(0, 256, (6, 8, 8), np.uint8))
    inputs = [folder / "train.npy", folder / "train.csv", folder / "start.safetensors"]
    inputs[2].write_bytes(b"a generator to start from")
    files.write_json(folder / "gan.json", {"inputs": {str(path): files.sha256_of(path) for path in inputs}})
    arguments += ["--synthetic-images", folder / "images.npy", "--gan-provenance", folder / "gan.json"]
    return ["check_synthetic", *map(str, arguments), "--report", str(folder / "check.json")]


def test_a_clean_synthetic_set_passes(tmp_path):
    assert main(image_sets(tmp_path)) == 0
    report = json.loads((tmp_path / "check.json").read_text())
    assert report == {"synthetic": 6, "compared": {"train": 5, "validation": 5, "test": 5}, "copies": 0}


@pytest.mark.parametrize("rounding", [0, 1])
@pytest.mark.parametrize("side", ["train", "validation", "test"])
def test_a_real_image_among_the_synthetic_ones_stops_the_run(tmp_path, side, rounding, capsys):
    command = image_sets(tmp_path)
    images = np.load(tmp_path / "images.npy")
    images[4] = (np.load(tmp_path / f"{side}.npy")[2].astype(int) + rounding).clip(0, 255)
    files.write_array(tmp_path / "images.npy", images)
    assert main(command) == 1
    told = capsys.readouterr().err
    assert f"holds real {side} images" in told and f"image 5 is {side}/2.png" in told
    assert not (tmp_path / "check.json").exists()


def test_a_gan_trained_on_another_list_stops_the_run(tmp_path, capsys):
    command = image_sets(tmp_path)
    table = pd.read_csv(tmp_path / "train.csv")
    files.write_csv(tmp_path / "train.csv", table[::-1])
    assert main(command) == 1
    assert "which is not what" in capsys.readouterr().err


def test_a_gan_that_saw_validation_images_too_stops_the_run(tmp_path, capsys):
    command = image_sets(tmp_path)
    provenance = json.loads((tmp_path / "gan.json").read_text())
    provenance["inputs"][str(tmp_path / "validation.npy")] = files.sha256_of(tmp_path / "validation.npy")
    files.write_json(tmp_path / "gan.json", provenance)
    assert main(command) == 1
    assert "validation.npy, which is not what" in capsys.readouterr().err

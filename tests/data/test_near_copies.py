"""Near-copies are found, whatever was done to them; different films are not, and the threshold parts the two."""

import io

import numpy as np
import pandas as pd
from PIL import Image

from ganaug.data import calibration, near_copies
from ganaug.data.manifest import make_manifest
from helpers.pictures import encoded, films, folder_of, picture, settings


def test_near_copies_are_found_and_others_are_not():
    originals = [picture(seed, 128) for seed in range(30)]
    again = []
    for i, pixels in enumerate(originals[:4]):
        image = Image.fromarray(pixels)
        if i == 0:
            image = Image.open(io.BytesIO(encoded(image, format="JPEG", quality=75)))
        if i == 1:
            image = image.resize((64, 64), Image.Resampling.LANCZOS)
        if i == 2:
            image = image.point(lambda v: min(255, v * 0.8 + 20))
        again.append(np.asarray(image))
    hashes = np.stack([near_copies.perceptual_hash(p) for p in originals + again])
    pairs = {tuple(pair) for pair in near_copies.near_pairs(hashes, 40, block=7)}
    assert pairs == {(i, 30 + i) for i in range(4)}
    groups = near_copies.groups(hashes, 40)
    assert len(set(groups)) == 30


def test_pairs_agree_with_counting_bits():
    hashes = np.random.default_rng(0).integers(0, 2, (60, 256), np.uint8)
    hashes[40:] = hashes[:20]
    hashes[40:, :9] ^= 1
    wanted = {(i, j) for i in range(60) for j in range(i + 1, 60) if (hashes[i] != hashes[j]).sum() <= 9}
    assert wanted == {tuple(p) for p in near_copies.near_pairs(np.packbits(hashes, axis=1), 9, block=16)}
    assert len(wanted) == 20


def test_the_threshold_parts_copies_from_different_films(tmp_path):
    a, b = films(20, 1), films(20, 2)
    smaller = Image.fromarray(a[0]).resize((70, 70), Image.Resampling.BILINEAR)
    names = [f"{i:02}.png" for i in range(20)]
    root = folder_of(
        tmp_path / "r",
        A=dict(zip(names, a, strict=True)) | {"again.jpg": encoded(np.asarray(smaller), format="JPEG", quality=70)},
        B=dict(zip(names, b, strict=True)),
    )
    manifest, problems, table, told = make_manifest(root, settings(near_copy_distance="auto"))
    assert set(table["kind"]) == {*calibration.COPIES, calibration.DIFFERENT}
    assert table.groupby("kind")["pairs"].sum().to_dict() == dict.fromkeys(calibration.COPIES, 41) | {
        calibration.DIFFERENT: 21 * 20
    }
    assert told["chosen"] == "from these distances" and told["different_within"] <= 3
    assert min(told["found"].values()) > 0.9
    group = manifest.set_index("file")["group"]
    assert group["A/00.png"] == group["A/again.jpg"] and group.nunique() == 40
    assert sorted(problems["file"]) == ["A/00.png", "A/again.jpg"]


def chosen(copies, different):
    rows = [("half the size", d, n) for d, n in copies.items()]
    rows += [(calibration.DIFFERENT, d, n) for d, n in different.items()]
    return calibration.choose(pd.DataFrame(rows, columns=["kind", "distance", "pairs"]))


def test_the_threshold_lies_midway_between_the_two():
    assert chosen({4: 99, 20: 1}, {60: 3, 62: 5, 100: 10**6}) == (4 + 61) // 2  # three confusions are always allowed
    assert chosen({4: 98, 20: 2}, {60: 3, 62: 5, 100: 10**6}) == (20 + 61) // 2
    assert chosen({4: 100}, {60: 5, 70: 6, 100: 10**7}) == (4 + 69) // 2  # one in a million: ten
    assert chosen({4: 90, 50: 10}, {30: 20, 100: 1000}) == 29  # no more confusions than that, whatever is lost
    assert chosen({4: 100}, {0: 50, 60: 9, 100: 10**6}) == (4 + 59) // 2  # 50 films with two labels do not count

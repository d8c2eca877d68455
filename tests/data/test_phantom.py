"""The phantoms: repeatable, varied, and different only where the finding is."""

import json

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from ganaug.cli import main
from ganaug.data.findings import FINDINGS
from ganaug.data.phantom import _film, render_phantom
from ganaug.data.thorax import draw_person, project


def lungs_of(person_seed: int, pixels: int) -> np.ndarray:
    """The mask of the lungs of a person, found in the way `render_phantom` finds them."""
    x, y = _film(pixels, np.random.default_rng([person_seed, 1]))
    rng = np.random.default_rng([person_seed, 0])
    return project(draw_person(rng), x, y, rng).lung > 0


def make(folder, images_per_class=2, seed=5, resolution=32):
    settings = json.dumps({"images_per_class": images_per_class, "resolution": resolution})
    assert main(["make_phantoms", "--settings", settings, "--seed", str(seed), "--out", str(folder)]) == 0
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*.png"))}


@pytest.mark.parametrize("resolution", [32, 48, 128])
def test_image_is_repeatable_and_uses_the_grey_scale(resolution):
    image = render_phantom("Ground-glass", resolution, 3, 4)
    assert image.shape == (resolution, resolution) and image.dtype == np.uint8
    assert np.array_equal(image, render_phantom("Ground-glass", resolution, 3, 4))
    assert np.ptp(image) > 100


def test_people_differ():
    images = np.stack([render_phantom("Normal", 32, seed, 0) for seed in range(8)]).astype(float).reshape(8, -1)
    distance = np.abs(images[:, None] - images[None]).mean(-1)
    assert distance[~np.eye(8, dtype=bool)].min() > 8


@pytest.mark.parametrize("finding", FINDINGS[1:])
def test_finding_changes_only_the_lungs(finding):
    for person in range(4):
        plain, ill = render_phantom("Normal", 128, person, 9), render_phantom(finding, 128, person, 9)
        changed = plain != ill
        near = ndimage.binary_dilation(lungs_of(person, 128), iterations=4)  # the detector blurs across the edge
        assert changed.sum() > 50
        assert not (changed & ~near).any()
        assert ill.astype(int).sum() > plain.astype(int).sum()  # a finding lets less through


def test_ground_glass_is_bilateral_and_focal_opacity_is_not():
    def shares(finding):
        share = []
        for person in range(8):
            added = render_phantom(finding, 128, person, 1).astype(int) - render_phantom("Normal", 128, person, 1)
            left = np.abs(added[:, :64]).sum() / np.abs(added).sum()
            share.append(max(left, 1 - left))
        return np.median(share)

    assert shares("Ground-glass") < 0.85 < shares("Focal opacity")


def test_heart_lies_mostly_on_the_viewers_right_and_lungs_are_dark():
    right, left, lung, spine = [], [], [], []
    for person in range(12):
        image = render_phantom("Normal", 64, person, 0) / 255
        left.append(image[38:46, 20:28].mean())
        right.append(image[38:46, 36:44].mean())
        lung.append(np.median(image[lungs_of(person, 64)]))
        spine.append(image[30:50, 30:34].mean())
    assert np.mean(right) > np.mean(left) + 0.05
    assert np.mean(spine) > np.mean(lung) + 0.2


def test_more_images_leave_earlier_ones_unchanged(tmp_path):
    few, more = make(tmp_path / "few", 1), make(tmp_path / "more", 2)
    assert set(few) == {f"{c}/{c}-00001.png" for c in FINDINGS} and len(more) == 8
    assert all(more[name] == content for name, content in few.items())
    assert len(set(more.values())) == 8
    with Image.open(tmp_path / "more" / "Normal" / "Normal-00002.png") as image:
        assert image.mode == "L" and image.size == (32, 32)


def test_seed_decides(tmp_path):
    assert make(tmp_path / "a", 1, seed=1) == make(tmp_path / "b", 1, seed=1)
    assert not set(make(tmp_path / "a", 1, seed=1).values()) & set(make(tmp_path / "c", 1, seed=2).values())


def test_impossible_settings_are_refused(tmp_path):
    settings = json.dumps({"images_per_class": 0, "resolution": 32})
    assert main(["make_phantoms", "--settings", settings, "--seed", "1", "--out", str(tmp_path / "p")]) == 1
    assert not (tmp_path / "p").exists()


@pytest.mark.slow
def test_classes_are_told_apart_better_the_more_images_there_are(tmp_path, lite0):
    """By a plain classifier on ImageNet features, at the quickstart's resolution: above chance, far from perfect."""
    import torch
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    from ganaug.data.images import to_square
    from ganaug.fidelity.extractors import extract, load_extractor

    make(tmp_path, images_per_class=160, seed=2026, resolution=64)
    extractor = load_extractor("tf_efficientnet_lite0", lite0, 64, torch.device("cpu"))
    train, test = ([], []), ([], [])
    for folder in sorted(path for path in tmp_path.iterdir() if path.is_dir()):
        pixels = np.stack([to_square(np.asarray(Image.open(path)), 32) for path in sorted(folder.iterdir())])
        features = extract(extractor, pixels).numpy()
        for (x, y), part in ((train, features[:100]), (test, features[100:])):
            x.append(part)
            y.append([folder.name] * len(part))

    def accuracy(images):
        model = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=1000))
        model.fit(np.concatenate([x[:images] for x in train[0]]), np.concatenate([y[:images] for y in train[1]]))
        return model.score(np.concatenate(test[0]), np.concatenate(test[1]))

    few, many = accuracy(10), accuracy(100)
    assert 0.25 < few < many - 0.08 and many < 0.9

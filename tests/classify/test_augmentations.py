"""Augmentations: what each does to images and labels, and that a user adds one in one place."""

import numpy as np
import pytest
import torch

from ganaug.classify import trainer
from ganaug.classify.affine import affine
from ganaug.classify.augmentations import (
    AUGMENTATIONS,
    Augmentation,
    border,
    classical,
    cutmix,
    mixup,
    randaugment,
    trivialaugment,
)
from helpers.classifiers import image_set, trained

STRENGTHS = {"rotation_degrees": 10, "shift": 0.1, "zoom": 0.1, "brightness": 0.2}
NONE = dict.fromkeys(STRENGTHS, 0)


def test_classical_without_strength_changes_nothing():
    images, labels = torch.rand(3, 1, 24, 24), torch.arange(3)
    made = classical(NONE, 3)(images, labels)
    assert torch.equal(made[0], images) and torch.equal(made[1], labels)


@pytest.mark.parametrize("part", STRENGTHS)
def test_each_part_of_classical_does_something(part):
    images = torch.rand(1, 1, 24, 24)
    torch.manual_seed(1)
    made, _ = classical(NONE | {part: STRENGTHS[part]}, 2)(images, torch.zeros(1))
    assert not torch.equal(made, images)


def test_classical_stays_within_its_strengths():
    torch.manual_seed(1)
    dots, labels = torch.zeros(200, 1, 41, 41), torch.zeros(200)
    dots[:, 0, 20, 20] = 1
    moved, _ = classical(NONE | {"shift": 0.1}, 2)(dots, labels)
    (_, _, rows, columns) = torch.nonzero(moved > 0.5).T
    assert len(rows) == 200
    for places in (rows, columns):
        assert set(places.tolist()) == set(range(16, 25))  # 4.1 pixels either way, and whole ones
    made, _ = classical(NONE | {"brightness": 0.2}, 2)(torch.full((200, 1, 2, 2), 0.5), labels)
    factors = made.mean((1, 2, 3)) / 0.5
    assert 0.8 <= factors.min() < 0.81 and 1.19 < factors.max() <= 1.2
    stretched, _ = classical(NONE | {"zoom": 0.1}, 2)(torch.ones(200, 1, 40, 40), labels)
    sides = stretched.sum((2, 3)).sqrt()  # what is smaller than the image leaves black around
    assert 35.9 < sides.min() < 36.5 and sides.max() == 40


@pytest.mark.parametrize("side", [24, 41])
def test_affine_is_that_of_torchvision_image_by_image(side):
    """With parameters far beyond any study's; the difference is that of sums in another order."""
    from torchvision.transforms import InterpolationMode
    from torchvision.transforms.v2 import functional

    random = torch.Generator().manual_seed(0)
    images = torch.rand(16, 1, side, side, generator=random)
    degrees = (torch.rand(16, generator=random, dtype=torch.float64) - 0.5) * 360
    shift = torch.randint(-9, 10, (2, 16), generator=random).double()
    zoom = torch.rand(16, generator=random, dtype=torch.float64) + 0.5
    made = affine(images, degrees, shift, zoom)
    for i, image in enumerate(images):
        moved = [int(shift[0, i]), int(shift[1, i])]
        options = {"shear": [0.0, 0.0], "interpolation": InterpolationMode.BILINEAR}
        theirs = functional.affine(image, float(degrees[i]), moved, float(zoom[i]), **options)
        torch.testing.assert_close(made[i], theirs, rtol=0, atol=1e-4)


def test_brightness_is_that_of_torchvision():
    from torchvision.transforms.v2 import functional

    images = torch.rand(32, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    torch.manual_seed(4)
    made, _ = classical(NONE | {"brightness": 0.5}, 2)(images, torch.zeros(32))
    factors = (made / images).amax((1, 2, 3))
    theirs = torch.stack([functional.adjust_brightness(x, float(f)) for x, f in zip(images, factors, strict=True)])
    torch.testing.assert_close(made, theirs, rtol=0, atol=1e-6)
    assert made.max() == 1 and factors.min() < 0.6 and factors.max() > 1.4


def test_the_augmentations_that_users_expect_are_there():
    real = ["none", "classical", "randaugment", "trivialaugment", "mixup", "cutmix"]
    assert {name for name, a in AUGMENTATIONS.items() if not a.synthetic} == set(real)
    assert {name for name, a in AUGMENTATIONS.items() if a.synthetic} == {"gan", "gan+classical"}


def test_randaugment_and_trivialaugment_stay_in_range_without_a_flip():
    images = torch.from_numpy(image_set(40, 1, ("a",)).images)[:, None].float() / 255  # bright at the left
    for transform in (randaugment({"operations": 1, "magnitude": 9}), trivialaugment({})):
        torch.manual_seed(0)
        made = torch.stack([transform(image) for image in images])
        assert made.shape == images.shape and made.dtype == torch.float32 and made.min() >= 0 and made.max() <= 1
        changed = (made - images).abs().amax((1, 2, 3)) > 0.01
        assert 0.3 < changed.float().mean() <= 1
        darker_side = (made - made.mean((2, 3), keepdim=True))[:, 0, :, 16:].mean((1, 2)) > 0
        assert darker_side.float().mean() < 0.3  # where light and dark were swapped (invert, solarise), not the sides


@pytest.mark.parametrize("mix", [mixup, cutmix])
def test_mixing_blends_images_and_labels_alike(mix):
    torch.manual_seed(1)
    labels = torch.arange(8) % 4
    images = labels.float()[:, None, None, None].expand(8, 1, 16, 16)  # as bright as their class's number
    made, shares = mix({"alpha": 1.0}, 4)(images.clone(), labels)
    assert shares.shape == (8, 4) and not torch.equal(made, images)
    torch.testing.assert_close(shares.sum(1), torch.ones(8))
    if mix is cutmix:
        assert set(made.unique().tolist()) == {0, 1, 2, 3}
    torch.testing.assert_close(made.mean((1, 2, 3)), shares @ torch.arange(4.0))


def test_shared_labels_are_weighted_as_whole_ones():
    logits, labels = torch.randn(6, 3, generator=torch.Generator().manual_seed(0)), torch.tensor([0, 1, 2, 2, 2, 1])
    weights = torch.tensor([2.0, 1.0, 0.5])
    whole = trainer.weighted_loss(logits, labels, weights)
    shared = trainer.weighted_loss(logits, torch.nn.functional.one_hot(labels, 3).float(), weights)
    torch.testing.assert_close(shared, whole)


def test_the_border_has_nothing_of_the_middle():
    images = np.random.default_rng(1).integers(1, 256, (3, 40, 40), np.uint8)
    kept = border({"border": 0.1})(images)
    assert (kept[:, 4:36, 4:36] == 0).all() and images.min() > 0
    kept[:, 4:36, 4:36] = images[:, 4:36, 4:36]
    np.testing.assert_array_equal(kept, images)


@pytest.mark.parametrize(
    ("name", "chosen"),
    {
        "randaugment": {"operations": 2, "magnitude": 9},
        "trivialaugment": {},
        "mixup": {"alpha": 0.2},
        "cutmix": {"alpha": 1.0},
    }.items(),
)
def test_every_augmentation_trains_and_repeats_itself(lite0, name, chosen):
    first, history = trained(lite0, augmentation=name, augmentation_settings=chosen, epochs=1)
    again, _ = trained(lite0, augmentation=name, augmentation_settings=chosen, epochs=1)
    none, _ = trained(lite0, epochs=1)
    np.testing.assert_array_equal(first, again)
    assert np.isfinite(first).all() and not np.array_equal(first, none) and history["train_loss"].notna().all()


def test_a_user_adds_an_augmentation_in_one_place(lite0, monkeypatch):
    invert = Augmentation(transform=lambda _: lambda image: 1 - image)
    monkeypatch.setitem(AUGMENTATIONS, "invert", invert)
    one, _ = trained(lite0, augmentation="invert")
    other, _ = trained(lite0)
    assert not np.array_equal(one, other)

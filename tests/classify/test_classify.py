"""Augmentations and classifiers: fair, repeatable, and able to learn."""

import itertools
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from ganaug import files
from ganaug.checkpoint import Checkpoints
from ganaug.classify import networks, trainer, training
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
from ganaug.classify.image_sets import ImageSet
from ganaug.cli import main
from ganaug.errors import UserError
from ganaug.stopping import Steps, StopSignal
from helpers.classifiers import BACKBONE, image_set, write_image_sets
from helpers.forks import stage_command

STRENGTHS = {"rotation_degrees": 10, "shift": 0.1, "zoom": 0.1, "brightness": 0.2}
NONE = dict.fromkeys(STRENGTHS, 0)


def settings(**changes):
    base = {"augmentation": "none", "augmentation_settings": {}, "backbone": BACKBONE, "input_size": 32, "epochs": 2}
    base |= {"steps_per_epoch": 3, "batch": 8, "learning_rate": 0.001, "weight_decay": 0.01}
    base |= {"precision": "float32", "tf32": False, "cudnn_benchmark": False}
    return trainer.Settings(**base | changes)


def fit(*arguments):
    """A trainer's model with the best epoch's weights, and the history; without checkpoints."""
    made = trainer.Trainer(*arguments)
    with StopSignal() as stop:
        training.train(made, Checkpoints(Path("nowhere")), 1e9, Steps(stop, made.step, made.state, False))
    history = made.take_best()
    return made.model, history


def trained(lite0, synthetic=None, seed=5, **changes):
    """Test probabilities and history of a small training."""
    torch.use_deterministic_algorithms(True)
    model = networks.pretrained(BACKBONE, lite0, 2, seed)
    chosen = settings(**changes)
    model, history = fit(model, image_set(20, 1), image_set(10, 2), synthetic, chosen, seed)
    return networks.probabilities(model, image_set(30, 3), chosen.input_size), history


# --- augmentations --------------------------------------------------------------------------------------------------


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


# --- fairness -------------------------------------------------------------------------------------------------------


def test_an_augmentation_that_does_nothing_gives_the_predictions_of_none(lite0):
    none, history = trained(lite0)
    nothing, again = trained(lite0, augmentation="classical", augmentation_settings=NONE)
    np.testing.assert_array_equal(none, nothing)
    assert history.equals(again)


def test_an_empty_synthetic_set_gives_the_predictions_of_none(lite0):
    none, _ = trained(lite0)
    empty = ImageSet(np.empty((0, 32, 32), np.uint8), np.empty(0, np.int64), ("a", "b"), ())
    nothing, _ = trained(lite0, augmentation="gan", synthetic=empty)
    np.testing.assert_array_equal(none, nothing)


def test_synthetic_images_are_trained_on_but_buy_no_steps(lite0):
    none, history = trained(lite0, steps_per_epoch=None)
    gan, other = trained(lite0, augmentation="gan", synthetic=image_set(40, 9), steps_per_epoch=None)
    assert list(history["step"]) == list(other["step"]) == [3, 6]  # 20 real images in batches of 8, twice
    assert list(history["learning_rate"]) == list(other["learning_rate"])
    assert not np.array_equal(none, gan)


def test_synthetic_images_alone_have_the_same_budget(lite0):
    """With the real images as the synthetic ones, training on these alone is training on the real ones."""
    none, history = trained(lite0)
    alone, again = trained(lite0, augmentation="synthetic-only", synthetic=image_set(20, 1))
    np.testing.assert_array_equal(none, alone)
    assert history.equals(again)
    other, _ = trained(lite0, augmentation="synthetic-only", synthetic=image_set(20, 9))
    assert not np.array_equal(none, other)


def test_the_border_has_nothing_of_the_middle():
    images = np.random.default_rng(1).integers(1, 256, (3, 40, 40), np.uint8)
    kept = border({"border": 0.1})(images)
    assert (kept[:, 4:36, 4:36] == 0).all() and images.min() > 0
    kept[:, 4:36, 4:36] = images[:, 4:36, 4:36]
    np.testing.assert_array_equal(kept, images)


def stage(folder, lite0, augmentation, tested=30, **more):
    """Runs train_classifier on sets whose only difference between classes lies in the middle."""
    chosen = settings(augmentation=augmentation, input_size=64, **more).__dict__
    predictions = folder / f"{augmentation}.csv"
    options = write_image_sets(folder, train=24, validation=12, test=tested)
    options |= {"weights": lite0, "settings": json.dumps(chosen), "seed": 5, "checkpoints": folder / "c"}
    options |= {"model": folder / "model.safetensors", "history": folder / "history.csv", "predictions": predictions}
    assert main(stage_command("train_classifier", options)) == 0
    return pd.read_csv(predictions)


def test_a_classifier_of_the_border_never_sees_the_middle(lite0, tmp_path):
    chosen = {"augmentation_settings": {"border": 0.1}}
    first = stage(tmp_path, lite0, "border-only", **chosen)
    images = np.load(tmp_path / "test.npy")
    images[:, 3:29, 3:29] = 255 - images[:, 3:29, 3:29]
    files.write_array(tmp_path / "other.npy", images)
    model, classes, size = networks.load(tmp_path / "model.safetensors")
    masked = ImageSet(border({"border": 0.1})(images), np.zeros(30, int), classes, tuple(first["image"]))
    found = networks.probabilities(model, masked, size)
    np.testing.assert_allclose(found[:, 0], first["probability_a"], atol=1e-6)


@pytest.mark.usefixtures("no_network")
def test_a_saved_classifier_scores_another_set(lite0, tmp_path, capsys):
    first = stage(tmp_path, lite0, "none")
    command = ["score_images", "--model", tmp_path / "model.safetensors", "--images", tmp_path / "test.npy"]
    command += ["--predictions", tmp_path / "again.csv", "--table"]
    assert main([*map(str, command), str(tmp_path / "test.csv")]) == 0
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "again.csv"), first)
    table = pd.read_csv(tmp_path / "test.csv")
    files.write_csv(tmp_path / "one.csv", table.assign(**{"class": "b", "label": 0}))  # a set without class a
    assert main([*map(str, command), str(tmp_path / "one.csv")]) == 0
    again = pd.read_csv(tmp_path / "again.csv")
    assert (again["label"] == "b").all() and list(again["probability_a"]) == list(first["probability_a"])
    files.write_csv(tmp_path / "one.csv", table.assign(**{"class": "c"}))
    assert main([*map(str, command), str(tmp_path / "one.csv")]) == 1
    assert "does not know the class 'c'; it knows a, b" in capsys.readouterr().err


def test_seeds_decide_the_bytes(lite0):
    first, _ = trained(lite0)
    again, _ = trained(lite0)
    other, _ = trained(lite0, seed=6)
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_batches_pass_over_all_images_in_changing_order():
    batches = trainer.batch_indices(10, 4, seed=1)
    drawn = np.concatenate([next(batches) for _ in range(5)])
    assert sorted(drawn[:10]) == sorted(drawn[10:]) == list(range(10))
    assert list(drawn[:10]) != list(drawn[10:])


def test_learning_rate_rises_then_falls():
    factors = [trainer.learning_rate_factor(step, 50) for step in range(50)]
    assert factors[0] == pytest.approx(0.2) and factors[4] == 1 and max(factors) == 1
    assert all(a > b for a, b in itertools.pairwise(factors[4:]))
    assert 0 < factors[-1] < 0.01


def test_classes_weigh_alike_in_an_unbalanced_set(lite0, monkeypatch):
    seen = []
    monkeypatch.setattr(
        trainer, "cross_entropy", lambda out, labels, weight: seen.append(weight) or (out.sum() * 0 + weight.sum())
    )
    real = image_set(12, 1)
    labels = np.array([0] * 9 + [1] * 3)
    model = networks.pretrained(BACKBONE, lite0, 2, 1)
    fit(model, ImageSet(real.images, labels, real.classes, real.names), real, None, settings(), 1)
    np.testing.assert_allclose(seen[0], [12 / (2 * 9), 12 / (2 * 3)])


# --- learning and selection -----------------------------------------------------------------------------------------


@pytest.mark.slow
def test_it_learns(lite0):
    probability, history = trained(lite0, input_size=64, epochs=8, steps_per_epoch=10, learning_rate=0.003)
    assert (probability.argmax(1) == image_set(30, 3).labels).mean() > 0.9
    assert history["train_loss"].iloc[-1] < history["train_loss"].iloc[0]


def test_the_epoch_with_the_lowest_validation_loss_is_kept(lite0, monkeypatch):
    losses = iter([0.7, 0.2, 0.9])
    states = []

    def validate(self):
        states.append({name: tensor.clone() for name, tensor in self.model.state_dict().items()})
        return {"validation_loss": next(losses), "validation_balanced_accuracy": 0.5}

    monkeypatch.setattr(trainer.Trainer, "validate", validate)
    model = networks.pretrained(BACKBONE, lite0, 2, 1)
    model, history = fit(model, image_set(20, 1), image_set(10, 2), None, settings(epochs=3), 1)
    assert list(history["selected"]) == [False, True, False]
    assert all(torch.equal(tensor, states[1][name]) for name, tensor in model.state_dict().items())


def test_a_diverging_training_stops_with_advice(lite0):
    with pytest.raises(UserError, match=r"loss.*lower classifier\.learning_rate"):
        trained(lite0, learning_rate=1e18, epochs=4)


def test_losses_looked_at_late_stop_a_training_before_its_state_is_kept(lite0, monkeypatch):
    """As on a GPU, where a look at each would keep it waiting."""
    monkeypatch.setitem(trainer.LOOKS, "cpu", 16)
    made = new_trainer(lite0, steps_per_epoch=5)
    first = [made.step(), made.step(), made.step()]
    assert first[0] == first[1] == first[2]  # the newest that is known
    made.check_finite()
    assert made.loss != first[0]
    with torch.no_grad():
        next(made.model.parameters()).fill_(torch.nan)
    made.step()
    with pytest.raises(UserError, match=r"training loss is nan at step 4; lower classifier\.learning_rate"):
        made.check_finite()
    with pytest.raises(UserError, match="training loss is nan at step 4"):
        made.step()  # the last of the epoch


def test_losses_looked_at_late_change_nothing(lite0, monkeypatch):
    first, history = trained(lite0)
    monkeypatch.setitem(trainer.LOOKS, "cpu", 16)
    again, late = trained(lite0)
    np.testing.assert_array_equal(first, again)
    assert history.equals(late)


@pytest.mark.parametrize("stage", ["train_classifier", "score_images"])
def test_16_bits_are_refused_on_a_cpu(lite0, tmp_path, capsys, stage):
    arithmetic = {"precision": "bfloat16", "tf32": False, "cudnn_benchmark": False}
    options = write_image_sets(tmp_path, train=8, validation=8, test=8)
    if stage == "train_classifier":
        options |= {"weights": lite0, "settings": json.dumps(settings(**arithmetic).__dict__), "seed": 1}
        options |= {name: tmp_path / name for name in ("model", "history", "predictions", "checkpoints")}
    else:
        networks.save(tmp_path / "model", networks.pretrained(BACKBONE, lite0, 2, 1), BACKBONE, ("a", "b"), 32)
        options = {"model": tmp_path / "model", "images": options["test-images"], "table": options["test-table"]}
        options |= {"settings": json.dumps(arithmetic), "predictions": tmp_path / "predictions"}
    assert main(stage_command(stage, options | {"device": "cpu"})) == 1
    assert "classifier.precision: bfloat16 is for GPUs" in capsys.readouterr().err


def test_16_bits_train_and_score_near_32(lite0):
    first, history = trained(lite0)
    half, other = trained(lite0, precision="bfloat16")
    assert other["train_loss"].tolist() != history["train_loss"].tolist()
    np.testing.assert_allclose(half, first, atol=0.1)
    assert len(np.unique(half)) > 50  # logits are float32: hardly two images share a probability
    made = new_trainer(lite0, precision="bfloat16")
    made.step()
    assert {value.dtype for value in made.model.parameters()} == {torch.float32}


def new_trainer(lite0, **changes):
    model = networks.pretrained(BACKBONE, lite0, 2, 1)
    return trainer.Trainer(model, image_set(20, 1), image_set(10, 2), None, settings(**changes), 1)


# --- the network ----------------------------------------------------------------------------------------------------


def test_one_grey_channel_sees_what_three_would(lite0):
    import timm

    grey = networks.pretrained(BACKBONE, lite0, 2, 1).eval()
    colour = timm.create_model(BACKBONE, pretrained=True, pretrained_cfg_overlay={"file": str(lite0)}).eval()
    image = networks.network_input(grey, torch.rand(2, 1, 64, 64))
    assert grey.pretrained_cfg["mean"] == (0.5, 0.5, 0.5) and grey.pretrained_cfg["std"] == (0.5, 0.5, 0.5)
    torch.testing.assert_close(
        networks.network_input(grey, torch.tensor([[[[0.0, 0.5, 1.0]]]])).flatten(), torch.tensor([-1.0, 0, 1])
    )
    with torch.inference_mode():
        torch.testing.assert_close(
            grey.forward_features(image), colour.forward_features(image.expand(-1, 3, -1, -1)), rtol=1e-4, atol=1e-4
        )


def test_wrong_weights_are_refused(lite0):
    with pytest.raises(UserError, match="not the weights of timm's resnet18"):
        networks.pretrained("resnet18", lite0, 2, 1)


def test_predictions_are_names_and_probabilities():
    images = image_set(3, 1, classes=("Viral Pneumonia", "NA"))
    table = networks.predictions(images, np.array([[0.9, 0.1], [0.2, 0.8], [0.4, 0.6]]))
    assert list(table.columns) == ["image", "label", "predicted", "probability_Viral Pneumonia", "probability_NA"]
    assert list(table["label"]) == ["Viral Pneumonia", "NA", "Viral Pneumonia"]
    assert list(table["predicted"]) == ["Viral Pneumonia", "NA", "NA"]

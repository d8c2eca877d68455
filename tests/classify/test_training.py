"""Training of a classifier: order of images, learning rate, choice of the epoch, lost numbers, arithmetic."""

import itertools
import json

import numpy as np
import pytest
import torch

from ganaug.classify import networks, trainer
from ganaug.cli import main
from ganaug.errors import UserError
from helpers.classifiers import BACKBONE, fit, image_set, new_trainer, settings, trained, write_image_sets
from helpers.forks import stage_command


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

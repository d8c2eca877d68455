"""Trainings that are killed, stopped, run out of memory or lose their numbers: what they leave, and how they go on."""

import json
import os
import re
import signal
import time
from pathlib import Path

import pytest
import torch

from ganaug import stopping
from ganaug.checkpoint import Checkpoints
from ganaug.classify import networks, trainer
from ganaug.classify import training as classifier_stage
from ganaug.cli import main
from ganaug.errors import NotFinite
from ganaug.imports import files_of_stage
from ganaug.stopping import Steps, Stopped, StopSignal
from ganaug.stylegan2 import training as gan_stage
from helpers.classifiers import BACKBONE, image_set, write_image_sets
from helpers.forks import end, stage_command, start
from helpers.running import ROOT
from helpers.trainings import contents, train_command
from helpers.waiting import says, until

CELL = ("model.safetensors", "history.csv", "predictions.csv")
SETTINGS = {
    **{"augmentation": "classical", "backbone": BACKBONE, "input_size": 32, "epochs": 3, "steps_per_epoch": 4},
    "augmentation_settings": {"rotation_degrees": 10, "shift": 0.1, "zoom": 0.1, "brightness": 0.2},
    **{"batch": 8, "learning_rate": 0.001, "weight_decay": 0.01},
    **{"precision": "float32", "tf32": False, "cudnn_benchmark": False},
}


@pytest.fixture(scope="module")
def cell_inputs(lite0, tmp_path_factory):
    """Options of train_classifier for its inputs. Validation and test set are large enough to be caught at work."""
    sets = write_image_sets(tmp_path_factory.mktemp("cell"), train=24, validation=400, test=400)
    return {"weights": lite0} | sets


def cell_command(cell_inputs, out, checkpoint_seconds=1e9, **changes):
    out.mkdir(exist_ok=True)
    options = cell_inputs | {"settings": json.dumps(SETTINGS | changes), "seed": 3, "device": "cpu", "log": out / "log"}
    options |= {"model": out / CELL[0], "history": out / CELL[1], "predictions": out / CELL[2]}
    options |= {"checkpoints": out / "checkpoints", "checkpoint-seconds": checkpoint_seconds}
    return stage_command("train_classifier", options)


def results(out):
    return {name: (out / name).read_bytes() for name in CELL}


def newest(folder):
    (path,) = folder.glob("*/")
    return Checkpoints(path).load_newest(10**9)


@pytest.mark.slow
def test_a_classifier_killed_again_and_again_ends_with_the_same_bytes(cell_inputs, tmp_path, rng, survived):
    assert main(cell_command(cell_inputs, tmp_path / "whole")) == 0
    assert not (tmp_path / "whole/checkpoints").exists()  # too short to pay for one
    command = cell_command(cell_inputs, tmp_path / "out", checkpoint_seconds=0)
    steps = (2, 8)  # in an epoch, and at an end with best weights of an earlier one
    for step in steps:
        child = start(command)
        until(lambda step=step: any(int(p.stem) >= step for p in tmp_path.glob("out/checkpoints/*/[0-9]*.pt")), child)
        time.sleep(rng.uniform(0, 0.05))
        assert end(child, signal.SIGKILL) == -signal.SIGKILL
        assert not any((tmp_path / "out" / name).exists() for name in CELL)
    assert main(command) == 0
    assert "resuming at step " in (tmp_path / "out/log").read_text()
    assert results(tmp_path / "out") == results(tmp_path / "whole")
    assert not (tmp_path / "out/checkpoints").exists()  # of no further use
    survived("SIGKILL of a classifier's training", len(steps))


def test_a_classifier_that_is_stopped_saves_its_state_whatever_it_is_doing(cell_inputs, tmp_path, survived):
    one_step = {"epochs": 1, "steps_per_epoch": 1}
    assert main(cell_command(cell_inputs, tmp_path / "whole", **one_step)) == 0
    out, command = tmp_path / "out", cell_command(cell_inputs, tmp_path / "out", **one_step)
    child = start(command)
    until(says(out / "log", "$ python"), child)  # nothing to save yet
    assert end(child, signal.SIGTERM) == 1 and not (out / "checkpoints").exists()

    child = start(command)
    until(says(out / "log", "training: 1 of 1 steps"), child)  # validating
    assert end(child, signal.SIGTERM) == 1
    log = (out / "log").read_text()
    assert "stopped by a signal at step 1; its state is in" in log and "the same command goes on" in log
    assert newest(out / "checkpoints")["rows"] == []  # it did not wait for the validation's end

    child = start(command)
    until(says(out / "log", "scoring 400 test images"), child)
    assert end(child, signal.SIGINT) == 1
    log = (out / "log").read_text()
    assert "resuming at step 1" in log and "stopped by a signal at step 1" in log
    assert not any((out / name).exists() for name in CELL)

    assert main(command) == 0
    assert results(out) == results(tmp_path / "whole")
    survived("SIGTERM or SIGINT to a training", 3)


def test_a_gan_that_is_stopped_in_a_snapshot_saves_its_state(gan_inputs, tmp_path, survived):
    changes = {"kimg": 0.008, "snapshot_kimg": 0.008, "snapshot_images": 6000, "checkpoint_seconds": 1e9}
    assert main(train_command(gan_inputs, tmp_path / "whole", tmp_path / "whole/c", **changes)) == 0
    out, command = tmp_path / "out", train_command(gan_inputs, tmp_path / "out", tmp_path / "c", **changes)
    child = start(command)
    until(says(out / "log.txt", "GAN training: 8 of 8 images"), child)
    assert end(child, signal.SIGTERM) == 1
    assert "stopped by a signal at 0.008 kimg" in (out / "log.txt").read_text()
    assert [s["kimg"] for s in newest(tmp_path / "c")["snapshots"]] == [0]
    assert main(command) == 0
    assert contents(out) == contents(tmp_path / "whole")
    survived("SIGTERM or SIGINT to a training")


@pytest.mark.slow
@pytest.mark.parametrize("stage", ["train_gan", "train_classifier"])
def test_a_long_step_is_broken_off_and_the_state_before_it_saved(
    gan_inputs, cell_inputs, tmp_path, monkeypatch, stage, survived
):
    """Here a step has next to no time to end after the signal."""
    monkeypatch.setattr(stopping, "PATIENCE", 0.01)
    if stage == "train_gan":
        changes = {"kimg": 0.512, "batch": 512, "checkpoint_seconds": 1e9}
        command, whole = (train_command(gan_inputs, tmp_path / name, tmp_path / name / "c", **changes) for name in "ab")
        found, log, marker = contents, tmp_path / "a/log.txt", "training on"
    else:
        changes = {"epochs": 1, "steps_per_epoch": 1, "batch": 64, "input_size": 64}
        command, whole = (cell_command(cell_inputs, tmp_path / name, **changes) for name in "ab")
        found, log, marker = results, tmp_path / "a/log", "training for"
    child = start(command)
    until(says(log, marker), child)
    assert end(child, signal.SIGTERM) == 1
    assert "stopped by a signal at step 0;" in log.read_text() or "stopped by a signal at 0 kimg;" in log.read_text()
    assert main(command) == 0 and "resuming at" in log.read_text()
    assert main(whole) == 0
    assert found(tmp_path / "a") == found(tmp_path / "b")
    survived("SIGTERM or SIGINT to a training")


@pytest.mark.parametrize("profile", ["slurm", "slurm-gres"])
def test_a_training_is_given_longer_notice_than_it_takes_to_save(profile):
    text = (ROOT / "profiles" / profile / "config.yaml").read_text()
    notices = [int(seconds) for seconds in re.findall(r"--signal=(?:B:)?TERM@(\d+)", text)]
    assert notices and min(notices) > 10 * (stopping.LONG + stopping.PATIENCE)


def test_a_signal_is_heard_within_a_backward_pass():
    """Which is one call into PyTorch, and with a large network on a CPU takes many seconds."""
    layers = [torch.nn.Linear(1024, 1024) for _ in range(40)]
    stopping.hear_signals_in_backward(layer.weight for layer in layers)
    loss = torch.nn.Sequential(*layers)(torch.ones(512, 1024)).sum()
    layers[20].weight.register_post_accumulate_grad_hook(lambda _: os.kill(os.getpid(), signal.SIGTERM))
    with StopSignal() as stop, pytest.raises(Stopped), stop.at_once():
        loss.backward()
    assert layers[39].weight.grad is not None and layers[0].weight.grad is None


def test_a_classifier_that_loses_its_numbers_names_the_last_good_checkpoint(cell_inputs, tmp_path, capsys):
    command = cell_command(cell_inputs, tmp_path / "out", checkpoint_seconds=0, learning_rate=1e18)
    assert main(command) == 1
    said = capsys.readouterr().err
    assert "loss is nan at step 2; lower classifier.learning_rate; the last good checkpoint is" in said
    assert "/000000000001.pt" in said and newest(tmp_path / "out/checkpoints")["done"] == 1
    assert not any((tmp_path / "out" / name).exists() for name in CELL)
    assert main(cell_command(cell_inputs, tmp_path / "out", **{"epochs": 1, "steps_per_epoch": 1})) == 0
    assert "resuming" not in (tmp_path / "out/log").read_text()  # another learning rate is another training


def test_a_classifiers_weights_that_are_not_finite_are_not_saved(lite0, tmp_path, monkeypatch):
    step = trainer.Trainer.step

    def poisoned(self):
        loss = step(self)
        if self.done == 3:
            with torch.no_grad():
                next(self.model.parameters()).flatten()[0] = torch.nan
        return loss

    monkeypatch.setattr(trainer.Trainer, "step", poisoned)
    model = networks.pretrained(BACKBONE, lite0, 2, 1)
    settings = trainer.Settings(**SETTINGS)
    made = trainer.Trainer(model, image_set(20, 1), image_set(10, 2), None, settings, 1)
    with StopSignal() as stop, pytest.raises(NotFinite, match="weights are not finite at step 3"):
        classifier_stage.train(made, Checkpoints(tmp_path), 0, Steps(stop, made.step, made.state, False))
    assert Checkpoints(tmp_path).load_newest(100)["done"] == 2


@pytest.mark.parametrize("stage", ["train_gan", "train_classifier"])
def test_a_lack_of_memory_says_which_setting_to_lower(gan_inputs, cell_inputs, tmp_path, stage):
    if stage == "train_gan":
        command = train_command(gan_inputs, tmp_path, tmp_path / "c", batch=400_000)
    else:
        plain = {"augmentation": "none", "augmentation_settings": {}, "input_size": 128}
        command = cell_command(cell_inputs, tmp_path, batch=10_000, **plain)
    assert end(start(command, memory=400 * 2**20)) == 1
    log = (tmp_path / ("log.txt" if stage == "train_gan" else "log")).read_text()
    assert f"{stage}: memory ran out; lower {stage.removeprefix('train_')}.batch" in log and "Traceback" not in log


@pytest.mark.parametrize(("stage", "module"), [("train_gan", gan_stage), ("train_classifier", classifier_stage)])
def test_checkpoints_are_of_the_code_that_decides_what_is_in_them(stage, module):
    """Else a change of that code would be mixed with what was trained before. The rest decides no number."""
    others = {"checkpoint.py", "device.py", "errors.py", "files.py", "gpu_choice.py", "progress.py", "stopping.py"}
    read = {path for path in files_of_stage(stage) if path.name not in others}
    assert read <= module.SOURCES and Path(trainer.__file__).parent.parent / "seeding.py" in read

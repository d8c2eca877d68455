"""Official pickles are read without running them, and start a training."""

import json
import logging
import os
import pickle
import re
import sys
import types

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file, save_file

from ganaug.cli import main
from ganaug.errors import UserError
from ganaug.seeding import derive_seed
from ganaug.stylegan2 import trial
from ganaug.stylegan2.data import to_uint8
from ganaug.stylegan2.discriminator import Discriminator
from ganaug.stylegan2.generator import Architecture, Generator
from ganaug.stylegan2.official import read_pickle
from ganaug.stylegan2.transfer import start_from
from helpers.trainings import train_command

SOURCE = "raise SystemExit('the embedded source was run')"
GREY = Architecture(16, 1, 4, 8, 2, 128, 8)
COLOUR = Architecture(16, 3, 0, 8, 2, 128, 8)  # as FFHQ: colour, no classes


class Persistent:
    """Pickles a module as the reference does: by a function's name, with its source and its state."""

    def __init__(self, module):
        self.module = module

    def __reduce__(self):
        state = dict(vars(self.module))
        state["_modules"] = {name: Persistent(child) for name, child in self.module._modules.items()}
        state["_init_kwargs"] = sys.modules["dnnlib.util"].EasyDict(z_dim=8)
        meta = {"type": "class", "version": 6, "module_src": SOURCE, "class_name": "Generator", "state": state}
        return sys.modules["torch_utils.persistence"]._reconstruct_persistent_obj, (meta,)


@pytest.fixture
def official(monkeypatch):
    """A function that writes networks as the reference does; its modules are there only while it writes."""

    def reconstruct(meta):
        raise AssertionError("the reference's own function was called")

    class EasyDict(dict):
        pass

    def write(path, **networks):
        with monkeypatch.context() as patch:
            for name, content in (
                ("torch_utils.persistence", {"_reconstruct_persistent_obj": reconstruct}),
                ("dnnlib.util", {"EasyDict": EasyDict}),
            ):
                module = types.ModuleType(name)
                for key, value in content.items():
                    value.__module__, value.__qualname__ = name, key
                    setattr(module, key, value)
                patch.setitem(sys.modules, name.partition(".")[0], types.ModuleType(name.partition(".")[0]))
                patch.setitem(sys.modules, name, module)
            snapshot = {name: Persistent(network) for name, network in networks.items()}
            snapshot |= {"training_set_kwargs": EasyDict(path="x.zip"), "augment_pipe": None, "seed": np.float64(1)}
            path.write_bytes(pickle.dumps(snapshot))
        return path

    return write


def pair(architecture, seed):
    torch.manual_seed(seed)
    return Generator(architecture), Discriminator(architecture)


def test_every_tensor_of_an_official_pickle_is_read(official, tmp_path):
    (g, d), (average, _) = pair(GREY, 1), pair(GREY, 2)
    found = read_pickle(official(tmp_path / "n.pkl", G=g, D=d, G_ema=average))
    expected = {f"{n}.{k}": v for n, m in (("G", g), ("D", d), ("G_ema", average)) for k, v in m.state_dict().items()}
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], expected[name]) for name in found)


def test_state_dicts_load_and_save_back_without_loss(official, tmp_path):
    g, d = pair(GREY, 1)
    source = official(tmp_path / "n.pkl", G=g, D=d, G_ema=g)
    assert main(["convert_stylegan2", "--pickle", str(source), "--weights", str(tmp_path / "w.safetensors")]) == 0
    saved = load_file(tmp_path / "w.safetensors")
    for name, network, fresh in zip(("G", "D"), (g, d), pair(GREY, 9), strict=True):
        fresh.load_state_dict({k.removeprefix(f"{name}."): v for k, v in saved.items() if k.startswith(f"{name}.")})
        assert all(torch.equal(saved[f"{name}.{k}"], v) for k, v in network.state_dict().items())


class Touch:
    """Makes a file when it is unpickled."""

    def __reduce__(self):
        return os.mkdir, ("trap-was-sprung",)


class TouchInState:
    def __init__(self):
        self.trap = Touch()


@pytest.mark.parametrize("trap", [Touch(), TouchInState(), {"G": Touch()}, [Touch()]], ids=type)
def test_nothing_in_a_pickle_is_run(trap, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "evil.pkl").write_bytes(pickle.dumps(trap))
    with pytest.raises(UserError, match=r"evil\.pkl"):
        read_pickle(tmp_path / "evil.pkl")
    assert not (tmp_path / "trap-was-sprung").exists()


def test_a_trap_beside_the_networks_is_inert(official, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    g, d = pair(GREY, 1)
    g.trap = Touch()
    assert "G.mapping.fc0.weight" in read_pickle(official(tmp_path / "n.pkl", G=g, D=d))
    assert not (tmp_path / "trap-was-sprung").exists()


@pytest.mark.parametrize("content", [b"", b"not a pickle", pickle.dumps(1)[:-1], pickle.dumps({"a": 1})])
def test_what_is_no_network_pickle_is_refused(content, tmp_path):
    (tmp_path / "n.pkl").write_bytes(content)
    with pytest.raises(UserError, match=r"n\.pkl"):
        read_pickle(tmp_path / "n.pkl")


@pytest.fixture
def ffhq_like(official, tmp_path):
    """Weights of colour networks without classes, as a file for init_from, and the networks."""
    g, d = pair(COLOUR, 1)
    source = official(tmp_path / "n.pkl", G=g, D=d, G_ema=g)
    assert main(["convert_stylegan2", "--pickle", str(source), "--weights", str(tmp_path / "w.safetensors")]) == 0
    return tmp_path / "w.safetensors", g.eval(), d.eval()


def test_colour_becomes_grey(ffhq_like):
    """A grey generator gives the mean of the colours, a grey discriminator judges as if all three were alike."""
    path, g, d = ffhq_like
    grey_g, grey_d = pair(Architecture(16, 1, 0, 8, 2, 128, 8), 5)
    start_from(path, {"G": grey_g, "D": grey_d})
    z, c = torch.randn(4, 8), torch.zeros(4, 0)
    torch.testing.assert_close(grey_g(z, c), g(z, c).mean(1, keepdim=True))
    x = torch.randn(4, 1, 16, 16)
    torch.testing.assert_close(grey_d(x, c), d(x.expand(-1, 3, -1, -1), c))


def test_a_class_embedding_is_left_fresh_and_the_latents_path_kept(ffhq_like, caplog):
    path, g, _ = ffhq_like
    caplog.set_level(logging.INFO, "ganaug")
    (ours, _) = pair(GREY, 5)
    start_from(path, {"G": ours})
    assert "left fresh: G.mapping.embed.weight" in caplog.text
    z = torch.randn(4, 8)
    c = torch.nn.functional.one_hot(torch.arange(4), 4).float()
    torch.testing.assert_close(ours.mapping(z, c), g.mapping(z, torch.zeros(4, 0)))


def test_another_resolution_shares_the_lower_blocks(ffhq_like, caplog):
    path, g, _ = ffhq_like
    caplog.set_level(logging.INFO, "ganaug")
    (larger, _) = pair(Architecture(32, 3, 0, 8, 2, 128, 8), 5)
    start_from(path, {"G": larger})
    assert torch.equal(larger.synthesis.b16.conv1.weight, g.synthesis.b16.conv1.weight)
    assert "G.synthesis.b32.conv0.weight" in caplog.text and "G.synthesis.b16.conv0.weight" not in caplog.text


def test_networks_of_other_widths_are_an_error(ffhq_like):
    path, _, _ = ffhq_like
    g, d = pair(Architecture(16, 1, 0, 12, 2, 64, 4), 1)  # filters and noise have the same shapes in all networks
    for networks in ({"G": g}, {"D": d}):
        with pytest.raises(UserError, match=rf"gan\.init_from: no weight of {next(iter(networks))} in .* fits"):
            start_from(path, networks)


def test_a_part_of_a_mapping_is_not_taken_for_the_whole(official, tmp_path):
    deep, _ = pair(Architecture(16, 3, 0, 8, 8, 128, 8), 1)
    source = official(tmp_path / "deep.pkl", G=deep, G_ema=deep)
    assert main(["convert_stylegan2", "--pickle", str(source), "--weights", str(tmp_path / "w.safetensors")]) == 0
    with pytest.raises(UserError, match=r"has 8 mapping layers, the study 2; write gan\.mapping_layers: 8"):
        start_from(tmp_path / "w.safetensors", {"G": pair(COLOUR, 5)[0]})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({}, None),
        ({"resolution": 32, "channel_base": 256}, None),
        ({"mapping_layers": 8}, r"write gan\.mapping_layers: 2"),
        ({"latent": 12, "channel_base": 64, "channel_max": 4}, "no weight of G in .* fits this study's"),
    ],
)
def test_weights_to_start_from_are_tried_before_any_training(change, message, ffhq_like, tmp_path, capsys):
    asked = {"resolution": 16, "classes": 4, "latent": 8, "mapping_layers": 2, "channel_base": 128, "channel_max": 8}
    command = ["check_init_from", "--settings", json.dumps(asked | change), "--init-from", str(ffhq_like[0])]
    assert main([*command, "--report", str(tmp_path / "check.json")]) == (1 if message else 0)
    assert (tmp_path / "check.json").exists() == (message is None)
    assert message is None or re.search(f"gan\\.init_from: .*{message}", capsys.readouterr().err)


def test_weights_to_start_from_that_are_no_numbers_are_told(ffhq_like, tmp_path):
    state = load_file(ffhq_like[0])
    state["G_ema.synthesis.b8.conv0.weight"][0] = torch.nan
    save_file(state, tmp_path / "broken.safetensors")
    with pytest.raises(UserError, match=r"gan\.init_from: G_ema of .* gives no finite numbers at 16 pixels"):
        trial.check(trial.Settings(16, 4, 8, 2, 128, 8), tmp_path / "broken.safetensors")


def test_the_converter_tells_which_settings_fit(official, tmp_path, capsys):
    architecture = Architecture(32, 3, 0, 8, 3, 128, 16)
    g, _ = pair(architecture, 1)
    source = official(tmp_path / "n.pkl", G=g, G_ema=g)
    assert main(["convert_stylegan2", "--pickle", str(source), "--weights", str(tmp_path / "w.safetensors")]) == 0
    told = "data.resolution: 32, gan.channel_base: 128, gan.channel_max: 16, gan.latent: 8, gan.mapping_layers: 3"
    assert told in capsys.readouterr().err


def test_what_has_no_place_is_named(ffhq_like, caplog):
    path, _, _ = ffhq_like
    caplog.set_level(logging.INFO, "ganaug")
    start_from(path, {"G": pair(Architecture(8, 3, 0, 8, 2, 64, 8), 5)[0]})
    assert "without a place here: G.synthesis.b16.conv0.affine.bias" in caplog.text and "D." not in caplog.text


def test_a_training_starts_from_the_weights(ffhq_like, tmp_path):
    """Shown by its first snapshot, which is of the given generator's moving average."""
    path, g, _ = ffhq_like
    np.save(tmp_path / "train.npy", np.random.default_rng(0).integers(0, 256, (16, 16, 16), np.uint8))
    pd.DataFrame({"class": ["a"] * 16, "label": 0}).to_csv(tmp_path / "train.csv", index=False)
    command = train_command(tmp_path, tmp_path, tmp_path / "checkpoints", channel_base=128, kimg=0.008)
    assert main([*command, "--init-from", str(path)]) == 0
    z = torch.randn(5, 8, generator=torch.Generator().manual_seed(derive_seed(1, "snapshots")))
    with torch.no_grad():
        expected = to_uint8(g(z, torch.zeros(5, 0)).mean(1, keepdim=True))
    first, last = (np.load(tmp_path / "snapshots.npy")[i] for i in (0, -1))
    # The moving average is not thrown away by a ramp-up: one step later it is nearly the same.
    assert np.abs(last.astype(int) - first).mean() < 2
    assert pd.read_csv(tmp_path / "training.csv")["kimg"].iloc[-1] == 0.008
    assert np.abs(first.astype(int) - np.asarray(expected).reshape(first.shape)).max() <= 1

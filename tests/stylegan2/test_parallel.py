"""A training shared by two processes, started by torchrun, against the same training in one."""

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from ganaug.cli import main
from ganaug.errors import UserError
from ganaug.files import read_csv
from ganaug.stylegan2.discriminator import minibatch_deviation
from ganaug.stylegan2.parallel import Part
from helpers.trainings import OUTPUTS, TORCHRUN, start_process, train_command, trainer


@pytest.mark.slow
def test_two_processes_give_the_result_of_one(gan_inputs, tmp_path):
    changes = {"kimg": 0.2, "batch": 16, "ada_kimg": 0.2, "ada_target": -1.0}  # p rises all the way
    assert main(train_command(gan_inputs, tmp_path / "one", tmp_path / "one" / "c", **changes)) == 0
    command = train_command(gan_inputs, tmp_path / "two", tmp_path / "two" / "c", **changes)
    assert start_process(command, TORCHRUN).wait(1500) == 0
    one, two = (read_csv(tmp_path / name / OUTPUTS[1]) for name in ("one", "two"))
    assert one["ada_p"].max() > 0.1  # augmented, so the draws of the other half count
    np.testing.assert_allclose(two, one, rtol=2e-3, atol=1e-4)
    first, second = (load_file(tmp_path / name / OUTPUTS[0]) for name in ("one", "two"))
    for name, tensor in first.items():
        torch.testing.assert_close(second[name], tensor, rtol=1e-2, atol=1e-3, msg=name)
    log = (tmp_path / "two" / "log.txt").read_text()
    assert log.count("train_gan done") == 1
    assert len(list((tmp_path / "two" / "c").glob("*/*.pt"))) == 2

    command = train_command(gan_inputs, tmp_path / "two", tmp_path / "two" / "c", **{**changes, "kimg": 0.3})
    assert start_process(command, TORCHRUN).wait(1500) == 0
    assert "resuming at 0.208 kimg" in (tmp_path / "two" / "log.txt").read_text()


def test_the_shares_of_a_batch_make_it_up_and_keep_its_groups():
    x = torch.randn(16, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    whole = minibatch_deviation(x)
    for count in (2, 4):
        shares = [Part(rank, count).of(x) for rank in range(count)]
        assert sorted(map(float, torch.cat(shares)[:, 0, 0, 0])) == sorted(map(float, x[:, 0, 0, 0]))
        for rank, share in enumerate(shares):
            torch.testing.assert_close(minibatch_deviation(share), Part(rank, count).of(whole))


def test_a_batch_that_can_t_be_shared_is_refused():
    with pytest.raises(UserError, match="batch 8 can't be shared by 4 GPUs"):
        trainer(part=Part(0, 4))

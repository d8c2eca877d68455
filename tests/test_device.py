"""Where networks run, and what is told of a GPU that PyTorch can't use.

No GPU is needed. A stand-in for the driver's nvidia-smi tells of one; PyTorch is the real one, and finds none.
"""

import logging
import os
import subprocess
import sys

import pytest
import torch

from ganaug import device
from ganaug.device import pick_device, runs_on
from ganaug.errors import UserError
from helpers.running import ROOT

PINNED = ["sm_75", "sm_80", "sm_86", "sm_90", "sm_100", "sm_120"]  # of envs/requirements.txt


@pytest.fixture
def card(tmp_path, monkeypatch):
    """Puts a GPU into this machine, as far as nvidia-smi can tell."""
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))

    def put(rows, old=False, says=""):
        program = tmp_path / "nvidia-smi"
        unknown = "*compute_cap*) echo 'Field \"compute_cap\" is not a valid field to query.'; exit 2;;" if old else ""
        answer = f"echo '{says}'; exit 9" if says else f"printf '{rows}'"
        program.write_text(f'#!/bin/sh\ncase "$1" in {unknown}\n*) {answer};; esac\n')
        program.chmod(0o755)

    return put


def test_without_a_gpu_auto_is_the_cpu_and_says_nothing(monkeypatch, caplog):
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    with caplog.at_level(logging.INFO):
        assert pick_device("auto") == pick_device("cpu") == torch.device("cpu")
    assert not caplog.records
    with pytest.raises(UserError, match="finds no CUDA GPU here; or write `device: cpu` or `auto`"):
        pick_device("cuda")


def test_a_gpu_with_too_old_a_driver_is_told(card, caplog):
    card("Tesla T4, 7.5, 535.104.05\\nTesla T4, 7.5, 535.104.05\\n")
    assert pick_device("auto") == torch.device("cpu")
    (record,) = caplog.records
    assert record.levelno == logging.WARNING and record.on_terminal
    major = torch.version.cuda.partition(".")[0]
    for told in (
        "device: auto takes the CPU, which is many times slower",
        "there is Tesla T4, compute capability 7.5 and 1 more, driver 535.104.05",
        f"CUDA {major} wants driver {device.OLDEST_DRIVERS[major]} or newer",
        torch.__version__,
        "docs/gpu.md",
    ):
        assert told in record.getMessage(), told
    with pytest.raises(UserError, match=r"device: cuda was asked for, but PyTorch .* wants driver"):
        pick_device("cuda")


def test_a_gpu_whose_driver_is_new_enough_is_told_too(card, caplog):
    card("NVIDIA L4, 8.9, 999.10\\n")
    assert pick_device("auto") == torch.device("cpu")
    assert "there is NVIDIA L4, compute capability 8.9, driver 999.10" in caplog.text
    assert "mend the driver" in caplog.text and "wants driver" not in caplog.text


def test_a_driver_that_does_not_know_the_capability_tells_the_rest(card, caplog):
    card("Tesla K80, 390.48\\n", old=True)
    pick_device("auto")
    assert "there is Tesla K80, driver 390.48" in caplog.text and "wants driver" in caplog.text


def test_a_gpu_that_is_hidden_is_not_missed(card, monkeypatch, caplog):
    card("NVIDIA L4, 8.9, 999.10\\n")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert pick_device("auto") == torch.device("cpu") and not caplog.records


def test_a_driver_that_can_not_answer_is_no_gpu_by_itself(card, caplog):
    """As where it is installed on a machine without one."""
    card("", says="No devices were found")
    assert pick_device("auto") == torch.device("cpu") and not caplog.records


def test_a_job_of_a_cluster_does_not_fall_back_to_the_cpu(card, monkeypatch):
    card("Tesla T4, 7.5, 535.104.05\\n")
    monkeypatch.setenv("SLURM_JOB_ID", "17")
    monkeypatch.setenv("SLURM_JOB_GPUS", "2")
    with pytest.raises(UserError, match=r"job 17 was given GPU 2 .* finds no CUDA there: .* driver 535.104.05.*; mend"):
        pick_device("auto")


def test_it_is_told_in_the_log_and_on_the_terminal(card, tmp_path):
    """By a stage that does nothing but ask where its networks run; other warnings are the log's alone."""
    card("Tesla T4, 7.5, 535.104.05\\n")
    (tmp_path / "asking.py").write_text(
        "import logging\nfrom ganaug.device import pick_device\n"
        "add_arguments = lambda parser: None\n"
        "def run(args):\n    pick_device(args.device)\n    logging.getLogger('ganaug').warning('something else')\n"
    )
    start = "import sys; from ganaug import cli; cli.STAGES['ask'] = 'asking'; sys.exit(cli.main(sys.argv[1:]))"
    command = [sys.executable, "-c", start, "ask", "--device", "auto", "--log", str(tmp_path / "log")]
    paths = os.pathsep.join([str(ROOT / "src"), str(tmp_path)])
    done = subprocess.run(command, env=os.environ | {"PYTHONPATH": paths}, capture_output=True, text=True)
    log = (tmp_path / "log").read_text()
    assert done.returncode == 0, done.stderr
    assert "WARNING device: auto takes the CPU" in log and "device: auto takes the CPU" in done.stderr
    assert "something else" in log and "something else" not in done.stderr


@pytest.mark.parametrize(
    ("capability", "built_for", "can"),
    [
        ((7, 0), PINNED, False),  # V100
        ((7, 5), PINNED, True),  # T4, RTX 20
        ((8, 0), PINNED, True),  # A100
        ((8, 9), PINNED, True),  # L4, RTX 40, by sm_86
        ((9, 0), PINNED, True),  # H100
        ((10, 3), PINNED, True),  # B300, by sm_100
        ((11, 0), PINNED, False),
        ((12, 1), PINNED, True),
        ((8, 0), ["sm_86"], False),  # a higher minor version
        ((8, 6), ["sm_80"], True),
        ((9, 0), ["sm_80", "sm_86"], False),  # another major version
        ((9, 0), ["sm_80", "compute_86"], True),  # PTX
        ((8, 0), ["compute_86"], False),
        ((9, 0), ["sm_90a"], True),
        ((10, 0), ["sm_90a", "compute_90a"], False),
        ((10, 3), ["sm_100a"], False),
        ((10, 3), ["sm_100f"], True),
        ((12, 0), ["compute_100f"], False),
        ((8, 6), [], True),  # nothing is known
    ],
)
def test_machine_code_runs_on_its_major_version_and_ptx_on_all_that_follow(capability, built_for, can):
    assert runs_on(capability, built_for) == can


def test_the_pinned_pytorch_has_the_kernels_that_the_documentation_lists():
    if not torch.__version__.startswith("2.15.0"):
        pytest.skip("another PyTorch than envs/requirements.txt pins")
    assert torch.cuda.get_arch_list() == PINNED
    assert torch.version.cuda == "13.2"

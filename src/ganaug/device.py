"""Where networks run, and why not on the GPU that is there."""

import logging
import os
import platform
import re
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from ganaug.errors import UserError
from ganaug.gpu_choice import VARIABLE, nvidia_smi

if TYPE_CHECKING:
    import torch

log = logging.getLogger("ganaug")

# The oldest driver for programs made with a major version of CUDA, in NVIDIA's numbers for Linux
# (docs.nvidia.com/deploy/cuda-compatibility, "Minor Version Compatibility").
OLDEST_DRIVERS = {"11": 450, "12": 525, "13": 580}
MORE = "docs/gpu.md says more"


def pick_device(device: str) -> "torch.device":
    """The torch.device for a setting: `cpu`, `cuda`, or `auto` (CUDA where it can be used).

    Where there is a GPU that PyTorch can't use, `auto` takes the CPU and says so, in the log and on the terminal.

    Raises UserError where CUDA is asked for and can't be used, and where it can't in a job of a cluster, whose networks
    belong on GPUs: hours on a CPU would be a silent surprise.
    """
    import torch

    if device == "cpu":
        return torch.device("cpu")
    trouble = why_no_gpu()
    if trouble is None:
        log.info("on %s, compute capability %d.%d", torch.cuda.get_device_name(), *torch.cuda.get_device_capability())
        return torch.device("cuda")
    if device == "cuda":
        raise UserError(f"device: cuda was asked for, but {trouble or NONE}; or write `device: cpu` or `auto`")
    if job := os.environ.get("SLURM_JOB_ID"):
        numbers = os.environ.get("SLURM_JOB_GPUS") or os.environ.get("SLURM_STEP_GPUS")
        given = f"GPU {numbers}" if numbers else "no GPU"
        found = f": {trouble}" if trouble else ""
        raise UserError(
            f"SLURM job {job} was given {given} of node {platform.node()}, and PyTorch finds no CUDA there{found}; "
            "mend the node, its driver or the profile's partition, or write `device: cpu` in the study"
        )
    if trouble:
        told = f"device: auto takes the CPU, which is many times slower: {trouble}; `device: cpu` ends this message"
        log.warning(told, extra={"on_terminal": True})
    return torch.device("cpu")


NONE = "PyTorch finds no CUDA GPU here"


def why_no_gpu() -> str | None:
    """None where PyTorch can use a GPU; else why not, and what to do; empty where there is no GPU, or it is hidden."""
    import torch

    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        available = torch.cuda.is_available()
    if available:
        return _without_kernels(torch.cuda.get_device_name(), torch.cuda.get_device_capability())
    cards, driver = _cards()
    if not cards or os.environ.get(VARIABLE) in ("", "-1"):
        return ""
    ours = f"PyTorch {torch.__version__}"
    if torch.version.cuda is None:
        return f"this {ours} is without CUDA, though {cards}; install envs/requirements.txt. {MORE}"
    trouble = f"{ours} can't use CUDA, though {cards}"
    trouble += "".join(f"; it says: {_shortened(str(warning.message))}" for warning in told[:1])
    major = torch.version.cuda.partition(".")[0]
    oldest = OLDEST_DRIVERS.get(major)
    if oldest and driver and driver < oldest:
        return f"{trouble}; CUDA {major} wants driver {oldest} or newer: install one. {MORE}"
    return f"{trouble}; mend the driver (`nvidia-smi` must list the GPU); after its update restart the machine. {MORE}"


def _without_kernels(name: str, capability: tuple[int, int]) -> str | None:
    """What to do where PyTorch is not made for a GPU that it has found; None where it is."""
    import torch

    built_for = torch.cuda.get_arch_list()
    if torch.version.cuda is None or runs_on(capability, built_for):  # without a version it is ROCm's
        return None
    return (
        f"PyTorch {torch.__version__} has no kernels for {name}, compute capability {capability[0]}.{capability[1]} "
        f"(it has them for {', '.join(built_for)}); take another GPU ({VARIABLE} names it), or a PyTorch that is made "
        f"for this one. {MORE}"
    )


def runs_on(capability: tuple[int, int], built_for: list[str]) -> bool:
    """Whether a GPU can run what was compiled for some architectures.

    capability: of the GPU, major and minor. built_for: as `torch.cuda.get_arch_list` names them; where it names none,
    nothing is known, and the answer is yes. Machine code (`sm_80`) runs on the same major version, from its minor on;
    of one architecture (`sm_90a`) on no other; of a family (`sm_100f`) as machine code. PTX (`compute_90`) is compiled
    by the driver for every later GPU. (CUDA C++ Programming Guide, "Compute Capabilities".)
    """
    return not built_for or any(_fits(capability, name) for name in built_for)


def _fits(capability: tuple[int, int], name: str) -> bool:
    match = re.fullmatch(r"(sm|compute)_(\d+)(\d)([af]?)", name)
    if match is None:
        return True  # a name from after this was written
    kind, made_for, suffix = match[1], (int(match[2]), int(match[3])), match[4]
    if suffix == "a":
        return capability == made_for
    if kind == "compute" and not suffix:
        return capability >= made_for
    return capability[0] == made_for[0] and capability[1] >= made_for[1]


def _cards() -> tuple[str, int | None]:
    """NVIDIA's GPUs of this machine in words, empty where there are none, and the driver's major version if known."""
    for fields in ("name,compute_cap,driver_version", "name,driver_version"):  # old drivers don't know compute_cap
        lines, answered = nvidia_smi(f"--query-gpu={fields}", "--format=csv,noheader")
        if answered and lines:
            name, *capability, driver = (part.strip() for part in lines[0].split(","))
            shown = f"{name}, compute capability {capability[0]}" if capability else name
            more = f" and {len(lines) - 1} more" if len(lines) > 1 else ""
            number = re.match(r"\d+", driver)
            return f"there is {shown}{more}, driver {driver}", int(number[0]) if number else None
    if Path("/dev/nvidia0").exists():
        said = f", and nvidia-smi says: {_shortened(' '.join(lines))}" if lines else ""
        return f"there is a GPU (/dev/nvidia0){said}", None
    return "", None


def _shortened(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= 300 else f"{text[:300]} …"

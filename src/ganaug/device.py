"""Where networks run."""

import os
import platform
from typing import TYPE_CHECKING

from ganaug.errors import UserError

if TYPE_CHECKING:
    import torch


def pick_device(device: str) -> "torch.device":
    """The torch.device for a setting: `cpu`, `cuda`, or `auto` (CUDA where there is one).

    Raises UserError where CUDA is asked for and missing, and where PyTorch finds none in a job of a cluster, whose
    networks belong on GPUs: hours on a CPU would be a silent surprise.
    """
    import torch

    if device == "auto" and "SLURM_JOB_ID" in os.environ and not torch.cuda.is_available():
        numbers = os.environ.get("SLURM_JOB_GPUS") or os.environ.get("SLURM_STEP_GPUS")
        given = f"GPU {numbers}" if numbers else "no GPU"
        raise UserError(
            f"SLURM job {os.environ['SLURM_JOB_ID']} was given {given} of node {platform.node()}, and PyTorch finds no "
            "CUDA there; mend the node, its driver or the profile's partition, or write `device: cpu` in the study"
        )
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cuda" and not torch.cuda.is_available():
        raise UserError("device: cuda was asked for, but PyTorch finds no CUDA GPU here; write `device: cpu` or `auto`")
    return torch.device(device)

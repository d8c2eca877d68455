"""Where networks run."""

import os
import platform

from ganaug.errors import UserError


def pick_device(device: str):
    """The torch.device for a setting: `cpu`, `cuda`, or `auto` (CUDA where there is one).

    Raises UserError where CUDA is asked for and missing, or a scheduler has given the job a GPU that PyTorch does not
    find: hours on a CPU would be a silent surprise.
    """
    import torch

    given = os.environ.get("SLURM_JOB_GPUS") or os.environ.get("SLURM_STEP_GPUS")
    if device == "auto" and given and not torch.cuda.is_available():
        raise UserError(
            f"SLURM gave this job GPU {given} of node {platform.node()}, but PyTorch finds no CUDA there; mend the "
            "node or its driver, or write `device: cpu` in the study"
        )
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cuda" and not torch.cuda.is_available():
        raise UserError("device: cuda was asked for, but PyTorch finds no CUDA GPU here; write `device: cpu` or `auto`")
    return torch.device(device)

"""What GPUs need beside a CPU's code: arithmetic that is asked for, images held there, copies that nobody waits for."""

import numpy as np
import torch

from ganaug.errors import UserError

CHUNK = 1024  # images that are copied to a GPU at once


def set_arithmetic(tf32: bool, cudnn_benchmark: bool) -> None:
    """tf32: round the factors of float32 products to 10 bits. cudnn_benchmark: choose convolutions by trial.

    Both cost exactness, so both are off unless asked for. A CPU has neither.
    """
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = tf32
    torch.backends.cudnn.benchmark = cudnn_benchmark


def check_precision(precision: str, device: torch.device, setting: str) -> None:
    """Raises UserError for 16 bits on a CPU, most of which take minutes for what takes seconds in float32."""
    if precision != "float32" and device.type == "cpu":
        raise UserError(f"{setting}: {precision} is for GPUs, and this job runs on a CPU; write `{setting}: float32`")
    check_capability(precision, device, setting)


def check_capability(precision: str, device: torch.device, setting: str) -> None:
    """Raises UserError for bfloat16 on a GPU that does not compute in it."""
    if device.type == "cuda":
        refuse_without_bfloat16(precision, torch.cuda.get_device_capability(device), setting)


def refuse_without_bfloat16(precision: str, capability: tuple[int, int], setting: str) -> None:
    """capability: of a GPU, (major, minor); bfloat16 came with 8.0, Ampere."""
    if precision == "bfloat16" and capability < (8, 0):
        number = ".".join(map(str, capability))
        other = "float16" if setting.startswith("gan") else "float32"
        raise UserError(
            f"{setting}: bfloat16 wants a GPU of compute capability 8.0 or more, and this one has {number}; write "
            f"`{setting}: {other}`"
        )


def send(tensor: torch.Tensor, device: torch.device) -> torch.Tensor:
    """A CPU's tensor on a device: on a CPU itself; to a GPU by pinned memory, and the CPU does not wait for that."""
    if device.type == "cpu" or not tensor.numel():
        return tensor.to(device)
    return tensor.pin_memory().to(device, non_blocking=True)


def hold(images: np.ndarray, device: torch.device) -> torch.Tensor | None:
    """Images, uint8 [N, …], on a GPU, if they take a quarter of its free memory at most; else None, as for a CPU."""
    if device.type == "cpu" or images.nbytes > torch.cuda.mem_get_info(device)[0] / 4:
        return None
    held = torch.empty(images.shape, dtype=torch.uint8, device=device)
    for start in range(0, len(images), CHUNK):
        part = slice(start, start + CHUNK)
        held[part] = send(torch.from_numpy(np.array(images[part])), device)
    return held

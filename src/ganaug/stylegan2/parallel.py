"""One training on several GPUs: processes that torchrun starts, each with its share of every batch.

Every process draws all of a batch's randomness and takes its own rows, gradients are averaged after each phase, and
means over the batch are means over all of it. So the result is that of one process, to rounding. PyTorch's wrapper for
modules is not used: it expects one backward pass after one forward, which regularisation is not.
"""

import contextlib
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, distributed


@dataclass(frozen=True)
class Part:
    """Which process of how many this is; alone by default. All processes must make the same calls in the same order."""

    rank: int = 0
    count: int = 1

    def of(self, batch: Tensor) -> Tensor:
        """This process's rows: each `count`-th, so that the groups of the minibatch deviation stay together."""
        return batch[self.rank :: self.count] if self.count > 1 else batch

    def sum(self, values: Tensor) -> Tensor:
        """Sum over the processes, element by element; not differentiable."""
        if self.count > 1:
            distributed.all_reduce(values := values.detach().clone())
        return values

    def mean(self, values: Tensor) -> Tensor:
        """Mean over the processes, element by element; differentiable."""
        return _Sum.apply(values) / self.count if self.count > 1 else values

    def any(self, flag: bool) -> bool:
        """Whether the flag is set in any process."""
        if self.count == 1:
            return flag
        device = torch.device("cuda", torch.cuda.current_device()) if distributed.get_backend() == "nccl" else None
        return self.sum(torch.tensor(float(flag), device=device)).item() > 0

    @torch.no_grad()
    def average_gradients(self, parameters: Iterable[Tensor]) -> None:
        """Replaces gradients by their means over the processes, in one message."""
        if self.count == 1:
            return
        gradients = [p.grad for p in parameters if p.grad is not None]
        flat = self.sum(torch.cat([g.flatten() for g in gradients])) / self.count
        for gradient, mean in zip(gradients, flat.split([g.numel() for g in gradients]), strict=True):
            gradient.copy_(mean.view_as(gradient))


class _Sum(torch.autograd.Function):
    """Sum over the processes. All results depend on all inputs, so gradients are summed over the processes too."""

    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        distributed.all_reduce(values := values.clone())
        return values

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return _Sum.apply(gradient)


@contextlib.contextmanager
def shared_training(device: torch.device) -> Iterator[tuple[Part, torch.device]]:
    """Joins the processes of torchrun, where it started this one: yields the part and the GPU of this process."""
    if not distributed.is_torchelastic_launched():
        yield Part(), device
        return
    if device.type == "cuda":
        device = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
        torch.cuda.set_device(device)
    distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield Part(distributed.get_rank(), distributed.get_world_size()), device
    finally:
        distributed.destroy_process_group()

"""Phases of a training step as CUDA graphs: recorded once, replayed as one launch.

A step at 64 pixels is thousands of kernels of a few microseconds each. Launched one by one from Python, they leave a
GPU idle most of the time.

A recording fixes all shapes, addresses and numbers of a phase. So what differs from step to step comes in tensors that
stay where they are: see `Recorder.keep` and `Recorder.number`.
"""

import contextlib
from collections.abc import Callable, Hashable, Iterator

import torch
from torch import Tensor


class Recorder:
    """Runs phases; where active, each is run as it is the first time, then recorded, and replayed from then on.

    active: for a GPU alone; False runs all phases as they are, always. A phase draws from `generator`, which PyTorch
    knows how to record. Reseeded before a step, a replayed phase draws what the phase itself would.
    """

    def __init__(self, device: torch.device, active: bool):
        self.device, self.active = device, active
        if device.type == "cuda":
            torch.cuda.init()
            index = torch.cuda.current_device() if device.index is None else device.index
            self.generator = torch.cuda.default_generators[index]
        else:
            self.generator = torch.Generator(device)
        self.stream = torch.cuda.Stream(device) if self.active else None
        self.kept: dict[str, Tensor] = {}
        self.forget()

    def forget(self) -> None:
        """Drops all recordings, as must be where a tensor that they use has been replaced."""
        self.graphs: dict[Hashable, torch.cuda.CUDAGraph | None] = {}
        self.pool = torch.cuda.graph_pool_handle() if self.active else None

    @contextlib.contextmanager
    def step(self) -> Iterator[None]:
        """Context of a step: all of its work is on one stream of its own, as recording asks for."""
        if self.stream is None:
            yield
            return
        outside = torch.cuda.current_stream(self.device)
        self.stream.wait_stream(outside)
        with torch.cuda.stream(self.stream):
            yield
        outside.wait_stream(self.stream)

    def run(self, phase: Hashable, function: Callable[[], None]) -> None:
        """Runs `function`; where active, as it is the first time and as a CUDA graph from then on.

        phase: name of the graph. All graphs share one pool of memory, so a tensor that a phase makes is void once
        another phase runs: results go into tensors that were there before.
        """
        if not self.active:
            function()
        elif phase not in self.graphs:
            function()
            self.graphs[phase] = None
        else:
            graph = self.graphs[phase]
            if graph is None:
                graph = self.graphs[phase] = torch.cuda.CUDAGraph()
                with torch.cuda.graph(graph, pool=self.pool, stream=self.stream):
                    function()
            graph.replay()

    def keep(self, name: str, value: Tensor) -> Tensor:
        """The value where recordings find it: on a CPU the tensor itself, on a GPU a copy always at one place."""
        if not self.active:
            return value
        if name not in self.kept:
            self.kept[name] = torch.empty_like(value)
        return self.kept[name].copy_(value)

    def number(self, name: str, value: float) -> Tensor:
        """A number likewise, as a tensor without dimensions, float64."""
        if name not in self.kept:
            self.kept[name] = torch.zeros((), dtype=torch.float64, device=self.device)
        return self.kept[name].fill_(value)

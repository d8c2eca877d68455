"""Stage convert_stylegan2: an official StyleGAN2-ADA pickle to safetensors, without running anything that is in it.

An official `.pkl` holds the networks as pickled objects of classes whose source lies in the pickle too. Here none of
it is imported or called: a name in the pickle stands for tensors, plain containers, or nothing at all.
"""

import argparse
import io
import logging
import pickle
import re
from pathlib import Path
from typing import IO, Any, Self

import torch
from torch import Tensor

from ganaug.errors import UserError
from ganaug.files import check_unpacked_size, write_tensors

log = logging.getLogger("ganaug")
NETWORKS = ("G", "D", "G_ema")
MOST_MODULES, LONGEST_NAME = 5000, 1000  # of a network; the largest official one has some 150


def add_arguments(parser: argparse.ArgumentParser) -> None:
    inputs = parser.add_argument_group("inputs")
    inputs.add_argument("--pickle", type=Path, required=True, help="official network snapshot, .pkl")
    outputs = parser.add_argument_group("outputs")
    outputs.add_argument("--weights", type=Path, required=True, help="its tensors, .safetensors; for gan.init_from")


def run(args: argparse.Namespace) -> None:
    tensors = read_pickle(args.pickle)
    write_tensors(args.weights, tensors)
    log.info("%d tensors in %s; a study that starts from them wants %s", len(tensors), args.weights, wanted(tensors))


def wanted(tensors: dict[str, Tensor]) -> str:
    """The settings of a study whose generator has these shapes, as text."""
    rows = {name.partition(".")[2]: v.shape[0] for name, v in tensors.items() if name.startswith("G") and v.ndim}
    convolution = re.compile(r"synthesis\.b(\d+)\.conv1\.weight")
    blocks = {int(found[1]): n for name, n in rows.items() if (found := convolution.fullmatch(name))}
    layers = sum(bool(re.fullmatch(r"mapping\.fc\d+\.weight", name)) for name in rows)
    if not blocks or not layers:
        return "networks with a generator: this file has none"
    top = max(blocks)
    settings = {"data.resolution": top, "gan.channel_base": top * blocks[top], "gan.channel_max": max(blocks.values())}
    settings |= {"gan.latent": rows["mapping.fc0.weight"], "gan.mapping_layers": layers}
    return ", ".join(f"{key}: {value}" for key, value in settings.items())


def read_pickle(path: Path) -> dict[str, Tensor]:
    """Parameters and buffers of the networks G, D and G_ema, float32 on the CPU, as `G.mapping.fc0.weight` and so on.

    Names are the reference's, which are this package's too. Raises UserError where the file is not such a pickle.
    """
    try:
        with path.open("rb") as file:
            found = _TensorsOnly(file, path.stat().st_size).load()
        named = {f"{n}.{k}": v for n in NETWORKS if n in found for k, v in _tensors(found[n]).items()}
        # A few bytes can describe a tensor of any size, or the same one many times.
        if sum(tensor.numel() for tensor in named.values()) > path.stat().st_size:
            raise pickle.UnpicklingError("its tensors are larger than the file")
        tensors = {name: tensor.float() for name, tensor in named.items()}
    except OSError as error:
        raise UserError(f"{path} can't be read: {error.strerror}") from None
    except Exception as error:  # a broken pickle fails in any way it likes
        raise UserError(f"{path} is not a pickle of StyleGAN2-ADA networks: {error!r:.500}") from error
    if not tensors:
        raise UserError(f"{path} holds none of the networks {', '.join(NETWORKS)}")
    return tensors


class _Inert(dict):
    """In place of an object of any class: keeps what it is given, copies nothing, and does nothing."""

    def __new__(cls, *_: object) -> Self:
        return super().__new__(cls)

    def __init__(self, *_: object) -> None:
        super().__init__()

    def __setstate__(self, state: object) -> None:
        self.state = state

    def append(self, _: object) -> None:
        pass

    def extend(self, _: object) -> None:
        pass


class _Sealed:
    """A function or a tensor: a pickle may call the one and pass on the other, but neither change nor look into it."""

    __slots__ = ("value",)

    def __init__(self, value: Any):
        self.value = value

    def __call__(self, *arguments: object) -> object:
        return self.value(*arguments)

    def __setstate__(self, _: object) -> None:
        raise pickle.UnpicklingError("it changes what it may only use")


class _TensorsOnly(pickle.Unpickler):
    """An unpickler for which no name means what it says, but for the few that build tensors."""

    def __init__(self, file: IO[bytes], most_bytes: int):
        super().__init__(file)
        self.bytes_left = most_bytes  # of storages; each lies in the file once
        self.known = {
            "torch.storage._load_from_bytes": _Sealed(self._storage),
            "torch._utils._rebuild_tensor_v2": _Sealed(_tensor),
            "torch._utils._rebuild_parameter": _Sealed(lambda tensor, *_: tensor),
            # The embedded source is not looked at: of a network only its state is kept.
            "torch_utils.persistence._reconstruct_persistent_obj": _Sealed(lambda meta: meta["state"]),
        }

    def find_class(self, module: str, name: str) -> Any:
        return self.known.get(f"{module}.{name}", _Inert)

    def persistent_load(self, _: object) -> Any:
        raise pickle.UnpicklingError("it refers to data outside the pickle")

    def _storage(self, data: bytes) -> _Sealed:
        """A one-dimensional tensor of a storage that torch has saved."""
        self.bytes_left -= len(data)
        if self.bytes_left < 0:
            raise pickle.UnpicklingError("its tensors are larger than the file")
        check_unpacked_size(io.BytesIO(data), len(data))
        storage = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
        if not isinstance(storage, torch.storage.TypedStorage):
            raise pickle.UnpicklingError("a tensor's data are something else")
        return _Sealed(torch.empty(0, dtype=storage.dtype).set_(storage))


def _tensor(storage: _Sealed, offset: int, size: tuple, stride: tuple, *_: object) -> _Sealed:
    return _Sealed(storage.value.as_strided(size, stride, offset))  # which refuses what lies outside the storage


def _tensors(network: dict) -> dict[str, Tensor]:
    """A network's state dict from its pickled state."""
    waiting: list[tuple[str, Any]] = [("", network)]
    found: dict[str, Tensor] = {}
    for _ in range(MOST_MODULES):
        if not waiting:
            return found
        prefix, module = waiting.pop()
        module = getattr(module, "state", module)
        own = {**module["_parameters"], **module["_buffers"]}
        found |= {prefix + name: tensor.value for name, tensor in own.items() if tensor is not None}
        waiting += [(f"{prefix}{name}.", child) for name, child in module["_modules"].items()]
        if len(prefix) > LONGEST_NAME or max(len(found), len(waiting)) > MOST_MODULES:
            break
    raise pickle.UnpicklingError("its modules go on and on")  # they may be in each other

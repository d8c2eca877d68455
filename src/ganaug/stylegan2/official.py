"""Stage convert_stylegan2: an official StyleGAN2-ADA pickle to safetensors, without running anything that is in it.

An official `.pkl` holds the networks as pickled objects of classes whose source lies in the pickle too. Here none of
it is imported or called: a name in the pickle stands for tensors, plain containers, or nothing at all.
"""

import argparse
import io
import logging
import pickle
import re
from collections import OrderedDict
from pathlib import Path

import torch
from torch import Tensor

from ganaug.errors import UserError
from ganaug.files import write_tensors

log = logging.getLogger("ganaug")
NETWORKS = ("G", "D", "G_ema")


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
            found = _TensorsOnly(file).load()
        tensors = {f"{n}.{k}": v for n in NETWORKS if n in found for k, v in _flattened(found[n]).items()}
    except OSError as error:
        raise UserError(f"{path} can't be read: {error.strerror}") from None
    except Exception as error:  # a broken pickle fails in any way it likes
        raise UserError(f"{path} is not a pickle of StyleGAN2-ADA networks: {error}") from error
    if not tensors:
        raise UserError(f"{path} holds none of the networks {', '.join(NETWORKS)}")
    return tensors


class _Inert(dict):
    """In place of an object of any class: keeps the state it is given, and does nothing."""

    def __new__(cls, *_):
        return super().__new__(cls)

    def __init__(self, *_):
        super().__init__()

    def __setstate__(self, state):
        if isinstance(state, dict):
            self.update(state)

    def append(self, _):
        pass

    def extend(self, _):
        pass


class _TensorsOnly(pickle.Unpickler):
    """An unpickler for which no name means what it says, but for the few that build tensors."""

    def find_class(self, module: str, name: str):
        return _KNOWN.get(f"{module}.{name}", _Inert)

    def persistent_load(self, _):
        raise pickle.UnpicklingError("it refers to data outside the pickle")


def _storage(data: bytes) -> Tensor:
    """A one-dimensional tensor of a storage that torch has saved."""
    storage = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    return torch.empty(0, dtype=storage.dtype).set_(storage)


def _tensor(storage: Tensor, offset: int, size: tuple, stride: tuple, *_) -> Tensor:
    return storage.as_strided(size, stride, offset)


_KNOWN = {
    "collections.OrderedDict": OrderedDict,
    "torch.storage._load_from_bytes": _storage,
    "torch._utils._rebuild_tensor_v2": _tensor,
    "torch._utils._rebuild_parameter": lambda tensor, *_: tensor,
    # The embedded source is not looked at: of a network only its state is kept.
    "torch_utils.persistence._reconstruct_persistent_obj": lambda meta: meta["state"],
}


def _flattened(module: dict, prefix: str = "") -> dict[str, Tensor]:
    """A module's state dict from its pickled state."""
    own = {**module["_parameters"], **module["_buffers"]}
    tensors = {prefix + name: tensor.float() for name, tensor in own.items() if tensor is not None}
    for name, child in module["_modules"].items():
        tensors |= _flattened(child, f"{prefix}{name}.")
    return tensors

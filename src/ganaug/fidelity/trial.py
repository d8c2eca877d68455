"""Stage check_extractor: the network of the fidelity measures extracts features once, before anything costly."""

import argparse
import logging
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch

from ganaug.device import pick_device
from ganaug.errors import UserError, first_line, out_of_memory
from ganaug.fidelity.extractors import BATCH, INCEPTION, Extractor, extract, load_extractor
from ganaug.files import write_json
from ganaug.pretrained_weights import check_taken
from ganaug.seeding import set_determinism

log = logging.getLogger("ganaug")
ANOTHER = "take another extractor"


@dataclass(frozen=True)
class Settings:
    """As in `measure.Settings`."""

    extractor: str
    input_size: int


def add_arguments(parser: argparse.ArgumentParser) -> None:
    inputs = parser.add_argument_group("inputs")
    inputs.add_argument("--weights", type=Path, required=True, help="weights of the extractor")
    outputs = parser.add_argument_group("outputs")
    outputs.add_argument("--report", type=Path, required=True, help="what has worked, .json")


def run(args: argparse.Namespace) -> None:
    settings = Settings(**args.settings)
    set_determinism(args.threads)
    features = check(settings, args.weights, pick_device(args.device))
    write_json(args.report, asdict(settings) | {"features": features})


def check(settings: Settings, weights: Path, device: torch.device) -> int:
    """Number of features of an image. Raises UserError that names the extractor, the setting and what to do."""
    name, size = settings.extractor, settings.input_size
    try:
        extractor = load_extractor(name, weights, size, device)
        if name != INCEPTION:  # of which all weights must be there
            check_taken(name, weights, channels=3)
    except UserError:
        raise
    except Exception as error:
        log.info("what building %s failed with", name, exc_info=True)
        raise UserError(
            f"fidelity.extractor: {name} can't be built from the weights in {weights} ({first_line(error)}); see "
            f"weights.{name}.source, or {ANOTHER}"
        ) from None
    count = BATCH[device.type]
    try:
        made = features(extractor, count, size)
    except Exception as error:
        log.info("what %s failed with", name, exc_info=True)
        if out_of_memory(error):
            raise UserError(
                f"fidelity.extractor: memory is too small for {count} images of {size} x {size} pixels "
                f"(fidelity.input_size) in {name}: {first_line(error)}; lower the size"
            ) from None
        raise UserError(
            f"fidelity.extractor: {name} can't use images of {size} x {size} pixels (fidelity.input_size): "
            f"{first_line(error)}; {advice(settings, weights, device)}"
        ) from None
    if made.ndim != 2 or len(made) != count:
        raise UserError(
            f"fidelity.extractor: {name} gives arrays of {' x '.join(map(str, made.shape[1:]))} for an image, and not "
            f"one row of features; {ANOTHER}"
        )
    if not torch.isfinite(made).all():
        raise UserError(
            f"fidelity.extractor: {name} gives features that are no finite numbers; see whether weights.{name}.source "
            "names whole weights"
        )
    return made.shape[1]


def features(extractor: Extractor, count: int, size: int) -> torch.Tensor:
    """Of images of noise."""
    return extract(extractor, np.random.default_rng(0).integers(0, 256, (count, size, size), np.uint8))


def advice(settings: Settings, weights: Path, device: torch.device) -> str:
    """What to write instead, found by trying the size that the network was made for."""
    import timm

    config = None if settings.extractor == INCEPTION else timm.models.get_pretrained_cfg(settings.extractor)
    own = config.input_size[-1] if config else settings.input_size
    if own != settings.input_size:
        try:
            features(load_extractor(settings.extractor, weights, own, device), 2, own)
        except Exception:
            log.info("%s fails with %d pixels too", settings.extractor, own)
        else:
            return f"write fidelity.input_size: {own}, or {ANOTHER}"
    return ANOTHER

"""Stage check_init_from: the weights of `gan.init_from` fill the study's networks, before anything costly."""

import argparse
import copy
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from ganaug.errors import UserError
from ganaug.files import write_json
from ganaug.seeding import set_determinism
from ganaug.stylegan2.discriminator import Discriminator
from ganaug.stylegan2.generator import Architecture, Generator
from ganaug.stylegan2.layers import one_hot_classes
from ganaug.stylegan2.settings import GROUP
from ganaug.stylegan2.transfer import start_from


@dataclass(frozen=True)
class Settings:
    """As in `generator.Architecture`; classes: their number."""

    resolution: int
    classes: int
    latent: int
    mapping_layers: int
    channel_base: int
    channel_max: int


def add_arguments(parser: argparse.ArgumentParser) -> None:
    inputs = parser.add_argument_group("inputs")
    inputs.add_argument("--init-from", type=Path, required=True, help="weights to start from, of convert_stylegan2")
    outputs = parser.add_argument_group("outputs")
    outputs.add_argument("--report", type=Path, required=True, help="what has worked, .json")


def run(args: argparse.Namespace) -> None:
    settings = Settings(**args.settings)
    set_determinism(args.threads)
    check(settings, args.init_from)
    write_json(args.report, asdict(settings))


def check(settings: Settings, path: Path) -> None:
    """Raises UserError where the weights do not fit, or where an image or a score made with them is not finite."""
    s = settings
    a = Architecture(s.resolution, 1, s.classes, s.latent, s.mapping_layers, s.channel_base, s.channel_max)
    torch.manual_seed(0)
    generator, discriminator = Generator(a), Discriminator(a)
    networks = {"G": generator, "D": discriminator, "G_ema": copy.deepcopy(generator)}
    start_from(path, networks)
    z, c = torch.randn(GROUP, s.latent), one_hot_classes(torch.arange(GROUP) % max(1, s.classes), s.classes)
    with torch.inference_mode():
        images = networks["G_ema"](z, c)
        made = {"G_ema": images, "G": generator(z, c), "D": discriminator(images, c)}
    for network, values in made.items():
        if not torch.isfinite(values).all():
            raise UserError(
                f"gan.init_from: {network} of {path} gives no finite numbers at {s.resolution} pixels; make the file "
                "anew with convert_stylegan2, or name another"
            )

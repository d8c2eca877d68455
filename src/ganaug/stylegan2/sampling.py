"""Stage sample_gan: a synthetic set from a trained generator, so many images of each class."""

import argparse
import logging
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from ganaug.device import pick_device
from ganaug.errors import UserError
from ganaug.files import write_array, write_csv
from ganaug.progress import Progress
from ganaug.seeding import derive_seed, set_determinism
from ganaug.stylegan2.data import read_classes, to_uint8
from ganaug.stylegan2.generator import Generator, load_generator
from ganaug.stylegan2.layers import one_hot_classes
from ganaug.stylegan2.settings import SamplingSettings

log = logging.getLogger("ganaug")
BATCH = 64
LESS_MEMORY = "lower synthetic.ratio, or give the job more"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    inputs = parser.add_argument_group("inputs")
    inputs.add_argument("--generator", type=Path, required=True, help="generator.safetensors of train_gan")
    inputs.add_argument("--table", type=Path, required=True, help="table of the real training images (class, label)")
    outputs = parser.add_argument_group("outputs")
    outputs.add_argument("--images", type=Path, required=True, help="synthetic images, .npy uint8 [N, H, H]")
    outputs.add_argument("--synthetic-table", type=Path, required=True, help="their image, class, label, .csv")


def run(args: argparse.Namespace) -> None:
    set_determinism(args.threads)
    settings, device = SamplingSettings(**args.settings), pick_device(args.device)
    generator, class_names = load_generator(args.generator)
    real_labels, table_classes = read_classes(args.table)
    if table_classes != class_names:
        raise UserError(f"{args.generator} was trained on {class_names}, {args.table} has {table_classes}; train again")
    counts = [round(settings.ratio * n) for n in np.bincount(real_labels)]
    labels = np.repeat(np.arange(len(counts)), counts)
    images = sample(generator.to(device), labels, settings.truncation_psi, args.seed)
    write_array(args.images, images)
    table = {"image": [f"synthetic-{i + 1:06d}" for i in range(len(labels))], "class": [class_names[k] for k in labels]}
    write_csv(args.synthetic_table, pd.DataFrame({**table, "label": labels}))
    log.info("made %s", ", ".join(f"{n} {name}" for n, name in zip(counts, class_names, strict=True)))


@torch.no_grad()
def sample(generator: Generator, labels: np.ndarray, psi: float, seed: int, batch: int = BATCH) -> np.ndarray:
    """One image per label, uint8 [N, H, H] (colour: [N, H, H, 3]).

    Latent and noise of a class's i-th image come from a generator of its own, seeded by (seed, class, i), on the CPU:
    the same draws for any batch size and device, and in a set with more images; the images to rounding.
    """
    a, device = generator.architecture, generator.mapping.w_avg.device
    shape = (len(labels), a.resolution, a.resolution, *([a.image_channels] if a.image_channels > 1 else []))
    images = np.empty(shape, np.uint8)
    of_class = pd.Series(labels).groupby(labels).cumcount()
    with Progress(len(labels), "GAN sampling", "images") as progress:
        for start in range(0, len(labels), batch):
            chosen = labels[start : start + batch]
            z, noise = [], []
            for i in range(start, start + len(chosen)):
                random = torch.Generator().manual_seed(
                    derive_seed(seed, "sample", label=int(labels[i]), image=int(of_class[i]))
                )
                z.append(torch.randn(1, a.latent, generator=random))
                noise.append(generator.synthesis.draw_noise(1, random))
            c = one_hot_classes(torch.from_numpy(chosen), a.class_count)
            maps = [torch.cat(layer).to(device) for layer in zip(*noise, strict=True)]
            made = generator(torch.cat(z).to(device), c.to(device), psi, maps)
            images[start : start + len(chosen)] = to_uint8(made)
            progress.update(len(chosen))
    return images

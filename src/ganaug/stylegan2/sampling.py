"""Stage sample_gan: a synthetic set from a trained generator, so many images of each class."""

import argparse
import logging
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Self

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from ganaug.device import pick_device
from ganaug.errors import UserError
from ganaug.files import write_array, write_csv
from ganaug.gpu import send
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
    a = generator.architecture
    shape = (len(labels), a.resolution, a.resolution, *([a.image_channels] if a.image_channels > 1 else []))
    images = np.empty(shape, np.uint8)
    with Progress(len(labels), "GAN sampling", "images") as progress, Draws(generator, labels, seed, batch) as draws:
        batches = iter(draws)
        following = next(batches, None)
        while following is not None:
            numbers, z, c, maps = following
            made = generator(z, c, psi, maps)
            following = next(batches, None)  # while a GPU still works on this one
            images[numbers] = to_uint8(made)
            progress.update(len(z))
    return images


class Draws:
    """Batches of latents, classes and noise on the generator's device. Threads draw the next while one is in use."""

    def __init__(self, generator: Generator, labels: np.ndarray, seed: int, batch: int):
        self.generator, self.labels, self.seed = generator, labels, seed
        self.numbers = [slice(i, min(i + batch, len(labels))) for i in range(0, len(labels), batch)]
        self.device = generator.mapping.w_avg.device
        self.of_class = pd.Series(labels).groupby(labels).cumcount()

    def __enter__(self) -> Self:
        self.pool = ThreadPoolExecutor(torch.get_num_threads())
        return self

    def __exit__(self, *_: object) -> None:
        self.pool.shutdown(cancel_futures=True)

    def __iter__(self) -> Iterator[tuple[slice, Tensor, Tensor, list[Tensor]]]:
        """(numbers of the images, latents [B, latent], one-hot classes, noise by layer as from `draw_noise`)."""
        ahead = [self._start(numbers) for numbers in self.numbers[:1]]
        for number, numbers in enumerate(self.numbers):
            drawn = ahead.pop()
            ahead += [self._start(following) for following in self.numbers[number + 1 : number + 2]]
            parts = zip(*(image.result() for image in drawn), strict=True)
            z, *noise = (send(torch.cat(part), self.device) for part in parts)
            c = one_hot_classes(torch.from_numpy(self.labels[numbers]), self.generator.architecture.class_count)
            yield numbers, z, send(c, self.device), noise

    def _start(self, numbers: slice) -> list[Future[list[Tensor]]]:
        return [self.pool.submit(self._draw, i) for i in range(numbers.start, numbers.stop)]

    def _draw(self, i: int) -> list[Tensor]:
        """Latent [1, latent] and noise of image i."""
        image = {"label": int(self.labels[i]), "image": int(self.of_class[i])}
        random = torch.Generator().manual_seed(derive_seed(self.seed, "sample", **image))
        z = torch.randn(1, self.generator.architecture.latent, generator=random)
        return [z, *self.generator.synthesis.draw_noise(1, random)]

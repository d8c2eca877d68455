"""Stage measure_fidelity: how near a synthetic set is to its real training images, and whether too near."""

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from ganaug.errors import UserError
from ganaug.fidelity.distances import frechet_distance, kernel_distance, precision_recall
from ganaug.fidelity.extractors import INCEPTION, extract, load_extractor
from ganaug.fidelity.memorisation import closest_pairs, memorisation
from ganaug.files import read_csv, write_csv
from ganaug.seeding import derive_seed, pick_device, set_determinism

# Only Inception's features give what is called FID and KID; others have names of their own.
NAMES = {
    True: ("fid", "kid_mean", "kid_std"),
    False: ("frechet_distance", "kernel_distance_mean", "kernel_distance_std"),
}


@dataclass(frozen=True)
class Settings:
    """extractor: inception-v3-compat or a timm network. input_size: pixels to which a timm network's images are scaled.
    kid_subset_size, kid_subsets: of the kernel distance. prc_neighborhood: neighbours of precision and recall."""

    extractor: str
    input_size: int
    kid_subset_size: int
    kid_subsets: int
    prc_neighborhood: int


def add_arguments(parser: argparse.ArgumentParser) -> None:
    inputs = parser.add_argument_group("inputs")
    for name in ("real", "synthetic"):
        inputs.add_argument(f"--{name}-images", type=Path, required=True)
        inputs.add_argument(f"--{name}-table", type=Path, required=True)
    inputs.add_argument("--held-out-images", type=Path, required=True, help="real images that no GAN is trained on")
    inputs.add_argument("--snapshots", type=Path, required=True, help="images along the GAN's training")
    inputs.add_argument("--snapshot-table", type=Path, required=True)
    inputs.add_argument("--weights", type=Path, required=True, help="weights of the extractor")
    outputs = parser.add_argument_group("outputs")
    outputs.add_argument("--fidelity", type=Path, required=True)
    outputs.add_argument("--curve", type=Path, required=True)
    outputs.add_argument("--memorisation", type=Path, required=True, help="whether training images are repeated")
    outputs.add_argument("--closest", type=Path, required=True, help="synthetic images nearest to a training image")


def run(args: argparse.Namespace) -> None:
    settings = Settings(**args.settings)
    set_determinism(args.threads)
    tables = {name: read_csv(getattr(args, f"{name}_table"), dtype={"class": str}) for name in ("real", "synthetic")}
    labels = {name: table["class"] for name, table in tables.items()}
    check_counts(labels, settings)
    extractor = load_extractor(settings.extractor, args.weights, settings.input_size, pick_device(args.device))
    real = extract(extractor, np.load(args.real_images, mmap_mode="r"))
    synthetic = extract(extractor, np.load(args.synthetic_images, mmap_mode="r"))
    rows = measure(real, synthetic, settings, args.seed, "all")
    sets = (real, labels["real"]), (synthetic, labels["synthetic"])
    for name in tables["real"].sort_values("label")["class"].drop_duplicates():
        of_class = (features[(names == name).to_numpy(copy=True)] for features, names in sets)
        rows += measure(*of_class, settings, args.seed, name)
    held_out = extract(extractor, np.load(args.held_out_images, mmap_mode="r"))
    write_csv(args.memorisation, pd.DataFrame([memorisation(synthetic, real, held_out)]))
    write_csv(args.closest, closest_pairs(synthetic, real, held_out))
    write_csv(args.fidelity, pd.DataFrame(rows))
    write_csv(args.curve, pd.DataFrame(curve(extractor, real, args.snapshots, args.snapshot_table, settings)))


def check_counts(labels: dict[str, pd.Series], settings: Settings) -> None:
    """Raises UserError where a class has too few images for the metrics, saying what would do."""
    for side, names in labels.items():
        name, count = names.value_counts().index[-1], int(names.value_counts().iloc[-1])
        if count < settings.kid_subset_size:
            raise UserError(
                f"fidelity.kid_subset_size: {settings.kid_subset_size} is above the {count} {side} images of class "
                f"{name!r}; write at most {count}, the same for all sizes"
            )
        if count <= settings.prc_neighborhood:
            raise UserError(
                f"fidelity.prc_neighborhood: {settings.prc_neighborhood} needs more than the {count} {side} images of "
                f"class {name!r}; write at most {count - 1}"
            )


def measure(real, synthetic, settings: Settings, seed: int, name: str) -> list[dict]:
    """Rows class, extractor, metric, value for two sets of features, float64 [N, D]."""
    frechet, kernel_mean, kernel_std = NAMES[settings.extractor == INCEPTION]
    draws = derive_seed(seed, "kernel distance", name=name)
    mean, std = kernel_distance(real, synthetic, settings.kid_subset_size, settings.kid_subsets, draws)
    precision, recall = precision_recall(synthetic, real, settings.prc_neighborhood)
    values = {frechet: frechet_distance(real, synthetic), kernel_mean: mean, kernel_std: std}
    values |= {"precision": precision, "recall": recall}
    cell = {"class": name, "extractor": settings.extractor}
    return [cell | {"metric": metric, "value": value} for metric, value in values.items()]


def curve(extractor, real, snapshots: Path, table: Path, settings: Settings) -> list[dict]:
    """Rows kimg, extractor, metric, value: the Fréchet distance of every snapshot to the real images.

    A snapshot has fewer images than the synthetic set, so its distances are higher; they compare with each other.
    """
    images, rows = np.load(snapshots, mmap_mode="r"), read_csv(table)
    frechet = NAMES[settings.extractor == INCEPTION][0]
    kimgs = rows.drop_duplicates("index")["kimg"]
    return [
        {
            "kimg": kimg,
            "extractor": settings.extractor,
            "metric": frechet,
            "value": frechet_distance(real, extract(extractor, images[index])),
        }
        for index, kimg in enumerate(kimgs)
    ]

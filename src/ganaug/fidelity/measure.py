"""Stage measure_fidelity: how near a synthetic set is to its real training images, and whether too near."""

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from ganaug.device import pick_device
from ganaug.errors import UserError
from ganaug.fidelity.distances import frechet_distance, kernel_distance, precision_recall
from ganaug.fidelity.extractors import INCEPTION, Extractor, extract, load_extractor
from ganaug.fidelity.features import Features, equal_draws
from ganaug.fidelity.memorisation import closest_pairs, memorisation
from ganaug.files import open_array, read_csv, write_csv
from ganaug.seeding import derive_seed, set_determinism

SIDES = {
    "real": "training images",
    "synthetic": "what was made after them",
    "held_out": "real images that no GAN is trained on",
}
LESS_MEMORY = "lower fidelity.input_size or gan.snapshot_images, or give the job more"
FEW = "no more images than the {} features: too high by itself; compare what is above the floor"
# Only Inception's features give what is called FID and KID; others have names of their own.
NAMES = {
    True: ("fid", "kid_mean", "kid_subset_std"),
    False: ("frechet_distance", "kernel_distance_mean", "kernel_distance_subset_std"),
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
    for side, what in SIDES.items():
        inputs.add_argument(f"--{side.replace('_', '-')}-images", type=Path, required=True, help=what)
        inputs.add_argument(f"--{side.replace('_', '-')}-table", type=Path, required=True)
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
    extractor = load_extractor(settings.extractor, args.weights, settings.input_size, pick_device(args.device))
    tables = {side: read_csv(getattr(args, f"{side}_table"), dtype={"class": str}) for side in SIDES}
    order = list(tables["real"].sort_values("label")["class"].drop_duplicates())
    labels = {side: table["class"].to_numpy(str) for side, table in tables.items()}
    for side in SIDES:
        check_counts(side, labels[side], settings)
    sets = {
        side: Features(extract(extractor, open_array(getattr(args, f"{side}_images"))), labels[side]) for side in SIDES
    }
    real, synthetic, held_out = sets.values()
    rows = compare(real, synthetic, held_out, settings, args.seed, "all")
    for name in order:
        ours, made, others = (side.of_class(name) for side in (real, synthetic, held_out))
        rows += compare(ours, made, others, settings, args.seed, name)
    unseen = held_out.shared_like(
        real, len(held_out.labels), derive_seed(args.seed, "unseen")
    )  # as mixed as the others
    write_csv(args.memorisation, pd.DataFrame([memorisation(synthetic.values, real.values, unseen.values)]))
    write_csv(args.closest, closest_pairs(synthetic.values, real.values, unseen.values))
    write_csv(args.fidelity, pd.DataFrame(rows))
    write_csv(args.curve, pd.DataFrame(curve(extractor, real.values, args.snapshots, args.snapshot_table, settings)))


def check_counts(side: str, labels: np.ndarray, settings: Settings) -> None:
    """Raises UserError where a class has too few images for the metrics, saying what would do."""
    names, counts = np.unique(labels, return_counts=True)
    name, count = names[counts.argmin()], counts.min()
    kind = side.replace("_", "-")
    if count < settings.kid_subset_size:
        raise UserError(
            f"fidelity.kid_subset_size: {settings.kid_subset_size} is above the {count} {kind} images of class "
            f"{str(name)!r}; write at most {count}, the same for all sizes"
        )
    if count <= settings.prc_neighborhood:
        raise UserError(
            f"fidelity.prc_neighborhood: {settings.prc_neighborhood} needs more than the {count} {kind} images of "
            f"class {str(name)!r}; write at most {count - 1}"
        )


def compare(
    real: Features, synthetic: Features, held_out: Features, settings: Settings, seed: int, name: str
) -> list[dict]:
    """Rows class, reference, extractor, metric, value, floor, images, reference_images, warning.

    reference: the synthetic images are compared with the `train` images, which the GAN has seen, and with `held out`
    ones, test images in the training images' shares of the classes. floor: what real images get instead, held-out ones
    against the training images and training images against held-out ones. A generator as good as reality reaches the
    floor, not 0. A Fréchet distance is the higher the fewer the images; sizes compare, roughly, by its value minus the
    floor: one blur of real radiographs got 904 to 912 with 64 images and 410 to 426 with 1,000, but 167 to 213 and 287
    to 298 above the floor. The metric `…_subset_std` is the spread of the kernel distance over subsets, and no error of
    its mean. images: how many were compared with the reference_images; of synthetic and real ones the same number, a
    draw from whichever are more. warning: where a Fréchet distance has no more images than features.
    """
    held_out = held_out.shared_like(real, len(held_out.labels), derive_seed(seed, "held out", name=name))
    rows = []
    for reference, against, instead in (("train", real, held_out), ("held out", held_out, real)):
        draws = derive_seed(seed, "kernel distance", name=name, reference=reference)
        made, instead = equal_draws(synthetic, instead, derive_seed(seed, "floor", name=name, reference=reference))
        values = measure(against.values, made.values, settings, draws)
        floors = measure(against.values, instead.values, settings, draws)
        counts = {"images": len(made.labels), "reference_images": len(against.labels)}
        for metric, value in values.items():
            few = min(counts.values()) <= real.values.shape[1] and metric == frechet_name(settings)
            cell = {"class": name, "reference": reference, "extractor": settings.extractor, "metric": metric}
            warning = FEW.format(real.values.shape[1]) if few else ""
            rows.append(cell | {"value": value, "floor": floors[metric]} | counts | {"warning": warning})
    return rows


def frechet_name(settings: Settings) -> str:
    return NAMES[settings.extractor == INCEPTION][0]


def measure(real: torch.Tensor, other: torch.Tensor, settings: Settings, seed: int) -> dict[str, float]:
    """Metric to value for two sets of features, float64 [N, D] and [M, D]."""
    frechet, kernel_mean, kernel_std = NAMES[settings.extractor == INCEPTION]
    mean, std = kernel_distance(real, other, settings.kid_subset_size, settings.kid_subsets, seed)
    precision, recall = precision_recall(other, real, settings.prc_neighborhood)
    values = {frechet: frechet_distance(real, other), kernel_mean: mean, kernel_std: std}
    return values | {"precision": precision, "recall": recall}


def curve(extractor: Extractor, real: torch.Tensor, snapshots: Path, table: Path, settings: Settings) -> list[dict]:
    """Rows kimg, extractor, metric, value: the Fréchet distance of every snapshot to the real images.

    A snapshot has fewer images than the synthetic set, so its distances are higher. Those of one GAN compare with each
    other; those of GANs with other numbers of training images do not.
    """
    images, rows = open_array(snapshots), read_csv(table)
    kimgs = rows.drop_duplicates("index")["kimg"]
    return [
        {
            "kimg": kimg,
            "extractor": settings.extractor,
            "metric": frechet_name(settings),
            "value": frechet_distance(real, extract(extractor, images[index])),
        }
        for index, kimg in enumerate(kimgs)
    ]

"""What a job takes before any has run: seconds and bytes, from the settings of its cell.

CPU: fitted to times of one AMD EPYC core (Zen 4, float32; README.md has some). Within a factor of about two; other
processors differ by as much again. GPU: by the rates of one card, in `gpu_rates`. Finished jobs of a study correct all
this: see `costs`.
"""

from collections.abc import Callable
from dataclasses import dataclass

from ganaug.layout import ratio_in
from ganaug.overview import gpu_rates

# Of networks: core seconds to train on an image and to score one, of 224 x 224 (Inception: 299 x 299); million weights.
NETWORKS = {
    "tf_efficientnet_lite0": (0.11, 0.019, 3.4),
    "efficientnet_b0": (0.094, 0.020, 4.0),
    "mobilenetv3_large_100": (0.045, 0.011, 4.2),
    "resnet18": (0.12, 0.039, 11.2),
    "resnet34": (0.24, 0.070, 21.3),
    "resnet50": (0.36, 0.11, 23.5),
    "densenet121": (0.27, 0.088, 7.0),
    "convnext_tiny": (0.45, 0.12, 27.8),
    "vit_small_patch16_224": (0.40, 0.12, 21.7),
    "inception-v3-compat": (0.47, 0.13, 21.8),
}
UNKNOWN = NETWORKS["resnet50"]
# Of a GAN's training, core seconds: for a million multiplications, for a million values, for a step. Fitted to 11
# shapes from 32 to 128 pixels and 16 to 512 feature maps, none of which it misses by more than a quarter.
PER_PRODUCT, PER_VALUE, PER_STEP = 1.74e-4, 1.86e-2, 5.8e-2
# Megabytes: for a process, for a million values that a step keeps, for a weight. Fitted to six shapes of 32 and 64
# pixels and 32 to 512 feature maps at batches of 32; half as much again to spare.
MB_AT_LEAST, MB_PER_VALUE, MB_PER_WEIGHT, MB_SPARE = 900, 4.7, 42e-6, 1.5
NO_PATH_LENGTHS = 0.92  # share of the time that is left without their regularisation
FRECHET = 0.2  # core seconds for a Fréchet distance
START = 3.0  # seconds for imports and reading; a stage without networks takes half a second


Work = tuple[float, float]  # seconds of one core or of the GPUs, bytes


@dataclass(frozen=True)
class Guess:
    """seconds: wall-clock. bytes: of outputs and checkpoints."""

    seconds: float
    bytes: float


@dataclass(frozen=True)
class Gpus:
    """What a job has of GPUs. count: how many; 0: it runs on the CPU. sharing: jobs that share each of them."""

    count: int
    sharing: int = 1


def guess(
    rule: str, cell: dict[str, str], study: dict, images: dict[str, int], threads: int, gpus: int, sharing: int = 1
) -> Guess:
    """cell: the job's wildcards. images: of each class, before the split. threads, gpus: that the job runs on.
    sharing: jobs that share each GPU."""
    has = Gpus(gpus, sharing)
    work, bytes_ = GUESSES[rule](cell, study, Counts(study, images), has) if rule in GUESSES else (0.5, 5_000)
    start = 0.5
    if rule in WITH_NETWORKS:
        start = gpu_rates.START if gpus else START
    return Guess(start + work / (1 if gpus else speed(threads)), bytes_)


def speed(threads: int) -> float:
    """How much faster several threads are than one: not quite as many times."""
    return threads**0.8


class Counts:
    """Numbers of images in a study's sets."""

    def __init__(self, study: dict, images: dict[str, int]):
        splits = study["splits"]
        self.all, self.classes = sum(images.values()), len(images)
        self.test = self.all * splits["test_share"]
        self.train_share = 1 - splits["validation_share"]

    def of(self, size: str) -> float:
        """Real images of a size, validation included."""
        pool = self.all - self.test
        return pool if size == "all" else min(pool, int(size) * self.classes)

    def train(self, size: str) -> float:
        return self.of(size) * self.train_share


def gan_work(gan: dict, resolution: int) -> tuple[float, float]:
    """(million multiplications, million values of feature maps) of generator and discriminator together, an image."""
    work = gan_work_by_resolution(gan, resolution).values()
    return sum(products for products, _ in work), sum(values for _, values in work)


def gan_work_by_resolution(gan: dict, resolution: int) -> dict[int, tuple[float, float]]:
    """The same of the blocks of each resolution."""
    work = {}
    for r in _resolutions(resolution):
        here, below = _channels(gan, r), _channels(gan, max(4, r // 2))
        products = 2 * 9 * r**2 * (here**2 + here * below / 4)
        work[r] = (products / 1e6, 2 * r**2 * (2 * here + 1) / 1e6)
    return work


def gan_weights(gan: dict, resolution: int) -> float:
    """Weights of the generator; the discriminator has about as many."""
    layers = sum(
        9 * _channels(gan, r) * (_channels(gan, r) + _channels(gan, max(4, r // 2))) for r in _resolutions(resolution)
    )
    return layers + (gan["mapping_layers"] + 1) * gan["latent"] ** 2


def _resolutions(resolution: int) -> list[int]:
    return [2**i for i in range(2, resolution.bit_length())]


def _channels(gan: dict, resolution: int) -> int:
    return max(1, min(gan["channel_base"] // resolution, gan["channel_max"]))


def gan_core_seconds(gan: dict, resolution: int) -> float:
    """Of one core, to train on one image."""
    products, values = gan_work(gan, resolution)
    return _regularised(gan) * (PER_PRODUCT * products + PER_VALUE * values + PER_STEP / gan["batch"])


def gan_gpu_seconds(gan: dict, resolution: int, gpus: int = 1, sharing: int = 1) -> float:
    """Wall-clock seconds on GPUs, to train on one image. gpus: that share it. sharing: trainings that share each."""
    work = gan_work_by_resolution(gan, resolution)
    return _regularised(gan) * gpu_rates.gan_kimg_seconds(work, gan, gpus, sharing) / 1000


def _regularised(gan: dict) -> float:
    """What is left of the time where path lengths are not regularised."""
    return 1.0 if gan["path_length_weight"] else NO_PATH_LENGTHS


def gan_megabytes(gan: dict, resolution: int) -> float:
    """Memory of a training on the CPU, beside its images."""
    values = gan["batch"] * gan_work(gan, resolution)[1]
    return MB_SPARE * (MB_AT_LEAST + MB_PER_VALUE * values + MB_PER_WEIGHT * gan_weights(gan, resolution))


def _train_gan(cell: dict[str, str], study: dict, counts: Counts, gpus: Gpus) -> Work:
    gan, resolution = study["gan"], study["data"]["resolution"]
    images = 1000 * gan["kimg"]
    seconds = images * gan_core_seconds(gan, resolution)
    if gpus.count:
        seconds = images * gan_gpu_seconds(gan, resolution, gpus.count, gpus.sharing)
    snapshots = (gan["kimg"] / gan["snapshot_kimg"] + 1) * gan["snapshot_images"]
    weights, shown = gan_weights(gan, resolution), snapshots * resolution**2
    # A checkpoint has both networks, two moments of Adam each, and the moving average; the newest two are kept.
    return seconds, 4 * weights + shown + 2 * (4 * 7 * weights + shown)


def _sample_gan(cell: dict[str, str], study: dict, counts: Counts, gpus: Gpus) -> Work:
    resolution, at = study["data"]["resolution"], cell.get("at")
    ratio = float(ratio_in(at)) if at else study["synthetic"]["ratio"]
    images = ratio * counts.train(cell["size"])
    # Of the passes through both networks in a training step, a sample is about a tenth.
    seconds = images * gan_core_seconds(study["gan"], resolution) / 10
    if gpus.count:
        seconds = images * gpu_rates.sample_seconds(gan_work_by_resolution(study["gan"], resolution))
    return seconds, images * (resolution**2 + 60)


def scoring(network: str, input_size: int, images: float, gpus: Gpus) -> float:
    """Seconds to pass images through a network once."""
    scored, scale = NETWORKS.get(network, UNKNOWN)[1], _scale(network, input_size)
    if gpus.count:
        return images * gpu_rates.scored_seconds(network, scale, scored / UNKNOWN[1])
    return images * scored * scale


def _scale(network: str, input_size: int) -> float:
    return 1.0 if network.startswith("inception") else (input_size / 224) ** 2


def _measure_fidelity(cell: dict[str, str], study: dict, counts: Counts, gpus: Gpus) -> Work:
    fidelity, gan, train = study["fidelity"], study["gan"], counts.train(cell["size"])
    synthetic = study["synthetic"]["ratio"] * train
    snapshots = (gan["kimg"] / gan["snapshot_kimg"] + 1) * gan["snapshot_images"]
    images = train + synthetic + counts.test + snapshots
    # Square roots of matrices: two distances of each class and of all in both directions, one per snapshot.
    distances = 4 * (counts.classes + 1) + gan["kimg"] / gan["snapshot_kimg"]
    pairs = (train + synthetic) * (train + counts.test)
    features = scoring(fidelity["extractor"], fidelity["input_size"], images, gpus)
    return features + FRECHET * distances + 4e-7 * pairs, 20_000


def _train_classifier(cell: dict[str, str], study: dict, counts: Counts, gpus: Gpus) -> Work:
    classifier, backbone = study["classifier"], cell["backbone"]
    train = counts.train(cell["size"])
    steps = classifier["epochs"] * (classifier["steps_per_epoch"] or -(-train // classifier["batch"]))
    images, size = steps * classifier["batch"], classifier["input_size"]
    trained, _, millions = NETWORKS.get(backbone, UNKNOWN)
    scale = _scale(backbone, size)
    if gpus.count:
        against = trained / NETWORKS["efficientnet_b0"][0]
        seconds = images * gpu_rates.trained_seconds(
            backbone, cell.get("augmentation", ""), classifier, scale, against, gpus.sharing
        )
    else:
        seconds = images * (trained * scale + 0.002 * (size / 224) ** 2)  # trained on; scaled and augmented
    validation = classifier["epochs"] * counts.of(cell["size"]) * (1 - counts.train_share)
    scored = scoring(backbone, size, validation + counts.test, gpus)
    return seconds + scored, 4e6 * millions + 150 * counts.test


def _check_backbone(cell: dict[str, str], study: dict, counts: Counts, gpus: Gpus) -> Work:
    """One step of training, one validation of as many images, and the network built a second time."""
    classifier = study["classifier"]
    images, trained = classifier["batch"], NETWORKS.get(cell["backbone"], UNKNOWN)[0]
    scored = scoring(cell["backbone"], classifier["input_size"], images + 4, gpus)
    on_cpu = 0.0 if gpus.count else images * trained * _scale(cell["backbone"], classifier["input_size"])
    return 1.0 + on_cpu + scored, 500


def _check_extractor(cell: dict[str, str], study: dict, counts: Counts, gpus: Gpus) -> Work:
    fidelity = study["fidelity"]
    return 0.5 + scoring(fidelity["extractor"], fidelity["input_size"], 256 if gpus.count else 32, gpus), 500


def _score_synthetic(cell: dict[str, str], study: dict, counts: Counts, gpus: Gpus) -> Work:
    images = study["synthetic"]["ratio"] * counts.train(cell["size"])
    return scoring(cell["backbone"], study["classifier"]["input_size"], images, gpus), 150 * images


def _score_external(cell: dict[str, str], study: dict, counts: Counts, gpus: Gpus) -> Work:
    return scoring(cell["backbone"], study["classifier"]["input_size"], 2000, gpus), 150 * 2000


def _pack(images: float, study: dict) -> Work:
    """Images decoded, scaled and packed."""
    return 0.003 * images, images * (study["data"]["resolution"] ** 2 + 150)


def _make_tables(cell: dict[str, str], study: dict, counts: Counts, gpus: Gpus) -> Work:
    cells = len(study["augmentations"]) * len(study["sizes"]) * study["replicates"] * len(study["backbones"])
    return 5 + 2e-7 * cells * counts.test * study["statistics"]["bootstrap_samples"], 1e6


GUESSES: dict[str, Callable[[dict[str, str], dict, Counts, Gpus], Work]] = {
    "make_phantoms": lambda cell, study, counts, gpus: (
        0.02 * counts.all * (study["data"]["phantom"]["resolution"] / 64) ** 2,
        0.6 * counts.all * study["data"]["phantom"]["resolution"] ** 2,
    ),
    "make_manifest": lambda cell, study, counts, gpus: (0.003 * counts.all, 350 * counts.all),
    "make_splits": lambda cell, study, counts, gpus: (1.0, 150 * counts.all),
    "make_test_set": lambda cell, study, counts, gpus: _pack(counts.test, study),
    "make_external_set": lambda cell, study, counts, gpus: _pack(2000, study),
    "make_subset": lambda cell, study, counts, gpus: _pack(counts.of(cell["size"]), study),
    "train_gan": _train_gan,
    "sample_gan": _sample_gan,
    "measure_fidelity": _measure_fidelity,
    "prepare_weights": lambda cell, study, counts, gpus: (
        1.0,
        4e6 * (NETWORKS.get(cell["backbone"], UNKNOWN)[2] + 1.3),  # with the head of ImageNet's 1,000 classes
    ),
    "check_backbone": _check_backbone,
    "check_extractor": _check_extractor,
    "check_init_from": lambda cell, study, counts, gpus: (
        1.0 + 1e-7 * gan_weights(study["gan"], study["data"]["resolution"]),
        500,
    ),
    "train_classifier": _train_classifier,
    "score_synthetic": _score_synthetic,
    "score_external": _score_external,
    "make_tables": _make_tables,
    "make_figure": lambda cell, study, counts, gpus: (1.5, 400_000),
    "make_report": lambda cell, study, counts, gpus: (1.0, 4e6),
}
WITH_NETWORKS = {
    "train_gan",
    "sample_gan",
    "measure_fidelity",
    "train_classifier",
    "score_synthetic",
    "score_external",
    "prepare_weights",
    "check_backbone",
    "check_extractor",
    "check_init_from",
}

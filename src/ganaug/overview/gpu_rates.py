"""How long work takes on a GPU: rates of one card, an NVIDIA H100 (80 GB, SXM), as `docs/gpu.md` has measured them.

A job is as slow as the slowest of what it needs: the card, for products and for memory; a chain of small kernels, which
no card shortens; for a classifier the CPU, which starts the kernels and prepares some images.
"""

CARD = "NVIDIA H100"  # as the estimate names it

# A GAN's training, all phases on average. Seconds of the card for a million multiplications and for a million values
# of feature maps (`guesses.gan_work` counts both), by the precision of the blocks they are in: fitted by
# benchmarks/fit_gpu.py to six rows, none of which they miss by more than 2 %. float16, which has no row, is taken
# for bfloat16.
GAN_PER_PRODUCT = {"float32": 9.4e-7, "tf32": 5.2e-8, "bfloat16": 5.1e-8, "float16": 5.1e-8}
GAN_PER_VALUE = {"float32": 6.9e-5, "tf32": 6.9e-5, "bfloat16": 2.7e-5, "float16": 2.7e-5}
# Least seconds of a step: its thousands of kernels one after the other, however little each has to do.
GAN_STEP = 0.018
# Samples a second, at most. A sample takes at least this share of the seconds of training on an image in float32.
SAMPLES, SAMPLE_SHARE = 1900.0, 0.06

# Images a second that the card trains a classifier on, of 224 x 224, by network and precision, where nothing else is
# the bound. A network that is missing: EfficientNet-B0's rate, by what both take on a CPU.
TRAINED = {"efficientnet_b0": {"float32": 1800.0, "tf32": 3700.0, "bfloat16": 3700.0}}
# Images a second through a network without its training: scoring, and features for fidelity.
SCORED = {"resnet50": 3270.0, "tf_efficientnet_lite0": 7910.0}
# Least seconds of a classifier's step, in which the CPU starts EfficientNet-B0's kernels, and what classical
# transforms add. Images of 224 x 224 a second that the CPU prepares for augmentations that the card does not do: not
# measured.
CLASSIFIER_STEP, CLASSICAL_STEP = 0.030, 0.010
PREPARED = 500.0
PREPARED_ON_CPU = ("randaugment", "trivialaugment")

START = 12.0  # seconds of a job before its work: imports, reading, CUDA


def arithmetic(settings: dict) -> str:
    """What float32 blocks compute in, by a block of settings."""
    return "tf32" if settings.get("tf32") else "float32"


def gan_card_seconds(work: dict[int, tuple[float, float]], gan: dict) -> float:
    """Seconds of the card to train on an image. work: million products and million values by resolution."""
    half = sorted(work)[-gan["half_resolutions"] :] if gan["precision"] != "float32" else []
    total = 0.0
    for resolution, (products, values) in work.items():
        kind = gan["precision"] if resolution in half else arithmetic(gan)
        total += GAN_PER_PRODUCT[kind] * products + GAN_PER_VALUE[kind] * values
    return total


def gan_kimg_seconds(work: dict[int, tuple[float, float]], gan: dict, gpus: int = 1, sharing: int = 1) -> float:
    """Wall-clock seconds of a GAN's training for 1,000 images.

    gpus: that share its batches. sharing: trainings that share each GPU.
    """
    card = gan["batch"] * gan_card_seconds(work, gan) / gpus
    # A card runs the kernels of one program at a time, so that sharing it gains nothing (docs/gpu.md: but with MPS).
    return 1000 / gan["batch"] * max(card, GAN_STEP) * sharing


def sample_seconds(work: dict[int, tuple[float, float]]) -> float:
    """Of the card, for one sample."""
    plain = {"precision": "float32", "half_resolutions": 1}
    return max(1 / SAMPLES, SAMPLE_SHARE * gan_card_seconds(work, plain))


def trained_seconds(
    network: str, augmentation: str, classifier: dict, scale: float, against_known: float, sharing: int = 1
) -> float:
    """Wall-clock seconds of a classifier's training for one image.

    scale: its area against 224 x 224. against_known: what the network takes on a CPU against EfficientNet-B0. sharing:
    trainings that share the GPU.
    """
    known = TRAINED.get(network)
    rates = known or {kind: rate / against_known for kind, rate in TRAINED["efficientnet_b0"].items()}
    precision = classifier.get("precision", "float32")
    card = scale / rates[arithmetic(classifier) if precision == "float32" else "bfloat16"]
    prepared = scale / PREPARED if augmentation in PREPARED_ON_CPU else 0.0
    step = CLASSIFIER_STEP + (CLASSICAL_STEP if "classical" in augmentation else 0.0)
    return max(card * sharing, prepared, step / classifier["batch"])


def scored_seconds(network: str, scale: float, against_resnet: float) -> float:
    """Of the card, to pass one image through a network. against_resnet: what it takes on a CPU against ResNet-50."""
    return scale / SCORED.get(network, SCORED["resnet50"] / against_resnet)

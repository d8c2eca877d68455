"""How long work takes on a GPU: rates of one card, an NVIDIA H100 (80 GB, SXM), as `docs/gpu.md` has measured them.

A job is as slow as the slowest of what it needs: the card, for products and for memory; the CPU, which starts the
card's kernels and prepares a classifier's images. What the CPU needs is the same for any card and any size of network,
so that small networks leave a fast card idle, and several jobs that share it (`sharing`) fill it.
"""

# PROVISIONAL: none of the numbers below is measured yet. They are replaced by those of docs/gpu.md.

CARD = "NVIDIA H100"  # as the estimate names it

# A GAN's training, all phases on average. Seconds of the card for a million multiplications and for a million values
# of feature maps (`guesses.gan_work` counts both), by the precision of the blocks they are in.
GAN_PER_PRODUCT = {"float32": 2.0e-7, "tf32": 8.0e-8, "bfloat16": 4.0e-8, "float16": 4.0e-8}
GAN_PER_VALUE = {"float32": 1.0e-4, "tf32": 1.0e-4, "bfloat16": 5.0e-5, "float16": 5.0e-5}
# Least seconds of a step, in which the CPU starts its thousands of kernels.
GAN_STEP = 0.10
# Samples a second: at most so many, and by the share that a sample takes of an image's training in float32.
SAMPLES, SAMPLE_SHARE = 1000.0, 0.1

# Images a second that the card trains a classifier on, of 224 x 224 in batches of 32, by network and precision. A
# network that is missing: ResNet-50's rate, by what both take on a CPU.
TRAINED = {
    "resnet50": {"float32": 500.0, "tf32": 900.0, "bfloat16": 1400.0},
}
# Images a second through a network without its training: scoring, and features for fidelity (Inception: 299 x 299).
SCORED = {"resnet50": 2000.0, "inception-v3-compat": 1000.0}
# Least seconds of a classifier's step, in which the CPU starts its kernels. Images of 224 x 224 a second that the CPU
# prepares for the augmentations that the card does not do.
CLASSIFIER_STEP = 0.03
PREPARED = 500.0
PREPARED_ON_CPU = ("randaugment", "trivialaugment")

# How many times longer the card takes for the same work where several jobs share it.
SHARED = 1.1
START = 15.0  # seconds of a job before its work: imports, reading, CUDA


def step_seconds(card: float, cpu: float, sharing: int = 1) -> float:
    """Wall-clock seconds of a step that takes the card and the CPU so many, beside others that share the card."""
    return max(card * (SHARED * sharing if sharing > 1 else 1.0), cpu)


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
    return 1000 / gan["batch"] * step_seconds(card, GAN_STEP, sharing)


def sample_seconds(work: dict[int, tuple[float, float]]) -> float:
    """Of the card, for one sample."""
    plain = {"precision": "float32", "half_resolutions": 1}
    return max(1 / SAMPLES, SAMPLE_SHARE * gan_card_seconds(work, plain))


def trained_seconds(
    network: str, augmentation: str, classifier: dict, scale: float, against_resnet: float, sharing: int = 1
) -> float:
    """Wall-clock seconds of a classifier's training for one image.

    scale: its area against 224 x 224. against_resnet: what the network takes on a CPU against ResNet-50. sharing:
    trainings that share the GPU.
    """
    known = TRAINED.get(network)
    rates = known or {kind: rate / against_resnet for kind, rate in TRAINED["resnet50"].items()}
    precision = classifier.get("precision", "float32")
    card = scale / rates[arithmetic(classifier) if precision == "float32" else "bfloat16"]
    prepared = scale / PREPARED if augmentation in PREPARED_ON_CPU else 0.0
    return step_seconds(card, max(prepared, CLASSIFIER_STEP / classifier["batch"]), sharing)


def scored_seconds(network: str, scale: float, against_resnet: float) -> float:
    """Of the card, to pass one image through a network. scale, against_resnet: as above, of scoring."""
    return scale / SCORED.get(network, SCORED["resnet50"] / against_resnet)

"""Settings of the two stages. Defaults live in ganaug.study.settings."""

from dataclasses import asdict, dataclass
from typing import Literal

from ganaug.errors import UserError

GROUP = 4  # samples over which the minibatch standard deviation is taken


def batch_mistake(batch: int, gpus: int = 1) -> str | None:
    """What is wrong with a batch that `gpus` GPUs share, to follow the setting's name; None where nothing is."""
    if batch > 0 and batch % (GROUP * gpus) == 0:
        return None
    wrong = f"can't be shared by {gpus} GPUs" if gpus > 1 else "does not do"
    return f"{batch} {wrong}; write a multiple of {GROUP * gpus}"


def channel_base_mistake(channel_base: int, resolution: int) -> str | None:
    """What is wrong with channel_base for images of `resolution` pixels a side, likewise."""
    if channel_base >= resolution:
        return None
    return f"{channel_base} leaves no feature map at a resolution of {resolution}; write at least {16 * resolution}"


@dataclass(frozen=True)
class TrainingSettings:
    """How a GAN is trained. `kimg` counts thousands of real images shown to the discriminator.

    kimg: length of the training. batch: images a step, a multiple of 4 (the groups of the minibatch deviation).
    channel_base, channel_max: feature maps at resolution r are min(channel_base // r, channel_max).
    latent: dimension of z and w. mapping_layers: depth of the generator's mapping network.
    learning_rate: Adam's, of both networks. r1_gamma: weight of R1; "auto": 0.0002 resolution^2 / batch.
    ema_kimg: half-life of the generator's moving average; "auto": batch * 10 / 32. ema_rampup: the half-life is at
    most this share of the images seen; None: no such limit. style_mixing: share of images made from two latents.
    path_length_weight: of path-length regularisation; 0 turns it off. ada_target: r_t that ADA holds; None turns
    augmentation off. ada_kimg: in which p can go from 0 to 1. ada_pipeline: which transformations, by the reference's
    names. mirror: show real images left-right flipped too.
    precision: of the blocks of the `half_resolutions` highest resolutions; weights and all else are float32.
    tf32: let GPUs round the factors of float32 products to 10 bits. cudnn_benchmark: choose convolution algorithms by
    trial, which is faster and may give other last bits in every run.
    log_kimg: between rows of the training log. snapshot_kimg: between snapshots. snapshot_images: in a snapshot.
    checkpoint_seconds: between checkpoints.
    """

    kimg: float
    batch: int
    channel_base: int
    channel_max: int
    latent: int
    mapping_layers: int
    learning_rate: float
    r1_gamma: float | Literal["auto"]
    ema_kimg: float | Literal["auto"]
    ema_rampup: float | None
    style_mixing: float
    path_length_weight: float
    ada_target: float | None
    ada_kimg: float
    ada_pipeline: str
    mirror: bool
    precision: Literal["float32", "bfloat16", "float16"]
    half_resolutions: int
    tf32: bool
    cudnn_benchmark: bool
    log_kimg: float
    snapshot_kimg: float
    snapshot_images: int
    checkpoint_seconds: float

    def __post_init__(self) -> None:
        if mistake := batch_mistake(self.batch):
            raise UserError(f"GAN: batch {mistake}")
        for name in ("kimg", "log_kimg", "snapshot_kimg", "ada_kimg", "learning_rate"):
            if not getattr(self, name) > 0:
                raise UserError(f"GAN: {name} is {getattr(self, name)}; make it greater than 0")

    def gamma(self, resolution: int) -> float:
        return 0.0002 * resolution**2 / self.batch if self.r1_gamma == "auto" else self.r1_gamma

    def half_life(self, images: int) -> float:
        """Half-life of the generator's moving average, in images, when `images` have been seen."""
        full = 1000 * (self.batch * 10 / 32 if self.ema_kimg == "auto" else self.ema_kimg)
        return full if self.ema_rampup is None else min(full, self.ema_rampup * images)

    def average_weight(self, images: int) -> float:
        """By which the moving average goes towards the generator in the step after `images`, in [0, 1]."""
        return 1 - 0.5 ** (self.batch / max(self.half_life(images), 1e-8))

    def trajectory(self) -> dict:
        """The settings that decide what a training is at a given number of images: all but when it stops and saves."""
        return {k: v for k, v in asdict(self).items() if k not in ("kimg", "checkpoint_seconds")}


@dataclass(frozen=True)
class SamplingSettings:
    """ratio: synthetic images per real training image of each class, rounded. truncation_psi: 1 for none."""

    ratio: float
    truncation_psi: float

"""The classifiers, what is done to their training images, and the controls: settings."""

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field

from ganaug.downloads import hash_in, is_url
from ganaug.study.settings.block import Block
from ganaug.study.settings.types import File, Flag, FromText, Number, OrNull, Whole


class Weights(Block):
    """Where the pretrained weights of one network come from."""

    source: File = Field(description="package, timm, torch-fidelity, a URL or a file.")
    sha256: OrNull[Annotated[str, Field(pattern="^[0-9a-f]{64}$")]] = Field(
        default=None, description="SHA-256 of the file."
    )

    def contradictions(self) -> Iterator[str]:
        if self.source == "package" and self.sha256:
            yield "sha256: comes with the package, whose hash pip has checked; leave it out"
        if is_url(self.source) and not (self.sha256 or hash_in(self.source)):
            yield (
                "sha256: missing; what is fetched is checked against it. Fetch the file once, make sure that it is the "
                "right one, and write what `sha256sum` says of it"
            )


class Classifier(Block):
    """The classifiers, alike for every augmentation."""

    input_size: Whole = Field(
        default=224, ge=32, le=1024, description="Side in pixels to which images are scaled for the backbone."
    )
    epochs: Whole = Field(
        default=30,
        ge=1,
        le=100_000,
        description="Epochs; each ends with a validation, the best of which picks the weights.",
    )
    steps_per_epoch: OrNull[Annotated[int, Field(ge=1, le=1_000_000), FromText]] = Field(
        default=None, description="Optimiser steps per epoch; null for one pass over the real training images."
    )
    batch: Whole = Field(default=32, ge=2, le=65_536, description="Images per step.")
    learning_rate: Number = Field(default=0.0003, gt=0, le=1, description="AdamW's peak learning rate.")
    weight_decay: Number = Field(default=0.01, ge=0, le=10, description="AdamW's weight decay.")
    precision: Literal["float32", "bfloat16"] = Field(
        default="float32",
        description="Of the layers up to the pooling (autocast); weights and what follows are float32. bfloat16 is "
        "for GPUs from Ampere on; on a CPU, where it would take many times as long, the job refuses it.",
    )
    tf32: Flag = Field(default=False, description="Let a GPU round the factors of float32 products to 10 bits.")
    cudnn_benchmark: Flag = Field(
        default=False,
        description="Let cuDNN choose algorithms by trial. A rerun then differs in the last bits; docs/gpu.md says "
        "what is gained.",
    )
    checkpoint_seconds: Whole = Field(
        default=600,
        ge=1,
        le=1_000_000,
        description="Seconds between checkpoints, from which a killed training continues with the same bits. "
        "Finished, it deletes them. A change reruns nothing.",
    )


class Classical(Block):
    """Strengths of the classical augmentation, each drawn uniformly per image."""

    rotation_degrees: Number = Field(
        default=10, ge=0, le=180, description="Rotation by up to so many degrees either way."
    )
    shift: Number = Field(default=0.05, ge=0, le=0.5, description="Shift by up to this share of the image's side.")
    zoom: Number = Field(default=0.1, ge=0, le=0.5, description="Zoom by a factor from 1 - zoom to 1 + zoom.")
    brightness: Number = Field(
        default=0.1, ge=0, le=1, description="Brightness by a factor from 1 - brightness to 1 + brightness."
    )


class RandAugment(Block):
    """RandAugment (Cubuk et al. 2020), of torchvision.

    As for `trivialaugment`, the CPU transforms one image at a time, which is slow for a GPU.
    """

    operations: Whole = Field(default=2, ge=1, le=10, description="Operations per image.")
    magnitude: Whole = Field(default=9, ge=0, le=30, description="Their strength.")


class Mixup(Block):
    """Mixup (Zhang et al. 2018)."""

    alpha: Number = Field(
        default=0.2, gt=0, le=10, description="Of the Beta distribution of the shares; the higher, the more even."
    )


class Cutmix(Block):
    """CutMix (Yun et al. 2019)."""

    alpha: Number = Field(default=1, gt=0, le=10, description="Of the Beta distribution of the rectangles' shares.")


class Probes(Block):
    """Classifiers beside the comparison, trained alike, that tell what the images are worth."""

    synthetic_only: Flag = Field(
        default=True,
        description="Train on the synthetic images alone and test on real ones, and score the synthetic images with "
        "the classifier of `none`.",
    )
    border_only: Flag = Field(
        default=True,
        description="Train and test on the images' border at the largest size, the middle with the lungs blacked out. "
        "What is right then is known from the films' source and not from disease.",
    )
    border: Number = Field(
        default=0.1, gt=0, lt=0.5, description="Width of that border as a share of the image's side."
    )

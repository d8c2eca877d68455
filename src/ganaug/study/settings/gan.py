"""The GANs, their images and how these are measured: settings."""

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field

from ganaug.study.settings.block import Block
from ganaug.study.settings.types import AsWritten, File, Flag, Number, OrNull, Unique, Whole
from ganaug.stylegan2.settings import GROUP, batch_mistake, channel_base_mistake

Ratio = Annotated[float, Field(gt=0, le=100), AsWritten]


class Gan(Block):
    """StyleGAN2-ADA. One is trained per (size, replicate), on the training images of that subset only."""

    init_from: OrNull[File] = Field(
        default=None,
        description="Weights to start from instead of random ones: a file that `python -m ganaug convert_stylegan2` "
        "made from an official StyleGAN2-ADA pickle. Its authors advise this for small sets, from FFHQ "
        "for instance, and an `ada_kimg` of 100 with it. The converter tells which resolution, channels, "
        "latent and mapping layers fit.",
    )
    kimg: Number = Field(
        default=5000,
        gt=0,
        le=1_000_000,
        description="Length of the training in thousands of real images shown to the discriminator.",
    )
    batch: Whole = Field(
        default=32,
        ge=4,
        le=65_536,
        multiple_of=GROUP,
        description="Images per step; the discriminator compares them in groups of 4.",
    )
    channel_base: Whole = Field(
        default=16384,
        ge=256,
        le=1_048_576,
        description="Feature maps at a resolution are channel_base / resolution, at most channel_max.",
    )
    channel_max: Whole = Field(default=512, ge=4, le=16_384, description="Upper bound of the feature maps.")
    latent: Whole = Field(default=512, ge=8, le=16_384, description="Dimension of z and w.")
    mapping_layers: Whole = Field(default=2, ge=1, le=16, description="Layers of the mapping network.")
    learning_rate: Number = Field(
        default=0.0025, gt=0, le=0.1, description="Adam's learning rate, for generator and discriminator."
    )
    r1_gamma: Annotated[float, Field(ge=0, le=1_000_000), AsWritten] | Literal["auto"] = Field(
        default="auto", description="Weight of the R1 penalty; `auto` is 0.0002 · resolution² / batch."
    )
    ema_kimg: Annotated[float, Field(gt=0, le=1_000_000), AsWritten] | Literal["auto"] = Field(
        default="auto", description="Half-life of the generator's moving average in kimg; `auto` is batch · 10 / 32."
    )
    ema_rampup: OrNull[Annotated[float, Field(ge=0, le=1), AsWritten]] = Field(
        default=0.05, description="The half-life is at most this share of the images shown so far; null for no ramp-up."
    )
    style_mixing: Number = Field(
        default=0.9, ge=0, le=1, description="Probability that an image is made from two latents."
    )
    path_length_weight: Number = Field(
        default=2, ge=0, le=1000, description="Weight of the path-length regularisation; 0 turns it off."
    )
    ada_target: OrNull[Annotated[float, Field(ge=0, le=1), AsWritten]] = Field(
        default=0.6,
        description="Target of r_t = E[sign(D(real))], by which the augmentation probability p moves; null turns ADA "
        "off.",
    )
    ada_kimg: Number = Field(
        default=500, gt=0, le=1_000_000, description="Thousands of images in which p can go from 0 to 1."
    )
    ada_pipeline: Literal[
        "blit", "geom", "color", "filter", "noise", "cutout", "bg", "bgc", "bgcf", "bgcfn", "bgcfnc"
    ] = Field(
        default="bgc",
        description="Transformations of ADA, by the original's names: one group, or the first two to six of blit, "
        "geom, color, filter, noise, cutout. `bgc` is the published choice.",
    )
    mirror: Flag = Field(
        default=False,
        description="Show the GAN flipped images too. A flipped chest has its heart on the right, so this is off.",
    )
    precision: Literal["float32", "bfloat16", "float16"] = Field(
        default="float32",
        description="Of the highest resolutions' blocks. 16 bits are for GPUs: bfloat16 from Ampere on, float16 (the "
        "original's) on older ones.",
    )
    half_resolutions: Whole = Field(
        default=4,
        ge=1,
        le=10,
        description="How many of the highest resolutions compute in 16 bits, where `precision` asks for it.",
    )
    tf32: Flag = Field(default=False, description="Let a GPU round the factors of float32 products to 10 bits.")
    cudnn_benchmark: Flag = Field(
        default=False,
        description="Let cuDNN choose algorithms by trial. A rerun then differs in the last bits; docs/gpu.md says "
        "what is gained.",
    )
    gpus: Whole = Field(
        default=1,
        ge=1,
        le=8,
        description="GPUs of one node that share each training. The results are those of one, to rounding.",
    )
    log_kimg: Number = Field(
        default=4, ge=0.001, le=1_000_000, description="A row of the training log every so many kimg."
    )
    snapshot_kimg: Number = Field(
        default=200, ge=0.001, le=1_000_000, description="Images for the fidelity curve are saved every so many kimg."
    )
    snapshot_images: Whole = Field(
        default=256, ge=8, le=100_000, description="Images per snapshot, spread over the classes."
    )
    checkpoint_seconds: Whole = Field(
        default=600,
        ge=1,
        le=1_000_000,
        description="Seconds between checkpoints, from which a killed training continues with the same bits. A change "
        "reruns nothing.",
    )

    def contradictions_in_use(self, resolution: int) -> Iterator[str]:
        """Of a study with GANs; one without is not held to them. resolution: side of the images in pixels."""
        if self.snapshot_kimg > self.kimg:
            yield f"snapshot_kimg: {self.snapshot_kimg} is above gan.kimg {self.kimg}; write at most that"
        for name in ("log_kimg", "snapshot_kimg"):
            if getattr(self, name) * 100_000 < self.kimg:
                yield f"{name}: {getattr(self, name)} makes more than 100,000 rows; write at least {self.kimg / 1e5:g}"
        if mistake := batch_mistake(self.batch, self.gpus):
            yield f"batch: {mistake}"
        if mistake := channel_base_mistake(self.channel_base, resolution):
            yield f"channel_base: {mistake}"


class Synthetic(Block):
    """The synthetic images drawn from each GAN."""

    ratio: Ratio = Field(default=1, description="Synthetic images per real training image of the same class.")
    ratio_sweep: Annotated[list[Ratio], Field(max_length=100), Unique] = Field(
        default=[],
        description="Further ratios at which `gan` is trained and drawn as a curve, in every size and replicate; the "
        "images of a smaller ratio are a part of a larger one's.",
    )
    truncation_psi: Number = Field(
        default=1, ge=0, le=1, description="Truncation psi; 1 for none. Lower is more typical and less varied."
    )

    @property
    def ratio_names(self) -> set[str]:
        """The further ratios as paths name them."""
        return {f"{ratio:g}" for ratio in self.ratio_sweep}

    def contradictions(self) -> Iterator[str]:
        if len(self.ratio_names) < len(self.ratio_sweep):
            yield "ratio_sweep: two ratios are the same in 6 digits; leave one out"


class Fidelity(Block):
    """How near the synthetic images are to the training images of their subset."""

    extractor: Literal["inception-v3-compat", "tf_efficientnet_lite0"] = Field(
        default="tf_efficientnet_lite0",
        description="Features to compare by. `inception-v3-compat` gives FID and KID; `tf_efficientnet_lite0` a "
        "Fréchet and a kernel distance of their own names, whose values can't be compared with FID or "
        "KID.",
    )
    input_size: Whole = Field(
        default=224, ge=32, le=512, description="Side in pixels to which images are scaled for `tf_efficientnet_lite0`."
    )
    kid_subset_size: Whole = Field(
        default=50,
        ge=2,
        le=1_000_000,
        description="Images per subset of the kernel distance; one size for all cells, at most the smallest class set.",
    )
    kid_subsets: Whole = Field(default=100, ge=1, le=100_000, description="Subsets of the kernel distance.")
    prc_neighborhood: Whole = Field(default=3, ge=1, le=10_000, description="Neighbours of precision and recall.")

    def contradictions_at(self, size: int, smallest: int) -> Iterator[str]:
        """Of a study with GANs and subsets of `size` images per class, of which `smallest` or a few more train."""
        if smallest < self.kid_subset_size:
            yield (
                f"kid_subset_size: {self.kid_subset_size} is too much for size {size}, with {smallest} training images "
                f"per class or a few more; write at most {smallest}"
            )
        if smallest <= self.prc_neighborhood:
            yield (
                f"prc_neighborhood: {self.prc_neighborhood} is too much for size {size}, with {smallest} training "
                f"images per class or a few more; write at most {smallest - 1}"
            )

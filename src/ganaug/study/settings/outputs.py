"""Tables, figures and report, and the threads of jobs: settings."""

from typing import Annotated

from pydantic import Field

from ganaug.study.settings.block import Block
from ganaug.study.settings.types import Flag, Number, OrNull, Whole


class Statistics(Block):
    """The tables."""

    confidence: Number = Field(
        default=0.95, gt=0.5, lt=1, description="Level of the confidence intervals; tests are at 1 minus it."
    )
    bootstrap_samples: Whole = Field(
        default=2000,
        ge=100,
        le=100_000,
        description="Draws of the two-level bootstrap (replicates, then test images by group).",
    )
    equivalence_margin: Number = Field(
        default=0.02,
        gt=0,
        le=0.5,
        description="Two augmentations are called equivalent where their difference in a metric is surely below this "
        "(TOST). Choose it before looking at results.",
    )


class Figures(Block):
    """The figures."""

    dpi: Whole = Field(default=150, ge=50, le=600, description="Resolution of the PNG files in dots per inch.")


class Report(Block):
    """The report."""

    images: Flag = Field(
        default=True,
        description="Whether the page shows films and generated images. `false` draws no such figure at all, for a "
        "page that is passed on. `data/`, `subsets/`, `cells/` and other folders still hold films and "
        "name their files.",
    )
    published: OrNull[Annotated[str, Field(min_length=1, max_length=2000)]] = Field(
        default=None,
        description="What a published study found, for the head of the page, with its source. Only for a study of the "
        "same data; null for none.",
    )


class Threads(Block):
    """CPU threads of one job. They decide the bytes of the results, so `--cores` does not."""

    gan: Whole = Field(default=4, ge=1, le=1024, description="For training and sampling of a GAN.")
    classifier: Whole = Field(default=4, ge=1, le=1024, description="For a classifier.")
    fidelity: Whole = Field(default=4, ge=1, le=1024, description="For the fidelity of one synthetic set.")

"""The figures of a study: of each what it reads, where the page shows it, and what is said of it.

A new figure is one entry here and the function that draws it; docs/extending.md shows how. This module imports no
drawing library: `draw` names a function, which is imported when the figure is drawn.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ganaug.layout import SUBSET
from ganaug.study.entries import by_name, check


@dataclass(frozen=True, kw_only=True)
class FigureEntry:
    """One figure.

    Attributes:
        name: of the figure and its files; small letters and underscores.
        draw: `module:function` of what draws the figure. The function takes the folder of the study's results and the
            `FigureSettings`, and returns a Matplotlib figure.
        reads: patterns of the files that the function reads, below the study's folder. Wildcards: size, replicate.
        settings: names of the grid and of the statistics that the function reads; None for all of them.
        needs: the parts of a study (`ganaug.study.entries.PARTS`) without which the figure does not exist.
        place: where the page shows the figure; one of `ganaug.study.entries.PLACES`.
        alt: what the figure shows, for who can't see the page's image.
        caption: in Snakemake's report; reStructuredText. The page shows the caption where there is no legend.
        legend: below the figure on the page; a Jinja template of HTML with the page's variables, as config.
    """

    name: str
    draw: str
    reads: tuple[str, ...]
    settings: tuple[str, ...] | None = None
    needs: tuple[str, ...] = ()
    place: str
    alt: str
    caption: str
    legend: str = ""

    def __post_init__(self) -> None:
        check(self.name, self.needs, self.place)

    @property
    def suffix(self) -> str:
        """Of the file that the page shows: drawings as SVG, films as PNG."""
        return ".png" if "films" in self.needs else ".svg"


TRAIN, MADE = f"subsets/{SUBSET}/train", f"synthetic/{SUBSET}/images"

_ENTRIES = (
    FigureEntry(
        name="near_copies",
        draw="ganaug.analysis.figures_data:near_copies",
        reads=("data/distances.csv", "data/near_copies.json"),
        settings=(),
        place="data",
        alt="Share of pairs within a distance, for made copies and for different films",
        caption=(
            "Share of pairs whose perceptual hashes differ in at most so many bits: copies made of the images, and "
            "images of different classes. The line is the threshold of near-copies."
        ),
        legend=(
            "<b>Near-copies.</b> Share of pairs whose perceptual hashes differ in at most so many bits: copies made "
            "of these images lie left, different films right; the line parts them."
        ),
    ),
    FigureEntry(
        name="class_examples",
        draw="ganaug.analysis.figures_images:class_examples",
        reads=("data/test.npy", "data/test.csv"),
        settings=(),
        needs=("films",),
        place="data",
        alt="Rows of test images, one row per class",
        caption="Test images, the first of each class.",
        legend=(
            '<b>Test images,</b> the first of each class{% if config.data.source == "phantom" %}; all of them '
            "synthetic phantoms{% endif %}."
        ),
    ),
    FigureEntry(
        name="learning_curve",
        draw="ganaug.analysis.figures_scores:learning_curve",
        reads=("tables/cells.csv", "tables/summary.csv", "tables/subsets.csv"),
        place="results",
        alt="Test metrics against real images per class, one line per augmentation",
        caption=(
            "Test metrics against the number of real images per class (logarithmic axis, validation included), a "
            "line per augmentation. Means over replicates with intervals of a two-level bootstrap (replicates, test "
            "images); points are replicates. With one replicate there is no interval. Lines are set a little apart "
            "sideways."
        ),
        legend=(
            "<b>Learning curve.</b> Test metrics against the number of real images per class (logarithmic axis), a "
            "line per augmentation. Lines are set a little apart sideways for legibility. An augmentation that "
            "replaces real images would lift the left end of its line."
        ),
    ),
    FigureEntry(
        name="differences",
        draw="ganaug.analysis.figures_scores:differences",
        reads=("tables/cells.csv", "tables/comparisons.csv", "tables/subsets.csv"),
        place="differences",
        alt="Paired differences of test metrics against real images per class",
        caption=(
            "Differences of test metrics between two augmentations, taken within each replicate, against the number "
            "of real images per class. Above zero the first augmentation is better. Means with intervals of a "
            "two-level bootstrap; points are replicates."
        ),
        legend="<b>Paired differences.</b> Above the line at zero the first of the two augmentations is better.",
    ),
    FigureEntry(
        name="confusion_matrices",
        draw="ganaug.analysis.figures_scores:confusion_matrices",
        reads=("tables/confusion.csv",),
        place="classes",
        alt="Confusion matrices, augmentations down, sizes across",
        caption=(
            "Confusion matrices on the test set, augmentations down, sizes across. A row is a true class and sums to "
            "100%; below each percentage the number of predictions, summed over replicates."
        ),
        legend=(
            "<b>Confusion matrices.</b> A row is a true class and sums to 100%; below each percentage the number of "
            "predictions, summed over the replicates (each test image counts once per replicate)."
        ),
    ),
    FigureEntry(
        name="roc",
        draw="ganaug.analysis.figures_classes:roc",
        reads=("tables/curves.csv",),
        place="curves",
        alt="ROC curves by class, a line per augmentation",
        caption=(
            "ROC curve of each class against the rest, a line per augmentation, at the smallest and the largest "
            "size. Means over replicates with pointwise intervals of a two-level bootstrap."
        ),
        legend=(
            "<b>ROC curves</b> of each class against the rest, at the smallest and the largest size. Up and left is "
            "better; the diagonal is guessing."
        ),
    ),
    FigureEntry(
        name="precision_recall",
        draw="ganaug.analysis.figures_classes:precision_recall",
        reads=("tables/curves.csv",),
        place="curves",
        alt="Precision-recall curves by class, a line per augmentation",
        caption=(
            "Precision against sensitivity (recall) of each class, a line per augmentation, at the smallest and the "
            "largest size. Means over replicates with pointwise intervals of a two-level bootstrap."
        ),
        legend=(
            "<b>Precision-recall curves</b> of each class. Up and right is better; guessing is a level line at the "
            "class's share of the test set."
        ),
    ),
    FigureEntry(
        name="reliability",
        draw="ganaug.analysis.figures_classes:reliability",
        reads=("tables/reliability.csv", "tables/prevalence.csv"),
        place="calibration",
        alt=(
            "Share right against probability, a line per augmentation; columns for the highest probability and for "
            "each class"
        ),
        caption=(
            "Share right against probability, a line per augmentation, at the smallest and the largest size: of the "
            "highest probability and of each class's, as trained and with priors corrected to the development set's "
            "prevalence. Below the diagonal a classifier is too sure of itself."
        ),
        legend=(
            '<b>Reliability</b> of the highest probability and of each class\'s{{ ", as trained and corrected" if not '
            "probabilities.alike }}, at the smallest and the largest size. Below the diagonal a classifier is too "
            "sure of itself (a class is said too often), above it not sure enough. Bins with fewer than 20 "
            "predictions are left out."
        ),
    ),
    FigureEntry(
        name="real_and_generated",
        draw="ganaug.analysis.figures_images:real_and_generated",
        reads=(f"{TRAIN}.npy", f"{TRAIN}.csv", f"{MADE}.npy", f"{MADE}.csv"),
        settings=("sizes",),
        needs=("gan", "films"),
        place="synthetic",
        alt="Real and generated images side by side, a block per size",
        caption=(
            "Images a GAN was trained on (left) and images it made (right), replicate 1: the first of each class, "
            "none picked by hand."
        ),
        legend=(
            "<b>Real and generated.</b> Left, images the GAN was trained on; right, images it made: the first of "
            "each class in replicate 1, none picked by hand. Look for detail that is missing, for classes that look "
            "alike, and for images that look alike among themselves or like a training image."
        ),
    ),
    FigureEntry(
        name="gan_progress",
        draw="ganaug.analysis.figures_images:gan_progress",
        reads=(f"gan/{SUBSET}/snapshots.npy", f"gan/{SUBSET}/snapshots.csv", f"{TRAIN}.csv"),
        settings=("sizes",),
        needs=("gan", "films"),
        place="synthetic",
        alt="Generated images at several times of the training, a block per size",
        caption="What the GANs of replicate 1 made of the same latent per class as their training went on.",
        legend="<b>Progress.</b> What the GANs of replicate 1 made of the same latent per class as training went on.",
    ),
    FigureEntry(
        name="ratio_sweep",
        draw="ganaug.analysis.figures_scores:ratio_sweep",
        reads=("tables/ratio_sweep.csv",),
        needs=("ratio_sweep",),
        place="ratios",
        alt="Test metrics against the ratio of synthetic to real images, a line per size",
        caption=(
            "Test metrics of `gan` against the number of synthetic images per real one, a line per size; 0 is no "
            "augmentation."
        ),
        legend=(
            "<b>How many synthetic images?</b> Test metrics of <i>gan</i> against synthetic images per real one (0: "
            "none), with the same number of optimiser steps."
        ),
    ),
    FigureEntry(
        name="closest_pairs",
        draw="ganaug.analysis.figures_images:closest_pairs",
        reads=(f"fidelity/{SUBSET}/closest.csv", f"{TRAIN}.npy", f"{MADE}.npy"),
        settings=("sizes",),
        needs=("gan", "films"),
        place="copies",
        alt="Synthetic images above the training images they are nearest to",
        caption=(
            "Generated images of replicate 1 that lie nearest to a training image in feature space, each above that "
            "image."
        ),
        legend=(
            "<b>Closest pairs.</b> The synthetic images of replicate 1 that are nearest to a training image in "
            "feature space, each above that image. Look for the same person."
        ),
    ),
    FigureEntry(
        name="fidelity",
        draw="ganaug.analysis.figures_gan:fidelity",
        reads=("tables/fidelity.csv", "tables/subsets.csv"),
        needs=("gan",),
        place="fidelity",
        alt="Fidelity against real images per class, a line per class",
        caption=(
            "Fidelity of the synthetic images against held-out real images, by size and class: mean and points of "
            "the replicates. Dotted: training images in the synthetic ones' place, the floor. The Fréchet distance, "
            "the higher the fewer the images, is shown above that floor, the kernel distance as its mean over "
            "subsets. Distances on features other than Inception-v3's are not FID or KID."
        ),
        legend=(
            "<b>Fidelity to held-out images against size,</b> a line per class and one for all classes together; "
            "dotted: real images in the synthetic ones' place, the floor. Of the Fréchet distance what is above the "
            "floor, so that sizes compare; of the kernel distance the mean over subsets. Recall does not compare "
            "between sizes."
        ),
    ),
    FigureEntry(
        name="gan_training",
        draw="ganaug.analysis.figures_gan:gan_training",
        reads=("tables/gan_training.csv", "tables/fidelity_curve.csv"),
        needs=("gan",),
        place="training",
        alt="Training curves of the GANs against kimg",
        caption=(
            "Training of every GAN against kimg (thousands of real images shown to the discriminator): losses, "
            "scores, ADA probability p and overfitting signal r_t, regularisation, and fidelity of the snapshots, "
            "whose levels do not compare between sizes. Colour: size; dashes: replicate."
        ),
        legend=(
            "<b>Training of the GANs.</b> Colour: size; dashes: replicate. {% if config.gan.ada_target is none %}ADA "
            "was off.{% else %}The ADA probability p rises while the signal r_t (mean sign of the discriminator's "
            "scores of real images: 1 where it takes all of them for real) is above its target of {{ "
            '"%g"|format(config.gan.ada_target) }}, which is taken for a sign that the discriminator overfits. At '
            'its fastest it moves by 1 in {{ "%g"|format(config.gan.ada_kimg) }} kimg{% if config.gan.kimg < '
            "config.gan.ada_kimg %}, so that in this training ADA had little time to act{% endif %}.{% endif %} "
            "Losses that diverge, or a distance that rises again, may tell of a training gone wrong. The distance of "
            "the snapshots compares along a line; between sizes it does not."
        ),
    ),
)

FIGURES = by_name(_ENTRIES)


def figures_of(parts: Iterable[str]) -> dict[str, FigureEntry]:
    """The figures of a study that has these parts, by name."""
    return {name: entry for name, entry in FIGURES.items() if set(entry.needs) <= set(parts)}


def settings_read(name: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """The grid and the statistics with what a figure does not read made empty.

    A change of what is empty draws no figure anew.

    Args:
        name: of the figure.
        given: name to value, of all names that some figure reads.
    """
    read = FIGURES[name].settings
    return {key: value if read is None or key in read else type(value)() for key, value in given.items()}

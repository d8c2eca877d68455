"""The tables of a study: of each what makes it, which studies have it, and its columns.

A new table is one entry here and the function that makes it; docs/extending.md shows how.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from ganaug.study.entries import by_name, check


@dataclass(frozen=True, kw_only=True)
class TableEntry:
    """One table, `tables/<name>.csv`.

    Attributes:
        name: of the table and its file; small letters and underscores.
        make: `module:function` of what makes the table. The function takes a `ganaug.analysis.material.Material` and
            returns a data frame.
        holds: what the table holds, in words.
        columns: their names in order, separated by spaces.
        needs: the parts of a study (`ganaug.study.entries.PARTS`) without which the table does not exist.
        place: where the page shows the table as it is, one of `ganaug.study.entries.PLACES`; empty where the page shows
            it in a form of its own, or names the file alone.
    """

    name: str
    make: str
    holds: str
    columns: str
    needs: tuple[str, ...] = ()
    place: str = ""

    def __post_init__(self) -> None:
        check(self.name, self.needs, self.place or None)


CELL = "augmentation size replicate backbone"
MEAN = "mean ci_low ci_high replicates interval"
COMPARED = f"augmentation reference size backbone metric {MEAN} test p family p_holm margin p_equivalence"
COMPARED += " p_equivalence_holm verdict"

_ENTRIES = (
    TableEntry(
        name="cells",
        make="ganaug.analysis.tables:cells",
        holds="every metric of every cell",
        columns=f"{CELL} metric value",
    ),
    TableEntry(
        name="summary",
        make="ganaug.analysis.tables:summary",
        holds="means over replicates with intervals",
        columns=f"augmentation size backbone metric {MEAN}",
    ),
    TableEntry(
        name="comparisons",
        make="ganaug.analysis.tables:comparisons",
        holds="differences between augmentations, paired by replicate, with intervals, tests and verdicts",
        columns=COMPARED,
    ),
    TableEntry(
        name="scaling",
        make="ganaug.analysis.tables:scaling",
        holds="how quality grows with size, and how many images an augmentation is worth",
        columns="augmentation backbone metric quantity size value ci_low ci_high interval p beyond note",
    ),
    TableEntry(
        name="confusion",
        make="ganaug.analysis.tables:confusion",
        holds="confusion matrix of every cell",
        columns=f"{CELL} label predicted images",
    ),
    TableEntry(
        name="class_rates",
        make="ganaug.analysis.tables:class_rates",
        holds="sensitivity and specificity of every class with Wilson's intervals, by groups of images",
        columns="augmentation size backbone class quantity value ci_low ci_high images groups effective_images"
        " replicates",
    ),
    TableEntry(
        name="reliability",
        make="ganaug.analysis.tables:reliability",
        holds="confidence and share right, by bins of confidence, of the highest probability and of each class's",
        columns=f"{CELL} priors class bin_low bin_high images confidence accuracy",
    ),
    TableEntry(
        name="calibration",
        make="ganaug.analysis.tables:calibration",
        holds="calibration errors as trained and with priors corrected to the development set's prevalence",
        columns=f"augmentation size backbone priors class metric {MEAN} floor",
    ),
    TableEntry(
        name="prevalence",
        make="ganaug.analysis.tables:prevalence",
        holds="share of each class in training, development set and test set",
        columns="size class training weighted development test",
    ),
    TableEntry(
        name="curves",
        make="ganaug.analysis.tables:curves",
        holds="ROC and precision-recall curves of every class",
        columns="augmentation size backbone class curve x y ci_low ci_high",
    ),
    TableEntry(
        name="data",
        make="ganaug.analysis.tables:data",
        holds="images per class: found, left out, test set, pool",
        columns="class left_out images groups test pool",
    ),
    TableEntry(
        name="subsets",
        make="ganaug.analysis.tables:subsets",
        holds="images per class of every subset",
        columns="size replicate side class images",
    ),
    TableEntry(
        name="convergence",
        make="ganaug.analysis.tables:classifier_convergence",
        holds="the epoch that every classifier chose, and slopes at the end of its training",
        columns=f"{CELL} epochs epoch_chosen chose_last end_epochs train_loss_per_epoch validation_loss_per_epoch"
        " validation_balanced_accuracy_per_epoch",
    ),
    TableEntry(
        name="fidelity",
        make="ganaug.analysis.tables:fidelity",
        holds="fidelity of every synthetic set",
        columns="size replicate class reference extractor metric value floor above_floor images reference_images"
        " warning",
        needs=("gan",),
    ),
    TableEntry(
        name="fidelity_curve",
        make="ganaug.analysis.tables:fidelity_curve",
        holds="fidelity during each GAN's training",
        columns="size replicate kimg extractor metric value",
        needs=("gan",),
    ),
    TableEntry(
        name="memorisation",
        make="ganaug.analysis.tables:memorisation",
        holds="whether synthetic sets repeat training images",
        columns="size replicate synthetic held_out median_distance median_distance_held_out effect p near_share copies"
        " verdict",
        needs=("gan",),
    ),
    TableEntry(
        name="gan_training",
        make="ganaug.analysis.tables:gan_training",
        holds="training log of every GAN",
        columns="size replicate kimg quantity value",
        needs=("gan",),
    ),
    TableEntry(
        name="gan_convergence",
        make="ganaug.analysis.tables:gan_convergence",
        holds="every GAN's nearest snapshot, and the slope of the distance at the end of its training",
        columns="size replicate kimg extractor metric snapshots nearest_kimg nearest_is_last end_snapshots"
        " value_per_kimg",
        needs=("gan",),
    ),
    TableEntry(
        name="ratio_sweep",
        make="ganaug.analysis.tables:ratio_sweep",
        holds="gan at several ratios of synthetic to real images",
        columns=f"ratio augmentation size backbone metric {MEAN}",
        needs=("ratio_sweep",),
    ),
    TableEntry(
        name="transfer",
        make="ganaug.analysis.tables:transfer",
        holds="training on synthetic and testing on real images, and the other way round",
        columns=f"trained_on tested_on size backbone metric {MEAN}",
        needs=("synthetic_only",),
    ),
    TableEntry(
        name="shortcut",
        make="ganaug.analysis.tables:shortcut",
        holds="what a classifier reads off the images' border",
        columns=f"augmentation size backbone metric {MEAN} chance share images_low images_high",
        needs=("border_only",),
    ),
    TableEntry(
        name="external_cells",
        make="ganaug.analysis.tables:external_cells",
        holds="every metric of every cell on the external images",
        columns=f"{CELL} metric value",
        needs=("external",),
    ),
    TableEntry(
        name="external_summary",
        make="ganaug.analysis.tables:external_summary",
        holds="their means over replicates with intervals",
        columns=f"augmentation size backbone metric {MEAN}",
        needs=("external",),
    ),
    TableEntry(
        name="external_comparisons",
        make="ganaug.analysis.tables:external_comparisons",
        holds="differences between augmentations on them",
        columns=COMPARED,
        needs=("external",),
    ),
    TableEntry(
        name="missing",
        make="ganaug.analysis.tables:missing",
        holds="what an incomplete study lacks, and why",
        columns=f"stage {CELL} why",
        needs=("incomplete",),
    ),
)

TABLES = by_name(_ENTRIES)


def tables_of(parts: Iterable[str]) -> list[str]:
    """The names of the tables of a study that has these parts, in the order of the registry."""
    return [name for name, entry in TABLES.items() if set(entry.needs) <= set(parts)]

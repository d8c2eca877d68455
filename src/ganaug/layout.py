"""Where a study's files lie: path = cell. The one place that knows, for the workflow and for the tables alike."""

from pathlib import PurePosixPath

SUBSET = "size-{size}/replicate-{replicate}"
# A synthetic set lies in its subset's folder; one of another ratio than the study's in a folder below.
AT_RATIO = "/ratio-{ratio}"
# A cell; the augmentation may be `gan@<ratio>`.
CELL = "{augmentation}/size-{size}/replicate-{replicate}/{backbone}"

# All that the workflow writes lies in these, and in the report. Anything else there is not of its making.
FOLDERS = (
    *("data", "subsets", "gan", "synthetic", "fidelity", "weights", "cells", "external", "tables", "figures"),
    *("checkpoints", "logs", "benchmarks"),
)
INCOMPLETE = "incomplete"  # the report of an incomplete study, with tables and figures of its own
# A complete run takes the last two away; report.before.html is an older page.
FILES = ("report.html", INCOMPLETE, "report.before.html")
FORMER_FILES = ("plan.json", "unfinished.json")  # which earlier versions wrote


def augmentation_at(ratio: str) -> str:
    """The name, in a cell's path, of `gan` at another ratio of synthetic to real images than the study's.

    ratio: as text, "0.5" say.
    """
    return f"gan@{ratio}"


def base_of(augmentation: str) -> str:
    """The augmentation that a name in a cell's path is of: `gan` of `gan@0.5`, too."""
    return augmentation.partition("@")[0]


def ratio_folder(augmentation: str) -> str:
    """Where below its subset's folder an augmentation's synthetic set lies: `/ratio-0.5` of `gan@0.5`, else empty."""
    ratio = augmentation.partition("@")[2]
    return AT_RATIO.format(ratio=ratio) if ratio else ""


def ratio_in(folder: str) -> str:
    """The ratio, as text, that a synthetic set's folder below its subset's names; empty for the study's own."""
    return folder.partition("ratio-")[2]


def subset_folder(stage: str, size: int | str, replicate: int) -> PurePosixPath:
    """Folder, below results/<study>, of a stage that is run per (size, replicate): `subsets`, `gan`, `fidelity`, …"""
    return PurePosixPath(stage, SUBSET.format(size=size, replicate=replicate))


def cell_folder(
    augmentation: str, size: int | str, replicate: int, backbone: str, stage: str = "cells"
) -> PurePosixPath:
    """Folder, below results/<study>, of one classifier cell, or of its predictions for `external` images."""
    cell = CELL.format(augmentation=augmentation, size=size, replicate=replicate, backbone=backbone)
    return PurePosixPath(stage, cell)

"""Which augmentations are compared, and their differences paired by replicate."""

import pandas as pd

NO_AUGMENTATION = "none"


def comparisons(augmentations: list[str]) -> list[tuple[str, str]]:
    """The (augmentation, reference) pairs that answer the study's question.

    Each augmentation against `none`; each `A+B` against `B`: what A adds where B is used anyway; and `gan` against
    `classical`, the published claim.
    """
    pairs = [(a, NO_AUGMENTATION) for a in augmentations if NO_AUGMENTATION in augmentations and a != NO_AUGMENTATION]
    pairs += [(a, b) for a in augmentations if (b := a.partition("+")[2]) in augmentations]
    return pairs + ([("gan", "classical")] if {"gan", "classical"} <= set(augmentations) else [])


def paired_differences(cells: pd.DataFrame, augmentations: list[str]) -> pd.DataFrame:
    """Differences of a metric between two augmentations of the same size, replicate and backbone.

    cells: augmentation, size, replicate, backbone, metric, value. Returns augmentation, reference, size, replicate,
    backbone, metric, value (augmentation minus reference). Pairs share subset and seeds, so their difference varies
    less than either does.
    """
    same = ["size", "replicate", "backbone", "metric"]
    parts = []
    for augmentation, reference in comparisons(augmentations):
        ours = cells[cells["augmentation"] == augmentation]
        theirs = cells.loc[cells["augmentation"] == reference, [*same, "value"]]
        both = ours.merge(theirs, on=same, suffixes=("", "_reference"), validate="one_to_one")
        both["value"] -= both["value_reference"]
        parts.append(both.assign(reference=reference))
    columns = ["augmentation", "reference", *same, "value"]
    return pd.concat(parts)[columns].reset_index(drop=True) if parts else pd.DataFrame(columns=columns)

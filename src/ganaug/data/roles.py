"""Which pool images train and which validate in a replicate: one nested order for all sizes."""

from typing import Literal

import pandas as pd

from ganaug.data.splits import fits, owners, shuffled


def ordered_pool(splits: pd.DataFrame, validation_share: float, seed: int) -> pd.DataFrame:
    """The pool in a replicate's order, with a column `side` (`train` or `validation`).

    Groups of near-copies come in a seeded order; a walk over them sends a group to validation whenever the class of
    most of its images lacks some for its share. What a size takes is the first images of each class, so a smaller size
    is a part of a larger one, on both sides, and a group never stands on two.
    """
    pool = splits[splits["side"] == "pool"]
    owner = owners(pool)
    members = {name: images.sort_values("file") for name, images in pool.groupby("group")}
    seen, validating = (dict.fromkeys(pool["class"].unique(), 0) for _ in range(2))
    parts = []
    for group in shuffled(owner, seed):
        images, name = members[group], owner[group]
        counts = images["class"].value_counts()
        for label, count in counts.items():
            seen[label] += count
        # Rounded as the sizes are: of 20 images and a share of 0.2, the 4th to be seen at 18.
        lacking = max(1, round(validation_share * seen[name])) - validating[name]
        # A group much larger than what lacks trains, and so does the first of a class.
        validates = lacking > 0 and fits(counts[name], lacking) and seen[name] > counts[name]
        if validates:
            for label, count in counts.items():
                validating[label] += count
        parts.append(images.assign(side="validation" if validates else "train"))
    return pd.concat(parts, ignore_index=True)


def take(pool: pd.DataFrame, size: int | Literal["all"]) -> pd.DataFrame:
    """The first `size` images of each class of an ordered pool, or all of it; in its order."""
    return pool if size == "all" else pool[pool.groupby("class").cumcount() < size]

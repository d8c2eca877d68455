"""Groups of images to look at: near-copies with different classes, and groups that are much of their class.

Near-copies with different classes are one film with two labels, or films of two people that look alike.
"""

import numpy as np
import pandas as pd

from ganaug.data.near_copies import near_pairs, unpacked

CONFLICT = "near-copy with another label"
LISTED = 1000  # pairs in near_copies.json
LARGE_SHARE, LARGE = 0.05, 5  # of a class: a group with more of its images, and at least so many, is told
IN_LARGE_GROUP = f"in a group of over {100 * LARGE_SHARE:g} % of its class"


def in_large_groups(images: pd.DataFrame) -> pd.Series:
    """Which images, by columns class and group, are in a group of more than LARGE_SHARE of their class, LARGE at least.

    Many such images are likely one picture: a placeholder, or a film that was copied by mistake.
    """
    of_group = images.groupby(["group", "class"])["class"].transform("size")
    return (of_group >= LARGE) & (of_group > LARGE_SHARE * images.groupby("class")["class"].transform("size"))


def conflicts(images: pd.DataFrame, distance: int) -> pd.DataFrame:
    """file_a, class_a, file_b, class_b, distance (bits of 256), group: pairs of images, the nearest first.

    images: file, class, group, perceptual_hash. distance: see calibration.conflict_distance.
    """
    hashes = unpacked(images["perceptual_hash"])
    pairs = near_pairs(hashes, distance)
    labels = images["class"].to_numpy()
    pairs = pairs[labels[pairs[:, 0]] != labels[pairs[:, 1]]]
    (a, b), (i, j) = (images.iloc[side].reset_index(drop=True) for side in pairs.T), pairs.T
    table = pd.DataFrame({"file_a": a["file"], "class_a": a["class"], "file_b": b["file"], "class_b": b["class"]})
    table = table.assign(distance=np.bitwise_count(hashes[i] ^ hashes[j]).sum(axis=1), group=a["group"])
    return table.sort_values(["distance", "file_a", "file_b"], ignore_index=True)


def described(found: pd.DataFrame) -> dict:
    """What near_copies.json says of them: their number, and the files, classes and distance of LISTED at most."""
    listed = [
        {"files": [pair["file_a"], pair["file_b"]], "classes": [pair["class_a"], pair["class_b"]]}
        | {"distance": int(pair["distance"])}
        for pair in found.head(LISTED).to_dict("records")
    ]
    return {"label_conflict_pairs": len(found), "label_conflicts": listed}

"""Whether a generator repeats its training images: nearest neighbours in feature space."""

import math

import numpy as np
import pandas as pd
import torch
from scipy.stats import mannwhitneyu, nhypergeom

BLIND = 0.3  # effect below which synthetic images lie so far off that copies among them need not come near
NEAR = 0.01  # share of held-out images that lie nearer to a training image than what is called near
CHUNK = 512
PAIRS = 24  # closest pairs that are kept


def nearest(queries: torch.Tensor, references: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
    """(distance, index) of each query's nearest reference, [N]: Euclidean, features float64 [N, D] and [M, D]."""
    found = [torch.cdist(chunk, references).min(1) for chunk in queries.split(CHUNK)]
    return torch.cat([f.values for f in found]).numpy(), torch.cat([f.indices for f in found]).numpy()


def memorisation(synthetic: torch.Tensor, train: torch.Tensor, held_out: torch.Tensor) -> dict:
    """How near synthetic images lie to the training images, against real images that were not trained on.

    Features, float64 [N, D] each. A generator that has learned the classes and not the images makes ones as far from
    the training images as other real ones are. effect: the probability that a synthetic image is nearer than a held-out
    one (Mann-Whitney U over its maximum): 0.5 for none, 1 for copies; p: of 0.5 against more (the rank test of Meehan
    et al. 2020 without its cells). near_share: of the synthetic images, those nearer than all but 1 % of the held-out
    ones. copies: whether that is surely (p < 0.01) more than 1 %: were both drawn alike, the number of synthetic ones
    before the held-out one at that place would be negative hypergeometric. verdict: `flagged` where copies is true,
    else `not informative` where the effect is below 0.3, else `not flagged`.

    Neither verdict is a proof. Copies under noise, or shifted by pixels, can lie as far off as other films do; images
    of too little variety, which lie in the midst of the training images, can be near without a copy.
    """
    distances, _ = nearest(synthetic, train)
    usual, _ = nearest(held_out, train)
    rank = mannwhitneyu(distances, usual, alternative="less")
    place = math.ceil(NEAR * len(usual))
    effect = float(1 - rank.statistic / (len(distances) * len(usual)))
    near = int((distances < np.sort(usual)[place - 1]).sum())
    copies = bool(nhypergeom.sf(near - 1, len(distances) + len(usual), len(distances), place) < 0.01)
    return {
        "synthetic": len(distances),
        "held_out": len(usual),
        "median_distance": float(np.median(distances)),
        "median_distance_held_out": float(np.median(usual)),
        "effect": effect,
        "p": float(rank.pvalue),
        "near_share": near / len(distances),
        "copies": copies,
        "verdict": "flagged" if copies else "not informative" if effect < BLIND else "not flagged",
    }


def closest_pairs(synthetic: torch.Tensor, train: torch.Tensor, held_out: torch.Tensor) -> pd.DataFrame:
    """The 24 closest pairs: synthetic, train (indices), distance, and the share of held-out images that lie nearer."""
    distances, index = nearest(synthetic, train)
    usual, _ = nearest(held_out, train)
    first = np.argsort(distances, kind="stable")[:PAIRS]
    nearer = np.searchsorted(np.sort(usual), distances[first]) / len(usual)
    table = {"synthetic": first, "train": index[first], "distance": distances[first], "held_out_nearer": nearer}
    return pd.DataFrame(table)

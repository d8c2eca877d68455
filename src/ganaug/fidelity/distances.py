"""Distances between two sets of features."""

import math

import torch
from torch_fidelity.metric_kid import KEY_METRIC_KID_MEAN, KEY_METRIC_KID_STD, kid_features_to_metric
from torch_fidelity.metric_prc import KEY_METRIC_PRECISION, KEY_METRIC_RECALL, prc_features_to_metric


def frechet_distance(a: torch.Tensor, b: torch.Tensor) -> float:
    """Fréchet distance of the Gaussians fitted to two sets of features, float64 [N, D] and [M, D] (Heusel et al. 2017).

    |mean difference|² + tr(A) + tr(B) - 2 tr((A B)^½), with the covariances A and B. The last trace is the sum of the
    singular values of X Yᵀ, where X and Y are the centred features over √(N-1) and √(M-1): exact, and much faster than
    the eigenvalues of a D x D matrix where there are fewer images than features. With so few the estimate is biased
    upwards and can only be compared between sets of one size.
    """
    x, y = ((f - f.mean(0)) / math.sqrt(len(f) - 1) for f in (a, b))
    x, y = (torch.linalg.qr(f, mode="r").R if len(f) > f.shape[1] else f for f in (x, y))  # same X Xᵀ, fewer rows
    shift = (a.mean(0) - b.mean(0)).square().sum()
    return float(shift + x.square().sum() + y.square().sum() - 2 * torch.linalg.svdvals(x @ y.T).sum())


def kernel_distance(a: torch.Tensor, b: torch.Tensor, subset_size: int, subsets: int, seed: int) -> tuple[float, float]:
    """(mean, standard deviation) over subsets of the unbiased polynomial-kernel MMD² (Bińkowski et al. 2018).

    The standard deviation is of the subsets, and depends on their size; it is no error of the mean. Subsets share
    images, so that their number does not make it one either.
    """
    options = {"kid_subsets": subsets, "kid_subset_size": subset_size, "rng_seed": seed % 2**32, "verbose": False}
    result = kid_features_to_metric(a, b, **options)
    return result[KEY_METRIC_KID_MEAN], result[KEY_METRIC_KID_STD]


def precision_recall(synthetic: torch.Tensor, real: torch.Tensor, neighborhood: int) -> tuple[float, float]:
    """Improved precision and recall (Kynkäänniemi et al. 2019), both in [0, 1], by the `neighborhood`-th neighbour."""
    result = prc_features_to_metric(synthetic, real, prc_neighborhood=neighborhood, verbose=False)
    return result[KEY_METRIC_PRECISION], result[KEY_METRIC_RECALL]

"""Losses and regularisers as functions of networks' outputs."""

import math

import torch
from torch import Tensor
from torch.nn.functional import softplus


def generator_loss(fake_logits: Tensor) -> Tensor:
    """Non-saturating logistic loss, mean of -log sigmoid(D(G(z))) (Goodfellow et al. 2014)."""
    return softplus(-fake_logits).mean()


def discriminator_loss(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """Logistic loss, mean of -log sigmoid(D(x)) plus mean of -log(1 - sigmoid(D(G(z))))."""
    return softplus(-real_logits).mean() + softplus(fake_logits).mean()


def r1_penalty(logits: Tensor, images: Tensor) -> Tensor:
    """Squared norm of the gradient of each logit by its image, [N] (Mescheder et al. 2018, eq. 9 without gamma/2).

    images: real ones, requiring gradients, before any augmentation.
    """
    (gradient,) = torch.autograd.grad(logits.sum(), images, create_graph=True)
    return gradient.square().sum((1, 2, 3))


def path_lengths(images: Tensor, ws: Tensor, noise: Tensor) -> Tensor:
    """Length of J^T y per sample, [N], for y = noise / resolution (StyleGAN2, eq. 4 and appendix B).

    images: [N, C, R, R] from ws: [N, w_count, latent]; noise: standard normal, shaped as images. Squares are summed
    over the latent dimension and averaged over the layers.
    """
    y = noise / math.sqrt(images.shape[2] * images.shape[3])
    (gradient,) = torch.autograd.grad((images * y).sum(), ws, create_graph=True)
    return gradient.square().sum(2).mean(1).sqrt()

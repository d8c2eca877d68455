"""Layers that generator and discriminator share. Parameter names are those of the reference implementation."""

import math

import torch
from torch import Tensor, nn

from ganaug.stylegan2.ops import LRELU_GAIN, leaky_relu


def one_hot_classes(labels: Tensor, class_count: int) -> Tensor:
    """labels [N] to [N, class_count] float32; no columns where there is nothing to condition on."""
    return (labels[:, None] == torch.arange(class_count, device=labels.device)).float()


def normalise_second_moment(x: Tensor) -> Tensor:
    """Scales each row of x [N, F] to a mean square of 1."""
    return x * torch.rsqrt(x.square().mean(1, keepdim=True) + 1e-8)


class FullyConnected(nn.Module):
    """x [N, I] -> [N, O] with equalised learning rate: weights are stored at unit variance and scaled when used.

    activate: leaky ReLU with gain sqrt(2). lr_multiplier: learns this much more slowly than other layers.
    """

    def __init__(
        self, inputs: int, outputs: int, activate: bool = False, lr_multiplier: float = 1.0, bias_init: float = 0.0
    ):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs) / lr_multiplier)
        self.bias = nn.Parameter(torch.full((outputs,), float(bias_init)))
        self.activate = activate
        gain = LRELU_GAIN if activate else 1.0
        self.weight_gain = gain * lr_multiplier / math.sqrt(inputs)
        self.bias_gain = gain * lr_multiplier

    def forward(self, x: Tensor) -> Tensor:
        x = torch.addmm(self.bias, x, self.weight.T, beta=self.bias_gain, alpha=self.weight_gain)
        return leaky_relu(x) if self.activate else x


class Mapping(nn.Module):
    """The mapping network f: latents z and a class to intermediate latents w (StyleGAN, section 2).

    z and the learned embedding of the class are each normalised, concatenated and passed through `layers` fully
    connected layers. z_dim 0: the class alone (the discriminator's). class_count 0: unconditional.
    `w_avg` follows the mean of w, the centre of truncation; the discriminator's mapping has none.
    """

    w_avg: Tensor

    def __init__(self, z_dim: int, class_count: int, w_dim: int, layers: int, track_average: bool):
        super().__init__()
        self.z_dim, self.class_count, self.layers = z_dim, class_count, layers
        if class_count:
            self.embed = FullyConnected(class_count, w_dim)
        inputs = z_dim + (w_dim if class_count else 0)
        for i in range(layers):
            layer = FullyConnected(inputs if i == 0 else w_dim, w_dim, activate=True, lr_multiplier=0.01)
            self.add_module(f"fc{i}", layer)
        if track_average:
            self.register_buffer("w_avg", torch.zeros(w_dim))

    def forward(self, z: Tensor | None, c: Tensor) -> Tensor:
        """z: [N, z_dim] or None; c: one-hot classes [N, class_count]. Returns w [N, w_dim]."""
        parts = [] if z is None else [normalise_second_moment(z)]
        if self.class_count:
            parts.append(normalise_second_moment(self.embed(c)))
        x = torch.cat(parts, 1)
        for i in range(self.layers):
            x = getattr(self, f"fc{i}")(x)
        return x

    @torch.no_grad()
    def update_average(self, mean: Tensor, decay: float = 0.995) -> None:
        """Moves w_avg towards a batch's mean of w, [w_dim], by 1 - decay."""
        self.w_avg.lerp_(mean, 1 - decay)

    def truncate(self, w: Tensor, psi: float) -> Tensor:
        """Pulls w towards w_avg: psi 1 leaves it, psi 0 gives w_avg itself (StyleGAN, appendix B)."""
        return self.w_avg.lerp(w, psi) if psi != 1 else w

"""Operations and networks of StyleGAN2 against their definitions."""

import numpy as np
import pytest
import torch
from scipy.signal import convolve2d
from torch.autograd import gradcheck, gradgradcheck
from torch.nn.functional import conv2d, one_hot

from ganaug.errors import UserError
from ganaug.stylegan2 import ops
from ganaug.stylegan2.discriminator import Discriminator, minibatch_deviation
from ganaug.stylegan2.generator import Architecture, Generator, SynthesisLayer, load_generator, save_generator
from ganaug.stylegan2.layers import FullyConnected, normalise_second_moment
from ganaug.stylegan2.loss import path_lengths, r1_penalty

GREY = Architecture(
    resolution=16, image_channels=1, class_count=3, latent=8, mapping_layers=2, channel_base=128, channel_max=8
)
COLOUR = Architecture(
    resolution=8, image_channels=3, class_count=0, latent=6, mapping_layers=1, channel_base=64, channel_max=12
)


def random(*shape, seed=0, dtype=torch.float64, grad=False):
    x = torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)
    return x.requires_grad_(grad)


def naive_fir(x, up=1, down=1, pad=(0, 0), gain=1.0):
    """Zeros between samples, padding, 2-D convolution with the binomial kernel, every down-th sample: by the book."""
    kernel = np.outer([1, 3, 3, 1], [1, 3, 3, 1]) / 64 * gain
    out = []
    for plane in x.detach().numpy().reshape(-1, *x.shape[2:]):
        spread = np.zeros((plane.shape[0] * up, plane.shape[1] * up))
        spread[::up, ::up] = plane
        out.append(convolve2d(np.pad(spread, pad), kernel, mode="valid")[::down, ::down])
    return torch.from_numpy(np.stack(out)).reshape(*x.shape[:2], *out[0].shape)


def test_fir_resampling_is_its_definition():
    x, kernel = random(2, 3, 8, 8), ops.fir_kernel().double()
    torch.testing.assert_close(ops.upsample(x, kernel), naive_fir(x, up=2, pad=(2, 1), gain=4))
    torch.testing.assert_close(ops.downsample(x, kernel), naive_fir(x, down=2, pad=(1, 1)))
    torch.testing.assert_close(ops.blur(x, kernel, padding=2), naive_fir(x, pad=(2, 2)))


def test_upsampling_keeps_a_constant_inside():
    up = ops.upsample(torch.ones(1, 1, 8, 8), ops.fir_kernel())
    torch.testing.assert_close(up[:, :, 2:-2, 2:-2], torch.ones(1, 1, 12, 12))


@pytest.mark.parametrize("up", [False, True])
def test_synthesis_layer_is_a_convolution_with_per_sample_modulated_weights(up):
    torch.manual_seed(0)
    layer = SynthesisLayer(5, 7, 4, 12, up=up).double()
    with torch.no_grad():
        layer.noise_strength.fill_(0.3)
        layer.bias.normal_()
    x, w, noise = random(3, 5, 6 if up else 12, 6 if up else 12), random(3, 4, seed=1), random(3, 1, 12, 12, seed=2)
    got = layer(x, w, noise)

    styles, expected = layer.affine(w), []
    for i in range(3):
        weight = layer.weight * styles[i][None, :, None, None]
        weight = weight / (weight.square().sum((1, 2, 3), keepdim=True) + 1e-8).sqrt()
        sample = x[i : i + 1]
        if up:  # a true convolution of the zero-stuffed input, then the filter, cropped to twice the size
            spread = x.new_zeros(1, 5, 13, 13)
            spread[:, :, :11:2, :11:2] = sample
            full = conv2d(torch.nn.functional.pad(spread, (2, 0, 2, 0)), weight.flip(2, 3))
            y = naive_fir(full, pad=(1, 1), gain=4)
        else:
            y = conv2d(sample, weight, padding=1)
        y = y + 0.3 * noise[i] + layer.bias[:, None, None]
        expected.append(torch.where(y > 0, y, 0.2 * y) * 2**0.5)
    torch.testing.assert_close(got, torch.cat(expected))


def test_demodulated_output_has_unit_variance():
    x, styles, weight = random(8, 64, 32, 32), random(8, 64, seed=1).exp(), random(16, 64, 3, 3, seed=2)
    y = ops.modulated_convolution(x, weight, styles) * ops.demodulation(weight, styles)[:, :, None, None]
    deviation = y[:, :, 1:-1, 1:-1].std((2, 3))
    assert (deviation - 1).abs().max() < 0.15


@pytest.mark.parametrize(
    ("stride", "padding", "transposed", "groups", "size"),
    [(1, 1, False, 1, 5), (2, 0, False, 1, 5), (2, 0, True, 1, 2), (1, 2, False, 2, 4), (2, 1, True, 2, 3)],
)
def test_convolution_has_right_first_and_second_derivatives(stride, padding, transposed, groups, size):
    k = 4 if groups == 2 else 3
    x, weight = random(2, 2, size, size, grad=True), random(2, 2 // groups, k, k, seed=1, grad=True)

    def function(x, weight):
        return ops.convolve(x, weight, stride, padding, transposed, groups)

    assert gradcheck(function, (x, weight))
    assert gradgradcheck(function, (x, weight))


def test_regularisers_can_be_differentiated_by_the_weights():
    """The gradient of R1 and of path lengths, by a weight, against finite differences."""
    torch.manual_seed(0)
    generator, discriminator = Generator(COLOUR).double(), Discriminator(COLOUR).double()
    none = torch.zeros(4, 0, dtype=torch.float64)

    def r1():
        images = random(4, 3, 8, 8, seed=3, grad=True)
        return r1_penalty(discriminator(images, none), images).sum()

    def lengths():
        ws = generator.latents(random(4, 6, seed=4), none)
        return path_lengths(generator.synthesis(ws, "const"), ws, random(4, 3, 8, 8, seed=5)).sum()

    for function, weight in (
        (r1, discriminator.b8.conv0.weight),
        (r1, discriminator.b4.conv.weight),
        (lengths, generator.synthesis.b8.conv0.weight),
        (lengths, generator.mapping.fc0.weight),
    ):
        (gradient,) = torch.autograd.grad(function(), weight)
        direction = random(*weight.shape, seed=6)
        values = []
        for sign in (1, -1):
            with torch.no_grad():
                weight += sign * 1e-5 * direction
            values.append(function().item())
            with torch.no_grad():
                weight -= sign * 1e-5 * direction
        expected = (values[0] - values[1]) / 2e-5
        assert (gradient * direction).sum().item() == pytest.approx(expected, rel=1e-4)


def test_minibatch_deviation_is_its_definition():
    x = random(8, 3, 4, 4)
    got = minibatch_deviation(x)
    assert got.shape == (8, 1, 4, 4)
    for i in range(8):
        group = x[[i % 2, i % 2 + 2, i % 2 + 4, i % 2 + 6]].numpy()
        expected = np.sqrt(group.var(axis=0) + 1e-8).mean()
        np.testing.assert_allclose(got[i].numpy(), expected)


def test_equalised_learning_rate_scales_with_width_and_multiplier():
    layer = FullyConnected(100, 50, lr_multiplier=0.01, bias_init=3.0)
    assert layer.weight.std().item() == pytest.approx(100, rel=0.05)
    y = layer(random(200, 100, dtype=torch.float32))
    assert y.std().item() == pytest.approx(1, rel=0.1)
    assert y.mean().item() == pytest.approx(0.03, abs=0.1)


def test_normalised_latents_have_unit_second_moment():
    x = normalise_second_moment(random(5, 32) * 7)
    torch.testing.assert_close(x.square().mean(1), torch.ones(5, dtype=torch.float64))


@pytest.mark.parametrize("architecture", [GREY, COLOUR])
def test_shapes_types_and_determinism(architecture):
    a = architecture
    torch.manual_seed(0)
    generator, discriminator = Generator(a), Discriminator(a)
    z, c = random(4, a.latent, dtype=torch.float32), torch.zeros(4, a.class_count)
    images = generator(z, c, noise=generator.synthesis.draw_noise(4, torch.Generator().manual_seed(1)))
    assert images.shape == (4, a.image_channels, a.resolution, a.resolution) and images.dtype == torch.float32
    assert discriminator(images, c).shape == (4, 1)
    assert torch.equal(generator(z, c), generator(z, c))
    assert generator.synthesis.w_count == 2 * np.log2(a.resolution) - 2


def test_the_class_changes_images_and_logits():
    torch.manual_seed(0)
    generator, discriminator = Generator(GREY), Discriminator(GREY)
    z = random(4, 8, dtype=torch.float32)
    first, second = (one_hot(torch.full((4,), k), 3).float() for k in (0, 1))
    images = generator(z, first)
    assert not torch.allclose(images, generator(z, second))
    assert not torch.allclose(discriminator(images, first), discriminator(images, second))


def test_noise_enters_by_its_learned_strength():
    torch.manual_seed(0)
    generator = Generator(GREY)
    z, c = random(2, 8, dtype=torch.float32), torch.zeros(2, 3)
    assert torch.equal(generator(z, c, noise="const"), generator(z, c, noise=None))  # strength starts at 0
    with torch.no_grad():
        generator.synthesis.b8.conv1.noise_strength.fill_(1.0)
    assert not torch.equal(generator(z, c, noise="const"), generator(z, c, noise=None))


def test_truncation_goes_to_the_average():
    torch.manual_seed(0)
    generator = Generator(GREY)
    generator.mapping.w_avg.normal_()
    z, c = random(4, 8, dtype=torch.float32), torch.zeros(4, 3)
    w, half, none = (generator.latents(z, c, psi) for psi in (1.0, 0.5, 0.0))
    torch.testing.assert_close(half, (w + generator.mapping.w_avg) / 2)
    torch.testing.assert_close(none, generator.mapping.w_avg.expand_as(none))


def test_a_saved_generator_makes_the_same_images_and_the_same_bytes(tmp_path):
    torch.manual_seed(0)
    generator = Generator(GREY)
    save_generator(tmp_path / "a.safetensors", generator, ["x", "y z", "ü"])
    loaded, names = load_generator(tmp_path / "a.safetensors")
    z, c = random(2, 8, dtype=torch.float32), torch.eye(3)[:2]
    assert torch.equal(loaded(z, c), generator(z, c)) and names == ["x", "y z", "ü"]
    save_generator(tmp_path / "b.safetensors", loaded, names)
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()


def test_what_is_no_generator_is_refused(tmp_path):
    (tmp_path / "g.safetensors").write_bytes(b"nothing of the sort")
    with pytest.raises(UserError, match="train again"):
        load_generator(tmp_path / "g.safetensors")


@pytest.mark.parametrize(("resolution", "channel_base"), [(48, 1024), (4, 1024), (64, 32)])
def test_impossible_architectures_are_refused(resolution, channel_base):
    with pytest.raises(UserError, match="GAN"):
        Architecture(resolution, 1, 0, 8, 2, channel_base, 8)

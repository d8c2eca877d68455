"""Agreement with values computed by the reference implementation of StyleGAN2-ADA, on the same random weights."""

from pathlib import Path

import pytest
from safetensors import safe_open

from ganaug.stylegan2.discriminator import Discriminator
from ganaug.stylegan2.generator import Architecture, Generator
from ganaug.stylegan2.loss import path_lengths, r1_penalty

FOLDER = Path(__file__).parent / "parity"


@pytest.fixture(scope="module", params=["r32_gray_4class", "r64_rgb_uncond"])
def reference(request):
    """Generator and discriminator with the reference's weights, strictly loaded, and its inputs and outputs."""
    with safe_open(FOLDER / f"{request.param}.safetensors", "pt") as file:
        m, tensors = file.metadata(), {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118

    def part(prefix):
        return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}

    architecture = Architecture(
        resolution=int(m["img_resolution"]),
        image_channels=int(m["img_channels"]),
        class_count=int(m["c_dim"]),
        latent=int(m["z_dim"]),
        mapping_layers=int(m["mapping_layers"]),
        channel_base=int(m["channel_base"]),
        channel_max=int(m["channel_max"]),
    )
    generator, discriminator = Generator(architecture), Discriminator(architecture)
    generator.load_state_dict(part("G."))
    discriminator.load_state_dict(part("D."))
    return generator, discriminator, part("io.")


def assert_agrees(value, expected):
    """Within 1e-4 of the expected tensor's largest magnitude, element by element."""
    assert value.shape == expected.shape
    assert ((value - expected).abs().max() / expected.abs().max()).item() < 1e-4


def test_mapping_with_and_without_truncation(reference):
    generator, _, io = reference
    assert_agrees(generator.latents(io["z"], io["c"]), io["w"])
    assert_agrees(generator.latents(io["z"], io["c"], psi=0.7), io["w_psi0.7"])


def test_images_with_constant_noise_and_without_noise(reference):
    generator, _, io = reference
    assert_agrees(generator.synthesis(io["w"], "const"), io["img_noise_const"])
    assert_agrees(generator.synthesis(io["w_psi0.7"], None), io["img_psi0.7_noise_none"])


def test_logits_and_r1(reference):
    _, discriminator, io = reference
    images = io["x"].requires_grad_()
    logits = discriminator(images, io["c"])
    assert_agrees(logits, io["logits"])
    assert_agrees(r1_penalty(logits, images), io["r1"])


def test_path_lengths(reference):
    generator, _, io = reference
    y = io["pl_y"]
    ws = io["w"][: len(y)].clone().requires_grad_()
    assert_agrees(path_lengths(generator.synthesis(ws, "const"), ws, y), io["pl_lengths"])

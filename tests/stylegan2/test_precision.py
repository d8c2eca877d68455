"""16-bit blocks, and how a GPU is fed: what of it can be tried on a CPU."""

import numpy as np
import pytest
import torch

from ganaug.checkpoint import Checkpoints
from ganaug.errors import UserError
from ganaug.gpu import refuse_without_bfloat16, set_arithmetic
from ganaug.seeding import set_determinism
from ganaug.stylegan2 import data as gan_data
from ganaug.stylegan2.data import Stream
from ganaug.stylegan2.discriminator import Discriminator
from ganaug.stylegan2.generator import Architecture, Generator, use_half
from ganaug.stylegan2.settings import TrainingSettings
from ganaug.stylegan2.training import train
from helpers.trainings import CPU, SETTINGS, images_in_hand, trainer

HALF = [torch.bfloat16, torch.float16]
GREY = Architecture(
    resolution=32, image_channels=1, class_count=3, latent=16, mapping_layers=2, channel_base=512, channel_max=32
)


def networks(dtype=None, count=2):
    torch.manual_seed(0)
    generator, discriminator = Generator(GREY), Discriminator(GREY)
    if dtype:
        use_half(generator.synthesis, dtype, count)
        use_half(discriminator, dtype, count)
    return generator, discriminator


def inputs():
    random = torch.Generator().manual_seed(1)
    return torch.randn(8, 16, generator=random), torch.eye(3)[torch.arange(8) % 3]


def correlation(a, b):
    return torch.corrcoef(torch.stack([a.flatten(), b.flatten()]))[0, 1].item()


@pytest.mark.parametrize("dtype", HALF)
def test_half_blocks_give_nearly_the_same(dtype):
    (generator, discriminator), (g, d), (z, c) = networks(), networks(dtype), inputs()
    images = generator(z, c)
    half_images = g(z, c)
    assert half_images.dtype == torch.float32 and correlation(half_images, images) > 0.999
    assert not torch.equal(half_images, images)
    logits, half_logits = discriminator(images, c), d(images, c)
    assert half_logits.dtype == torch.float32
    assert (half_logits - logits).abs().max() < 0.05 * logits.std()


def test_the_highest_resolutions_alone_are_half_and_4_pixels_never():
    generator, discriminator = networks(torch.bfloat16, 2)
    assert [b.half_type for b in generator.synthesis.blocks] == [None, None, torch.bfloat16, torch.bfloat16]
    assert [getattr(discriminator, f"b{r}").half_type for r in (32, 16, 8)] == [torch.bfloat16] * 2 + [None]
    generator, _ = networks(torch.bfloat16, 10)
    assert [b.half_type for b in generator.synthesis.blocks] == [None, *[torch.bfloat16] * 3]
    seen = []
    generator.synthesis.b16.conv1.register_forward_hook(lambda module, args, out: seen.append(out.dtype))
    generator(*inputs())
    assert seen == [torch.bfloat16] and {p.dtype for p in generator.parameters()} == {torch.float32}


def test_float16_does_not_overflow():
    """Neither by large styles and weights, which demodulation takes out, nor where nothing does, by the clamp."""
    (generator, _), (g, d), (z, c) = networks(), networks(torch.float16, 4), inputs()
    with torch.no_grad():
        for network in (generator, g):
            for block in network.synthesis.blocks:
                for layer in block.layers:
                    layer.weight *= 3e3
                    layer.affine.weight *= 1e3
                    layer.affine.bias *= 1e3
    images, half_images = generator(z, c), g(z, c)
    assert half_images.isfinite().all() and correlation(half_images, images) > 0.99
    with torch.no_grad():
        d.b32.conv0.weight *= 1e5
    assert d(images, c).isfinite().all()


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_training_in_half_precision_follows_float32(precision, tmp_path):
    changes = {"kimg": 0.104, "ada_target": -1.0, "ada_kimg": 0.2}  # p rises all the way
    rows = {}
    for name in ("float32", precision):
        settings = TrainingSettings(**{**SETTINGS, **changes, "precision": name, "half_resolutions": 1})
        t, rows[name], _ = train(images_in_hand(), settings, 1, CPU, Checkpoints(tmp_path / name))
    assert {p.dtype for p in t.generator.parameters()} == {torch.float32}
    assert t.generator.synthesis.b8.half_type == getattr(torch, precision) and t.average.synthesis.b8.half_type is None
    for exact, half in zip(rows["float32"], rows[precision], strict=True):
        assert half["ada_p"] == exact["ada_p"]
        for loss in ("loss_g", "loss_d", "r1", "path_length"):
            if exact[loss] is not None:
                assert half[loss] == pytest.approx(exact[loss], rel=0.1, abs=1e-3) and half[loss] != exact[loss]


def test_an_overflowing_gradient_does_not_end_a_float16_training():
    for precision, survives in (("float16", True), ("float32", False)):
        t = trainer(precision=precision)
        weight = t.generator.synthesis.b4.const
        t._descend(t.optimiser_g, (weight * torch.tensor(float("inf"))).sum())
        assert weight.isfinite().all().item() == survives


def test_images_held_on_the_device_come_as_those_read_from_the_file(monkeypatch):
    data = images_in_hand(channels=3)
    expected = Stream(data, 1, True, CPU)
    assert expected.held is None
    monkeypatch.setattr(gan_data, "hold", lambda images, device: torch.from_numpy(np.array(images)))
    held = Stream(data, 1, True, CPU)
    assert held.held is not None
    for position in (0, 8, 24):
        for a, b in zip(held.batch(position, 8), expected.batch(position, 8), strict=True):
            assert torch.equal(a, b)
    assert np.array_equal(held.held.numpy(), data.images)  # flipping left them as they are


def test_bfloat16_is_refused_before_ampere():
    for capability in ((8, 0), (9, 0)):
        refuse_without_bfloat16("bfloat16", capability, "gan.precision")
    refuse_without_bfloat16("float16", (7, 5), "gan.precision")
    with pytest.raises(UserError, match=r"has 7\.5; write `gan\.precision: float16`"):
        refuse_without_bfloat16("bfloat16", (7, 5), "gan.precision")


def test_gpu_arithmetic_is_exact_unless_asked_otherwise():
    matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    before = (matmul.allow_tf32, cudnn.allow_tf32, cudnn.benchmark)
    try:
        set_arithmetic(True, True)
        assert matmul.allow_tf32 and cudnn.allow_tf32 and cudnn.benchmark
        set_determinism(1)  # what every stage begins with
        assert not (matmul.allow_tf32 or cudnn.allow_tf32 or cudnn.benchmark)
    finally:
        matmul.allow_tf32, cudnn.allow_tf32, cudnn.benchmark = before

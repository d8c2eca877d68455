"""Whether augmentations leak into what the generator makes, by simulation (ADA, section 2.2 and figure 4)."""

import numpy as np
import pytest
import torch

from ganaug.stylegan2.data import LabelledImages
from ganaug.stylegan2.settings import TrainingSettings
from ganaug.stylegan2.trainer import Trainer
from helpers.trainings import CPU, SETTINGS


def upright_share(pipeline, p, seed):
    """Trains on images that are bright above and dark below, at a fixed p; the share of generated ones that are too."""
    rng = np.random.default_rng(0)
    images = np.where(np.arange(8)[None, :, None] < 4, 200, 60) + rng.normal(0, 15, (500, 8, 8))
    data = LabelledImages(images.clip(0, 255).astype(np.uint8), np.zeros(500, np.int64), ["bright above"])
    changes = {"batch": 16, "path_length_weight": 0.0, "mirror": False, "style_mixing": 0.0, "ema_kimg": 0.5}
    changes |= {"learning_rate": 0.005, "r1_gamma": 0.1, "ada_target": None, "ada_pipeline": pipeline}
    t = Trainer(data, TrainingSettings(**{**SETTINGS, **changes}), seed, CPU)
    t.augment.p = p
    while t.kimg < 3:
        t.step()
    z = torch.randn(500, 8, generator=torch.Generator().manual_seed(0))
    made = t.snapshot(z, torch.zeros(500, dtype=torch.long))[:, 0]
    return (made[:, :4].mean((1, 2)) - made[:, 4:].mean((1, 2)) > 0.7).double().mean().item()


@pytest.mark.slow
@pytest.mark.parametrize(("pipeline", "p"), [("blit", 0.5), ("geom", 0.5), ("color", 0.5), ("bgc", 0.3)])
def test_augmentations_do_not_leak(pipeline, p):
    """Half of the images are turned, mirrored or inverted before the discriminator sees them; none of these is made."""
    assert upright_share(pipeline, p, seed=1) > 0.95


@pytest.mark.slow
@pytest.mark.parametrize(("pipeline", "seed"), [("blit", 1), ("color", 2)])
def test_the_simulation_shows_a_leak_where_there_must_be_one(pipeline, seed):
    """At p = 1 nothing tells which way up the images are, and a generator settles for what its start suggests."""
    assert upright_share(pipeline, 1.0, seed) < 0.05

"""What can't work fails before anything is trained."""

import pytest

from helpers.networks import write_untrained
from helpers.running import run
from helpers.tiny import STUDY

pytestmark = pytest.mark.slow
VIT = "vit_tiny_patch16_224"


GAN = "results/lab/gan/size-10/replicate-1/generator.safetensors"


@pytest.mark.parametrize(
    "asked",
    [(), ("--cores", "all", "--until", "train_gan", "--", "all"), ("--keep-going", GAN)],
    ids=["study", "GANs", "generator"],
)
def test_a_backbone_that_can_not_work_ends_the_run_before_any_training(asked, tmp_path):
    study = STUDY | {"backbones": [*STUDY["backbones"], VIT]}
    study |= {"weights": {VIT: {"source": str(write_untrained(tmp_path, VIT))}}}
    with pytest.raises(AssertionError) as failed:
        run(tmp_path, study, *asked)
    said = str(failed.value)
    assert "first one step of each network" in said and "Traceback" not in said
    assert "no training begins before each network of the study has worked once, and these have not:" in said
    assert f"\ncheck_backbone backbone={VIT}: backbones: {VIT} can't be trained on" in said
    assert "write classifier.input_size: 224, or take another backbone" in said
    root = tmp_path / "results/lab"
    assert (root / "weights/tf_efficientnet_lite0.check.json").is_file() and (
        root / "fidelity/extractor.json"
    ).is_file()
    assert not (root / "gan").exists() and not (root / "cells").exists() and not (root / "data").exists()

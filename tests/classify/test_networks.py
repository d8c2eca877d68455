"""The classifier's network: its grey input, its weights, what it predicts, and a saved one on another set."""

import numpy as np
import pandas as pd
import pytest
import torch

from ganaug import files
from ganaug.classify import networks
from ganaug.cli import main
from ganaug.errors import UserError
from helpers.classifiers import BACKBONE, image_set, run_stage


def test_one_grey_channel_sees_what_three_would(lite0):
    import timm

    grey = networks.pretrained(BACKBONE, lite0, 2, 1).eval()
    colour = timm.create_model(BACKBONE, pretrained=True, pretrained_cfg_overlay={"file": str(lite0)}).eval()
    image = networks.network_input(grey, torch.rand(2, 1, 64, 64))
    assert grey.pretrained_cfg["mean"] == (0.5, 0.5, 0.5) and grey.pretrained_cfg["std"] == (0.5, 0.5, 0.5)
    torch.testing.assert_close(
        networks.network_input(grey, torch.tensor([[[[0.0, 0.5, 1.0]]]])).flatten(), torch.tensor([-1.0, 0, 1])
    )
    with torch.inference_mode():
        torch.testing.assert_close(
            grey.forward_features(image), colour.forward_features(image.expand(-1, 3, -1, -1)), rtol=1e-4, atol=1e-4
        )


def test_wrong_weights_are_refused(lite0):
    with pytest.raises(UserError, match="not the weights of timm's resnet18"):
        networks.pretrained("resnet18", lite0, 2, 1)


def test_predictions_are_names_and_probabilities():
    images = image_set(3, 1, classes=("Viral Pneumonia", "NA"))
    table = networks.predictions(images, np.array([[0.9, 0.1], [0.2, 0.8], [0.4, 0.6]]))
    assert list(table.columns) == ["image", "label", "predicted", "probability_Viral Pneumonia", "probability_NA"]
    assert list(table["label"]) == ["Viral Pneumonia", "NA", "Viral Pneumonia"]
    assert list(table["predicted"]) == ["Viral Pneumonia", "NA", "NA"]


@pytest.mark.usefixtures("no_network")
def test_a_saved_classifier_scores_another_set(lite0, tmp_path, capsys):
    first = run_stage(tmp_path, lite0, "none")
    command = ["score_images", "--model", tmp_path / "model.safetensors", "--images", tmp_path / "test.npy"]
    command += ["--predictions", tmp_path / "again.csv", "--table"]
    assert main([*map(str, command), str(tmp_path / "test.csv")]) == 0
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "again.csv"), first)
    table = pd.read_csv(tmp_path / "test.csv")
    files.write_csv(tmp_path / "one.csv", table.assign(**{"class": "b", "label": 0}))  # a set without class a
    assert main([*map(str, command), str(tmp_path / "one.csv")]) == 0
    again = pd.read_csv(tmp_path / "again.csv")
    assert (again["label"] == "b").all() and list(again["probability_a"]) == list(first["probability_a"])
    files.write_csv(tmp_path / "one.csv", table.assign(**{"class": "c"}))
    assert main([*map(str, command), str(tmp_path / "one.csv")]) == 1
    assert "does not know the class 'c'; it knows a, b" in capsys.readouterr().err

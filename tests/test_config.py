"""The configuration: strict, helpful, complete."""

import copy

import pytest
import yaml

from ganaug.errors import UserError
from ganaug.study.settings.resolve import resolve
from helpers.running import ROOT

MINIMAL = {"study": "s", "sizes": [100]}


def mistakes(**changes) -> str:
    with pytest.raises(UserError) as caught:
        resolve(copy.deepcopy(MINIMAL) | changes)
    return str(caught.value)


@pytest.mark.parametrize("path", sorted((ROOT / "config").glob("*.yaml")), ids=lambda p: p.stem)
def test_shipped_studies_are_valid(path):
    study = resolve(yaml.safe_load(path.read_text()))
    assert study["gan"]["mirror"] is False  # a default is filled in


def test_a_study_without_gans_is_not_held_to_what_only_gans_need():
    resolve(copy.deepcopy(MINIMAL) | {"augmentations": ["none"], "sizes": [10], "gan": {"kimg": 2}})


def test_sizes_are_put_in_order():
    assert resolve(MINIMAL | {"sizes": ["all", 500, 100]})["sizes"] == [100, 500, "all"]


def test_defaults_are_valid_and_leave_the_users_values():
    study = resolve(copy.deepcopy(MINIMAL) | {"gan": {"kimg": 300}})
    assert study["gan"]["kimg"] == 300
    assert study["gan"]["batch"] == 32
    assert study["data"]["phantom"]["images_per_class"] == 400


def test_the_defaults_of_one_study_are_not_another_ones():
    first = resolve(copy.deepcopy(MINIMAL))
    first["gan"]["kimg"] = -1
    assert resolve(copy.deepcopy(MINIMAL))["gan"]["kimg"] == 5000


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"gan": {"kmig": 3}}, 'gan.kmig: unknown setting; did you mean "kimg"?'),
        ({"replicate": 3}, 'replicate: unknown setting; did you mean "replicates"?'),
        ({"gan": {"kimg": "long"}}, "gan.kimg: 'long' can't be used; write a number above 0"),
        ({"gan": {"kimg": 0}}, "gan.kimg: 0 can't be used; write a number above 0"),
        ({"gan": {"learning_rate": "1e-3"}}, "YAML reads 1e-3 as text: write 0.001"),
        ({"gan": 3}, "gan: 3 can't be used; write a block of settings"),
        ({"sizes": []}, "sizes: [] can't be used; write a list with at least 1 entries"),
        ({"sizes": ["al"]}, "sizes.0: 'al' can't be used; write a whole number at least 3 and at most 10000000 or all"),
        ({"sizes": [50, 50]}, "without repeats"),
        ({"device": "gpu"}, "device: 'gpu' can't be used; write one of auto, cpu, cuda"),
        ({"study": "../x"}, "study: '../x' can't be used"),
        ({"augmentations": ["none", "gann"]}, "augmentations: 'gann' is unknown; known: none, classical, randaugment"),
        ({"data": {"source": "folder"}}, "data_root: missing; source 'folder' needs the folder"),
        ({"data_root": "/images"}, "set data.source to radiography or folder"),
        ({"sizes": [10]}, "fidelity.kid_subset_size: 50 is too much for size 10, with 6 training images"),
        ({"sizes": [3], "splits": {"validation_share": 0.5}}, "sizes: 3 leaves fewer than 2 training images"),
        (
            {"sizes": [100], "fidelity": {"prc_neighborhood": 80}},
            "fidelity.prc_neighborhood: 80 is too much for size 100",
        ),
        ({"data": {"resolution": 1024}, "gan": {"channel_base": 256}}, "gan.channel_base: 256 leaves no feature map"),
        ({"gan": {"gpus": 3}}, "gan.batch: 32 can't be shared by 3 GPUs; write a multiple of 12"),
        ({"replicates": 2.0}, "replicates: 2.0 can't be used; write a whole number"),
        ({"sizes": [100.0]}, "sizes.0: 100.0 can't be used"),
        ({"gan": {"learning_rate": float("nan")}}, "gan.learning_rate: nan can't be used; write a number"),
        ({"gan": {"kimg": float("inf")}}, "gan.kimg: inf can't be used"),
        (
            {"weights": {"efficientnet_b0": {"source": "package", "sha256": "0" * 64}}},
            "weights.efficientnet_b0.sha256: comes with the package",
        ),
        (
            {"weights": {"efficientnet_b0": {"source": "https://example.org/w.safetensors"}}},
            "weights.efficientnet_b0.sha256: missing; what is fetched is checked against it",
        ),
        ({"weights": {"resnet5O": {"source": "timm"}}}, "weights.resnet5O: the study has no such network; it has"),
        (
            {"data": {"groups": "{size}.csv"}},
            "data.groups: '{size}.csv' has braces, which Snakemake takes for a wildcard",
        ),
        (
            {"synthetic": {"ratio_sweep": [0.5, 0.50000001]}},
            "synthetic.ratio_sweep: two ratios are the same in 6 digits",
        ),
        ({"gan": {"kimg": 2}}, "gan.snapshot_kimg: 200 is above gan.kimg 2"),
    ],
)
def test_a_mistake_is_named_with_its_path_and_what_to_write(changes, expected):
    assert expected in mistakes(**changes)


def test_numbers_in_lists_and_blocks_may_be_text_as_snakemake_passes_them_on():
    given = {
        "sizes": ["20", "all", "100"],
        "augmentations": ["none", "gan"],
        "gan": {"kimg": "400.5", "batch": "16", "mirror": "false", "r1_gamma": "auto", "init_from": "null"},
        "synthetic": {"ratio_sweep": ["0.5", "2", ".25"]},
        "fidelity": {"kid_subset_size": "8", "prc_neighborhood": "3"},
        "probes": {"border_only": "False"},
        "data": {"near_copy_distance": "10"},
        "title": "5",
    }
    study = resolve(MINIMAL | given)
    assert study["sizes"] == [20, 100, "all"] and study["title"] == "5"
    gan = study["gan"]
    assert [gan[name] for name in given["gan"]] == [400.5, 16, False, "auto", None] and type(gan["batch"]) is int
    assert study["synthetic"]["ratio_sweep"] == [0.5, 2, 0.25]
    assert study["probes"]["border_only"] is False and study["data"]["near_copy_distance"] == 10


@pytest.mark.parametrize("text", ["017", "0x10", "1:30", "5 0", "5.0", "", "yes", "ten", "２0", "1e2", "2020-01-01"])
def test_text_that_is_no_number_without_a_doubt_is_refused(text):
    assert f"sizes.0: {text!r} can't be used; write a whole number" in mistakes(sizes=[text])


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"sizes": ["20", "20"]}, "sizes: [20, 20] can't be used; write a list"),
        ({"sizes": [20, "20"]}, "without repeats"),
        ({"gan": {"kimg": "nan"}}, "gan.kimg: 'nan' can't be used"),
        ({"gan": {"kimg": ".inf"}}, "gan.kimg: '.inf' can't be used"),
        ({"gan": {"kimg": "0"}}, "gan.kimg: '0' can't be used; write a number above 0"),
        ({"weights": {"a": {"source": "timm", "sha256": ""}}}, "weights.a.sha256: '' can't be used"),
        ({"sizes": "20,100"}, "sizes: '20,100' can't be used; write a list with at least 1 entries and with at most"),
        ({"sizes": "20,100"}, "(on the command line: --config 'sizes=[a, b]')"),
        (
            {"title": 2024},
            'title: 2024 can\'t be used; write text with at most 300 characters (in a file in quotes: "2024")',
        ),
        ({"data": {"classes": [0, 1]}}, "data.classes.0: 0 can't be used; write text"),
        ({"data": {"classes": [0, 1]}}, '(in a file in quotes: "1"'),
        ({"data": {"classes": [False, True]}}, "data.classes.1: True can't be used; write text (in a file in quotes)"),
        ({"synthetic": {"ratio_sweep": 2}}, "(on the command line: --config 'synthetic={ratio_sweep: [a, b]}')"),
        ({"gan": "kimg=3"}, "(on the command line: --config 'gan={name: value}')"),
    ],
)
def test_text_is_held_to_the_settings_limits(changes, expected):
    assert expected in mistakes(**changes)


def test_all_mistakes_are_told_at_once():
    told = mistakes(gan={"kmig": 3}, device="gpu", replicates=0)
    assert all(word in told for word in ("gan.kmig", "device", "replicates"))


def test_a_missing_setting_without_default_is_named():
    with pytest.raises(UserError, match=r"sizes: missing"):
        resolve({"study": "s"})

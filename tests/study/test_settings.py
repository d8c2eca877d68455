"""The models of a study's settings: what jobs are given is what they were given before, and each rule is told."""

import json

import pytest
import yaml

from ganaug import cli, imports
from ganaug.errors import UserError
from ganaug.study.settings.resolve import resolve
from ganaug.study.settings.schema import json_schema
from ganaug.study.settings.study import StudySettings
from ganaug.stylegan2.settings import batch_mistake
from helpers.running import ROOT

# The shipped studies as the checker before the models resolved them. A study that is changed is changed here too.
RESOLVED = json.loads((ROOT / "tests/study/resolved.json").read_text(encoding="utf-8"))
MINIMAL = {"study": "s", "sizes": [100]}
STUDIES = sorted((ROOT / "config").glob("*.yaml"))


def settings_in(before, study):
    """Of a study what was a setting before."""
    if not isinstance(before, dict) or not isinstance(study, dict):
        return study
    return {name: settings_in(value, study[name]) for name, value in before.items()}


@pytest.mark.parametrize("path", STUDIES, ids=lambda path: path.stem)
def test_a_study_is_resolved_to_the_same_bytes_as_ever(path):
    """They are parameters of jobs: 5.0 in place of 5 would run all of them again. A new setting changes no other."""
    study, before = resolve(yaml.safe_load(path.read_text(encoding="utf-8"))), RESOLVED[path.stem]
    assert json.dumps(settings_in(before, study), sort_keys=True) == json.dumps(before, sort_keys=True)


def test_a_whole_number_and_a_fraction_stay_what_they_are():
    whole = resolve({"study": "s", "sizes": [100], "gan": {"kimg": 400, "ema_kimg": 10, "r1_gamma": 2}})["gan"]
    assert [repr(whole[name]) for name in ("kimg", "ema_kimg", "r1_gamma")] == ["400", "10", "2"]
    text = resolve({"study": "s", "sizes": [100], "gan": {"kimg": "400", "ema_kimg": "10.0", "r1_gamma": 2.0}})["gan"]
    assert [repr(text[name]) for name in ("kimg", "ema_kimg", "r1_gamma")] == ["400", "10.0", "2.0"]


def blocks(schema):
    yield schema
    for sub in schema.get("properties", {}).values():
        for option in [sub, *sub.get("anyOf", ()), sub.get("additionalProperties") or {}]:
            if isinstance(option, dict) and "properties" in option:
                yield from blocks(option)


def test_every_setting_is_described_and_no_block_takes_another():
    found = list(blocks(json_schema()))
    assert len(found) == 19
    for block in found:
        assert block["additionalProperties"] is False and block["description"]
        assert not [name for name, sub in block["properties"].items() if not sub.get("description")]


def test_defaults_are_values_that_a_study_may_write():
    """pydantic does not check defaults."""
    study = resolve(MINIMAL)
    assert resolve(study) == study


@pytest.mark.parametrize("gpus", range(1, 9))
@pytest.mark.parametrize("batch", [4, 8, 12, 24, 36])
def test_a_batch_that_the_study_accepts_is_one_that_the_training_accepts(batch, gpus):
    """The rule is written once: which the models, the training's settings and the trainer ask."""
    given = {"batch": batch, "gpus": gpus}
    mistake = batch_mistake(batch, gpus)
    assert (mistake is None) == (batch % gpus == 0 and batch // gpus % 4 == 0)
    assert told(gan=given) == [f"gan.batch: {mistake}"] if mistake else resolve(MINIMAL | {"gan": given})


def test_no_stage_waits_for_the_models():
    """They take a fifth of a second, of each job."""
    for stage in cli.STAGES:
        assert not [path for path in imports.files_of_stage(stage) if "settings" in path.parts], stage


def test_settings_can_not_be_changed_after_the_check():
    study = StudySettings(study="s", sizes=[100])
    with pytest.raises(ValueError, match="frozen"):
        study.gan.kimg = 0


def told(**changes) -> list[str]:
    with pytest.raises(UserError) as caught:
        resolve(MINIMAL | changes)
    return [line.strip() for line in str(caught.value).splitlines()[1:]]


def test_contradictions_inside_of_blocks_are_told_beside_misspelt_settings():
    lines = told(
        gan={"kmig": 3, "init_from": "{size}.pt"},
        synthetic={"ratio_sweep": [0.5, 0.50000001]},
        weights={"a": {"source": "package", "sha256": "0" * 64}, "b": {"source": "https://example.org/w"}},
    )
    starts = ["gan.init_from: '{size}.pt' has braces", "gan.kmig: unknown", "synthetic.ratio_sweep: two ratios"]
    starts += ["weights.a.sha256: comes with", "weights.b.sha256: missing"]
    assert [line[: len(start)] for line, start in zip(lines, starts, strict=True)] == starts


def test_all_contradictions_of_a_study_are_told_at_once():
    lines = told(
        augmentations=["gan", "gann"],
        data={"source": "folder"},
        sizes=[10, "all", 3],
        gan={"gpus": 3, "kimg": 2},
        weights={"resnet5O": {"source": "timm"}},
    )
    keys = {line.partition(":")[0] for line in lines}
    assert keys >= {"augmentations", "data_root", "gan.batch", "gan.snapshot_kimg", "weights.resnet5O"}
    assert keys >= {"fidelity.kid_subset_size", "fidelity.prc_neighborhood"}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"data": {"resolution": 16.0}}, "data.resolution: 16.0 can't be used; write one of 16, 32"),
        ({"data": {"near_copy_distance": {"int": 5}}}, "data.near_copy_distance: {'int': 5} can't be used"),
        ({"external_test": {}}, "external_test.data_root: missing; it has no default"),
        ({"external_test": {"data_rot": "x"}}, 'external_test.data_rot: unknown setting; did you mean "data_root"?'),
        ({"external_test": "x"}, "external_test: 'x' can't be used; write null or a block of settings"),
        ({"weights": {"a": {"sha256": None}}}, "weights.a.source: missing; it has no default"),
        ({"weights": {"a": 3}}, "weights.a: 3 can't be used; write a block of settings"),
        ({"weights": {"a": {"sourc": "x"}}}, 'weights.a.sourc: unknown setting; did you mean "source"?'),
        ({"gan": {"r1_gamma": "much"}}, "gan.r1_gamma: 'much' can't be used; write a number at least 0 and at most"),
        ({"gan": {"batch": 6}}, "gan.batch: 6 can't be used; write a whole number at least 4 and at most 65536 and a"),
        ({"gan": {"mirror": 1}}, "gan.mirror: 1 can't be used; write true or false"),
        ({"data": {"classes": "a"}}, "(on the command line: --config 'data={classes: [a, b]}')"),
    ],
)
def test_a_mistake_in_an_odd_place_is_named(changes, expected):
    assert any(expected in line for line in told(**changes))


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"sizes": [50, "50", "x"]}, ["sizes.2: 'x' can't", "sizes: [50, '50', 'x'] can't"]),
        ({"data": {"classes": [1]}}, ["data.classes.0: 1 can't be used", "data.classes: [1] can't be used"]),
        (
            {"synthetic": {"ratio_sweep": [[], []]}},
            ["synthetic.ratio_sweep.0", "synthetic.ratio_sweep.1", "synthetic."],
        ),
        ({"backbones": ["a", 1]}, ["backbones.1: 1 can't be used"]),
    ],
)
def test_a_list_and_its_entries_are_told_together(changes, expected):
    lines = told(**changes)
    assert len(lines) == len(expected) and all(any(line.startswith(start) for line in lines) for start in expected)


@pytest.mark.parametrize("text", ["null", "~", "Null"])
def test_null_may_be_text_where_null_may_stand(text):
    given = {"gan": {"ada_target": text}, "data": {"classes": text}, "external_test": text}
    study = resolve({"study": "s", "sizes": [100], "scratch": text} | given)
    assert study["gan"]["ada_target"] is study["data"]["classes"] is study["external_test"] is None
    assert study["scratch"] == (None if text == "null" else text)

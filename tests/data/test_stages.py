"""The stages from raw files to packed arrays: the study's own, and those from elsewhere."""

import json

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from ganaug.cli import main
from ganaug.data import images, leaks
from helpers.miniature import RADIOGRAPHS
from helpers.pictures import films, folder_of, picture


def run_stages(root, out, source="folder", size=6):
    """All data stages through the command line; returns their folder."""

    def stage(name, settings, *arguments):
        assert main([name, "--settings", json.dumps(settings), *map(str, arguments)]) == 0

    read = {"source": source, "classes": None, "max_bad_share": 0.01, "near_copy_distance": 40}
    pack = {"resolution": 16, "classes": None}
    near = ("--distances", out / "distances.csv", "--near-copies", out / "near.json")
    made = ("--manifest", out / "m.csv", "--problems", out / "problems.csv", *near)
    stage("make_manifest", read, "--data-root", root, *made)
    stage("make_splits", {"test_share": 0.3}, "--seed", 1, "--manifest", out / "m.csv", "--splits", out / "s.csv")
    stage(
        "check_sizes",
        {"sizes": [size], "validation_share": 0.2, "least_train": 2, "least_test": 1},
        "--splits",
        out / "s.csv",
        "--sizes",
        out / "sizes.csv",
    )
    test = ("--test-images", out / "test.npy", "--test-table", out / "test.csv")
    stage("make_test_set", pack, "--splits", out / "s.csv", "--data-root", root, *test)
    sides = [
        *("--train-images", out / "train.npy", "--train-table", out / "train.csv"),
        *("--validation-images", out / "validation.npy", "--validation-table", out / "validation.csv"),
    ]
    subset = pack | {"size": size, "validation_share": 0.2}
    stage("make_subset", subset, "--seed", 2, "--splits", out / "s.csv", "--data-root", root, *sides)
    tables = [x for side in leaks.SIDES for x in (f"--{side}-table", out / f"{side}.csv")]
    stage("check_leaks", {}, *tables, *near[2:], "--manifest", out / "m.csv", "--report", out / "leaks.json")
    return out


def test_the_stages_pack_what_the_tables_say_and_twice_the_same(tmp_path):
    root = folder_of(
        tmp_path / "root",
        **{name: {f"{i}.png": picture(100 * k + i) for i in range(20)} for k, name in enumerate(("NA", "b c"))},
    )
    out = run_stages(root, tmp_path / "one")
    for side, count in (("train", 10), ("validation", 2), ("test", 12)):
        array, table = np.load(out / f"{side}.npy"), pd.read_csv(out / f"{side}.csv", keep_default_na=False)
        assert array.shape == (count, 16, 16) and array.dtype == np.uint8
        assert sorted(table["class"].unique()) == ["NA", "b c"]
        assert (table["label"] == (table["class"] == "b c")).all()
        for pixels, file in zip(array, table["image"], strict=True):
            expected = images.to_square(np.asarray(Image.open(root / file)), 16)
            np.testing.assert_array_equal(pixels, expected)
    again = run_stages(root, tmp_path / "two")
    for path in sorted(out.iterdir()):
        assert path.read_bytes() == (again / path.name).read_bytes(), path.name


@pytest.mark.slow
@pytest.mark.skipif(not RADIOGRAPHS.is_dir(), reason=f"the real radiographs are not at {RADIOGRAPHS}")
def test_real_radiographs(tmp_path):
    out = run_stages(RADIOGRAPHS, tmp_path, source="radiography", size=50)
    manifest = pd.read_csv(out / "m.csv", keep_default_na=False)
    assert len(manifest) == 4000
    assert (manifest["mode"] == "L").all() and (manifest["width"] == 128).all()
    problems = pd.read_csv(out / "problems.csv")["problem"].value_counts()
    # Counted once, and every near-copy pair looked at: the same film in other encodings, windows and crops.
    # The one that looks inverted is a small film at the top of a black image.
    assert problems.to_dict() == {"near-copy": 46, "copy in its class": 8, "looks inverted": 1}
    assert len(np.load(out / "train.npy")) + len(np.load(out / "validation.npy")) == 200


def external_set(tmp_path, changes=None, /, **classes):
    """Runs the stages up to make_external_set on a study of classes A and B; returns the last one's status."""
    shown = dict(zip([f"{i:02}.png" for i in range(12)], films(12, 1), strict=True))
    own = folder_of(tmp_path / "own", A=shown, B=dict(zip(shown, films(12, 2), strict=True)))
    out = run_stages(own, tmp_path / "out")
    root = folder_of(tmp_path / "elsewhere", **classes)
    settings = {"source": "folder", "classes": ["A", "B"], "resolution": 16, "max_bad_share": 0.5} | (changes or {})
    command = [
        "make_external_set",
        "--settings",
        json.dumps(settings),
        "--data-root",
        root,
        "--manifest",
        out / "m.csv",
    ]
    command += ["--near-copies", out / "near.json", "--images", out / "external.npy", "--table", out / "external.csv"]
    command += ["--problems", out / "external-problems.csv", "--left-out", out / "left.csv"]
    return out, main([str(part) for part in command])


def test_an_external_set_is_packed_with_the_studys_labels(tmp_path):
    more = films(5, 3)
    troubles = {"bad.png": b"x", "blank.png": np.zeros((96, 96), np.uint8)}
    out, status = external_set(tmp_path, A={"1.png": more[0]}, B={"1.png": more[1], "2.png": more[2]} | troubles)
    assert status == 0 and np.load(out / "external.npy").shape == (3, 16, 16)
    table = pd.read_csv(out / "external.csv")
    assert table["image"].tolist() == ["A/1.png", "B/1.png", "B/2.png"] and table["label"].tolist() == [0, 1, 1]


@pytest.mark.parametrize(
    "copied",
    [lambda film: film, lambda film: np.asarray(Image.fromarray(film).resize((70, 70)))],
    ids=["exact", "resized"],
)
def test_an_external_image_that_is_in_the_study_is_left_out_and_listed(tmp_path, copied):
    more = films(2, 3)
    out, status = external_set(tmp_path, A={"1.png": more[0]}, B={"2.png": copied(films(12, 1)[7]), "1.png": more[1]})
    assert status == 0
    assert pd.read_csv(out / "left.csv").to_dict("records") == [
        {"file": "B/2.png", "class": "B", "copy_of": "A/07.png", "class_of_copy": "A"}
    ]
    problems = pd.read_csv(out / "external-problems.csv").set_index("file")["problem"]
    assert problems["B/2.png"] == "copy or near-copy of one of the study's own, with another label"
    assert pd.read_csv(out / "external.csv")["image"].tolist() == ["A/1.png", "B/1.png"]


def test_an_external_set_that_is_the_study_itself_is_refused(tmp_path, capsys):
    assert external_set(tmp_path, A={"1.png": films(12, 1)[0]}, B={"1.png": films(12, 2)[0]})[1] == 1
    assert "can be used: copy or near-copy of one of the study's own (2); name another" in capsys.readouterr().err


@pytest.mark.parametrize("number", [1, 0, None], ids=["film", "copy", "broken"])
def test_an_external_class_that_the_study_lacks_is_named(tmp_path, capsys, number):
    more = films(2, 3)
    content = b"x" if number is None else more[number]
    assert external_set(tmp_path, A={"1.png": more[0]}, B={"1.png": films(1, 4)[0]}, Z={"1.png": content})[1] == 1
    assert "the study has no class 'Z'" in capsys.readouterr().err


def test_an_external_set_without_a_usable_image_is_refused_with_the_reasons(tmp_path, capsys):
    blank = np.zeros((96, 96), np.uint8)
    share = {"max_bad_share": 1.0}
    _, status = external_set(tmp_path, share, A={"1.png": blank, "2.png": b"x"}, B={"1.png": films(12, 2)[0]})
    assert status == 1
    told = "none of the 3 files there can be used: "
    assert told in (said := capsys.readouterr().err) and "blank (1)" in said and "study's own (1)" in said


def test_an_external_image_left_out_as_the_studys_own_is_not_said_to_be_kept(tmp_path):
    more, own = films(2, 3), films(12, 1)[7]
    nearly = np.asarray(Image.fromarray(own).resize((70, 70)))
    out, status = external_set(tmp_path, A={"1.png": more[0]}, B={"2.png": own, "3.png": nearly, "1.png": more[1]})
    assert status == 0
    assert pd.read_csv(out / "external-problems.csv").to_dict("records") == [
        {
            "file": f"B/{i}.png",
            "class": "B",
            "problem": "copy or near-copy of one of the study's own, with another label",
        }
        | {"action": "left out"}
        for i in (2, 3)
    ]

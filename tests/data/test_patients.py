"""A table of patients is applied to the images that it means, or the study is refused."""

import json
import unicodedata

import pandas as pd
import pytest

from ganaug.cli import main
from ganaug.data.manifest import make_manifest
from ganaug.data.patients import read_groups
from ganaug.errors import UserError
from helpers.pictures import folder_of, picture, settings

IMAGES = [f"{name}/{name.lower()}{i}.png" for name in "AB" for i in range(12)]  # two of each patient


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    classes = {name: {f"{name.lower()}{i}.png": picture(ord(name) * 50 + i) for i in range(12)} for name in "AB"}
    return folder_of(tmp_path_factory.mktemp("patients") / "data", **classes)


def table(path, names, groups=None):
    groups = groups or [f"{name[0]}{int(name[3:-4]) // 2}" for name in IMAGES]
    pd.DataFrame({"file": names, "group": groups}).to_csv(path, index=False)
    return path


def study(root, groups, out):
    """make_manifest as the workflow calls it: (exit status, folder of its files)."""
    out.mkdir(exist_ok=True)
    read = {"source": "folder", "classes": None, "max_bad_share": 0.01, "near_copy_distance": 10}
    files = {"manifest": "m.csv", "problems": "p.csv", "distances": "d.csv", "near-copies": "n.json"}
    outputs = [str(part) for name, file in files.items() for part in (f"--{name}", out / file)]
    inputs = ["--data-root", str(root), "--groups", str(groups)]
    log = ["--log", str(out / "log")]
    return main(["make_manifest", "--settings", json.dumps(read), *inputs, *outputs, *log])


WRITTEN = {
    "as the images": lambda name, root: name,
    "backslashes": lambda name, root: name.replace("/", "\\"),
    "dots": lambda name, root: f"./{name}",
    "backslashes and dots": lambda name, root: ".\\" + name.replace("/", "\\"),
    "absolute": lambda name, root: str(root / name),
    "absolute by a link": lambda name, root: str(root.parent / "link" / name),
    "alone": lambda name, root: name.partition("/")[2],
    "with spaces": lambda name, root: f" {name} ",
}


@pytest.mark.parametrize("written", WRITTEN)
def test_names_are_understood_in_every_form_that_is_safe(root, tmp_path, written):
    if not (root.parent / "link").exists():
        (root.parent / "link").symlink_to(root)
    at = root.parent / "link" if "link" in written else root
    groups = table(tmp_path / "g.csv", [WRITTEN[written](name, root) for name in IMAGES])
    assert study(at, groups, tmp_path / "out") == 0
    manifest = pd.read_csv(tmp_path / "out/m.csv")
    assert manifest["known_group"].nunique() == 12 and manifest["group"].nunique() == 12
    assert set(pd.read_csv(tmp_path / "out/p.csv")["problem"]) == {"near-copy or same group"}


def test_names_are_compared_in_one_unicode_form(tmp_path):
    names = [unicodedata.normalize("NFD", f"é{i}.png") for i in range(3)]
    root = folder_of(
        tmp_path / "r", **{n: {f: picture(k * 10 + i) for i, f in enumerate(names)} for k, n in enumerate("AB")}
    )
    lines = [(f"{c}/" + unicodedata.normalize("NFC", f), f) for c in "AB" for f in names]
    manifest, *_ = make_manifest(root, settings(near_copy_distance=10), pd.Series(dict(lines)))
    assert manifest["group"].nunique() == 3


@pytest.mark.parametrize(
    ("names", "seen"),
    [
        ([f"/elsewhere/{name}" for name in IMAGES], "like '/elsewhere/A/a0.png', '/elsewhere/A/a1.png'"),
        ([f"{name[2:]}.dcm" for name in IMAGES], "like 'a0.png.dcm', 'a1.png.dcm'"),
    ],
)
def test_a_table_that_fits_nothing_is_refused_with_examples(root, tmp_path, capsys, names, seen):
    assert study(root, table(tmp_path / "g.csv", names), tmp_path / "out") == 1
    told = capsys.readouterr().err
    assert "24 of 24 images have no group in the table, more than 20%" in told
    assert seen in told and "'A/a0.png', 'A/a1.png'" in told
    problems = pd.read_csv(tmp_path / "out/p.csv")
    shown = [f"…/{name.rpartition('/')[2]}" if name.startswith("/") else name for name in names]  # no folder of others
    assert sorted(problems.loc[problems["problem"] == "in data.groups: fits no image", "file"]) == sorted(shown)
    log = (tmp_path / "out/log").read_text()
    for name, image in zip(names, IMAGES, strict=True):  # the workflow removes the files of a stage that fails
        assert f"{name!r} in data.groups fits no image" in log and f"{image!r}: no group" in log


def test_a_name_of_two_images_is_not_guessed(tmp_path, capsys):
    root = folder_of(
        tmp_path / "r", **{n: {f"{i}.png": picture(k * 10 + i) for i in range(4)} for k, n in enumerate("AB")}
    )
    groups = table(tmp_path / "g.csv", [f"{i}.png" for i in range(4)], list("pqrs"))
    assert study(root, groups, tmp_path / "out") == 1
    assert "8 of 8 images have no group" in capsys.readouterr().err
    assert (pd.read_csv(tmp_path / "out/p.csv")["problem"] == "in data.groups: fits 2 images").sum() == 4


@pytest.mark.parametrize(("lacking", "status"), [(4, 0), (5, 1)])  # of 24: a fifth is 4.8
def test_some_images_may_lack_a_group_and_are_listed(root, tmp_path, lacking, status):
    groups = table(tmp_path / "g.csv", IMAGES[lacking:], [f"p{i // 2}" for i in range(24 - lacking)])
    assert study(root, groups, tmp_path / "out") == status
    problems = pd.read_csv(tmp_path / "out/p.csv")
    assert list(problems.loc[problems["problem"] == "no group in data.groups", "file"]) == sorted(IMAGES[:lacking])


@pytest.mark.parametrize("groups", [["unknown"] * 24, ["NA"] * 24, ["0"] * 24, [""] * 24, ["NA", "Unknown "] * 12])
def test_groups_that_are_not_known_are_no_group_of_everything(root, tmp_path, groups):
    with pytest.raises(UserError, match=r"stand for groups that are not known: the table tells no patients apart"):
        read_groups(table(tmp_path / "g.csv", IMAGES, groups))


def test_one_group_for_all_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"are 'me' \(24\), one for all files"):
        read_groups(table(tmp_path / "g.csv", IMAGES, ["me"] * 24))


@pytest.mark.parametrize(("written", "count"), [("unknown", 3), (" NA", 4)])
def test_images_of_an_unknown_group_have_none(root, tmp_path, written, count):
    groups = table(tmp_path / "g.csv", IMAGES, [written] * count + [f"p{i}" for i in range(24 - count)])
    assert study(root, groups, tmp_path / "out") == 0
    problems = pd.read_csv(tmp_path / "out/p.csv")
    assert list(problems.loc[problems["problem"] == "no group in data.groups", "file"]) == IMAGES[:count]
    assert pd.read_csv(tmp_path / "out/m.csv")["known_group"].notna().sum() == 24 - count


def test_a_group_that_may_be_unknown_is_one_and_is_listed(root, tmp_path):
    groups = table(tmp_path / "g.csv", IMAGES, ["0"] * 3 + [f"{i}" for i in range(1, 22)])
    assert study(root, groups, tmp_path / "out") == 0
    problems = pd.read_csv(tmp_path / "out/p.csv")
    assert list(problems.loc[problems["problem"] == "group '0' in data.groups", "file"]) == IMAGES[:3]


@pytest.mark.parametrize(("way", "other"), [("a0", "A0"), ("1", "1.0"), ("é", "É")])
def test_a_group_written_in_two_ways_is_refused(tmp_path, way, other):
    with pytest.raises(UserError, match=r"writes groups that look like one in two ways"):
        read_groups(table(tmp_path / "g.csv", IMAGES, [way, other] + [f"p{i}" for i in range(22)]))


def test_spaces_and_unicode_forms_make_no_other_group(tmp_path):
    groups = ["A0 ", "A0", unicodedata.normalize("NFD", "é"), "é"] + [f"p{i}" for i in range(20)]
    assert read_groups(table(tmp_path / "g.csv", IMAGES, groups)).nunique() == 22


@pytest.mark.parametrize(("gone", "status"), [(4, 0), (5, 1)])
def test_a_table_may_name_a_few_images_that_are_gone(root, tmp_path, capsys, gone, status):
    names = [*IMAGES, *(f"A/gone{i}.png" for i in range(gone))]
    groups = table(tmp_path / "g.csv", names, [f"p{i // 2}" for i in range(len(names))])
    assert study(root, groups, tmp_path / "out") == status
    if status:
        assert "data.groups names files that are not there: 'A/gone0.png'" in capsys.readouterr().err
    else:
        assert (pd.read_csv(tmp_path / "out/p.csv")["problem"] == "in data.groups: fits no image").sum() == gone


def test_two_names_of_one_file_in_two_groups_are_refused(root):
    with pytest.raises(UserError, match=r"puts 'A/a0\.png' in two groups"):
        make_manifest(root, settings(), pd.Series({"A/a0.png": "p", ".\\A\\a0.png": "q"}))

"""A set from elsewhere with some of each trouble: everything planted is named, and counted on the page."""

import html
import json
import re
import shutil
from collections import Counter

import pandas as pd
import pytest
from PIL import Image

from ganaug.cli import main
from helpers.pages import build, report
from helpers.pictures import folder_of
from helpers.results_tree import SMALL
from helpers.troubled import COUNT, KINDS, NAMED, plant, rendered

OF_OWN = "copy or near-copy of one of the study's own"
NAMES = NAMED | {"copies": "near-copy, in a group of over 5 % of its class", "of_own": OF_OWN}


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory):
    """(folder with images.npy, images.csv, problems.csv and left_out.csv, files by kind of trouble)."""
    folder = tmp_path_factory.mktemp("elsewhere")
    own = rendered(20, first=200)
    study = folder_of(folder / "own", **{name: {f"{i}.png": film for i, film in enumerate(own[name])} for name in own})
    planted = plant(folder / "set", rendered(COUNT))
    planted["of_own"] = ["Normal/own.png", "Normal/own.jpg", "Ground-glass/own.png"]
    for file, film in zip(planted["of_own"], (own["Normal"][0], own["Normal"][1], own["Ground-glass"][0]), strict=True):
        Image.fromarray(film).save(folder / "set" / file)
    read = {"source": "folder", "classes": list(own), "max_bad_share": 1.0, "near_copy_distance": 20}
    names = ("manifest.csv", "problems.csv", "distances.csv", "near-copies.json")
    made = [part for name in names for part in (f"--{name.split('.')[0]}", str(folder / f"own-{name}"))]
    assert main(["make_manifest", "--settings", json.dumps(read), "--data-root", str(study), *made]) == 0
    (folder / "external").mkdir()
    files = {"--images": "images.npy", "--table": "images.csv", "--problems": "problems.csv"}
    outputs = [part for option, name in files.items() for part in (option, str(folder / "external" / name))]
    outputs += ["--left-out", str(folder / "external/left_out.csv")]
    inputs = ["--manifest", str(folder / "own-manifest.csv"), "--near-copies", str(folder / "own-near-copies.json")]
    asked = {"source": "folder", "classes": list(own), "resolution": 32, "max_bad_share": 1.0}
    command = ["make_external_set", "--settings", json.dumps(asked), "--data-root", str(folder / "set")]
    assert main([*command, *inputs, *outputs]) == 0
    return folder / "external", planted


@pytest.fixture(scope="module")
def page(elsewhere, once, tmp_path_factory):
    """Rows of the tables in the page's section on that set, the cells as text, and the whole section as text."""
    folder = tmp_path_factory.mktemp("page")
    root = shutil.copytree(once("tree-of-reports", lambda root: build(root, SMALL)), folder / "study")
    for name in ("images.csv", "problems.csv", "left_out.csv"):
        shutil.copy(elsewhere[0] / name, root / "external" / name)
    source = report(root, SMALL, folder)[0].source
    section = source.partition("<h3>External test</h3>")[2].partition("</section>")[0]

    def text(part):
        return " ".join(html.unescape(re.sub("<[^>]*>", " ", part)).split())

    rows = re.findall("<tr[^>]*>(.*?)</tr>", section, re.DOTALL)
    return [[text(cell) for cell in re.findall("<t[hd][^>]*>(.*?)</t[hd]>", row)] for row in rows], text(section)


@pytest.mark.parametrize("kind", [*KINDS, "of_own"])
def test_what_is_planted_in_a_set_from_elsewhere_is_named_and_nothing_else(elsewhere, kind):
    folder, planted = elsewhere
    problems = pd.read_csv(folder / "problems.csv", keep_default_na=False)
    assert list(problems.columns) == ["file", "class", "problem", "action"]
    named = set(problems.loc[problems["problem"] == NAMES[kind], "file"])
    alike = {file for other in NAMES if NAMES[other] == NAMES[kind] for file in planted[other]}
    assert planted[kind] and set(planted[kind]) <= named == alike


def test_a_file_is_used_or_told(elsewhere):
    folder, planted = elsewhere
    used = set(pd.read_csv(folder / "images.csv")["image"])
    problems = pd.read_csv(folder / "problems.csv")
    out = set(problems.loc[problems["action"].str.match("left out|not used"), "file"])
    there = {p.relative_to(folder.parent / "set").as_posix() for p in (folder.parent / "set").rglob("*") if p.is_file()}
    assert not used & out and used | out == there | set(planted["macosx"])
    of_own = problems["problem"].eq(OF_OWN)
    assert set(problems["file"][of_own]) == set(pd.read_csv(folder / "left_out.csv")["file"])
    kept = problems["action"].str.startswith("kept")
    assert set(problems["file"][kept]) <= used


def test_what_was_found_elsewhere_is_counted_on_the_page_by_kind_and_class(elsewhere, page):
    planted, found, problem = elsewhere[1], Counter(), ""
    head = page[0].index(["finding", "class", "files", "what was done"])
    for first, *rest in page[0][head + 1 :]:
        problem = first or problem
        if problem in NAMES.values():
            found[problem, rest[0]] += int(rest[1])
    labels = {"macosx": lambda file: "", "case": lambda file: "Normal"}
    expected = Counter(
        (NAMES[kind], labels.get(kind, lambda file: file.split("/")[0])(file))
        for kind, files in planted.items()
        for file in files
    )
    assert found == expected


def test_the_classes_of_a_set_from_elsewhere_are_counted_on_the_page(elsewhere, page):
    rows, text = page
    folder, planted = elsewhere
    images = pd.read_csv(folder / "images.csv")["class"].value_counts()
    absent = ["two_classes", "blank", "two_valued", "tiny", "transparent", "dicom", "pointer", "truncated", "nested"]
    out = Counter(file.split("/")[0] for kind in [*absent, "of_own"] for file in planted[kind])
    out["Normal"] += len(planted["case"])
    for name in images.index:
        assert [name, str(out[name]), str(images[name])] in rows
    assert f"{images.sum()} labelled images from elsewhere, scored by every classifier." in text
    assert f"{out.total()} files there were left out, 3 of them as copies or near-copies of images in the" in text
    blank = Counter(file.split("/")[0] for kind in ("blank", "transparent") for file in planted[kind])
    (row,) = (row for row in rows if row[:2] == ["blank", "left out"])
    classes = next(row[2:] for row in rows if row[:2] == ["finding", "what was done"])
    assert [cell.split(" ")[0] for cell in row[2:]] == [str(blank[name]) for name in classes]
    assert "File by file in external/problems.csv" in text

"""What a page that is passed on shows of patients and of the machine."""

import shutil

import pandas as pd
import pytest

from ganaug.analysis.missing import missing_table
from ganaug.files import read_json, write_json
from ganaug.privacy import text_without_folders, without_folders
from helpers.pages import build, report
from helpers.results_tree import SMALL

PICTURES = ("class_examples", "real_and_generated", "closest_pairs", "gan_progress")


@pytest.fixture(scope="module")
def root(once):
    return once("tree-of-reports", lambda root: build(root, SMALL))


def test_a_page_without_images_holds_none(root, tmp_path):
    study = shutil.copytree(root, tmp_path / "study")
    for name in PICTURES:
        for suffix in ("png", "svg"):
            (study / f"figures/{name}.{suffix}").unlink()
    page, _ = report(study, SMALL, tmp_path, source="folder", report={"images": False})
    assert page.loaded and all(source.startswith("data:image/svg+xml") for source in page.loaded)
    assert not {f"figure-{name}" for name in PICTURES} & set(page.ids)
    assert "no film and no generated image" in page.text and "The page shows films" not in page.text


def test_a_page_with_films_says_so(root, tmp_path):
    page, _ = report(root, SMALL, tmp_path, source="folder")
    assert "The page shows films of patients" in page.text and "report.images: false" in page.text
    assert {f"figure-{name}" for name in PICTURES} <= set(page.ids)
    phantoms, _ = report(root, SMALL, tmp_path)
    assert "films of patients" not in phantoms.text and "synthetic phantoms" in phantoms.text


def test_no_folder_of_the_machine_is_on_the_page(root, tmp_path):
    settings = {
        "data": {"source": "folder", "groups": "/home/anna/St Mary/patients.csv"},
        "data_root": "/home/anna/St Mary/films",
        "external_test": {"data_root": "~/anna/other hospital"},
        "weights": {"tf_efficientnet_lite0": {"source": "/home/anna/lite0.pth"}},
    }
    study = shutil.copytree(root, tmp_path / "study")
    splits = pd.read_csv(study / "data/splits.csv")
    splits.assign(known_group=splits["group"]).to_csv(study / "data/manifest.csv", index=False)
    page, _ = report(study, SMALL, tmp_path, source="folder", **settings)
    assert "anna" not in page.source and "St Mary" not in page.source
    for name in ("…/patients.csv", "…/films", "…/other hospital", "…/lite0.pth"):
        assert name in page.text


def test_no_file_but_of_a_label_conflict_is_named_on_the_page_and_none_in_the_tables(root, tmp_path):
    page, _ = report(root, SMALL, tmp_path, source="folder")
    named = page.source.split("<style>")[0] + page.text
    conflicts = read_json(root / "data" / "near_copies.json")["label_conflicts"]
    for file in (file for pair in conflicts for file in pair["files"]):
        assert file in named
        named = named.replace(file, "")
    tables = "".join(path.read_text() for path in (root / "tables").iterdir())
    for text in (named, tables):
        assert ".png" not in text.replace("x.png", "")


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("/home/anna/films", "…/films"),
        ("/home/anna/films/", "…/films"),
        ("~/films", "…/films"),
        ("C:\\Users\\anna\\films", "…/films"),
        ("D:/anna/films", "…/films"),
        ("\\\\server\\share\\films", "…/films"),
        ("file:///home/anna/films", "…/films"),
        ("data/films", "data/films"),
        ("https://example.org/a/w.pth", "https://example.org/a/w.pth"),
        ("none", "none"),
        ("", ""),
    ],
)
def test_absolute_paths_of_settings_are_cut(given, shown):
    assert without_folders({"a": [given], "b": {"c": given}, "n": 1, "t": None}) == {
        "a": [shown],
        "b": {"c": shown},
        "n": 1,
        "t": None,
    }


def test_a_title_is_left_as_it_is():
    assert without_folders({"title": "/a/b: a study"}) == {"title": "/a/b: a study"}


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("data_root: /home/anna/films is not a folder", "data_root: …/films is not a folder"),
        ("'/home/anna/a.png': broken", "'…/a.png': broken"),
        ("'/home/St Mary/x/a b.png' and '/home/c.png'", "'…/a b.png' and '…/c.png'"),
        ("C:\\Users\\anna\\a.png, D:/anna/b.png: broken", "…/a.png, …/b.png: broken"),
        ("/srv/St Mary/films/COVID/a.png: broken", "…/films/COVID/a.png: broken"),
        ("see https://example.org/a/b and/or x", "see https://example.org/a/b and/or x"),
        ("results/s/logs/a.log: out of memory, 3/4 done", "results/s/logs/a.log: out of memory, 3/4 done"),
    ],
)
def test_absolute_paths_of_messages_are_cut(given, shown):
    assert text_without_folders(given, ["/srv/St Mary/films", "data"]) == shown


def test_the_table_of_what_is_missing_names_no_folder(tmp_path):
    job = {
        "name": "x",
        "rule": "make_subset",
        "wildcards": {"size": "10", "replicate": "1"},
        "outputs": [],
        "log": None,
    }
    job |= {"failed": True, "cause": "x", "why": "/home/anna/films/a.png has changed"}
    write_json(tmp_path / "u.json", {"unfinished": {"jobs": [job], "classifiers": [0, 1]}})
    assert missing_table(tmp_path / "u.json")["why"].tolist() == ["…/a.png has changed"]

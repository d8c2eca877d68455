"""What lies where images could be and is not used is told, with what to write."""

import shutil

import pytest

from ganaug.data.listing import listing_digest
from ganaug.data.manifest import make_manifest
from ganaug.data.sources import list_images, list_skipped
from ganaug.errors import UserError
from helpers.pictures import folder_of, picture, png, settings


@pytest.fixture
def root(tmp_path):
    return folder_of(tmp_path / "data", A={"0.png": picture(0)}, B={"0.png": picture(1)})


def put(root, *files):
    for seed, file in enumerate(files):
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).write_bytes(png(100 + seed))


def told(root, files=2, **more):
    """(file, class, problem) of what make_manifest lists beside so many files."""
    manifest, problems, *_ = make_manifest(root, settings(near_copy_distance=10, **more))
    assert len(manifest) == files
    return [tuple(row[:3]) for row in problems.itertuples(index=False)], list(problems["action"])


def test_files_below_a_class_are_listed(root, tmp_path):
    look = lambda: listing_digest(root, "folder", None, False, tmp_path / "cache.json")  # noqa: E731
    before = look()
    put(root, "A/hospital-2/0.png", "A/hospital-2/deep/1.png", "A/.thumbnails/2.png", "A/hospital-2/.DS_Store")
    (root / "B/linked").symlink_to(root)
    rows, actions = told(root)
    nested = ["A/hospital-2/0.png", "A/hospital-2/deep/1.png"]
    assert rows == [(file, file[0], "in a folder below its class") for file in [*nested, "B/linked"]]
    assert actions[0] == "not used; move its images up, into A"
    assert look() != before  # so that the manifest is made anew


@pytest.mark.parametrize("source", ["folder", "radiography"])
def test_what_macos_leaves_is_no_class(root, source):
    if source == "radiography":
        for name in "AB":
            (root / name / "images").mkdir()
            shutil.move(root / name / "0.png", root / name / "images")
    put(root, "__MACOSX/A/._0.png", "__MACOSX/1.png", "__MACOSX/images/1.png")
    assert told(root, source=source) == ([("__MACOSX", "", "left by macOS")], ["not used; delete it"])


ALIKE = "in a folder that differs from its class in case or Unicode form only"


@pytest.mark.parametrize(("own", "other"), [("A", "a"), ("caf\u00e9", "cafe\u0301"), ("Straße", "STRASSE")])
def test_a_folder_called_almost_as_a_class_is_told_or_refused(root, tmp_path, own, other):
    (root / "A").rename(root / own)
    put(root, f"{other}/0.png", f"{other}/deep/1.png", "unrelated/0.png")
    rows, actions = told(root, classes=[own, "B"])
    assert rows == [(f"{other}/{file}", own, ALIKE) for file in ("0.png", "deep/1.png")]
    assert actions[0] == f"not used; move it into {own}"
    with pytest.raises(UserError, match="differ in case or Unicode form only"):
        list_images(root, "folder", None)
    assert len(list_images(root, "folder", [own, other, "B"])) == 3  # named, so they are meant
    assert len(list_images(root, "folder", None, known=[own])) == 3  # B, and one that is not known
    assert [row[:3] for row in list_skipped(root, "folder", None, known=[own])] == rows
    listing_digest(root, "folder", None, False, tmp_path / "cache.json", known=[own])
    assert told(root, known_classes=[own, "unrelated"], files=3)[0] == rows
    with pytest.raises(UserError, match=r"as the folder is called"):
        list_images(root, "folder", [own, "b"])


def test_folders_of_another_layout_beside_the_classes_are_listed(root):
    put(root, "A/images/0.png", "B/images/0.png", "C/0.png", "A/masks/0.png")
    assert list_skipped(root, "radiography", None) == [
        ("C", "", "folder without a folder images", "not used; a class's images are in <class>/images")
    ]
    assert list_skipped(root, "radiography", ["A", "B"]) == []


@pytest.mark.parametrize(
    ("there", "source", "message"),
    [
        (
            ["train/A/0.png", "train/B/0.png", "test/A/0.png", "test/B/0.png"],
            "folder",
            r"test: write data_root: {}/test, or",
        ),
        (
            ["all/A/0.png", "all/B/0.png", "__MACOSX/all/0.png"],
            "folder",
            r"deeper, as A, B in {0}/all: write data_root: {0}/all$",
        ),
        (["all/A/images/0.png", "all/B/images/0.png"], "radiography", r"write data_root: {}/all$"),
        (
            ["all/A/images/0.png", "all/B/images/0.png"],
            "folder",
            r"write data_root: {}/all and data\.source: radiography",
        ),
        (["A/images/0.png", "B/images/0.png"], "folder", r"images in <class>/images: write data\.source: radiography"),
        (["A/0.png", "B/0.png"], "radiography", r"images in <class>: write data\.source: folder"),
    ],
)
def test_classes_at_another_place_are_found_and_told(tmp_path, there, source, message):
    put(tmp_path, *there)
    with pytest.raises(UserError, match=message.format(tmp_path)):
        list_images(tmp_path, source, None)


def test_a_sound_root_has_nothing_to_tell(root):
    assert list_skipped(root, "folder", None) == [] and told(root) == ([], [])

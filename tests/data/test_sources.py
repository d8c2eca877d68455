"""Where images come from: folders, the database's layout, and what of them has changed."""

import json
import os
import shutil
from pathlib import Path

import pytest

from ganaug.cli import main
from ganaug.data import sources
from ganaug.data.listing import listing_digest, save_caches
from ganaug.data.manifest import make_manifest
from ganaug.errors import UserError
from ganaug.files import read_json
from helpers.pictures import encoded, folder_of, picture, settings

ODD_NAMES = ["a b.png", "it's.png", 'say "x".png', "-rf.png", "näme.png", "new\nline.png", "$(date).png", "a,b.png"]


def test_folders_with_odd_names_are_listed_and_read(tmp_path):
    root = folder_of(
        tmp_path / "root",
        **{"Viral Pneumonia": {name: picture(i) for i, name in enumerate(ODD_NAMES)}, "-x": {"a.png": picture(99)}},
    )
    (root / ".hidden").mkdir()
    (root / "-x" / ".DS_Store").write_bytes(b"x")
    manifest, problems, *_ = make_manifest(root, settings())
    assert sorted(manifest["file"]) == sorted([f"Viral Pneumonia/{name}" for name in ODD_NAMES] + ["-x/a.png"])
    assert (manifest["status"] == "used").all()
    assert problems.empty


def test_the_databases_layout_ignores_masks(tmp_path):
    for name in ("A", "B"):
        for below in ("images", "masks"):
            (tmp_path / name / below).mkdir(parents=True)
            (tmp_path / name / below / "1.png").write_bytes(encoded(picture(ord(name)), format="PNG"))
    (tmp_path / "A.metadata.xlsx").write_bytes(b"x")
    assert sources.list_images(tmp_path, "radiography", None) == [("A/images/1.png", "A"), ("B/images/1.png", "B")]
    assert sources.list_images(tmp_path, "radiography", ["B", "A"])[0][1] == "B"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda root: root / "nowhere", "nowhere is not a folder"),
        (lambda root: folder_of(root / "one", A={"1.png": picture(0)}), "at least 2 are needed"),
        (lambda root: folder_of(root / "empty", A={"1.png": picture(0)}, B={}), "B holds no files"),
    ],
)
def test_a_wrong_root_is_explained(tmp_path, change, message):
    with pytest.raises(UserError, match=message):
        sources.list_images(change(tmp_path), "folder", None)


def test_a_missing_class_names_those_that_are_there(tmp_path):
    root = folder_of(tmp_path / "r", A={"1.png": picture(0)}, B={"1.png": picture(1)})
    with pytest.raises(UserError, match=r"\['C'\].*there are \['A', 'B'\]"):
        sources.list_images(root, "folder", ["A", "C"])


def test_the_listing_changes_with_contents_and_names_alone(tmp_path):
    root = folder_of(tmp_path / "r", A={"1.png": picture(0)}, B={"1.png": picture(1)})
    cache = tmp_path / "cache" / "images.json"

    def look(cache=cache):
        digest = listing_digest(root, "folder", None, False, cache)
        save_caches()
        return digest

    digests = [look()]
    for content in (b"x", b"xy"):
        (root / "A" / "2.png").write_bytes(content)
        digests.append(look())
    (root / "A" / "2.png").rename(root / "A" / "3.png")
    digests.append(look())
    assert len(set(digests)) == 4
    os.utime(root / "A" / "3.png", (1, 1))
    assert look() == digests[-1] == look(tmp_path / "none.json")
    cache.write_text("broken")
    assert look() == digests[-1]
    moved = root.rename(tmp_path / "elsewhere")
    assert listing_digest(moved, "folder", None, False, cache) == digests[-1]


def test_who_only_asks_for_a_listing_writes_nothing_and_reads_what_a_run_has_saved(tmp_path):
    root = folder_of(tmp_path / "r", A={"1.png": picture(0)}, B={"1.png": picture(1)})
    cache, file = tmp_path / "cache" / "images.json", root / "A" / "1.png"
    look = lambda: listing_digest(root, "folder", None, False, cache)  # noqa: E731
    before, first = file.stat(), look()
    assert not cache.parent.exists()

    def spoil(content):  # unseen by its size and time
        file.write_bytes(content[: before.st_size].ljust(before.st_size))
        os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))

    spoil(b"a")
    assert look() != first  # read again
    save_caches()
    second, saved = look(), cache.read_bytes()
    spoil(b"b")
    assert look() == second
    file.write_bytes(b"another")
    assert look() != second and cache.read_bytes() == saved


def test_the_provenance_of_a_manifest_holds_the_listing_that_its_stage_read(tmp_path):
    """The same digest as the workflow's, of whole files and of all that can't be read."""
    root = folder_of(tmp_path / "r", A={f"{i}.png": picture(i) for i in range(6)}, B={"1.png": picture(7)})
    shutil.copyfile(root / "A/0.png", root / "A/copy.png")
    (root / "A/broken.png").write_bytes(b"no picture")
    (root / "A/nothing.png").symlink_to(root / "gone.png")
    Path(os.fsdecode(os.fsencode(root / "A") + b"/\xff.png")).write_bytes(b"x")
    (root / "A/deeper").mkdir()
    (root / "A/deeper/1.png").write_bytes(b"x")
    look = lambda root: listing_digest(root, "folder", None, False, tmp_path / "cache.json")  # noqa: E731
    settings = {"source": "folder", "classes": None, "max_bad_share": 0.9, "near_copy_distance": 40}

    def made(root):
        files = [
            x for name in ("manifest", "problems", "distances", "near-copies") for x in (f"--{name}", tmp_path / name)
        ]
        command = ["make_manifest", "--settings", json.dumps(settings), "--data-root", root, *files]
        assert main([*map(str, command), "--provenance", str(tmp_path / "provenance.json")]) == 0
        return read_json(tmp_path / "provenance.json")["listing"]

    first = look(root)
    assert made(root) == first
    moved = root.rename(tmp_path / "elsewhere")
    assert made(moved) == look(moved) == first
    (moved / "A/deeper/2.png").write_bytes(b"x")
    assert made(moved) == look(moved) != first

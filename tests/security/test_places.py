"""Oddly named and oddly placed files and folders: links, pipes, devices, names that tables can't hold."""

import errno
import os
import signal
import socket
from pathlib import Path

import pytest

from ganaug.data import sources
from ganaug.data.listing import listing_digest
from ganaug.data.manifest import make_manifest
from ganaug.errors import Unusable, UserError
from ganaug.files import check_folder, folder_written_whole, read_csv, write_csv, write_text
from ganaug.weights import Settings, weights
from helpers.disks import make_read_only
from helpers.pictures import png, settings
from helpers.running import ROOT, dry_run
from helpers.tiny import STUDY


def folders(root, *classes, files=3):
    for number, name in enumerate(classes):
        folder = root / name
        folder.mkdir(parents=True)
        for i in range(files):
            (folder / f"{i}.png").write_bytes(png(100 * number + i))
    return root


NAMES = [
    "a\rb.png",
    "a\r\nb.png",
    "a\tb.png",
    "=cmd().png",
    "x" * 250 + ".png",
    "\u202egnp.exe.png",
    "ä\u200b🫁.png",
    "\x1b[31m",
]


def test_tables_hold_every_name(tmp_path):
    root = folders(tmp_path / "r", "A", "B")
    for i, name in enumerate(NAMES):
        (root / "A" / name).write_bytes(png(1000 + i))
    (root / os.fsdecode(b"A/caf\xe9.png")).write_bytes(png(2000))
    manifest, problems, *_ = make_manifest(root, settings(near_copy_distance=10))
    for name, table in (("m.csv", manifest), ("p.csv", problems)):
        write_csv(tmp_path / name, table)
        assert list(read_csv(tmp_path / name, dtype={"class": str})["file"]) == list(table["file"])
    used = set(manifest.loc[manifest["status"] == "used", "file"])
    assert {f"A/{name}" for name in NAMES} < used
    assert problems.set_index("file")["problem"].to_dict() == {"A/caf\\xe9.png": "name is not UTF-8"}
    listing_digest(root, "folder", None, False, tmp_path / "cache.json")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("a\nb", r"class 'a\\nb' .* has a control character in its name; rename the folder, or leave it out"),
        (os.fsdecode(b"caf\xe9"), r"class 'caf\\udce9' .* has a name that is not UTF-8; rename"),
        ("=cmd|'/c calc'!A1", "has a name that a spreadsheet would run as a formula"),
        ("-1+cmd|'x'!A1", "spreadsheet"),
        ("@sum", "spreadsheet"),
        ("all", "is called 'all'"),
        ("x" * 101, "more than 100 characters"),
    ],
)
def test_class_names_that_can_not_be_used_are_told_before_any_job(tmp_path, name, message):
    root = folders(tmp_path / "r", "A", "B", name)
    with pytest.raises(UserError, match=message):
        listing_digest(root, "folder", None, False, tmp_path / "cache.json")
    listing_digest(root, "folder", ["A", "B"], False, tmp_path / "cache.json")  # as the message says


def test_names_that_only_look_the_same_are_told_apart(tmp_path):
    root = folders(tmp_path / "r", "cafe\u0301", "B")
    with pytest.raises(UserError, match=r'write "cafe\\u0301", as the folder is called'):
        sources.list_images(root, "folder", ["caf\u00e9", "B"])


@pytest.fixture
def linked(tmp_path):
    """Two classes with links, pipes and a socket among their images."""
    root, outside = folders(tmp_path / "root", "A", "B"), tmp_path / "outside.png"
    outside.write_bytes(png(50))
    links = {"inside": "../B/0.png", "out": outside, "again": "out.png", "nothing": "nowhere", "circle": "circle.png"}
    links |= {"zero": "/dev/zero", "stdin": "/dev/stdin", "random": "/dev/urandom", "pipe-link": "pipe.png"}
    for name, target in links.items():
        (root / "A" / f"{name}.png").symlink_to(target)
    os.mkfifo(root / "A" / "pipe.png")
    there = os.getcwd()
    os.chdir(root / "A")  # a socket's path must be short
    with socket.socket(socket.AF_UNIX) as made:
        made.bind("socket.png")
    os.chdir(there)
    (root / "A" / "deeper").symlink_to(tmp_path)
    return root


OUT = ["out", "again", "zero", "stdin", "random"]
NO_FILE = {"pipe": "not a file", "pipe-link": "not a file", "socket": "not a file", "nothing": "link to nothing"}
NO_FILE |= {"circle": f"unreadable ({os.strerror(errno.ELOOP)})"}


@pytest.mark.parametrize("follow", [False, True])
def test_links_out_of_the_data_root_are_followed_only_if_the_study_says_so(bounded, linked, follow):
    signal.alarm(600)
    manifest, problems, *_ = make_manifest(linked, settings(follow_links=follow, near_copy_distance=10))
    found = {row.file[2:-4]: row.reason for row in manifest.itertuples() if not row.file[2:-4].isdigit()}
    copies = {"inside": "copy in another class"}
    if follow:
        expected = dict.fromkeys(["zero", "random", "stdin"], "not a file") | {"again": "", "out": "copy in its class"}
        found.pop("stdin")  # where tests read from a file it is one
        expected.pop("stdin")
    else:
        expected = dict.fromkeys(OUT, "link out of the data root")
    assert found == copies | NO_FILE | expected
    assert {row.file for row in problems.itertuples()} >= {f"A/{name}.png" for name in NO_FILE}
    listing_digest(linked, "folder", None, follow, linked.parent / "cache.json")


def test_a_class_that_is_a_link_out_is_refused_unless_it_is_wanted(tmp_path):
    root, elsewhere = folders(tmp_path / "root", "A", "B"), folders(tmp_path / "elsewhere", "C")
    (root / "C").symlink_to(elsewhere / "C")
    (root / "D").symlink_to("A")
    (root / "E").symlink_to("E")
    with pytest.raises(UserError, match=r"'C' is a link out of .*root, to '.*elsewhere/C'; .*data\.follow_links: true"):
        sources.list_images(root, "folder", None)
    assert len(sources.list_images(root, "folder", ["A", "B", "D"])) == 9
    assert len(sources.list_images(root, "folder", None, follow_links=True)) == 12
    (tmp_path / "link").symlink_to(root)
    assert len(sources.list_images(tmp_path / "link", "folder", ["A", "B", "D"])) == 9


def test_a_pipe_in_a_files_place_is_not_waited_for(bounded, tmp_path):
    os.mkfifo(tmp_path / "x.png")
    signal.alarm(600)
    with pytest.raises(Unusable, match="not a file"):
        sources.read_file(tmp_path / "x.png")


def test_a_file_of_any_length_is_refused_unread(bounded, tmp_path):
    root = folders(tmp_path / "r", "A", "B")
    with open(root / "A" / "0.png", "ab") as file:
        os.truncate(file.fileno(), 10**12)  # a hole
    manifest, *_ = make_manifest(root, settings(near_copy_distance=10))
    assert manifest.set_index("file").loc["A/0.png", "reason"] == "too large"
    assert sources.list_images(root, "folder", None)
    with pytest.raises(UserError, match="is not a folder"):
        sources.list_images(tmp_path / ("x" * 5000), "folder", None)


def nowhere(path):
    path.symlink_to("/nowhere/at-all")


def in_a_circle(path):
    path.symlink_to(path.name)


def a_file(path):
    path.write_text("")


@pytest.mark.parametrize(
    ("make", "place", "told"),
    [
        (nowhere, "results", "results is a link to /nowhere/at-all, where nothing is; mount or make that"),
        (nowhere, "results/lab", "results/lab is a link to /nowhere/at-all"),
        (nowhere, "results/lab/checkpoints", "results/lab/checkpoints is a link to /nowhere/at-all"),
        (in_a_circle, "results", "results is a link to results, where nothing is"),
        (a_file, "results", "results is a file where a folder must be; move it away"),
        (a_file, "results/lab/data", "results/lab/data is a file where a folder must be"),
    ],
)
def test_a_place_for_results_that_can_be_no_folder_is_told(tmp_path, monkeypatch, make, place, told):
    monkeypatch.chdir(tmp_path)
    place = Path(place)
    place.parent.mkdir(parents=True, exist_ok=True)
    make(place)
    with pytest.raises(UserError, match=told):
        check_folder(Path("results/lab/checkpoints" if "checkpoints" in told else "results/lab/data"))
    with pytest.raises(UserError, match=told):
        write_text(place / "table.csv", "")
    with pytest.raises(UserError, match=told), folder_written_whole(place / "phantoms"):
        pass


def test_a_link_to_a_folder_is_a_place_for_results(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "large-disk").mkdir()
    Path("results").symlink_to("large-disk")
    check_folder(Path("results/lab/data"))
    write_text("results/lab/data/a", "")
    assert (tmp_path / "large-disk/lab/data/a").is_file()


@pytest.mark.parametrize("make", [nowhere, a_file])
def test_the_workflow_tells_so_before_anything_is_planned(tmp_path, make):
    make(tmp_path / "results")
    output = dry_run(tmp_path, study=STUDY, fails=True)
    assert "results is a " in output and "Traceback" not in output and "Job stats" not in output


def test_downloads_say_where_else_they_can_be_kept(disk, monkeypatch, no_network):
    make_read_only(disk)
    monkeypatch.setenv("TORCH_HOME", str(disk / ".cache"))
    with pytest.raises(UserError, match=r"can't be written to.*; or set XDG_CACHE_HOME to a folder") as error:
        weights(Settings("densenet121", "https://example.org/w-0123456789abcdef.pth", None))
    assert "Or fetch https://example.org" in str(error.value)


def test_with_a_home_that_is_read_only_the_cache_can_lie_elsewhere(disk, tmp_path, monkeypatch):
    make_read_only(disk)
    for name in ("XDG_CONFIG_HOME", "XDG_DATA_HOME", "TRITON_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(disk))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert "Traceback" not in dry_run(tmp_path, study=STUDY)
    assert "`XDG_CACHE_HOME`" in (ROOT / "README.md").read_text()

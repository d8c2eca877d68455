"""Every file is listed with what it is, used or not, and in groups."""

import numpy as np
import pytest
from PIL import Image

from ganaug.data import images
from ganaug.data.manifest import check_classes, check_share, make_manifest
from ganaug.data.patients import read_groups
from ganaug.errors import UserError
from ganaug.files import read_csv, write_csv
from helpers.pictures import encoded, folder_of, picture, settings


def test_every_kind_of_file_is_handled_and_listed(tmp_path):
    same = encoded(picture(1), format="PNG")
    root = folder_of(
        tmp_path / "root",
        A={
            "1.png": same,
            "2.png": same,  # a copy of the file
            "3.bmp": encoded(picture(1), format="BMP"),  # the same pixels in another format
            "4.png": picture(2),
            "5.jpg": encoded(picture(2), format="JPEG", quality=80),  # a near-copy
            "6.png": b"",
            "7.png": same[:200],
            "8.txt": b"text",
            "9.png": picture(3)[:, :40],
        },
        B={"1.png": picture(4), "2.png": picture(5), "3.png": picture(6)},
        C={"1.png": picture(4), "2.png": picture(7)},  # 1 contradicts B's
    )
    manifest, problems, *_ = make_manifest(root, settings())
    status = dict(zip(manifest["file"], manifest["status"], strict=True))
    assert [f for f, s in status.items() if s == "left out"] == [
        *("A/2.png", "A/3.bmp", "A/6.png", "A/7.png", "A/8.txt", "B/1.png", "C/1.png")
    ]
    assert problems.groupby("problem")["file"].apply(list).to_dict() == {
        "copy in another class": ["B/1.png", "C/1.png"],
        "copy in its class": ["A/2.png", "A/3.bmp"],
        "empty": ["A/6.png"],
        "near-copy": ["A/4.png", "A/5.jpg"],
        "non-square": ["A/9.png"],
        "not an image": ["A/8.txt"],
        "truncated": ["A/7.png"],
    }
    by_file = manifest.set_index("file")
    assert by_file.loc["A/4.png", "group"] == by_file.loc["A/5.jpg", "group"]
    assert manifest.loc[manifest["status"] == "used", "group"].nunique() == 6
    assert by_file.loc["A/1.png", ["bytes", "format", "mode", "width", "height"]].tolist() == [
        len(same),
        "PNG",
        "L",
        48,
        48,
    ]
    assert by_file.loc["A/1.png", "pixels_sha256"] == by_file.loc["A/3.bmp", "pixels_sha256"]


def test_the_window_of_deep_images_stands_in_the_manifest(tmp_path):
    marked = picture(8).astype(np.uint16) * 16
    marked[:4, :4] = 65535
    root = folder_of(
        tmp_path / "root",
        A={"1.png": picture(1), "2.png": marked, "3.png": b"", "4.png": np.full((48, 48), 4095, np.uint16)},
        B={"1.png": picture(2), "2.tif": encoded(Image.fromarray(picture(3) / np.float32(512) - 1), format="TIFF")},
    )
    write_csv(tmp_path / "manifest.csv", make_manifest(root, settings())[0])
    manifest = read_csv(tmp_path / "manifest.csv").set_index("file")
    windows = manifest[["window_low", "window_high"]]
    assert windows.loc[["A/1.png", "A/3.png", "B/1.png"]].isna().all(axis=None)
    inside = 16 * picture(8)[4:].astype(int)
    assert windows.loc["A/2.png"].tolist() == [inside.min(), inside.max()]
    assert windows.loc["A/4.png"].tolist() == [4095, 4095] and manifest.loc["A/4.png", "reason"] == "blank"
    floats = picture(3) / np.float32(512) - 1
    assert windows.loc["B/2.tif"].tolist() == [floats.min(), floats.max()]


def test_too_many_bad_files_stop_the_run_and_are_named(tmp_path, caplog):
    caplog.set_level("INFO", "ganaug")
    root = folder_of(
        tmp_path / "r", A={f"{i}.png": picture(i) for i in range(8)}, B={"x.png": b"", "y.png": picture(9)}
    )
    manifest, *_ = make_manifest(root, settings())
    check_share(manifest, 0.1)
    assert "B/x.png: empty" not in caplog.text
    with pytest.raises(UserError, match=r"1 of 10 files .*0\.05 allows: 'B/x\.png' \(empty\)\. .*the log"):
        check_share(manifest, 0.05)
    assert "B/x.png: empty" in caplog.text


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (bytes(128) + b"DICM" + bytes(50), r"'A/0\.dat' \(DICOM file\).* 8 are each a DICOM file: convert .* to PNG"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", r"a Git LFS pointer: .*git lfs pull"),
        (b"<!DOCTYPE html><html>", r"8 are each a web page: fetch the images again"),
        (b"PK\x03\x04" + bytes(9), r"8 are each a ZIP archive: unpack"),
        (b"\x1f\x8b" + bytes(9), r"8 are each a gzip archive: unpack"),
        (b"text", r"'A/0\.dat' \(not an image\)"),
    ],
)
def test_nothing_but_files_of_another_kind_is_told_as_that(tmp_path, content, told):
    """With the default threshold, which is measured on what can be used."""
    root = folder_of(tmp_path / "r", **{name: {f"{i}.dat": content for i in range(4)} for name in "AB"})
    manifest, *_, near_copies = make_manifest(root, settings(near_copy_distance="auto"))
    assert near_copies["different_pairs"] == 0
    with pytest.raises(UserError, match=rf"8 of 8 files can't be used, more than data\.max_bad_share .*{told}"):
        check_share(manifest, 0.01)


def test_a_class_without_usable_images_is_named(tmp_path):
    """Copies across classes contradict each other and are all left out: a whole class may vanish."""
    same = {f"{i}.png": picture(i) for i in range(6)}
    others = {f"{i}.png": picture(i + 50) for i in range(6)}
    root = folder_of(tmp_path / "r", A=same, B=same, C=others, D={f"{i}.png": picture(i + 80) for i in range(6)})
    manifest, *_ = make_manifest(root, settings())
    with pytest.raises(UserError, match=r"class 'A': none of its 6 files can be used: copy in another class \(6\)"):
        check_classes(manifest)


def test_known_groups_join_each_other_and_near_copies(tmp_path):
    """Patient p has A/0 and A/1; with them go a near-copy of A/1 in the other class, and what shares its group."""
    near = encoded(Image.fromarray(picture(1)).resize((90, 90)), format="PNG")
    files_a = {"0.png": picture(0), "1.png": picture(1), "2.png": picture(2)}
    root = folder_of(tmp_path / "r", A=files_a, B={"near.png": near, "4.png": picture(4), "5.png": picture(5)})
    table = "file,group\nA/0.png,p\nA/1.png,p\nB/near.png,q\nB/4.png,q\n"
    (tmp_path / "groups.csv").write_text(table)
    known = read_groups(tmp_path / "groups.csv")
    manifest, problems, *_ = make_manifest(root, settings(), known)
    group = manifest.set_index("file")["group"]
    assert group[["A/0.png", "A/1.png", "B/near.png", "B/4.png"]].nunique() == 1
    assert group.nunique() == 3  # and A/2, B/5 alone
    assert (problems["problem"] == "near-copy or same group").sum() == 4
    plain, *_ = make_manifest(root, settings())
    assert plain["group"].nunique() == 5


def test_a_group_reaches_through_copies_that_are_left_out(tmp_path):
    """A/0 is kept and has no group; its copy A/9 is left out and is of patient p, whose other film is B/4."""
    same = encoded(picture(0), format="PNG")
    root = folder_of(
        tmp_path / "r",
        A={"0.png": same, "9.png": same, "1.png": picture(1)},
        B={"4.png": picture(4), "5.png": picture(5), "6.png": picture(6)},
    )
    table = "file,group\nA/9.png,p\nB/4.png,p\nB/5.png,q\nC/1.png,q\n"  # C is no class of the study
    (tmp_path / "groups.csv").write_text(table)
    manifest, *_ = make_manifest(root, settings(classes=["A", "B"]), read_groups(tmp_path / "groups.csv"))
    manifest = manifest.set_index("file")
    assert manifest["status"]["A/9.png"] == "left out"
    assert manifest["group"]["A/0.png"] == manifest["group"]["B/4.png"]
    assert manifest.loc[manifest["status"] == "used", "group"].nunique() == 4


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("file,group\nA/9.png,p\n", r"names files that are not there: 'A/9.png'; write them as 'A/0.png'"),
        ("file,group\nA/0.png,p\nA/0.png,q\n", r"puts 'A/0.png' in two groups"),
        ("image,patient\nA/0.png,p\n", r"has the columns image, patient; it needs file and group"),
        ("", r"can't be read as CSV"),
    ],
)
def test_a_wrong_table_of_groups_is_refused(tmp_path, table, message):
    root = folder_of(tmp_path / "r", A={"0.png": picture(0)}, B={"1.png": picture(1)})
    (tmp_path / "groups.csv").write_text(table)
    with pytest.raises(UserError, match=message):
        make_manifest(root, settings(), read_groups(tmp_path / "groups.csv"))


def test_a_class_called_all_is_refused(tmp_path):
    root = folder_of(tmp_path / "r", **{"all": {"0.png": picture(0)}, "B": {"1.png": picture(1)}})
    with pytest.raises(UserError, match="called 'all'"):
        make_manifest(root, settings())


def test_an_image_that_changed_since_the_manifest_is_refused(tmp_path):
    root = folder_of(tmp_path / "r", A={"0.png": picture(0)}, B={"1.png": picture(1)})
    manifest, *_ = make_manifest(root, settings())
    (root / "A" / "0.png").write_bytes(encoded(picture(9), format="PNG"))
    with pytest.raises(UserError, match=r"A/0\.png has changed since its manifest"):
        images.pack(manifest, root, 16, ["A", "B"], tmp_path / "i.npy", tmp_path / "t.csv")
    assert not (tmp_path / "i.npy").exists()

"""Images, manifest, splits, subsets, leak check."""

import io
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from ganaug import files
from ganaug.cli import main
from ganaug.data import calibration, images, leaks, near_copies, roles, sizes, sources, splits
from ganaug.data.manifest import Settings, check_classes, check_share, make_manifest, read_groups
from ganaug.errors import UserError

RADIOGRAPHS = Path(__file__).parent.parent.parent / "shared" / "data" / "COVID-19_Radiography_Dataset"


def picture(seed, side=48):
    """Smooth random uint8 image: different seeds are different people."""
    rng = np.random.default_rng(seed)
    small = Image.fromarray(rng.integers(0, 256, (12, 12), np.uint8))
    return np.asarray(small.resize((side, side), Image.Resampling.BICUBIC))


def encoded(image, **options) -> bytes:
    buffer = io.BytesIO()
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(buffer, **options)
    return buffer.getvalue()


def folder_of(root, **classes):
    """A data root: class name to {file name: bytes or array}."""
    for name, contents in classes.items():
        (root / name).mkdir(parents=True)
        for file, content in contents.items():
            (root / name / file).write_bytes(content if isinstance(content, bytes) else encoded(content, format="PNG"))
    return root


def settings(**changes):
    return Settings(**{"source": "folder", "classes": None, "max_bad_share": 1.0, "near_copy_distance": 40} | changes)


# --- decoding -------------------------------------------------------------------------------------------------------


def test_grey_is_read_as_it_is():
    pixels = picture(0)
    decoded = images.decode(encoded(pixels, format="PNG"), "a.png")
    np.testing.assert_array_equal(decoded.pixels, pixels)
    assert (decoded.format, decoded.mode, decoded.problems) == ("PNG", "L", ())


def test_16_bit_is_scaled_by_its_own_range():
    values = np.linspace(1000, 5095, 64 * 64).reshape(64, 64).astype(np.uint16)
    decoded = images.decode(encoded(values, format="PNG"), "a.png")
    assert decoded.problems == ("16-bit",)
    np.testing.assert_allclose(decoded.pixels, (values - 1000.0) / 4095 * 255, atol=0.51)


@pytest.mark.parametrize(
    ("mode", "suffix", "problem"),
    [("RGB", "PNG", "colour"), ("P", "PNG", "palette"), ("CMYK", "JPEG", "CMYK"), ("1", "PNG", "1-bit")],
)
def test_other_modes_become_grey(mode, suffix, problem):
    pixels = picture(1)
    if mode == "1":  # dithering would change a picture in greys
        pixels = np.where(pixels > 127, 255, 0).astype(np.uint8)
    image = Image.fromarray(pixels).convert("RGB" if mode == "CMYK" else "L").convert(mode)
    decoded = images.decode(encoded(image, format=suffix))
    assert decoded.problems == (problem,)
    assert decoded.pixels.dtype == np.uint8
    np.testing.assert_allclose(decoded.pixels.astype(int), pixels, atol=40)
    assert np.corrcoef(decoded.pixels.ravel(), pixels.ravel())[0, 1] > 0.98


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_a_transparent_colour_is_laid_on_black(mode):
    image = Image.new(mode, (8, 8), 200 if mode == "L" else (200, 200, 200))
    file = io.BytesIO()
    image.save(file, "PNG", transparency=200 if mode == "L" else (200, 200, 200))
    decoded = images.decode(file.getvalue(), "x.png")
    assert (decoded.pixels == 0).all() and decoded.problems == ("transparency",)


def test_transparency_is_laid_on_black():
    pixels = picture(2)
    rgba = np.dstack([pixels] * 3 + [np.full_like(pixels, 255)])
    rgba[:10, :, 3] = 0
    decoded = images.decode(encoded(Image.fromarray(rgba), format="PNG"))
    assert decoded.problems == ("RGBA",)
    assert (decoded.pixels[:10] == 0).all()
    np.testing.assert_array_equal(decoded.pixels[10:], pixels[10:])


def test_the_first_frame_of_an_animation_is_taken():
    frames = [Image.fromarray(picture(i)) for i in (3, 4)]
    decoded = images.decode(encoded(frames[0], format="TIFF", save_all=True, append_images=frames[1:]), "a.tif")
    assert "several frames" in decoded.problems
    np.testing.assert_array_equal(decoded.pixels, picture(3))


def test_a_wrong_suffix_is_read_by_content():
    assert images.decode(encoded(picture(5), format="PNG"), "a.jpg").problems == ("wrong suffix",)


def test_a_turned_photograph_is_turned_back():
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned by 90 degrees
    decoded = images.decode(encoded(picture(6), format="JPEG", quality=95, exif=exif))
    np.testing.assert_allclose(decoded.pixels, np.rot90(picture(6), -1), atol=12)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "empty"),
        (b"no image at all", "not an image"),
        (encoded(picture(7), format="PNG")[:300], "truncated"),
        (encoded(picture(7), format="JPEG")[:400], "truncated"),
        (encoded(Image.new("1", (20000, 20000)), format="PNG"), "too large"),
    ],
    ids=["empty", "text", "png", "jpeg", "bomb"],
)
def test_unusable_files_are_named(content, problem):
    with pytest.raises(images.Unusable, match=problem):
        images.decode(content)


def test_squares_are_cut_from_the_centre():
    pixels = np.zeros((40, 100), np.uint8)
    pixels[:, 30:70] = 200
    assert (images.to_square(pixels, 40) == 200).all()
    assert images.to_square(pixels.T, 16).shape == (16, 16)
    assert (images.to_square(np.full((8, 8), 77, np.uint8), 32) == 77).all()


# --- near-copies ----------------------------------------------------------------------------------------------------


def test_near_copies_are_found_and_others_are_not():
    originals = [picture(seed, 128) for seed in range(30)]
    again = []
    for i, pixels in enumerate(originals[:4]):
        image = Image.fromarray(pixels)
        if i == 0:
            image = Image.open(io.BytesIO(encoded(image, format="JPEG", quality=75)))
        if i == 1:
            image = image.resize((64, 64), Image.Resampling.LANCZOS)
        if i == 2:
            image = image.point(lambda v: min(255, v * 0.8 + 20))
        again.append(np.asarray(image))
    hashes = np.stack([near_copies.perceptual_hash(p) for p in originals + again])
    pairs = {tuple(pair) for pair in near_copies.near_pairs(hashes, 40, block=7)}
    assert pairs == {(i, 30 + i) for i in range(4)}
    groups = near_copies.groups(hashes, 40)
    assert len(set(groups)) == 30


def test_pairs_agree_with_counting_bits():
    hashes = np.random.default_rng(0).integers(0, 2, (60, 256), np.uint8)
    hashes[40:] = hashes[:20]
    hashes[40:, :9] ^= 1
    wanted = {(i, j) for i in range(60) for j in range(i + 1, 60) if (hashes[i] != hashes[j]).sum() <= 9}
    assert wanted == {tuple(p) for p in near_copies.near_pairs(np.packbits(hashes, axis=1), 9, block=16)}
    assert len(wanted) == 20


# --- sources --------------------------------------------------------------------------------------------------------

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


def test_the_listing_changes_with_every_change(tmp_path):
    root = folder_of(tmp_path / "r", A={"1.png": picture(0)}, B={"1.png": picture(1)})
    digests = [sources.listing_digest(root, "folder", None)]
    (root / "A" / "2.png").write_bytes(b"x")
    digests.append(sources.listing_digest(root, "folder", None))
    (root / "A" / "2.png").write_bytes(b"xy")
    digests.append(sources.listing_digest(root, "folder", None))
    assert len(set(digests)) == 3
    assert digests[-1] == sources.listing_digest(root, "folder", None)


# --- manifest -------------------------------------------------------------------------------------------------------


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


# --- splits and subsets ---------------------------------------------------------------------------------------------


def made_manifest(groups_of_two=15, singles=(60, 90, 120)):
    """A manifest of three classes with groups of near-copies, some across classes."""
    rows = []
    for label, count in zip(("A", "B", "NA"), singles, strict=True):
        rows += [(f"{label}/{i:03}.png", label, f"{label}{i}") for i in range(count)]
        rows += [(f"{label}/twin{i}{k}.png", label, f"{label}twin{i}") for i in range(groups_of_two) for k in (0, 1)]
    rows += [(f"{label}/cross{i}.png", label, f"cross{i}") for i in range(6) for label in ("A", "B")]
    table = pd.DataFrame(rows, columns=["file", "class", "group"])
    return table.assign(pixels_sha256=[f"p{i}" for i in range(len(table))], status="used")


def test_groups_stay_on_one_side_and_shares_are_met():
    manifest = made_manifest()
    split = splits.make_splits(manifest, 0.25, seed=3)
    assert (split.groupby("group")["side"].nunique() == 1).all()
    assert len(split) == len(manifest)
    for name, rows in split.groupby("class"):
        assert abs((rows["side"] == "test").mean() - 0.25) < 0.03, name


def test_the_split_depends_on_the_seed_and_not_on_the_order():
    manifest = made_manifest()
    split = splits.make_splits(manifest, 0.25, seed=3)
    pd.testing.assert_frame_equal(split, splits.make_splits(manifest.sample(frac=1, random_state=1), 0.25, seed=3))
    assert (split["side"] != splits.make_splits(manifest, 0.25, seed=4)["side"]).any()


def test_a_class_too_small_to_split_is_named():
    manifest = made_manifest().query("`class` != 'NA'")
    one = pd.DataFrame([{"file": "Z/1.png", "class": "Z", "group": "z", "pixels_sha256": "z", "status": "used"}])
    with pytest.raises(UserError, match="class 'Z' has no image for the pool: 1 usable"):
        splits.make_splits(pd.concat([manifest, one]), 0.25, seed=1)


@pytest.mark.parametrize("seed", range(5))
def test_subsets_are_nested_balanced_and_keep_groups_together(seed):
    split = splits.make_splits(made_manifest(), 0.2, seed=1)
    pool = roles.ordered_pool(split, 0.2, seed)
    assert set(pool["file"]) == set(split.loc[split["side"] == "pool", "file"])
    assert (pool.groupby("group")["side"].nunique() == 1).all()
    previous = {"train": set(), "validation": set()}
    for size in (5, 10, 20, 40, "all"):
        subset = roles.take(pool, size)
        if size != "all":
            assert (subset.groupby("class").size() == size).all()
            validating = subset[subset["side"] == "validation"].groupby("class").size()
            assert len(validating) == 3
            assert (abs(validating - 0.2 * size) <= 2).all(), validating
        for side, before in previous.items():
            now = set(subset.loc[subset["side"] == side, "file"])
            assert before < now
            previous[side] = now


def test_replicates_differ():
    split = splits.make_splits(made_manifest(), 0.2, seed=1)
    first, second = (roles.take(roles.ordered_pool(split, 0.2, seed), 20) for seed in (1, 2))
    assert set(first["file"]) != set(second["file"])


def test_a_large_group_goes_where_it_fits():
    """One patient with many alike films must not fill the test set or the validation."""
    rows = [(f"A/{i}.png", "A", "crowd" if i < 90 else f"a{i}") for i in range(200)]
    rows += [(f"B/{i}.png", "B", f"b{i}") for i in range(200)]
    manifest = pd.DataFrame(rows, columns=["file", "class", "group"]).assign(pixels_sha256="", status="used")
    for seed in range(10):
        split = splits.make_splits(manifest, 0.2, seed)
        assert split.loc[split["side"] == "test", "class"].value_counts().to_dict() == {"A": 40, "B": 40}
        subset = roles.take(roles.ordered_pool(split, 0.2, seed), 100)
        assert (subset[subset["side"] == "validation"].groupby("class").size() <= 21).all()


def test_too_few_training_images_for_what_comes_later_are_an_error_of_the_data():
    table = sizes.check_sizes(splits.make_splits(made_manifest(), 0.2, seed=1), ["all"])
    most = table["asked"].min()
    sizes.check_training(table, sizes.Settings(["all"], 0.2, most // 2, 1))
    with pytest.raises(UserError, match=rf"size all: class 'A' has {most} images, .* {most} are needed"):
        sizes.check_training(table, sizes.Settings(["all"], 0.2, most, 1))


def test_without_near_copies_the_shares_are_exact():
    manifest = made_manifest(groups_of_two=0, singles=(100, 100, 100))
    manifest = manifest[~manifest["group"].str.startswith("cross")]
    pool = roles.ordered_pool(splits.make_splits(manifest, 0.2, seed=1), 0.2, seed=1)
    for size in (5, 10, 20, 50):
        counts = roles.take(pool, size).groupby(["class", "side"]).size().unstack()
        assert (counts["validation"] == size // 5).all()


def test_a_size_the_pool_cannot_give_names_the_class():
    split = splits.make_splits(made_manifest(), 0.2, seed=1)
    have = split[split["side"] == "pool"].groupby("class").size()
    table = sizes.check_sizes(split, [10, "all"])
    assert table[table["size"] == "all"].set_index("class")["available"].to_dict() == have.to_dict()
    with pytest.raises(UserError, match=rf"size 100: class 'A' has {have['A']}.*at most {have.min()}"):
        sizes.check_sizes(split, [10, 100])


@pytest.mark.parametrize(
    ("column", "what"), [("image", "same file"), ("pixels_sha256", "same pixels"), ("group", "same group")]
)
@pytest.mark.parametrize("sides", [("train", "validation"), ("train", "test"), ("validation", "test")])
def test_a_planted_leak_is_found(column, what, sides):
    tables = {
        side: pd.DataFrame({key: [f"{side}{key}{i}" for i in range(3)] for key in leaks.SHARED})
        for side in ("train", "validation", "test")
    }
    assert leaks.breaches(tables) == []
    tables[sides[1]].loc[2, column] = tables[sides[0]].loc[0, column]
    (line,) = leaks.breaches(tables)
    assert what in line and tables[sides[0]].loc[0, "image"] in line and tables[sides[1]].loc[2, "image"] in line


@pytest.mark.parametrize("sides", [("train", "validation"), ("train", "test"), ("validation", "test")])
def test_a_planted_near_copy_is_found_whatever_its_group(tmp_path, sides, capsys):
    """A film and the same one re-encoded at half the size, on two sides and not in one group."""
    names = {side: [f"A/{side}{i}.png" for i in range(3)] for side in leaks.SIDES}
    shown = dict(zip(np.concatenate(list(names.values())), films(9, 1), strict=True))
    half = Image.fromarray(shown[names[sides[0]][0]]).resize((48, 48), Image.Resampling.BILINEAR)
    planted = names[sides[1]][2]
    arguments = ["--manifest", tmp_path / "m.csv", "--near-copies", tmp_path / "near.json"]
    for side, own in names.items():
        table = {"image": own, "pixels_sha256": own, "group": own}
        files.write_csv(tmp_path / f"{side}.csv", pd.DataFrame(table))
        arguments += [f"--{side}-table", tmp_path / f"{side}.csv"]
    files.write_json(tmp_path / "near.json", {"distance": 40})
    command = ["check_leaks", *map(str, arguments), "--report", str(tmp_path / "leaks.json")]
    for film, status in ((shown[planted], 0), (np.asarray(half), 1)):
        hashes = {name: near_copies.perceptual_hash(pixels) for name, pixels in (shown | {planted: film}).items()}
        rows = {"file": list(hashes), "perceptual_hash": [h.tobytes().hex() for h in hashes.values()]}
        files.write_csv(tmp_path / "m.csv", pd.DataFrame(rows))
        (tmp_path / "leaks.json").unlink(missing_ok=True)
        assert main(command) == status
    assert f"{sides[0]} and {sides[1]}, near-copies: {names[sides[0]][0]} | {planted}" in capsys.readouterr().err
    assert not (tmp_path / "leaks.json").exists()


def image_sets(folder):
    """The files of check_synthetic: train, validation, test and synthetic images, and the GAN's provenance."""
    rng = np.random.default_rng(3)
    arguments = []
    for side in ("train", "validation", "test"):
        files.write_array(folder / f"{side}.npy", rng.integers(0, 256, (5, 8, 8), np.uint8))
        files.write_csv(folder / f"{side}.csv", pd.DataFrame({"image": [f"{side}/{i}.png" for i in range(5)]}))
        arguments += [f"--{side}-images", folder / f"{side}.npy", f"--{side}-table", folder / f"{side}.csv"]
    files.write_array(folder / "images.npy", rng.integers(0, 256, (6, 8, 8), np.uint8))
    inputs = [folder / "train.npy", folder / "train.csv", folder / "start.safetensors"]
    inputs[2].write_bytes(b"a generator to start from")
    files.write_json(folder / "gan.json", {"inputs": {str(path): files.sha256_of(path) for path in inputs}})
    arguments += ["--synthetic-images", folder / "images.npy", "--gan-provenance", folder / "gan.json"]
    return ["check_synthetic", *map(str, arguments), "--report", str(folder / "check.json")]


def test_a_clean_synthetic_set_passes(tmp_path):
    assert main(image_sets(tmp_path)) == 0
    report = json.loads((tmp_path / "check.json").read_text())
    assert report == {"synthetic": 6, "compared": {"train": 5, "validation": 5, "test": 5}, "copies": 0}


@pytest.mark.parametrize("rounding", [0, 1])
@pytest.mark.parametrize("side", ["train", "validation", "test"])
def test_a_real_image_among_the_synthetic_ones_stops_the_run(tmp_path, side, rounding, capsys):
    command = image_sets(tmp_path)
    images = np.load(tmp_path / "images.npy")
    images[4] = (np.load(tmp_path / f"{side}.npy")[2].astype(int) + rounding).clip(0, 255)
    files.write_array(tmp_path / "images.npy", images)
    assert main(command) == 1
    told = capsys.readouterr().err
    assert f"holds real {side} images" in told and f"image 5 is {side}/2.png" in told
    assert not (tmp_path / "check.json").exists()


def test_a_gan_trained_on_another_list_stops_the_run(tmp_path, capsys):
    command = image_sets(tmp_path)
    table = pd.read_csv(tmp_path / "train.csv")
    files.write_csv(tmp_path / "train.csv", table[::-1])
    assert main(command) == 1
    assert "which is not what" in capsys.readouterr().err


def test_a_gan_that_saw_validation_images_too_stops_the_run(tmp_path, capsys):
    command = image_sets(tmp_path)
    provenance = json.loads((tmp_path / "gan.json").read_text())
    provenance["inputs"][str(tmp_path / "validation.npy")] = files.sha256_of(tmp_path / "validation.npy")
    files.write_json(tmp_path / "gan.json", provenance)
    assert main(command) == 1
    assert "validation.npy, which is not what" in capsys.readouterr().err


# --- near-copies: the threshold -------------------------------------------------------------------------------------


def films(count, seed):
    """Smooth pictures that differ, uint8 [count, 96, 96]."""
    rng = np.random.default_rng(seed)
    coarse = rng.normal(128, 50, (count, 12, 12)).clip(0, 255).astype(np.uint8)
    return [np.asarray(Image.fromarray(c).resize((96, 96), Image.Resampling.BICUBIC)) for c in coarse]


def test_the_threshold_parts_copies_from_different_films(tmp_path):
    a, b = films(20, 1), films(20, 2)
    smaller = Image.fromarray(a[0]).resize((70, 70), Image.Resampling.BILINEAR)
    names = [f"{i:02}.png" for i in range(20)]
    root = folder_of(
        tmp_path / "r",
        A=dict(zip(names, a, strict=True)) | {"again.jpg": encoded(np.asarray(smaller), format="JPEG", quality=70)},
        B=dict(zip(names, b, strict=True)),
    )
    manifest, problems, table, told = make_manifest(root, settings(near_copy_distance="auto"))
    assert set(table["kind"]) == {*calibration.COPIES, calibration.DIFFERENT}
    assert table.groupby("kind")["pairs"].sum().to_dict() == dict.fromkeys(calibration.COPIES, 41) | {
        calibration.DIFFERENT: 21 * 20
    }
    assert told["chosen"] == "from these distances" and told["different_within"] <= 3
    assert min(told["found"].values()) > 0.9
    group = manifest.set_index("file")["group"]
    assert group["A/00.png"] == group["A/again.jpg"] and group.nunique() == 40
    assert sorted(problems["file"]) == ["A/00.png", "A/again.jpg"]


def chosen(copies, different):
    rows = [("half the size", d, n) for d, n in copies.items()]
    rows += [(calibration.DIFFERENT, d, n) for d, n in different.items()]
    return calibration.choose(pd.DataFrame(rows, columns=["kind", "distance", "pairs"]))


def test_the_threshold_lies_midway_between_the_two():
    assert chosen({4: 99, 20: 1}, {60: 3, 62: 5, 100: 10**6}) == (4 + 61) // 2  # three confusions are always allowed
    assert chosen({4: 98, 20: 2}, {60: 3, 62: 5, 100: 10**6}) == (20 + 61) // 2
    assert chosen({4: 100}, {60: 5, 70: 6, 100: 10**7}) == (4 + 69) // 2  # one in a million: ten
    assert chosen({4: 90, 50: 10}, {30: 20, 100: 1000}) == 29  # no more confusions than that, whatever is lost
    assert chosen({4: 100}, {0: 50, 60: 9, 100: 10**6}) == (4 + 59) // 2  # 50 films with two labels do not count


# --- the external test ----------------------------------------------------------------------------------------------


def external_set(tmp_path, **classes):
    """Runs the stages up to make_external_set on a study of classes A and B; returns the last one's status."""
    shown = dict(zip([f"{i:02}.png" for i in range(12)], films(12, 1), strict=True))
    own = folder_of(tmp_path / "own", A=shown, B=dict(zip(shown, films(12, 2), strict=True)))
    out = run_stages(own, tmp_path / "out")
    root = folder_of(tmp_path / "elsewhere", **classes)
    settings = {"source": "folder", "classes": ["A", "B"], "resolution": 16, "max_bad_share": 0.5}
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
    command += ["--left-out", out / "left.csv"]
    return out, main([str(part) for part in command])


def test_an_external_set_is_packed_with_the_studys_labels(tmp_path):
    more = films(5, 3)
    out, status = external_set(tmp_path, A={"1.png": more[0]}, B={"1.png": more[1], "2.png": more[2], "bad.png": b"x"})
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
    assert pd.read_csv(out / "left.csv").to_dict("records") == [{"file": "B/2.png", "copy_of": "A/07.png"}]
    assert pd.read_csv(out / "external.csv")["image"].tolist() == ["A/1.png", "B/1.png"]


def test_an_external_set_that_is_the_study_itself_is_refused(tmp_path, capsys):
    assert external_set(tmp_path, A={"1.png": films(12, 1)[0]}, B={"1.png": films(12, 2)[0]})[1] == 1
    assert "every image there is a copy" in capsys.readouterr().err


def test_an_external_class_that_the_study_lacks_is_named(tmp_path, capsys):
    more = films(2, 3)
    assert external_set(tmp_path, A={"1.png": more[0]}, Z={"1.png": more[1]})[1] == 1
    assert "the study has no class 'Z'" in capsys.readouterr().err


# --- the stages, from files to packed arrays ------------------------------------------------------------------------


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


@pytest.mark.skipif(not RADIOGRAPHS.is_dir(), reason=f"the real radiographs are not at {RADIOGRAPHS}")
def test_real_radiographs(tmp_path):
    out = run_stages(RADIOGRAPHS, tmp_path, source="radiography", size=50)
    manifest = pd.read_csv(out / "m.csv", keep_default_na=False)
    assert len(manifest) == 4000
    assert (manifest["mode"] == "L").all() and (manifest["width"] == 128).all()
    problems = pd.read_csv(out / "problems.csv")["problem"].value_counts()
    # Counted once, and every near-copy pair looked at: the same film in other encodings, windows and crops.
    assert problems.to_dict() == {"near-copy": 46, "copy in its class": 8}
    assert len(np.load(out / "train.npy")) + len(np.load(out / "validation.npy")) == 200

"""Images that can't be films are left out and listed; films that are odd beside their class are listed."""

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from ganaug.data import calibration, films
from ganaug.data.findings import FINDINGS
from ganaug.data.manifest import check_share, make_manifest
from ganaug.data.near_copies import reduced
from ganaug.data.phantom import render_phantom
from ganaug.errors import UserError
from helpers.pictures import encoded, folder_of, picture, settings

CLASS_SIZE = 12


def noise(value, spread, side=64, dtype=np.uint8):
    values = value + spread * np.random.default_rng(1).standard_normal((side, side))
    return values.clip(0, np.iinfo(dtype).max).astype(dtype)


def with_marker(pixels):
    pixels = pixels.copy()
    pixels[2:8, 2:20:2] = 255
    return pixels


def mask(side=64):
    y, x = np.mgrid[-1 : 1 : side * 1j, -1 : 1 : side * 1j]
    return np.where((abs(x) - 0.45) ** 2 / 0.09 + y**2 / 0.5 < 1, 255, 0).astype(np.uint8)


def resized(pixels, side):
    return np.asarray(Image.fromarray(pixels).resize((side, side), Image.Resampling.BILINEAR))


def transparent(pixels) -> bytes:
    return encoded(np.dstack([pixels] * 3 + [np.zeros_like(pixels)]), format="PNG")


NO_FILMS = {
    "black": (np.zeros((64, 64), np.uint8), "blank"),
    "white": (np.full((64, 64), 255, np.uint8), "blank"),
    "transparent": (transparent(picture(1)), "blank"),
    "dark": (noise(0, 1), "nearly blank"),
    "grey": (noise(128, 2), "nearly blank"),
    "marker": (with_marker(np.zeros((64, 64), np.uint8)), "two-valued"),
    "marker on noise": (with_marker(noise(3, 1)), "nearly blank"),
    "zeros and ones": ((picture(1) > 127).astype(np.uint8), "two-valued"),
    "mask": (mask(), "two-valued"),
    "mask, JPEG": (encoded(mask(), format="JPEG", quality=60), "two-valued"),
    "mask, smaller": (resized(mask(128), 64), "two-valued"),
    "mask, larger": (resized(mask(), 100), "two-valued"),
    "lobes": (picture(1) // 52 * 52, "few grey levels"),
    "noise": (noise(128, 40), "noise"),
    "noise of 16 bits": (encoded(Image.fromarray(noise(30000, 3, dtype=np.uint16)), format="PNG"), "noise"),
    "icon": (picture(2, 8), "tiny"),
    "strip": (picture(2, 64)[:15], "tiny"),
}


@pytest.fixture(scope="module")
def phantoms() -> dict[str, list[np.ndarray]]:
    """Films of two classes, different people in each."""
    return {
        name: [render_phantom(name, 64, 100 * k + i, i) for i in range(CLASS_SIZE)]
        for k, name in enumerate(FINDINGS[:2])
    }


def named(images) -> dict:
    return {f"{i:02}.png": pixels for i, pixels in enumerate(images)}


def data_root(tmp_path, phantoms, first=(), second=()):
    """Two classes of phantoms and what is planted among them, by name."""
    a, b = (named(images) for images in phantoms.values())
    return folder_of(tmp_path, A=a | dict(first), B=b | dict(second))


def listed(problems: pd.DataFrame) -> dict[str, list[str]]:
    return problems.groupby("problem")["file"].apply(list).to_dict()


@pytest.mark.parametrize("not_films", ["leave out", "keep"])
def test_what_cant_be_a_film_is_listed_and_left_out_unless_kept(tmp_path, phantoms, not_films):
    planted = {f"{name}.img": content for name, (content, _) in NO_FILMS.items()}
    root = data_root(tmp_path / "r", phantoms, planted)
    manifest, problems, *_ = make_manifest(root, settings(near_copy_distance="auto", not_films=not_films))
    found = problems[problems["problem"].isin(films.NOT_FILMS)].set_index("file")
    assert found["problem"].to_dict() == {f"A/{name}.img": reason for name, (_, reason) in NO_FILMS.items()}
    rows = manifest.set_index("file").loc[[f"A/{name}.img" for name in NO_FILMS]]
    if not_films == "keep":
        assert set(rows["status"]) == {"used"} and found["action"].eq("kept, as data.not_films says").all()
    else:
        assert rows["status"].eq("left out").all() and found["action"].eq("left out").all()
        assert list(rows["reason"]) == [reason for _, reason in NO_FILMS.values()]


def test_phantoms_and_made_up_pictures_raise_no_alarm(phantoms, tmp_path):
    pictures = [[picture(50 * k + i) for i in range(CLASS_SIZE)] for k in range(2)]
    for name, images in (("phantoms", phantoms), ("pictures", dict(zip("AB", pictures, strict=True)))):
        manifest, problems, *_, told = make_manifest(
            data_root(tmp_path / name, images), settings(near_copy_distance="auto", resolution=32)
        )
        assert problems.empty and manifest["status"].eq("used").all()
        assert (told["label_conflict_pairs"], told["label_conflicts"]) == (0, [])


def test_what_cant_be_a_film_has_no_part_in_near_copies(tmp_path, phantoms):
    """Neither in the distance, which is measured, nor in groups: two patients' blank films are no link between them."""
    whole = data_root(tmp_path / "whole", phantoms)
    blank = {"x.png": noise(0, 1), "y.png": np.zeros((64, 64), np.uint8), "z.png": mask()}
    mixed = data_root(tmp_path / "mixed", phantoms, blank, blank)
    known = pd.Series({"A/00.png": "p", "A/y.png": "p", "B/y.png": "q", "B/00.png": "q"})
    (alone, _, table, told), (found, problems, mixed_table, mixed_told) = (
        make_manifest(root, settings(near_copy_distance="auto"), names)
        for root, names in ((whole, known.drop(["A/y.png", "B/y.png"])), (mixed, known))
    )
    pd.testing.assert_frame_equal(table, mixed_table)
    assert told == mixed_told
    used = found[found["status"] == "used"].reset_index(drop=True)
    pd.testing.assert_frame_equal(used, alone)
    assert used.set_index("file")["group"][["A/00.png", "B/00.png"]].nunique() == 2
    assert "copy in another class" not in listed(problems)


def test_many_images_that_cant_be_films_stop_the_run(tmp_path, phantoms):
    root = data_root(tmp_path / "r", phantoms, {"x.png": mask(), "y.png": np.zeros((64, 64), np.uint8)})
    manifest, *_ = make_manifest(root, settings())
    check_share(manifest, 0.1)
    with pytest.raises(
        UserError, match=r"2 of 26 files .*'A/x\.png' \(two-valued\).*2 can't be films.*not_films: keep"
    ):
        check_share(manifest, 0.05)
    kept, *_ = make_manifest(root, settings(not_films="keep"))
    check_share(kept, 0)


def test_a_film_that_looks_inverted_is_listed_and_kept(tmp_path, phantoms):
    root = data_root(tmp_path / "r", phantoms, {"x.png": 255 - render_phantom(FINDINGS[0], 64, 999, 9)})
    manifest, problems, *_ = make_manifest(root, settings(near_copy_distance="auto"))
    assert listed(problems) == {"looks inverted": ["A/x.png"]}
    assert manifest["status"].eq("used").all()


@pytest.mark.parametrize("upright", [0, 3])
def test_a_class_that_is_inverted_is_told(tmp_path, phantoms, upright, caplog):
    """Beside itself it looks right; where a few of its films are upright, these look inverted."""
    (first, own), (second, others) = phantoms.items()
    turned = [pixels if i < upright else 255 - pixels for i, pixels in enumerate(own)]
    root = data_root(tmp_path / "r", {first: turned, second: others})
    _, problems, *_ = make_manifest(root, settings(near_copy_distance="auto"))
    found = listed(problems)
    assert found["class looks inverted beside another"] == ["A"]
    assert found.get("looks inverted", []) == [f"A/{i:02}.png" for i in range(upright)]
    assert "of class 'A' looks like the negative of that of class 'B'" in caplog.text


def test_nothing_is_said_of_classes_that_are_few_or_not_alike(phantoms):
    own = phantoms[FINDINGS[0]]
    few = [*own[: films.FEWEST_FILMS - 2], 255 - own[-1]]
    unlike = [picture(i, 64) for i in range(CLASS_SIZE)] + [255 - own[0]]
    for images in (few, unlike):
        inverted, pairs = films.looks_inverted(np.array([films.coarse(reduced(p)) for p in images]), "A" * len(images))
        assert not inverted.any() and not pairs


def test_films_smaller_than_the_resolution_are_listed_by_their_shorter_side(tmp_path, phantoms):
    oblong = {"x.png": picture(1, 128)[:63], "y.png": picture(2, 128)[:64]}
    root = data_root(tmp_path / "r", phantoms, oblong)
    for resolution, small in ((None, 0), (32, 0), (64, 1), (128, 2 * CLASS_SIZE + 2)):
        manifest, problems, *_ = make_manifest(root, settings(resolution=resolution))
        found = problems[problems["problem"] == "smaller than data.resolution"]
        assert len(found) == small and found["action"].eq(f"enlarged to {resolution} pixels").all()
        assert manifest["status"].eq("used").all()


def test_a_near_copy_with_another_label_is_named(tmp_path, phantoms):
    film = phantoms[FINDINGS[0]][3]
    root = data_root(tmp_path / "r", phantoms, second={"x.jpg": encoded(film, format="JPEG", quality=60)})
    manifest, problems, *_, told = make_manifest(root, settings(near_copy_distance="auto"))
    assert told["label_conflict_pairs"] == 1
    assert told["label_conflicts"] == [
        {"files": ["A/03.png", "B/x.jpg"], "classes": ["A", "B"], "distance": told["label_conflicts"][0]["distance"]}
    ]
    assert told["label_conflicts"][0]["distance"] <= told["distance"]
    assert listed(problems) == {
        "near-copy": ["A/03.png", "B/x.jpg"],
        "near-copy with another label": ["A/03.png", "B/x.jpg"],
    }
    group = manifest.set_index("file")["group"]["B/x.jpg"][:12]
    actions = problems.loc[problems["problem"] == "near-copy with another label", "action"]
    assert list(actions) == [f"kept together in group {group} with {file}" for file in ("B/x.jpg", "A/03.png")]


@pytest.mark.parametrize(
    ("threshold", "different", "distance"),
    [
        # The quickstart: two phantoms of different people are 38 bits apart.
        (38, {38: 1, 42: 3, 44: 1, 46: 6, 48: 7, 50: 10, 52: 31, 54: 31}, 31),
        (52, {56: 2, 58: 3, 60: 5, 62: 12, 64: 18, 66: 40, 68: 69}, 52),  # 4,000 radiographs
        (40, {56: 2, 58: 3, 60: 5, 62: 12, 64: 18, 66: 40, 68: 69}, 40),  # a lower threshold
        (80, {38: 1, 42: 3, 44: 1, 46: 6, 48: 7, 50: 10, 52: 31, 54: 31}, 31),  # one that takes all for copies
        (60, {90: 1}, 52),
        (60, {}, 52),
    ],
)
def test_films_that_are_near_by_chance_are_no_label_conflict(threshold, different, distance):
    rows = [("gamma 1.3", 8, 60), ("cropped by 2 %", 52, 40)] + [
        (calibration.DIFFERENT, d, n) for d, n in different.items()
    ]
    table = pd.DataFrame(rows, columns=["kind", "distance", "pairs"])
    assert calibration.conflict_distance(table, threshold) == distance
    assert calibration.conflict_distance(table[:0], threshold) == 0


@pytest.mark.parametrize(("copies", "large"), [(4, False), (5, True)])
def test_a_group_that_is_much_of_its_class_is_told(tmp_path, phantoms, copies, large, caplog):
    film = phantoms[FINDINGS[0]][0]
    again = {f"x{q}.jpg": encoded(film, format="JPEG", quality=80 + q) for q in range(copies - 1)}
    root = data_root(tmp_path / "r", phantoms, again)
    _, problems, *_ = make_manifest(root, settings(near_copy_distance=10))
    kind = "near-copy, in a group of over 5 % of its class" if large else "near-copy"
    assert listed(problems) == {kind: ["A/00.png", *(f"A/{name}" for name in again)]}
    assert ("'A': 5 of its images form one group" in caplog.text) is large

"""Test set and nested subsets: balanced, seeded, groups on one side."""

import pandas as pd
import pytest

from ganaug.data import roles, sizes, splits
from ganaug.errors import UserError


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


@pytest.mark.slow
def test_one_image_more_changes_only_the_subsets_it_comes_into():
    """Over 10 images in turn: the test set and a small subset mostly stay as they are, and never change by much."""
    manifest = made_manifest(singles=(100, 100, 100))
    before = splits.make_splits(manifest, 0.2, seed=1)
    same = {10: 0, 40: 0}
    for number in range(10):
        new = {"file": f"A/new{number}.png", "class": "A", "group": f"new{number}", "pixels_sha256": f"new{number}"}
        more = pd.concat([manifest, pd.DataFrame([new | {"status": "used"}])], ignore_index=True)
        after = splits.make_splits(more, 0.2, seed=1)
        moved = before.merge(after, on="file").query("side_x != side_y")
        assert len(moved) <= 1
        for size in same:
            first, second = (set(roles.take(roles.ordered_pool(s, 0.2, 7), size)["file"]) for s in (before, after))
            assert len(first - second) <= 2
            same[size] += first == second
    assert same[10] >= 7 and same[40] >= 3 and same[10] >= same[40]


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

"""Growth with size: what is no estimate is marked, and has no interval."""

import pytest

from ganaug.analysis.scaling import scaling
from helpers.evidence import evidence

RISING = [0.8, 1.2, 1.6, 2.0]  # skill
FALLING = RISING[::-1]


def table(skills, *sizes, replicates=2):
    found = scaling(evidence(replicates, skills, n=120), {str(size): float(size) for size in sizes})
    return found.set_index(["augmentation", "quantity", "size"]).sort_index()


def test_two_sizes_tell_neither_correlation_nor_law_nor_worth():
    found = table({"none": RISING, "gan": RISING}, 50, 400)
    assert found.loc[("none", "spearman", ""), "value"] == 1
    there = found[found["value"].notna()]
    assert len(there) == 10 and set(there["note"]) == {"fewer than three sizes"}
    assert there[["ci_low", "ci_high"]].isna().all(axis=None) and set(there["interval"]) == {"none"}
    assert found.loc[("none", "spearman", ""), "p"] == 0.5  # of two replicates


def test_of_three_sizes_c_is_fixed():
    found = table({"none": RISING, "gan": RISING}, 50, 100, 400)
    c = found.loc[("none", "c", "")]
    assert c["value"] == 0 and c["note"] == "fixed at 0: fewer than four sizes" and c["interval"] == "none"
    assert found.loc[("none", "b", ""), "note"] == ""


@pytest.mark.parametrize("sizes", [(50, 100, 400), (50, 100, 200, 400)])
def test_an_error_that_rises_is_at_the_edge_of_the_search(sizes):
    found = table({"none": FALLING, "gan": RISING}, *sizes)
    edge = found.loc["none"].loc[["a", "b"]]
    assert edge.loc[("b", ""), "value"] == 0.05 and set(edge["note"]) == {"at the edge of the search"}
    assert edge.loc[("a", ""), "interval"] == "none"
    assert set(found.loc["gan"].loc["a"]["note"]) == {""}
    assert found.loc["gan"].loc["multiplier", "value"].isna().all()


def test_a_fall_too_steep_for_the_search_is_at_its_edge():
    found = table({"none": [0.0, 5.0, 9.0, 9.0], "gan": [0.0, 5.0, 9.0, 9.0]}, 50, 100, 200)
    assert found.loc[("none", "b", ""), "value"] == pytest.approx(3)
    assert found.loc[("none", "b", ""), "note"] == "at the edge of the search"
    worth = found.loc["gan"].loc["multiplier"]
    assert set(worth[worth["value"].notna()]["note"]) == {"at the edge of the search"}


def test_an_interval_of_no_width_is_told():
    found = table({"none": RISING, "same": RISING}, 50, 100, 200, 400)
    worth = found.loc["same"].loc["multiplier"]
    assert (worth["value"] == 1).all() and set(worth["note"]) == {"interval of no width"}


def test_replicates_whose_order_is_alike_have_no_interval():
    steep = {"none": [0.2, 1.5, 3.0, 5.0]}
    alike = table(steep, 50, 100, 200, replicates=3).loc[("none", "spearman", "")]
    assert alike["value"] == 1 and alike["note"] == "all replicates alike" and alike["interval"] == "none"
    assert alike["p"] == pytest.approx(2 / 6**3)
    flat = table({"none": [1.0, 1.0, 1.0, 1.0]}, 50, 100, 200, 400, replicates=4).loc[("none", "spearman", "")]
    assert flat["note"] == "" and flat["ci_low"] < flat["value"] < flat["ci_high"]

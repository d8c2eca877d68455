"""Rows of the tables, found by their keys."""

import pandas as pd
import pytest

from ganaug.analysis.results import row_of

TABLE = pd.DataFrame(
    {"metric": ["auroc", "auroc", "kappa", "kappa"], "size": ["10", "20", "10", "10"], "value": [0.7, 0.8, 0.5, 0.6]}
)


def test_a_row_is_found_by_every_part_of_its_key():
    assert row_of(TABLE.set_index(["metric", "size"]).sort_index(), "auroc", "20")["value"] == 0.8
    assert row_of(TABLE.head(1).set_index("metric"), "auroc")["value"] == 0.7


def test_a_key_of_several_rows_is_refused():
    with pytest.raises(ValueError, match="several rows of kappa, 10"):
        row_of(TABLE.set_index(["metric", "size"]).sort_index(), "kappa", "10")
    with pytest.raises(ValueError, match="several rows of kappa"):
        row_of(TABLE.set_index("metric").sort_index(), "kappa")


def test_a_key_of_no_row_is_an_error():
    with pytest.raises(KeyError):
        row_of(TABLE.set_index(["metric", "size"]).sort_index(), "kappa", "20")

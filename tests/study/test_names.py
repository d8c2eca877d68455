"""Names in paths: how a cell of another ratio is called, and found again."""

import pytest

from ganaug.layout import AT_RATIO, augmentation_at, base_of, ratio_folder, ratio_in


@pytest.mark.parametrize("ratio", ["0.5", "2", "1e-05", "1.25"])
def test_a_name_of_another_ratio_gives_its_augmentation_and_folder(ratio):
    name = augmentation_at(ratio)
    assert base_of(name) == "gan" and ratio_folder(name) == AT_RATIO.format(ratio=ratio)


@pytest.mark.parametrize("ratio", ["0.5", "2", "1e-05", "1.25", "10"])
def test_a_folder_gives_its_ratio(ratio):
    assert ratio_in(ratio_folder(augmentation_at(ratio))) == ratio


@pytest.mark.parametrize("name", ["gan", "gan+classical", "none", "border-only"])
def test_other_names_have_the_studys_ratio(name):
    assert base_of(name) == name and ratio_folder(name) == "" and ratio_in("") == ""

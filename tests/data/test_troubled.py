"""A data root with some of each trouble: everything planted is named, and what can be read has its right values."""

import numpy as np
import pandas as pd
import pytest

from ganaug.data.images import decode
from ganaug.data.manifest import make_manifest
from ganaug.data.patients import read_groups
from helpers.pictures import settings
from helpers.troubled import COUNT, KINDS, NAMED, patients_table, plant, rendered

ABSENT = ["two_classes", "blank", "two_valued", "tiny", "transparent", "dicom", "pointer", "truncated"]


@pytest.fixture(scope="module")
def films():
    return rendered(COUNT)


@pytest.fixture(scope="module")
def told(films, tmp_path_factory):
    """(root, files by kind of trouble, manifest, problems, near-copies)."""
    folder = tmp_path_factory.mktemp("troubled")
    planted = plant(folder / "data", films)
    files = [f"{name}/film-{i:04}.png" for name in films for i in range(COUNT - 12)]
    (folder / "patients.csv").write_text(patients_table(files, 2))
    known = read_groups(folder / "patients.csv")
    asked = settings(resolution=32, classes=list(films), near_copy_distance="auto")
    manifest, problems, _, near_copies = make_manifest(folder / "data", asked, known)
    return folder / "data", planted, manifest.set_index("file"), problems, near_copies


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_planted_is_named_and_nothing_else(told, kind):
    _, planted, manifest, problems, _ = told
    named = set(problems.loc[problems["problem"] == NAMED[kind], "file"])
    alike = {file for other in KINDS if NAMED[other] == NAMED[kind] for file in planted[other]}
    assert planted[kind] and set(planted[kind]) <= named == alike
    for file in set(planted[kind]) & set(manifest.index):
        assert (manifest.loc[file, "status"] == "left out") == (kind in ABSENT)


def test_films_without_trouble_are_used_in_their_patients_groups(told):
    _, planted, manifest, _, near_copies = told
    whole = manifest[manifest.index.str.contains("film-")]
    assert set(whole["status"]) == {"used"} and whole["known_group"].ne("").all()
    assert whole.groupby("known_group")["group"].nunique().eq(1).all()
    assert [sorted(pair["files"]) for pair in near_copies["label_conflicts"]] == [sorted(planted["label_conflict"])]


def test_deep_films_have_the_right_values_the_right_way_round(told, films):
    root, planted, _, _, _ = told
    sources = dict(zip(planted["deep"] + planted["white_is_zero"], (6, 8, 7, 9), strict=True))
    for file, number in sources.items():
        film, read = films["Normal"][number], decode((root / file).read_bytes()).pixels
        inside = np.s_[6:, :]  # below the marker
        assert np.corrcoef(film[inside].ravel(), read[inside].ravel())[0, 1] > 0.999
        assert len(np.unique(read)) > 64 and pd.Series(read.ravel()).std() > film.std() / 2

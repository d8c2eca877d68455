"""What the report says of images that can't be films, or are odd beside the others."""

import json
import re
from pathlib import Path

import jinja2
import pandas as pd
import pytest

from ganaug.report import films
from helpers.running import CLASSES

A, B = CLASSES[:2]
IMAGES = 240
COLUMNS = ["file", "class", "problem", "action"]
SMALL = "smaller than data.resolution"
CONFLICT = {"files": [f"{A}/2.png", f"{B}/2.png"], "classes": [A, B], "distance": 7}


@pytest.fixture
def results(tmp_path):
    """results(problems, conflicts): the folder of a study, 240 images used of each class and 10 left out."""

    def make(problems: list[tuple], conflicts: int = 0) -> Path:
        for name in ("data", "tables"):
            (tmp_path / name).mkdir(exist_ok=True)
        pd.DataFrame(problems, columns=COLUMNS).to_csv(tmp_path / "data/problems.csv", index=False)
        data = pd.DataFrame({"class": CLASSES, "images": IMAGES, "left_out": 10})
        data.to_csv(tmp_path / "tables/data.csv", index=False)
        told = {"label_conflict_pairs": conflicts, "label_conflicts": [CONFLICT] * min(conflicts, 1000)}
        (tmp_path / "data/near_copies.json").write_text(json.dumps(told))
        return tmp_path

    return make


def text_of(results: Path) -> str:
    """The part of the page, without its tags."""
    folder = Path(films.__file__).parent
    page = jinja2.Environment(
        loader=jinja2.FileSystemLoader(folder), autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True
    )
    html = page.get_template("page.films.html.j2").render(films=films.films(results))
    return " ".join(re.sub(r"<[^>]*>", " ", html).split())


def small(classes, count) -> list[tuple]:
    return [(f"{c}/{i}.png", c, SMALL, "enlarged to 32 pixels") for c in classes for i in range(count)]


def test_what_was_planted_is_counted_by_class_and_named(results):
    problems = [(f"{A}/x{i}.png", A, "blank", "left out") for i in range(3)] + small([A], 60)
    problems += [(f"{B}/1.png", B, "looks inverted", "kept; look at it")]
    large = "near-copy or same group, in a group of over 5 % of its class"
    problems += [(f"{B}/{i}.png", B, large, "kept together in group 0123") for i in range(20)]
    problems += [(A, "", "class looks inverted beside another", f"kept; as the negative of that of {B}")]
    text = text_of(results(problems, 1))
    rows = [
        "blank left out 3 (1.2%) 0 0 0",
        f"{SMALL} kept 60 (25%) 0 0 0",
        "looks inverted kept 0 1 (0.4%) 0 0",
        "in a group of over 5 % of its class kept 0 20 (8.3%) 0 0",
    ]
    assert all(row in text for row in rows)
    assert f"Mind: far more images of some classes than of others have this finding: {SMALL}." in text
    assert f"the class {A} looks inverted: kept; as the negative of that of {B}." in text
    assert (
        "1 pair of near-copies has two labels: one film in two classes, or two people whose films look alike." in text
    )
    assert f"{A}/2.png ({A}) and {B}/2.png ({B}). Both are kept" in text


def test_of_many_label_conflicts_the_first_are_named(results):
    text = text_of(results([], 1234))
    assert text.startswith("1,234 pairs of near-copies have two labels")
    assert text.count(f"{A}/2.png") == films.SHOWN and "; and 1,224 more in data/near_copies.json" in text


@pytest.mark.parametrize(
    ("problems", "tell"),
    [
        (small(CLASSES, 100), []),
        (small(CLASSES[1:], 100), [SMALL]),
        (small(CLASSES[1:], 10), []),
        ([(f"{A}/{i}.png", A, "looks inverted", "kept; look at it") for i in range(50)], ["looks inverted"]),
        ([(f"{A}/{i}.png", A, "two-valued", "kept, as data.not_films says") for i in range(50)], ["two-valued"]),
        ([(f"{A}/{i}.png", A, "two-valued", "left out") for i in range(50)], []),  # no classifier sees them
    ],
)
def test_a_share_that_differs_between_classes_may_tell_the_class(results, problems, tell):
    found = films.films(results(problems))
    assert found["tell"] == tell and found["left_out"] == (not tell and problems[0][3] == "left out")


def test_what_was_kept_of_images_that_are_left_out_for_another_reason_does_not_count(results):
    of_own = [(f"{A}/{i}.png", A, "copy or near-copy of one of the study's own", "left out") for i in range(50)]
    assert text_of(results(small([A], 50) + of_own)) == ""
    assert f"{SMALL} kept 10 (4.2%) 0 0 0" in text_of(results(small([A], 60) + of_own))


def test_nothing_is_said_where_nothing_was_found(results):
    assert text_of(results([])) == ""

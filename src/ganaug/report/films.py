"""What the report says of images that can't be films, or are odd beside the others: counted by class."""

from pathlib import Path

import pandas as pd

from ganaug.analysis.results import read_table
from ganaug.data.films import CLASSES_INVERTED, INVERTED, NOT_FILMS, SMALL
from ganaug.data.odd_groups import CONFLICT, IN_LARGE_GROUP
from ganaug.files import read_json
from ganaug.report.fidelity import percent

SHOWN = 10  # pairs with two labels
TELLS = 0.1  # difference between the shares of two classes from which it may tell the class
COLUMNS = ["file", "class", "problem", "action"]


def films(results: Path) -> dict:
    """For page.films.html.j2: `findings` of the study's own images, and label conflicts."""
    problems = read_table(results / "data" / "problems.csv", COLUMNS)
    data = read_table(results / "tables" / "data.csv", ["class", "images", "left_out"]).set_index("class")
    conflicts = read_json(results / "data" / "near_copies.json")
    return findings(problems, data) | {
        "file": "data/problems.csv",
        "may": "A classifier can tell the class by that, and not by the disease",
        "conflicts": conflicts["label_conflict_pairs"],
        "conflicts_shown": conflicts["label_conflicts"][:SHOWN],
    }


def films_elsewhere(problems: pd.DataFrame, data: pd.DataFrame) -> dict:
    """The same of an external set, which has no splits: of its label conflicts the images are counted."""
    return findings(problems, data) | {
        "file": "external/problems.csv",
        "may": "The metrics of these classes can differ by that, and not by the disease",
        "conflicts": 0,
        "conflicts_shown": [],
    }


def findings(problems: pd.DataFrame, data: pd.DataFrame) -> dict:
    """What can't be a film or is odd, in numbers.

    problems: file, class, problem, action. data: images (used) and left_out (files), by class. Returns classes; rows
    (finding, done, values: text per class); and what its keys say: findings that may tell the class, opposite classes.
    """
    rows, tell = [], []
    found, left_out = problems["problem"], problems["action"] == "left out"
    absent = problems["file"].isin(problems["file"][left_out])
    for finding in [*NOT_FILMS, SMALL, INVERTED, CONFLICT, IN_LARGE_GROUP]:
        here = found.str.endswith(finding) if finding == IN_LARGE_GROUP else found == finding
        out = left_out[here].all()
        files = problems[here if out else here & ~absent]
        if files.empty:
            continue
        counts = files.groupby("class")["file"].nunique().reindex(data.index, fill_value=0)
        shares = (counts / (data["images"] + data["left_out"] if out else data["images"])).fillna(0)
        values = [f"{n:,} ({percent(round(share, 3))})" if n else "0" for n, share in zip(counts, shares, strict=True)]
        rows.append({"finding": finding, "done": "left out" if out else "kept", "values": values})
        if not out and finding in (SMALL, INVERTED, *NOT_FILMS) and shares.max() - shares.min() >= TELLS:
            tell.append(finding)
    return {
        "classes": list(data.index),
        "rows": rows,
        "left_out": any(row["done"] == "left out" for row in rows),
        "tell": tell,
        "opposites": problems.loc[found == CLASSES_INVERTED, ["file", "action"]].to_dict("records"),
    }

"""What the report says of images that can't be films, or are odd beside the others: counted by class."""

from pathlib import Path

from ganaug.analysis.results import read_table
from ganaug.data.films import CLASSES_INVERTED, INVERTED, NOT_FILMS, SMALL
from ganaug.data.odd_groups import CONFLICT, IN_LARGE_GROUP
from ganaug.files import read_json
from ganaug.report.fidelity import percent

SHOWN = 10  # pairs with two labels
TELLS = 0.1  # difference between the shares of two classes from which it may tell the class
COLUMNS = ["file", "class", "problem", "action"]


def films(results: Path) -> dict:
    """For page.films.html.j2: rows by finding and class, what may tell the class, opposite classes, label conflicts."""
    problems = read_table(results / "data" / "problems.csv", COLUMNS)
    data = read_table(results / "tables" / "data.csv", ["class", "images", "left_out"]).set_index("class")
    rows, tell = [], []
    found = problems["problem"]
    for finding in [*NOT_FILMS, SMALL, INVERTED, CONFLICT, IN_LARGE_GROUP]:
        here = problems[found.str.endswith(finding) if finding == IN_LARGE_GROUP else found == finding]
        if here.empty:
            continue
        out = here["action"].eq("left out").all()
        counts = here.groupby("class")["file"].nunique().reindex(data.index, fill_value=0)
        shares = (counts / (data["images"] + data["left_out"] if out else data["images"])).fillna(0)
        values = [f"{n:,} ({percent(round(share, 3))})" if n else "0" for n, share in zip(counts, shares, strict=True)]
        rows.append({"finding": finding, "done": "left out" if out else "kept", "values": values})
        if not out and finding in (SMALL, INVERTED, *NOT_FILMS) and shares.max() - shares.min() >= TELLS:
            tell.append(finding)
    conflicts = read_json(results / "data" / "near_copies.json")
    opposites = problems.loc[found == CLASSES_INVERTED, ["file", "action"]].to_dict("records")
    return {
        "classes": list(data.index),
        "rows": rows,
        "left_out": any(row["done"] == "left out" for row in rows),
        "tell": tell,
        "opposites": opposites,
        "conflicts": conflicts["label_conflict_pairs"],
        "conflicts_shown": conflicts["label_conflicts"][:SHOWN],
    }

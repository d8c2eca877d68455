"""Writes the settings of config/README.md from the schema: `python config/make_readme.py`; a test checks it."""

import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "src"))

from ganaug.config import document, load_schema  # noqa: E402

MARK = "<!-- The rest is made from workflow/schemas/config.schema.yaml by config/make_readme.py -->\n"


def readme(old: str) -> str:
    """The README with all below the mark made anew."""
    return old.partition(MARK)[0] + MARK + "\n" + document(load_schema(ROOT / "workflow/schemas/config.schema.yaml"))


if __name__ == "__main__":
    path = ROOT / "config" / "README.md"
    path.write_text(readme(path.read_text(encoding="utf-8")), encoding="utf-8")

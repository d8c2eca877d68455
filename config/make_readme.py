"""Writes what is made from the models of the settings: `python config/make_readme.py`; a test checks it.

That is the settings of config/README.md, and the JSON schema, with which editors complete and check a study.
"""

import sys
from pathlib import Path

import yaml

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "src"))

from ganaug.study.settings.document import document  # noqa: E402
from ganaug.study.settings.schema import json_schema  # noqa: E402

MARK = "<!-- The rest is made from src/ganaug/study/settings by config/make_readme.py -->\n"
HEAD = "# A study's settings, for editors. Made from src/ganaug/study/settings by config/make_readme.py; do not edit.\n"


def readme(old: str) -> str:
    """The README with all below the mark made anew."""
    return old.partition(MARK)[0] + MARK + "\n" + document()


if __name__ == "__main__":
    path = ROOT / "config" / "README.md"
    path.write_text(readme(path.read_text(encoding="utf-8")), encoding="utf-8")
    schema = yaml.safe_dump(json_schema(), sort_keys=False, allow_unicode=True, width=120)
    (ROOT / "workflow/schemas/config.schema.yaml").write_text(HEAD + schema, encoding="utf-8")

"""Writes the captions of figures, figure.rst, from the registry: `python workflow/report/make_captions.py`.

Snakemake takes one file for all captions of a rule. A test checks that the file is up to date.
"""

import sys
import textwrap
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent.parent / "src"))

from ganaug.study.figures import FIGURES  # noqa: E402

HEAD = "{# Made from src/ganaug/study/figures.py by workflow/report/make_captions.py. -#}\n"


def captions() -> str:
    """The file's text: a caption per figure, of which Snakemake keeps the one of the figure at hand."""
    parts = (
        f'{{%- if snakemake.wildcards.figure == "{name}" -%}}\n{textwrap.fill(entry.caption, 120)}\n{{%- endif -%}}\n'
        for name, entry in FIGURES.items()
    )
    return HEAD + "".join(parts)


if __name__ == "__main__":
    (HERE / "figure.rst").write_text(captions(), encoding="utf-8")

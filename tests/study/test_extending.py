"""docs/extending.md, done word by word in a copy of the package."""

import os
import re
import shutil
import subprocess
import sys

from helpers.running import ROOT

# A study's tables, the new figure, and its page, in a process that imports the copy.
STUDY = """
import sys
from pathlib import Path
from ganaug.study.figures import FIGURES, figures_of
from ganaug.study.tables import tables_of
from ganaug.imports import files_of_figure, files_of_stage
from helpers.pages import report
from helpers.results_tree import GRID, make_figure, make_tables, make_tree

root = Path(sys.argv[1])
grid = {**GRID, "sizes": [25], "replicates": 2, "augmentations": ["none"]}
grid |= {"synthetic": [], "ratios": [], "probes": []}
make_tree(root, grid, generated=False)
assert make_tables(root, grid, generated=False) == 0
(root / "figures").mkdir()
for name, entry in figures_of({"films"}).items():
    (root / "figures" / f"{name}{entry.suffix}").write_text("<svg/>")  # only the new one is drawn
assert make_figure(root, "prevalence", root / "figures", grid) == 0
page, _ = report(root, grid, root, generated=False)
assert {"figure-prevalence", "table-spread"} <= set(page.ids)
assert "Share of each class in the test set." in page.text
assert "Standard deviation of every metric over the replicates." in page.text
assert "Agreement beyond chance: 0 for guessing, 1 for perfect." in page.text
assert "spread" in tables_of([]) and "prevalence" in figures_of([])
assert "kappa.py" in {path.name for path in files_of_stage("make_tables")}
assert "spread.py" in {path.name for path in files_of_stage("make_tables")}
assert "figures_prevalence.py" in {path.name for path in files_of_figure("prevalence")}
"""


def sections(text):
    """The page's sections by their headings."""
    return dict(re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", text, re.M | re.S))


def apply(text, root):
    """Does what the page's code says: an entry goes into a registry, other code into a file of its own."""
    blocks = re.findall(r"```python\n# (\S+?)(, in _ENTRIES)?\n(.*?)```", text, re.S)
    for name, is_entry, code in blocks:
        path = root / name
        if is_entry:
            before = path.read_text()
            assert before.count("\n)\n\n") == 1, f"{name}: where do its entries end?"
            code = before.replace("\n)\n\n", f"\n{code})\n\n")
        else:
            assert not path.exists(), f"{name} is there"
        path.write_text(code)
    return len(blocks)


def test_the_page_is_true_of_a_copy_of_the_package(tmp_path):
    text = (ROOT / "docs/extending.md").read_text()
    shutil.copytree(ROOT / "src", tmp_path / "src")
    shutil.copytree(ROOT / "workflow/report", tmp_path / "workflow/report")
    assert apply(text, tmp_path) == text.count("```python") == 6
    places = [str(tmp_path / "src"), str(ROOT / "tests")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(places)}
    study = tmp_path / "study"
    command = [sys.executable, "-c", STUDY, str(study)]
    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    summary = (study / "tables/summary.csv").read_text()
    assert summary.count(",kappa,") == 1
    assert (study / "tables/spread.csv").read_text().startswith("augmentation,size,backbone,metric,sd\n")
    assert (study / "figures/prevalence.png").stat().st_size > 1000
    subprocess.run([sys.executable, "workflow/report/make_captions.py"], cwd=tmp_path, check=True)
    assert "Share of each class in the test set." in (tmp_path / "workflow/report/figure.rst").read_text()


def test_each_is_shown_in_under_20_lines_of_code():
    for heading, text in sections((ROOT / "docs/extending.md").read_text()).items():
        code = "".join(re.findall(r"```python\n(.*?)```", text, re.S))
        assert 0 < len(code.splitlines()) < 20, heading

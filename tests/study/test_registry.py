"""The registries of figures and tables against what they are said to be, and against the functions that they name."""

import copy
import dataclasses
import re
from pathlib import Path

import jinja2
import pandas as pd
import pytest
import yaml

from ganaug import imports
from ganaug.analysis.material import Material
from ganaug.layout import SUBSET
from ganaug.study.entries import PLACES, by_name, function_of
from ganaug.study.figures import FIGURES, figures_of, settings_read
from ganaug.study.model import Study
from ganaug.study.settings.resolve import resolve
from ganaug.study.tables import TABLES, tables_of
from helpers.pages import build, report
from helpers.results_tree import SMALL
from helpers.running import ROOT

SHIPPED = sorted((ROOT / "config").glob("*.yaml"))
# Changes of a shipped study that give or take a part.
CHANGES = {
    "as it is": {},
    "no GAN": {"augmentations": ["none", "classical"]},
    "no images": {"report": {"images": False}},
    "other ratios": {"synthetic": {"ratio": 1, "ratio_sweep": [0.5, 1]}},
    "its own ratio alone": {"synthetic": {"ratio": 1, "ratio_sweep": [1]}},
    "other ratios of no GAN": {"augmentations": ["gan+classical"], "synthetic": {"ratio_sweep": [2]}},
    "all probes": {"probes": {"synthetic_only": True, "border_only": True}},
    "elsewhere": {"external_test": {"data_root": "elsewhere"}},
}


@pytest.fixture(params=SHIPPED, ids=lambda path: path.stem)
def shipped(request):
    return yaml.safe_load(request.param.read_text())


def resolved(study, changes):
    blocks = {name: value for name, value in changes.items() if isinstance(value, dict)}
    merged = copy.deepcopy(study) | changes
    merged |= {name: (study.get(name) or {}) | value for name, value in blocks.items()}
    return resolve(merged)


def expected_parts(study):
    """(whether there are GANs, further ratios), written out a second time."""
    generated = any(name in ("gan", "gan+classical") for name in study["augmentations"])
    own = study["synthetic"]["ratio"]
    ratios = [r for r in study["synthetic"]["ratio_sweep"] if r != own] if "gan" in study["augmentations"] else []
    return generated, ratios


def expected_tables(study, incomplete):
    """What common.smk gave before the registry."""
    generated, ratios = expected_parts(study)
    probes = ["synthetic-only"] if generated and study["probes"]["synthetic_only"] else []
    probes += ["border-only"] if study["probes"]["border_only"] else []
    tables = ["cells", "summary", "comparisons", "scaling", "confusion", "class_rates", "reliability", "curves"]
    tables += ["calibration", "prevalence", "data", "subsets", "convergence"]
    gan = ["fidelity", "fidelity_curve", "memorisation", "gan_training", "gan_convergence"]
    tables += gan if generated else []
    tables += ["ratio_sweep"] if ratios else []
    tables += ["transfer"] if "synthetic-only" in probes else []
    tables += ["shortcut"] if "border-only" in probes else []
    tables += ["external_cells", "external_summary", "external_comparisons"] if study["external_test"] else []
    return tables + (["missing"] if incomplete else [])


def expected_figures(study):
    """What common.smk gave before the registry."""
    generated, ratios = expected_parts(study)
    figures = {
        "learning_curve": ["tables/cells.csv", "tables/summary.csv", "tables/subsets.csv"],
        "differences": ["tables/cells.csv", "tables/comparisons.csv", "tables/subsets.csv"],
        "confusion_matrices": ["tables/confusion.csv"],
        "class_examples": ["data/test.npy", "data/test.csv"],
        "near_copies": ["data/distances.csv", "data/near_copies.json"],
        "roc": ["tables/curves.csv"],
        "precision_recall": ["tables/curves.csv"],
        "reliability": ["tables/reliability.csv", "tables/prevalence.csv"],
    }
    if ratios:
        figures["ratio_sweep"] = ["tables/ratio_sweep.csv"]
    if generated:
        figures |= {
            "real_and_generated": [
                f"{folder}.{suffix}"
                for folder in (f"subsets/{SUBSET}/train", f"synthetic/{SUBSET}/images")
                for suffix in ("npy", "csv")
            ],
            "closest_pairs": [
                f"fidelity/{SUBSET}/closest.csv",
                f"subsets/{SUBSET}/train.npy",
                f"synthetic/{SUBSET}/images.npy",
            ],
            "gan_progress": [
                f"gan/{SUBSET}/snapshots.npy",
                f"gan/{SUBSET}/snapshots.csv",
                f"subsets/{SUBSET}/train.csv",
            ],
            "gan_training": ["tables/gan_training.csv", "tables/fidelity_curve.csv"],
            "fidelity": ["tables/fidelity.csv", "tables/subsets.csv"],
        }
    if not study["report"]["images"]:
        for name in ("class_examples", "real_and_generated", "closest_pairs", "gan_progress"):
            figures.pop(name, None)
    return figures


@pytest.mark.parametrize("changes", CHANGES.values(), ids=CHANGES)
def test_a_study_has_the_figures_that_it_had_and_they_read_the_same_files(shipped, changes):
    study = resolved(shipped, changes)
    found = figures_of(Study(study).parts())
    assert {name: list(entry.reads) for name, entry in found.items()} == expected_figures(study)


@pytest.mark.parametrize("incomplete", [False, True])
@pytest.mark.parametrize("changes", CHANGES.values(), ids=CHANGES)
def test_a_study_has_the_tables_that_it_had(shipped, changes, incomplete):
    study = resolved(shipped, changes)
    assert sorted(tables_of(Study(study).parts(incomplete))) == sorted(expected_tables(study, incomplete))


@pytest.mark.parametrize("entry", TABLES.values(), ids=TABLES)
def test_a_tables_entry_is_whole(entry):
    assert callable(function_of(entry.make)) and entry.holds
    assert re.fullmatch(r"[a-z_]+", entry.name)


def test_a_table_that_has_a_place_is_on_the_page_as_it_is(once, tmp_path, monkeypatch):
    root = once("tree-of-reports", lambda root: build(root, SMALL))
    page, _ = report(root, SMALL, tmp_path)
    assert "table-prevalence" not in page.ids
    monkeypatch.setitem(TABLES, "prevalence", dataclasses.replace(TABLES["prevalence"], place="curves"))
    page, _ = report(root, SMALL, tmp_path)
    assert (
        "table-prevalence" in page.ids and "Share of each class in training, development set and test set." in page.text
    )
    assert f"{pd.read_csv(root / 'tables/prevalence.csv')['training'][0]:.3f}" in page.text


def test_a_figure_of_images_reads_no_statistics():
    given = {"augmentations": ["none"], "sizes": [5], "replicates": 2, "confidence": 0.95, "probes": []}
    nothing = {"augmentations": [], "sizes": [], "replicates": 0, "confidence": 0.0, "probes": []}
    read = {name: settings_read(name, given) for name in FIGURES}
    assert read["class_examples"] == read["near_copies"] == nothing
    assert read["real_and_generated"] == read["closest_pairs"] == read["gan_progress"] == nothing | {"sizes": [5]}
    others = [given for name, given in read.items() if given not in (nothing, nothing | {"sizes": [5]})]
    assert others == [given] * 9


@pytest.mark.parametrize("entry", FIGURES.values(), ids=FIGURES)
def test_a_figures_entry_is_whole(entry):
    assert callable(function_of(entry.draw))
    assert re.fullmatch(r"[a-z_]+", entry.name) and entry.alt and entry.caption
    jinja2.Environment().parse(entry.legend)
    if PLACES[entry.place].startswith("Synthetic"):  # a section that a study without GANs has not
        assert {"gan", "ratio_sweep"} & set(entry.needs)


def test_two_entries_of_one_name_are_refused():
    with pytest.raises(ValueError, match="roc: two entries have this name"):
        by_name([FIGURES["roc"], FIGURES["fidelity"], FIGURES["roc"]])


@pytest.mark.parametrize("entry", [FIGURES["roc"], TABLES["data"]], ids=lambda entry: entry.name)
@pytest.mark.parametrize(
    ("changes", "told"),
    [({"place": "nowhere"}, "place: 'nowhere' is unknown; write one of data,"), ({"needs": ("GAN",)}, "needs: 'GAN'")],
)
def test_an_entry_that_no_study_or_no_page_would_have_is_refused(entry, changes, told):
    with pytest.raises(ValueError, match=f"{entry.name}: {told}"):
        dataclasses.replace(entry, **changes)


def test_a_table_with_other_columns_than_its_entry_says_is_refused(monkeypatch):
    monkeypatch.setitem(TABLES, "data", dataclasses.replace(TABLES["data"], columns="class images"))
    material = Material(Path("nowhere"), None, seed=1)
    material.data = pd.DataFrame({"class": ["COVID"], "pool": [1]})
    with pytest.raises(ValueError, match="table data: its columns are 'class pool', not 'class images'"):
        material.table("data")


def test_the_page_has_every_place():
    templates = "".join(path.read_text() for path in (ROOT / "src/ganaug/report").glob("page*.j2"))
    assert sorted(re.findall(r'shown_at\("(\w+)"\)', templates)) == sorted(PLACES)


def test_the_code_of_a_figure_is_what_draws_it():
    drawn = {f"figures_{kind}.py" for kind in ("classes", "data", "gan", "images", "scores")}
    assert drawn <= {path.name for path in imports.files_of_stage("make_figure")}
    files = {name: {path.name for path in imports.files_of_figure(name)} for name in FIGURES}
    assert {"figure_style.py", "figures_gan.py", "results.py"} <= files["gan_training"]
    assert files["gan_training"] & drawn == {"figures_gan.py"} and files["roc"] & drawn == {"figures_classes.py"}
    digests = {name: imports.digest_of_figure(name) for name in FIGURES}
    assert len(set(digests.values())) == len(FIGURES)

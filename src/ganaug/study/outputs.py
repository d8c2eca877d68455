"""The tables and figures that a study ends with, and what each figure reads."""

from ganaug.layout import SUBSET
from ganaug.report.pictures import PICTURES
from ganaug.study.model import Study


def tables_of(study: Study) -> list[str]:
    """Names of its tables, in the order of the report; those about generators only where there are any."""
    generated, grid = study.generated, study.grid
    tables = ["cells", "summary", "comparisons", "scaling", "confusion", "class_rates", "reliability", "curves"]
    tables += ["calibration", "prevalence", "data", "subsets", "convergence"]
    tables += ["fidelity", "fidelity_curve", "memorisation", "gan_training", "gan_convergence"] if generated else []
    tables += ["ratio_sweep"] if grid.ratios else []
    tables += ["transfer"] if "synthetic-only" in grid.probes else []
    tables += ["shortcut"] if "border-only" in grid.probes else []
    external = study.settings["external_test"]
    return tables + (["external_cells", "external_summary", "external_comparisons"] if external else [])


def figures_of(study: Study) -> dict[str, list[str]]:
    """By the name of each figure the files that it reads, below the study's results, with the wildcards of a subset."""
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
    if study.grid.ratios:
        figures["ratio_sweep"] = ["tables/ratio_sweep.csv"]
    if study.generated:
        train, made = f"subsets/{SUBSET}/train", f"synthetic/{SUBSET}/images"
        snapshots = f"gan/{SUBSET}/snapshots"
        figures |= {
            "real_and_generated": [f"{folder}.{suffix}" for folder in (train, made) for suffix in ("npy", "csv")],
            "closest_pairs": [f"fidelity/{SUBSET}/closest.csv", f"{train}.npy", f"{made}.npy"],
            "gan_progress": [f"{snapshots}.npy", f"{snapshots}.csv", f"{train}.csv"],
            "gan_training": ["tables/gan_training.csv", "tables/fidelity_curve.csv"],
            "fidelity": ["tables/fidelity.csv", "tables/subsets.csv"],
        }
    films = study.settings["report"]["images"]
    return {name: files for name, files in figures.items() if films or name not in PICTURES}


# What figures of images read of the grid and the statistics; the others read all.
READ_BY_FIGURE: dict[str, list[str]] = {"class_examples": [], "near_copies": []}
READ_BY_FIGURE |= {name: ["sizes"] for name in ("real_and_generated", "closest_pairs", "gan_progress")}

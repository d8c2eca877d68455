"""Stage make_tables: all cells of a study into tidy tables, one row per observation.

The functions below make a table each, from the material; more of them stand in modules of their own, as the registry
says.
"""

import argparse
from pathlib import Path

import pandas as pd

from ganaug.analysis import calibration_table, class_priors, class_tables, convergence, probes
from ganaug.analysis.curves import curves as curves_of
from ganaug.analysis.material import Material, Settings, images_per_class
from ganaug.analysis.missing import add_argument, missing_files, missing_table
from ganaug.analysis.results import CELL
from ganaug.analysis.scaling import scaling as scaling_of
from ganaug.files import write_csv
from ganaug.study.tables import TABLES

FIDELITY = ["class", "reference", "extractor", "metric", "value", "floor", "images", "reference_images", "warning"]
MEMORISATION = ["synthetic", "held_out", "median_distance", "median_distance_held_out", "effect", "p"]
MEMORISATION += ["near_share", "copies", "verdict"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    inputs = parser.add_argument_group("inputs")
    inputs.add_argument("--results", type=Path, required=True, help="folder of the study's results")
    inputs.add_argument("--lineage", type=Path, help="what check_lineage has written; its hash tells which results")
    add_argument(inputs)
    outputs = parser.add_argument_group("outputs")
    for name, entry in TABLES.items():
        text = entry.holds + ("; only for a study that has this" if entry.needs else "")
        outputs.add_argument(f"--{name.replace('_', '-')}", type=Path, required=not entry.needs, help=text)


def run(args: argparse.Namespace) -> None:
    settings = Settings(**args.settings, missing=missing_files(args.unfinished))
    material = Material(args.results, settings, args.seed, args.unfinished)
    paths = {name: getattr(args, name) for name in TABLES}
    tables = {path: material.table(name) for name, path in paths.items() if path}
    for path, table in tables.items():  # once all could be made
        write_csv(path, table)


def cells(m: Material) -> pd.DataFrame:
    return scored({cell: m.evidence.scores[cell] for cell in m.own})


def summary(m: Material) -> pd.DataFrame:
    return m.evidence.summary(m.settings.augmentations, m.settings.size_names)


def comparisons(m: Material) -> pd.DataFrame:
    return m.evidence.comparisons()


def scaling(m: Material) -> pd.DataFrame:
    return scaling_of(m.evidence, images_per_class(m.subsets))


def confusion(m: Material) -> pd.DataFrame:
    return class_tables.confusions(m.own)


def class_rates(m: Material) -> pd.DataFrame:
    return class_tables.class_rates(m.own, m.groups, m.settings.confidence)


def reliability(m: Material) -> pd.DataFrame:
    return calibration_table.reliabilities(m.own, m.development)


def calibration(m: Material) -> pd.DataFrame:
    return calibration_table.calibrations(m.evidence, m.development)


def prevalence(m: Material) -> pd.DataFrame:
    return class_priors.prevalence(m.subsets, m.data, m.classes)


def curves(m: Material) -> pd.DataFrame:
    return curves_of(m.evidence)


def data(m: Material) -> pd.DataFrame:
    return m.data


def subsets(m: Material) -> pd.DataFrame:
    return m.subsets


def classifier_convergence(m: Material) -> pd.DataFrame:
    return convergence.classifier_convergence(m.results, m.settings)


def fidelity(m: Material) -> pd.DataFrame:
    table = m.collect("fidelity", "fidelity.csv", FIDELITY)
    table.insert(list(table.columns).index("floor") + 1, "above_floor", table["value"] - table["floor"])
    return table


def fidelity_curve(m: Material) -> pd.DataFrame:
    return m.fidelity_curve


def memorisation(m: Material) -> pd.DataFrame:
    return m.collect("fidelity", "memorisation.csv", MEMORISATION)


def gan_training(m: Material) -> pd.DataFrame:
    return m.gan_log.melt(["size", "replicate", "kimg"], var_name="quantity").dropna(subset="value")


def gan_convergence(m: Material) -> pd.DataFrame:
    return convergence.gan_convergence(m.fidelity_curve, m.gan_log)


def ratio_sweep(m: Material) -> pd.DataFrame:
    return probes.ratio_sweep(m.evidence, m.settings.ratio)


def transfer(m: Material) -> pd.DataFrame:
    return probes.transfer(m.evidence, m.scored)


def shortcut(m: Material) -> pd.DataFrame:
    return probes.shortcut(m.evidence, m.classes)


def external_cells(m: Material) -> pd.DataFrame:
    found = m.evidence_elsewhere
    return scored(found.scores) if found else _without_rows(m, "cells")


def external_summary(m: Material) -> pd.DataFrame:
    found = m.evidence_elsewhere
    return found.summary(m.settings.augmentations, m.settings.size_names) if found else _without_rows(m, "summary")


def external_comparisons(m: Material) -> pd.DataFrame:
    found = m.evidence_elsewhere
    return found.comparisons() if found else _without_rows(m, "comparisons")


def missing(m: Material) -> pd.DataFrame:
    if m.unfinished is None:
        raise ValueError("a complete study has no table of what is missing")
    return missing_table(m.unfinished)


def _without_rows(m: Material, name: str) -> pd.DataFrame:
    """The columns of a table, for one of the same form of which all is missing."""
    return m.table(name)[:0]


def scored(scores: dict[tuple, dict[str, float]]) -> pd.DataFrame:
    """augmentation, size, replicate, backbone, metric, value."""
    rows = [(*cell, metric, value) for cell, values in scores.items() for metric, value in values.items()]
    return pd.DataFrame(rows, columns=[*CELL, "metric", "value"])

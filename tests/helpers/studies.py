"""A study from its settings, without Snakemake."""

from ganaug.classify.augmentations import AUGMENTATIONS
from ganaug.config import load_schema, resolve
from ganaug.study.model import Study
from helpers.running import ROOT


def study_of(settings: dict) -> Study:
    schema = load_schema(ROOT / "workflow/schemas/config.schema.yaml")
    return Study(resolve(settings, schema, {name: AUGMENTATIONS[name].synthetic for name in AUGMENTATIONS}))

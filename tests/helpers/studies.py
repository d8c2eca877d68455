"""A study from its settings, without Snakemake."""

from ganaug.study.model import Study
from ganaug.study.settings.resolve import resolve


def study_of(settings: dict) -> Study:
    return Study(resolve(settings))

"""Which jobs a rule has: the wildcards of each."""

from collections.abc import Callable

from ganaug.layout import augmentation_at, ratio_folder
from ganaug.study.figures import figures_of
from ganaug.study.grid import Grid
from ganaug.study.model import Study

Wildcards = dict[str, str]


def when(wanted: Callable[[Study], bool], of: Callable[[Study], list[Wildcards]]) -> Callable[[Study], list[Wildcards]]:
    """Jobs of a rule that only some studies have."""
    return lambda study: of(study) if wanted(study) else []


def once(study: Study) -> list[Wildcards]:
    return [{}]


def subsets(study: Study) -> list[Wildcards]:
    return [{"size": size, "replicate": str(replicate)} for size, replicate in study.grid.subsets]


def synthetic_sets(study: Study) -> list[Wildcards]:
    """At the study's own ratio and at the others."""
    folders = ["", *(ratio_folder(augmentation_at(ratio)) for ratio in study.grid.ratios)]
    return [subset | {"at": folder} for subset in subsets(study) for folder in folders]


def cells(study: Study, trained: Callable[[Grid, str], list[str]] = Grid.trained) -> list[Wildcards]:
    """Every classifier; trained: (grid, size) to the names of what is trained."""
    return [
        {"augmentation": name, **subset, "backbone": backbone}
        for subset in subsets(study)
        for name in trained(study.grid, subset["size"])
        for backbone in study.grid.backbones
    ]


def compared_cells(study: Study) -> list[Wildcards]:
    """The classifiers of the comparison: neither of other ratios nor of probes."""
    return cells(study, lambda grid, size: grid.augmentations)


def scored_subsets(study: Study) -> list[Wildcards]:
    return [subset | {"backbone": backbone} for subset in subsets(study) for backbone in study.grid.backbones]


def scores(study: Study) -> list[Wildcards]:
    return scored_subsets(study) if "synthetic-only" in study.grid.probes else []


def generators(study: Study) -> list[Wildcards]:
    return subsets(study) if study.generated else []


def external_cells(study: Study) -> list[Wildcards]:
    return compared_cells(study) if external(study) else []


def figures(study: Study) -> list[Wildcards]:
    return [{"figure": name} for name in figures_of(study.parts())]


def generated(study: Study) -> bool:
    return study.generated


def external(study: Study) -> bool:
    return bool(study.settings["external_test"])

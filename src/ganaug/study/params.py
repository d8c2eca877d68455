"""Settings that a job's stage is given beside those that its rule names."""

from ganaug.classify.augmentations import ALL
from ganaug.layout import base_of, ratio_in
from ganaug.study.cells import Wildcards
from ganaug.study.figures import figures_of, settings_read
from ganaug.study.model import Study, uses_synthetic
from ganaug.study.tables import tables_of


def least_test(study: Study) -> int:
    """Test images per class that the study needs: without GANs one, with them as many as their fidelity takes."""
    fidelity = study.settings["fidelity"]
    return max(fidelity["kid_subset_size"], fidelity["prc_neighborhood"] + 1) if study.generated else 1


def sizes(study: Study, wildcards: Wildcards) -> dict:
    """least_train: training images per class that the study needs; with GANs what their fidelity is measured on."""
    least, per_synthetic = least_test(study), min(1, study.settings["synthetic"]["ratio"])
    return {"sizes": study.settings["sizes"], "least_train": -int(-least // per_synthetic), "least_test": least}


def size(study: Study, wildcards: Wildcards) -> dict:
    return {"size": wildcards["size"] if wildcards["size"] == "all" else int(wildcards["size"])}


def external_source(study: Study, wildcards: Wildcards) -> dict:
    return {name: study.settings["external_test"][name] for name in ("source", "follow_links")}


def class_count(study: Study, wildcards: Wildcards) -> dict:
    return {"classes": len(study.settings["data"]["classes"] or [1, 2])}


def ratio(study: Study, wildcards: Wildcards) -> dict:
    """Synthetic images per real one of a synthetic set."""
    at = ratio_in(wildcards["at"])
    return {"ratio": float(at) if at else study.settings["synthetic"]["ratio"]}


def weights(study: Study, wildcards: Wildcards) -> dict:
    return study.weights_of(wildcards["backbone"])


def backbone(study: Study, wildcards: Wildcards) -> dict:
    return {"backbone": wildcards["backbone"]}


def augmentation(study: Study, wildcards: Wildcards) -> dict:
    base = base_of(wildcards["augmentation"])
    block = ALL[base].settings
    given = study.settings[block] if block else {}
    return backbone(study, wildcards) | {"augmentation": base, "augmentation_settings": given}


def grid(study: Study, wildcards: Wildcards) -> dict:
    """The cells of the study, for the stages that read them all."""
    names = ("augmentations", "sizes", "replicates", "backbones", "synthetic", "ratios", "probes")
    return {name: getattr(study.grid, name) for name in names}


def tables(study: Study, wildcards: Wildcards) -> dict:
    return grid(study, wildcards) | {"ratio": study.settings["synthetic"]["ratio"]}


def figure(study: Study, wildcards: Wildcards) -> dict:
    """What a figure reads; what it does not is empty, so that a change of it draws no figure anew."""
    given = grid(study, wildcards) | {"confidence": study.settings["statistics"]["confidence"]}
    return settings_read(wildcards["figure"], given) | {"dpi": study.settings["figures"]["dpi"]}


def report(study: Study, wildcards: Wildcards) -> dict:
    return {
        "title": study.settings["title"] or study.settings["study"],
        "grid": grid(study, wildcards),
        "synthetic": [name for name in study.grid.augmentations if uses_synthetic(name)],
        "tables": tables_of(study.parts()),
        "figures": list(figures_of(study.parts())),
        "config": study.settings,
    }

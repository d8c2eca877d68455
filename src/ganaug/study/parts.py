"""Which parts a study has, beside what every study has: tables and figures are made where their parts are there."""

from collections.abc import Mapping
from typing import Any

from ganaug.classify.augmentations import ALL


def parts_of(study: Mapping[str, Any], incomplete: bool = False) -> frozenset[str]:
    """The names among `ganaug.study.entries.PARTS` of the parts that a study has.

    Args:
        study: all settings of the study, as `ganaug.study.settings.resolve.resolve` returns them.
        incomplete: whether jobs failed, so that the study is shown without their results.
    """
    synthetic, probes = study["synthetic"], study["probes"]
    generated = any(ALL[name].synthetic for name in study["augmentations"])
    has = {
        "gan": generated,
        "ratio_sweep": "gan" in study["augmentations"]
        and any(ratio != synthetic["ratio"] for ratio in synthetic["ratio_sweep"]),
        "synthetic_only": generated and probes["synthetic_only"],
        "border_only": probes["border_only"],
        "external": bool(study["external_test"]),
        "films": study["report"]["images"],
        "incomplete": incomplete,
    }
    return frozenset(name for name, there in has.items() if there)

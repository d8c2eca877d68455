"""A study in miniature, in the layout of the COVID-19 Radiography Database, that several tests look at when it is done.

It runs on the project's own phantoms, and on real radiographs where they lie beside the checkout.
"""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

from ganaug.cli import main
from helpers.running import CLASSES, ROOT, run

BESIDE = ROOT.parent / "shared" / "data" / "COVID-19_Radiography_Dataset"
RADIOGRAPHS = Path(os.environ.get("GANAUG_RADIOGRAPHS", BESIDE))
# Images of each class: the study's, those of the external test, and some that the study has not seen.
IMAGES, ELSEWHERE, SPARE = 50, 6, 12
STUDY = {
    "study": "mini",
    "data_root": "radiographs",
    "data": {"source": "radiography", "classes": CLASSES, "resolution": 32},
    "splits": {"test_share": 0.25},
    "sizes": [10, 20],
    "replicates": 1,
    "augmentations": ["none", "classical", "gan", "gan+classical"],
    "backbones": ["tf_efficientnet_lite0"],
    "synthetic": {"ratio_sweep": [0.5]},
    "external_test": {"data_root": "elsewhere"},
    "gan": {
        **{"kimg": 0.2, "batch": 8, "channel_base": 512, "channel_max": 16, "latent": 16},
        **{"log_kimg": 0.1, "snapshot_kimg": 0.1, "snapshot_images": 16},
    },
    "fidelity": {"extractor": "tf_efficientnet_lite0", "input_size": 32, "kid_subset_size": 6, "kid_subsets": 5},
    "classifier": {"input_size": 32, "epochs": 2, "steps_per_epoch": 2, "batch": 8},
    "threads": {"gan": 1, "classifier": 1, "fidelity": 1},
}


def draw_phantoms(folder: Path) -> dict[str, list[Path]]:
    """Phantoms drawn into a folder; for each class of the study those with one finding, in order."""
    count = IMAGES + ELSEWHERE + SPARE
    settings = json.dumps({"images_per_class": count, "resolution": 128})
    assert main(["make_phantoms", "--seed", "3", "--settings", settings, "--out", str(folder / "phantoms")]) == 0
    findings = sorted((folder / "phantoms").iterdir())
    return {name: sorted(finding.iterdir()) for name, finding in zip(CLASSES, findings, strict=True)}


def find_radiographs(_: Path) -> dict[str, list[Path]]:
    """For each class the first real radiographs, in order."""
    count = IMAGES + ELSEWHERE + SPARE
    return {name: sorted((RADIOGRAPHS / name / "images").iterdir())[:count] for name in CLASSES}


def make_miniature(folder: Path, find_images: Callable[[Path], dict[str, list[Path]]], study: dict = STUDY) -> None:
    """50 images a class, two of them troublesome, 6 others elsewhere, 12 in spare, and the finished study."""
    for name, files in find_images(folder).items():
        parts = [folder / "radiographs" / name / "images", folder / "elsewhere" / name, folder / "spare" / name]
        for part, first, count in zip(parts, (0, IMAGES, IMAGES + ELSEWHERE), (IMAGES, ELSEWHERE, SPARE), strict=True):
            part.mkdir(parents=True)
            for path in files[first : first + count]:
                shutil.copy(path, part)
    covid, normal = (sorted((folder / "radiographs" / name / "images").iterdir()) for name in ("COVID", "Normal"))
    covid[0].write_bytes(covid[0].read_bytes()[:2000])
    shutil.copy(normal[0], normal[0].with_name("copy.png"))
    run(folder, study)

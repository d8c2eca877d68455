"""A study in miniature on real radiographs, that several tests look at once it is finished."""

import shutil
from pathlib import Path

import pytest
import yaml

from helpers.running import CLASSES, ROOT, snakemake

RADIOGRAPHS = ROOT.parent / "shared" / "data" / "COVID-19_Radiography_Dataset"
missing_radiographs = pytest.mark.skipif(
    not RADIOGRAPHS.is_dir(), reason=f"the real radiographs are not at {RADIOGRAPHS}"
)
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


def run(folder: Path, study: dict, *arguments, checkout: Path = ROOT) -> str:
    """Snakemake on a study written to the folder."""
    (folder / "study.yaml").write_text(yaml.safe_dump(study))
    return snakemake(folder, "--cores", "2", "--configfile", "study.yaml", *arguments, checkout=checkout)


def make_miniature(folder: Path) -> None:
    """50 radiographs a class, two of them troublesome, 6 others elsewhere, and the finished study."""
    for name in CLASSES:
        images = folder / "radiographs" / name / "images"
        images.mkdir(parents=True)
        elsewhere = folder / "elsewhere" / name
        elsewhere.mkdir(parents=True)
        for number, path in enumerate(sorted((RADIOGRAPHS / name / "images").iterdir())[:56]):
            shutil.copy(path, images if number < 50 else elsewhere)
    covid, normal = (sorted((folder / "radiographs" / name / "images").iterdir()) for name in ("COVID", "Normal"))
    covid[0].write_bytes(covid[0].read_bytes()[:2000])
    shutil.copy(normal[0], normal[0].with_name("copy.png"))
    run(folder, STUDY)

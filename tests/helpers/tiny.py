"""The smallest study with every kind of job: phantoms, one GAN, a few classifiers."""

import sys
from pathlib import Path

import yaml

from helpers.running import arguments_of

STUDY = {
    "study": "lab",
    "device": "cpu",
    "data": {"source": "phantom", "resolution": 16, "phantom": {"images_per_class": 24, "resolution": 32}},
    "splits": {"test_share": 0.4},
    "sizes": [10],
    "replicates": 1,
    "augmentations": ["none", "classical", "gan"],
    "backbones": ["tf_efficientnet_lite0"],
    "probes": {"synthetic_only": False, "border_only": False},
    "gan": {
        **{"kimg": 0.2, "batch": 8, "channel_base": 256, "channel_max": 16, "latent": 16, "log_kimg": 0.1},
        **{"snapshot_kimg": 0.1, "snapshot_images": 8, "checkpoint_seconds": 1},
    },
    "fidelity": {"input_size": 32, "kid_subset_size": 4, "kid_subsets": 5},
    "classifier": {"input_size": 32, "epochs": 2, "steps_per_epoch": 2, "batch": 8},
    "statistics": {"bootstrap_samples": 100},
    "threads": {"gan": 1, "classifier": 1, "fidelity": 1},
}


def command(folder: Path, study: dict, *arguments) -> list[str]:
    """Snakemake on a study, which is written to the folder it works in."""
    (folder / "study.yaml").write_text(yaml.safe_dump(study))
    where = arguments_of(folder, ["--configfile", folder / "study.yaml", *arguments])
    return [sys.executable, "-m", "snakemake", *where]


def results(folder: Path) -> dict[str, bytes]:
    """The files of the study that must be the same wherever and however it ran."""
    root = folder / "results" / "lab"
    skipped = ("logs", "benchmarks", "checkpoints", "incomplete")
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file()
        and path.relative_to(root).parts[0] not in skipped
        and not path.name.endswith("provenance.json")
        and path.name not in ("report.html", "report.before.html")
    }


def differing(a: dict, b: dict) -> list[str]:
    """Names of files that one lacks, or that differ."""
    return sorted(name for name in a.keys() | b.keys() if a.get(name) != b.get(name))


def without_figures(made: dict[str, bytes]) -> dict[str, bytes]:
    """The results that `--until make_tables` makes."""
    return {name: content for name, content in made.items() if not name.startswith("figures/")}

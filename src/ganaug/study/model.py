"""A study: its settings, and what follows from them for its grid, its images and its networks."""

import os
from collections import Counter
from functools import cached_property
from pathlib import Path

from ganaug.classify.augmentations import ALL
from ganaug.data.sources import list_images
from ganaug.downloads import is_url
from ganaug.layout import base_of
from ganaug.study.grid import Grid

# Where pretrained weights come from unless the study says otherwise.
WEIGHTS = {
    "tf_efficientnet_lite0": {"source": "package", "sha256": None},
    "inception-v3-compat": {"source": "torch-fidelity", "sha256": None},
}


class Study:
    """A checked study.

    Attributes:
        settings: all of them, as `ganaug.study.settings.resolve.resolve` returns them.
        results: its folder, relative to where Snakemake works.
        grid: its cells.
    """

    def __init__(self, settings: dict):
        self.settings = settings
        self.results = f"results/{settings['study']}"
        self.grid = grid_of(settings)

    @property
    def generated(self) -> bool:
        """Whether it trains generators."""
        return bool(self.grid.synthetic)

    def parts(self, incomplete: bool = False) -> frozenset[str]:
        """The names among `ganaug.study.entries.PARTS` of what the study has. incomplete: whether jobs failed."""
        has = {
            "gan": self.generated,
            "ratio_sweep": bool(self.grid.ratios),
            "synthetic_only": "synthetic-only" in self.grid.probes,
            "border_only": "border-only" in self.grid.probes,
            "external": bool(self.settings["external_test"]),
            "films": self.settings["report"]["images"],
            "incomplete": incomplete,
        }
        return frozenset(name for name, present in has.items() if present)

    @property
    def phantom(self) -> bool:
        """Whether it draws its own images."""
        return self.settings["data"]["source"] == "phantom"

    @property
    def data_root(self) -> str:
        """The folder of the raw images."""
        return f"{self.results}/data/phantoms" if self.phantom else os.path.expanduser(self.settings["data_root"])

    @cached_property
    def images_by_class(self) -> dict[str, int]:
        """How many raw images each class has. Raises UserError where they can't be listed."""
        data = self.settings["data"]
        if self.phantom:
            return {str(name): data["phantom"]["images_per_class"] for name in data["classes"] or range(4)}
        files = list_images(Path(self.data_root), data["source"], data["classes"], data["follow_links"])
        return dict(Counter(name for _, name in files))

    @property
    def extractor(self) -> str:
        """The network whose features fidelity is measured on."""
        return self.settings["fidelity"]["extractor"]

    @property
    def networks(self) -> list[str]:
        """All networks with pretrained weights."""
        return list(dict.fromkeys([*self.grid.backbones, *([self.extractor] if self.generated else [])]))

    def weights_of(self, network: str) -> dict:
        """backbone, source and sha256 of a network's pretrained weights."""
        given = self.settings["weights"].get(network) or WEIGHTS.get(network)
        return {"backbone": network} | (given or {"source": "timm", "sha256": None})

    def files_of_user(self) -> dict[str, str]:
        """The single files that the study names, by the setting that names them."""
        named = {"data.groups": self.settings["data"]["groups"], "gan.init_from": self.settings["gan"]["init_from"]}
        named |= {f"weights.{network}.source": self.weights_file(network) for network in self.settings["weights"]}
        return {setting: os.path.expanduser(path) for setting, path in named.items() if path}

    def weights_file(self, network: str) -> str | None:
        """The file that a network's weights come from; None where they come from a package or an address."""
        source = self.weights_of(network)["source"]
        return None if source in ("package", "timm", "torch-fidelity") or is_url(source) else os.path.expanduser(source)


def uses_synthetic(augmentation: str) -> bool:
    """Whether an augmentation, as a cell's path names it, adds synthetic images."""
    return ALL[base_of(augmentation)].synthetic


def grid_of(settings: dict) -> Grid:
    """Of a checked study."""
    augmentations, synthetic = settings["augmentations"], settings["synthetic"]
    generated = any(map(uses_synthetic, augmentations))
    probes = ["synthetic-only"] if generated and settings["probes"]["synthetic_only"] else []
    probes += ["border-only"] if settings["probes"]["border_only"] else []
    # As in paths; those beside the study's own.
    ratios = [f"{ratio:g}" for ratio in sorted(synthetic["ratio_sweep"]) if ratio != synthetic["ratio"]]
    return Grid(
        augmentations=augmentations,
        sizes=settings["sizes"],
        replicates=settings["replicates"],
        backbones=settings["backbones"],
        synthetic=[name for name in [*augmentations, *probes] if uses_synthetic(name)],
        ratios=ratios if "gan" in augmentations else [],
        probes=probes,
    )

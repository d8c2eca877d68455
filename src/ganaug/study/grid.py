"""The cells of a study."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ganaug.layout import augmentation_at


@dataclass(frozen=True, kw_only=True)
class Grid:
    """The cells of a study.

    augmentations, backbones: names. sizes: integers or `all`, ascending. replicates: how many. synthetic: of the
    augmentations and probes those that use synthetic images. ratios: further synthetic-to-real ratios of `gan`, as
    text. probes: cells beside the comparison; `border-only` at the largest size alone. missing: of an incomplete study
    the files that its stages have not made, as paths; an older one that may lie there is none of its results.
    """

    augmentations: list[str]
    sizes: list
    replicates: int
    backbones: list[str]
    synthetic: Sequence[str] = ()
    ratios: Sequence[str] = ()
    probes: Sequence[str] = ()
    missing: frozenset[str] = frozenset()

    @property
    def size_names(self) -> list[str]:
        return [str(size) for size in self.sizes]

    @property
    def replicate_numbers(self) -> range:
        return range(1, self.replicates + 1)

    @property
    def subsets(self) -> list[tuple[str, int]]:
        """Every (size, replicate)."""
        return [(size, replicate) for size in self.size_names for replicate in self.replicate_numbers]

    def trained(self, size: str) -> list[str]:
        """The names of all that a (size, replicate, backbone) trains classifiers for, as in the cells' paths."""
        probes = [name for name in self.probes if name != "border-only" or size == self.size_names[-1]]
        return [*self.augmentations, *(augmentation_at(ratio) for ratio in self.ratios), *probes]

    def there(self, path: Path) -> bool:
        """Whether a stage's output is a result; one that is not can be missing on disk."""
        return str(path) not in self.missing

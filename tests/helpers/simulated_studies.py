"""Studies whose truth is known, for the statistics: made apart from the functions that are tried on them."""

from dataclasses import dataclass

import numpy as np

from ganaug.analysis.inference import Evidence, StatisticsSettings
from ganaug.analysis.metrics import Predictions

CLASSES = ["a", "b", "c"]
DIFFICULTY, LUCK = 1.2, 1.0  # spreads of a test image, alike for all classifiers, and of an image for one classifier
SKILL = 1.6
POOL = 200  # images of a development set, where subsets are drawn from one
POINT = 0.067  # of skill, that changes the accuracy of about 0.85 by 0.01


@dataclass(frozen=True)
class Setting:
    """replicates; images: of the test set; spread: of a classifier between trainings, in points of accuracy; shared: of
    a replicate, the same for all augmentations; skewed: whether the former is exponential instead of normal; group:
    test images of a patient, alike in half of their difficulty's variance; effect: of `gan`, in points; backbones;
    used: of each size the share of the development set's images that a subset takes. of_images: the part of the
    variance between trainings that is from which images these are."""

    replicates: int
    images: int = 400
    spread: float = 1.0
    shared: float = 1.0
    skewed: bool = False
    group: int = 1
    effect: float = 0.0
    backbones: int = 1
    augmentations: tuple[str, ...] = ("none", "classical", "gan")
    sizes: tuple[int | str, ...] = (100, 500, 1000)
    margin: float = 0.02
    draws: int = 300
    used: tuple[float, ...] = (0.0, 0.0, 0.0)
    of_images: float = 0.2


def study(setting: Setting, seed: int, kind: type[Evidence] = Evidence) -> Evidence:
    """All cells' predictions, of one set of test images. kind: of the evidence that is made of them."""
    rng, s = np.random.default_rng(seed), setting
    groups = np.arange(s.images) // s.group
    labels = rng.integers(0, len(CLASSES), s.images)
    own, of_group = rng.normal(0, 1, s.images), rng.normal(0, 1, groups.max() + 1)[groups]
    difficulty = DIFFICULTY * ((own + of_group) / 2**0.5 if s.group > 1 else own)
    names, cells = np.array(CLASSES, object), {}
    backbones = [f"net{number}" for number in range(s.backbones)]
    for size, used in zip(s.sizes, s.used, strict=True):
        subsets = Subsets(rng, used, s.of_images)
        for replicate in range(1, s.replicates + 1):
            subsets.draw()
            draw = s.shared * POINT * subsets.change("every", rng.normal())
            for augmentation in s.augmentations:
                for backbone in backbones:
                    luck = rng.exponential(1) - 1 if s.skewed else rng.normal()
                    chance = subsets.change((augmentation, backbone), luck)
                    skill = SKILL + draw + POINT * (s.spread * chance + s.effect * (augmentation == "gan"))
                    probabilities = probabilities_of(rng, labels, skill, difficulty)
                    images = np.arange(s.images).astype(str).astype(object)
                    found = names[probabilities.argmax(1)]
                    cell = (augmentation, str(size), replicate, backbone)
                    cells[cell] = Predictions(images, names[labels], found, probabilities, CLASSES)
    settings = StatisticsSettings(
        augmentations=list(s.augmentations),
        sizes=list(s.sizes),
        replicates=s.replicates,
        backbones=backbones,
        confidence=0.95,
        bootstrap_samples=s.draws,
        equivalence_margin=s.margin,
        validation_share=0.2,
    )
    used = {str(size): dict.fromkeys(CLASSES, share) for size, share in zip(s.sizes, s.used, strict=True)}
    return kind(cells, groups, settings, seed, used)


class Subsets:
    """Subsets of a development set of POOL images, and what their images change in a classifier: a sum over images.

    used: share of the images that a subset takes; 0 for images of a limitless set. of_images: part of the variance.
    """

    def __init__(self, rng: np.random.Generator, used: float, of_images: float):
        self.rng, self.size, self.of_images = rng, round(POOL * used), of_images if used else 0.0
        self.effects: dict[object, np.ndarray] = {}

    def draw(self) -> None:
        """A replicate's subset, without replacement."""
        self.subset = self.rng.permutation(POOL)[: self.size] if self.size else None

    def change(self, of_what: object, luck: float) -> float:
        """Of variance 1 over development sets and replicates. luck: what is not from the images, of variance 1."""
        if self.subset is None:
            return luck
        if of_what not in self.effects:
            self.effects[of_what] = self.rng.normal(0, 1, POOL)
        images = self.effects[of_what][self.subset].sum() / self.size**0.5
        return (1 - self.of_images) ** 0.5 * luck + self.of_images**0.5 * images


def probabilities_of(rng: np.random.Generator, labels: np.ndarray, skill: float, difficulty: np.ndarray) -> np.ndarray:
    """[N, C] of a classifier of this skill. labels: int [N]. difficulty: [N], of test images, alike for classifiers."""
    n = len(labels)
    margin = skill + difficulty + LUCK * rng.normal(0, 1, n)
    right = 1 / (1 + np.exp(-2 * margin))
    probabilities = np.repeat(((1 - right) / 2)[:, None], len(CLASSES), 1)
    other = (labels + 1 + rng.integers(0, 2, n)) % len(CLASSES)
    probabilities[np.arange(n), other] += np.where(margin < 0, 0.4 * (1 - right), 0)
    probabilities[np.arange(n), labels] = right
    return probabilities / probabilities.sum(1, keepdims=True)


def false_alarm(table, metric: str = "balanced_accuracy") -> bool:
    """Whether a table of comparisons says better or worse of any augmentation, by a metric."""
    return bool(table.query("metric == @metric")["verdict"].isin(["better", "worse"]).any())

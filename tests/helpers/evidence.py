"""Made-up predictions of classifiers, and the evidence of a study made of them."""

import numpy as np

from ganaug.analysis.inference import Evidence, StatisticsSettings
from ganaug.analysis.metrics import Predictions

CLASSES = ["Normal", "COVID", "a[b]"]
METRICS = ["accuracy", "balanced_accuracy", "macro_auroc"]


def predictions(n=90, skill=1.0, seed=0, classes=CLASSES, digits=2):
    rng = np.random.default_rng(seed)
    labels = np.sort(np.random.default_rng(99).integers(0, len(classes), n))  # the same test images for any seed
    logits = rng.normal(0, 1, (n, len(classes))) + skill * np.eye(len(classes))[labels]
    probabilities = (np.exp(logits) / np.exp(logits).sum(1, keepdims=True)).round(digits)  # rounded: there are ties
    names = np.array(classes, object)
    return Predictions(
        np.array([f"{i}.png" for i in range(n)], object), names[labels], names[logits.argmax(1)], probabilities, classes
    )


def evidence(replicates=3, skills=None, n=240, **changes):
    """skills: per augmentation the skill at sizes 50, 100, 200 and 400."""
    skills = skills or {"none": [0.8, 1.2, 1.6, 2.0], "classical": [0.8, 1.2, 1.6, 2.0], "gan": [1.2, 1.6, 2.0, 2.4]}
    sizes = [50, 100, 200, 400]
    settings = StatisticsSettings(
        augmentations=list(skills),
        sizes=sizes,
        replicates=replicates,
        backbones=["net"],
        confidence=0.95,
        bootstrap_samples=300,
        equivalence_margin=0.02,
        **{"validation_share": 0.2, **changes},
    )
    cells = {}
    for augmentation, levels in skills.items():
        for size, skill in zip(sizes, levels, strict=True):
            for r in range(1, replicates + 1):  # what chance gives an image is the same for all augmentations
                cells[augmentation, str(size), r, "net"] = predictions(n, skill, 1000 * size + r)
    return Evidence(cells, np.arange(n), settings, seed=1, used={})

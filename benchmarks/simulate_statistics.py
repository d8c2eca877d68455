"""How often the statistics are wrong, in simulated studies whose truth is known.

    python benchmarks/simulate_statistics.py                       all settings, 200 studies each; about six hours
    python benchmarks/simulate_statistics.py --studies 50 --only 0 3

A row per setting. false alarm: share of studies in which any comparison by balanced accuracy (of any metric: `by any`)
is called better or worse, though there is no difference. covered: share of 95 % intervals that hold the truth, of
differences, of mean accuracy and of mean AUROC. false equivalence: share of comparisons called equivalent where the
difference is the margin, in every third study. Settings 11 to 13 are of replicates that share images, up to the size
`all`, which takes all; the last four are of means alone.
"""

import argparse
import json
import sys
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from itertools import count
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
sys.path.insert(0, str(Path(__file__).parents[1] / "src"))

import numpy as np
from sklearn.metrics import roc_auc_score

from ganaug.analysis.inference import Evidence
from ganaug.analysis.resampling import resampled_scores
from ganaug.study.metrics import shown_metrics
from helpers.simulated_studies import (
    CLASSES,
    DIFFICULTY,
    POINT,
    SKILL,
    Setting,
    false_alarm,
    probabilities_of,
    study,
)

MEANS = Setting(replicates=5, images=200, sizes=(100,), used=(0.0,), augmentations=("none",))  # without comparisons
SETTINGS = [
    Setting(replicates=3, images=1000),
    Setting(replicates=3, images=1000, spread=3),
    Setting(replicates=5, images=1000),
    Setting(replicates=5, images=1000, spread=3),
    Setting(replicates=20, images=1000),
    Setting(replicates=5, images=3000, spread=3),
    Setting(replicates=5, images=1000, backbones=3),
    Setting(replicates=5, images=200),
    Setting(replicates=5, images=1000, spread=3, skewed=True),
    Setting(replicates=5, images=1000, group=10),
    Setting(replicates=2, images=1000, spread=3),
    Setting(replicates=5, images=3000, spread=3, sizes=("all",), used=(1.0,)),
    Setting(replicates=5, images=3000, spread=3, sizes=("all",), used=(1.0,), of_images=0.5),
    Setting(replicates=5, images=1000, spread=3, sizes=(100, 500, 800, "all"), used=(0.1, 0.5, 0.8, 1.0)),
    replace(MEANS, spread=1),
    replace(MEANS, spread=3),
    replace(MEANS, spread=3, replicates=3),
    replace(MEANS, images=1000),
]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=200)
    parser.add_argument("--only", type=int, nargs="+", help="numbers of settings, from 0, in the order to be run")
    parser.add_argument("--out", type=Path, help="JSON file with the rows so far, kept up to date after every study")
    args = parser.parse_args()
    numbers, rows = args.only if args.only is not None else list(range(len(SETTINGS))), {}
    growing = {number: growing_rates(SETTINGS[number]) for number in numbers}
    for studies in range(1, args.studies + 1):  # in turn, so that what there is at any time is of all settings
        for number, rates in growing.items():
            found = {name: round(rate, 4) for name, rate in next(rates).items()}
            rows[number] = {"setting": setting_in_words(SETTINGS[number]), "studies": studies} | found
            if args.out:
                args.out.write_text(json.dumps(rows, indent=1))
    for number, row in rows.items():
        print(number, *(f"{name} {value}" for name, value in row.items()))


def setting_in_words(s: Setting) -> str:
    skewed = ", skewed" if s.skewed else ""
    shares = " and ".join(f"{share:.0%}" for share in s.used)
    shared = f", {shares} of the images used, {s.of_images:.0%} of the variance from them" if any(s.used) else ""
    return (
        f"| {s.images} images, {s.group} a patient | {s.replicates} replicates | {s.spread:g} points{skewed}{shared} |"
    )


def growing_rates(setting: Setting) -> Iterator[dict[str, float]]:
    """The rates of the first study, of the first two, and so on; without end."""
    truth, counted, names = true_means(setting), defaultdict(list), [str(size) for size in setting.sizes]
    compared = len(setting.augmentations) > 1
    at_margin = replace(setting, effect=100 * setting.margin * 1.02, augmentations=("none", "gan"))
    for number in count():
        evidence = study(setting, number, Quick)
        means = evidence.summary(list(setting.augmentations), names, list(truth))
        for metric, name in (("accuracy", "of means"), ("macro_auroc", "of AUROC")):
            cells = means.query("metric == @metric")
            counted[name] += list((cells["ci_low"] <= truth[metric]) & (cells["ci_high"] >= truth[metric]))
        if compared:
            table = evidence.comparisons()
            counted["false alarm"].append(false_alarm(table))
            counted["by any"].append(any(false_alarm(table, entry.name) for entry in shown_metrics()))
            for size in ["", *names] if any(setting.used) else [""]:
                found = table[(table["size"] == size) | (size == "")]
                counted[f"covered {size}".strip()] += list((found["ci_low"] <= 0) & (found["ci_high"] >= 0))
        if compared and number % 3 == 0:
            found = study(at_margin, number, Quick).comparisons().query("metric == 'accuracy'")
            counted["false equivalence"] += list(found["verdict"] == "equivalent")
        yield {name: float(np.mean(values)) for name, values in counted.items()}


class Quick(Evidence):
    """With scores by `resampled_scores` of every image once.

    test_resampled_scores_are_the_scores_of_the_resampled_images compares these with `score`.
    """

    def __init__(self, predictions, groups, settings, seed, used):
        super().__init__({}, groups, settings, seed, used)
        weights = np.concatenate([np.ones_like(self.draws.images[:1]), self.draws.images])
        found = {cell: resampled_scores(p, weights) for cell, p in predictions.items()}
        self.predictions = predictions
        self.scores = {cell: {name: float(v[0]) for name, v in values.items()} for cell, values in found.items()}
        self.samples = {cell: {name: v[1:] for name, v in values.items()} for cell, values in found.items()}


def true_means(setting: Setting) -> dict[str, float]:
    """Mean accuracy and AUROC over 2,000 trainings, each on 5,000 test images of its own."""
    rng, s = np.random.default_rng(10**6), setting
    scores = []
    for _ in range(2000):
        chance = rng.exponential(1) - 1 if s.skewed else rng.normal()
        skill = SKILL + POINT * (s.shared * rng.normal() + s.spread * chance)
        labels = rng.integers(0, len(CLASSES), 5000)
        p = probabilities_of(rng, labels, skill, DIFFICULTY * rng.normal(0, 1, len(labels)))
        scores.append(
            ((p.argmax(1) == labels).mean(), np.mean([roc_auc_score(labels == k, p[:, k]) for k in range(3)]))
        )
    accuracy, auroc = np.mean(scores, 0)
    return {"accuracy": float(accuracy), "macro_auroc": float(auroc)}


if __name__ == "__main__":
    main()

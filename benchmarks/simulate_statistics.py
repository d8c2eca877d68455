"""How often the statistics are wrong, in simulated studies whose truth is known.

    python benchmarks/simulate_statistics.py                       all settings, 200 studies each; about an hour
    python benchmarks/simulate_statistics.py --studies 50 --only 0 3

A row per setting. false alarm: share of studies in which any comparison by balanced accuracy (of any metric: `by any`)
is called better or worse, though there is no difference. covered: share of 95 % intervals that hold the truth, of
differences, of mean accuracy and of mean AUROC. false equivalence: share of comparisons called equivalent where the
difference is the margin. The last settings are of the size `all`, whose replicates share their images.
"""

import argparse
import sys
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
sys.path.insert(0, str(Path(__file__).parents[1] / "src"))

import numpy as np

from ganaug.analysis.results import SHOWN
from helpers.simulated_studies import Setting, false_alarm, study

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
    Setting(replicates=5, images=3000, spread=3, sizes=("all",)),
    Setting(replicates=5, images=3000, spread=3, sizes=("all",), common=0.5),
]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=200)
    parser.add_argument("--only", type=int, nargs="+", help="numbers of settings, from 0")
    args = parser.parse_args()
    for number, setting in enumerate(SETTINGS):
        if args.only is None or number in args.only:
            print(number, setting_in_words(setting), *(f"{k} {v:.3f}" for k, v in rates(setting, args.studies).items()))
            sys.stdout.flush()


def setting_in_words(s: Setting) -> str:
    skewed = ", skewed" if s.skewed else ""
    of_all = f", size all with {s.common:.0%} in common" if "all" in s.sizes else ""
    return (
        f"| {s.images} images, {s.group} a patient | {s.replicates} replicates | {s.spread:g} points{skewed}{of_all} |"
    )


def rates(setting: Setting, studies: int) -> dict[str, float]:
    alarms, any_alarms, covered, equivalent, truth = [], [], [], [], true_means(setting)
    held: dict[str, list[bool]] = {metric: [] for metric in truth}
    at_margin = replace(setting, effect=100 * setting.margin * 1.02, augmentations=("none", "gan"))
    for number in range(studies):
        evidence = study(setting, number)
        table = evidence.comparisons()
        alarms.append(false_alarm(table))
        any_alarms.append(any(false_alarm(table, metric) for metric in SHOWN))
        covered += list((table["ci_low"] <= 0) & (table["ci_high"] >= 0))
        means = evidence.summary(list(setting.augmentations), [str(size) for size in setting.sizes], list(truth))
        for metric, cells in means.groupby("metric"):
            held[str(metric)] += list((cells["ci_low"] <= truth[metric]) & (cells["ci_high"] >= truth[metric]))
        found = study(at_margin, number).comparisons().query("metric == 'accuracy'")
        equivalent += list(found["verdict"] == "equivalent")
    return {
        "false alarm": float(np.mean(alarms)),
        "by any": float(np.mean(any_alarms)),
        "covered": float(np.mean(covered)),
        "of means": float(np.mean(held["accuracy"])),
        "of AUROC": float(np.mean(held["macro_auroc"])),
        "false equivalence": float(np.mean(equivalent)),
    }


def true_means(setting: Setting) -> dict[str, float]:
    """Mean accuracy and AUROC over trainings and test images, from sets of 400,000 in all."""
    large = replace(setting, images=400, replicates=200, sizes=(100,), augmentations=("none",), draws=2, group=1)
    scores = [s for n in range(5) for s in study(large, 10**6 + n).scores.values()]
    return {metric: float(np.mean([s[metric] for s in scores])) for metric in ("accuracy", "macro_auroc")}


if __name__ == "__main__":
    main()

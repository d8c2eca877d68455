"""A small but whole results tree in the formats of the stages, with made-up content, for tables, figures and report."""

import json
from pathlib import Path

import numpy as np
import pandas as pd

from ganaug.cli import main
from ganaug.data.calibration import COPIES, DIFFERENT, choose, describe
from ganaug.data.odd_groups import described
from ganaug.data.window import Window
from ganaug.study.tables import tables_of
from helpers.running import CLASSES

GRID = {
    "augmentations": ["none", "classical", "gan", "gan+classical"],
    "sizes": [25, 100, "all"],
    "replicates": 3,
    "backbones": ["tf_efficientnet_lite0"],
    "synthetic": ["gan", "gan+classical", "synthetic-only"],
    "ratios": ["0.5", "3"],
    "probes": ["synthetic-only", "border-only"],
}
SMALL = {**GRID, "sizes": [25, "all"], "replicates": 3}
PER_CLASS = {25: 25, 50: 50, 100: 100, "all": 240}
RESOLUTION = 32
WINDOW = Window(0, 4080, 0.001, 250)


def make_tree(root: Path, grid: dict = GRID, classes: list[str] = CLASSES, generated: bool = True) -> Path:
    """Write the files that the stages before make_tables leave below results/<study>; returns `root`."""
    grid = {"ratios": [], "probes": []} | grid
    rng = np.random.default_rng(1)
    _data(root, classes, rng)
    for size in grid["sizes"]:
        for replicate in range(1, grid["replicates"] + 1):
            _subset(root, size, replicate, classes, rng)
            if generated:
                _gan(root, size, replicate, classes, rng)
            swept = [f"gan@{ratio}" for ratio in grid["ratios"]]
            probes = [p for p in grid["probes"] if p != "border-only" or size == grid["sizes"][-1]]
            for augmentation in [*grid["augmentations"], *swept, *probes]:
                for backbone in grid["backbones"]:
                    cell = f"{augmentation}/size-{size}/replicate-{replicate}/{backbone}"
                    _cell(root / "cells" / cell, size, augmentation, classes, rng)
                    if augmentation in grid["augmentations"]:
                        _write(root / "external" / cell / "predictions.csv", _predictions("e", 12, 1.0, classes, rng))
            if "synthetic-only" in grid["probes"]:
                for backbone in grid["backbones"]:
                    scored = root / f"synthetic/size-{size}/replicate-{replicate}/scored-{backbone}.csv"
                    _write(scored, _predictions("synthetic", 8, 2.0, classes, rng))
    return root


def _write(path: Path, table: pd.DataFrame) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    table.to_csv(path, index=False)


def _pictures(labels, rng) -> np.ndarray:
    """uint8 [N, R, R]: two dark lungs in a bright body, and an opacity that moves with the label."""
    y, x = np.mgrid[-1 : 1 : RESOLUTION * 1j, -1 : 1 : RESOLUTION * 1j]
    images = []
    for label in labels:
        lungs = np.exp(-(((abs(x) - 0.42) / 0.22) ** 2 + (y / rng.uniform(0.5, 0.7)) ** 2))
        blob = np.exp(-(((x - 0.4) ** 2 + (y - 0.3 * label + 0.4) ** 2) / 0.05)) * (label > 0)
        images.append(200 - 150 * lungs + 90 * blob + rng.normal(0, 8, x.shape))
    return np.clip(images, 0, 255).astype(np.uint8)


def _image_set(path: Path, per_class: int, classes, rng, prefix: str) -> None:
    labels = np.repeat(np.arange(len(classes)), per_class)
    names = [classes[i] for i in labels]
    images = [f"{prefix}/{name}-{k}.png" for k, name in enumerate(names)]
    groups = [f"{name}{k // 2}" for k, name in enumerate(names)]
    _write(path.with_suffix(".csv"), pd.DataFrame({"image": images, "class": names, "label": labels, "group": groups}))
    np.save(path.with_suffix(".npy"), _pictures(labels, rng))


def _data(root: Path, classes, rng) -> None:
    side = np.repeat(["test", "pool"], [60, 240])
    rows = [
        {"file": f"{c}/images/{c}-{k}.png", "class": c, "group": f"{c}{k // 2}", "pixels_sha256": f"{c}{k}", "side": s}
        for c in classes
        for k, s in enumerate(side)
    ]
    _write(root / "data/splits.csv", pd.DataFrame(rows))
    problems = [
        (f"{classes[1]}/images/{classes[1]}-7.png", classes[1], "16-bit", f"scaled to 8 bits by the {WINDOW}"),
        *((f"{c}/images/{c}-{k}.png", c, "near-copy", f"kept together in group {c}0") for c in classes for k in (0, 1)),
        (f"{classes[0]}/images/bad.png", classes[0], "truncated", "left out"),
    ]
    _write(root / "data/problems.csv", pd.DataFrame(problems, columns=["file", "class", "problem", "action"]))
    _image_set(root / "data/test", 60, classes, rng, "test")
    _image_set(root / "external/images", 12, classes, rng, "e")
    _write(root / "external/left_out.csv", pd.DataFrame({"file": ["x.png"], "copy_of": ["y.png"]}))
    elsewhere = [("x.png", classes[0], "copy or near-copy of one of the study's own", "left out")]
    elsewhere += [(f"level-{i}.png", classes[1], "blank", "left out") for i in range(3)]
    elsewhere += [(f"e/{classes[0]}-0.png", classes[0], "colour", "converted to grey")]
    _write(root / "external/problems.csv", pd.DataFrame(elsewhere, columns=["file", "class", "problem", "action"]))
    rows = [(kind, d, 10 - d) for kind in COPIES for d in range(10)] + [(DIFFERENT, d, d**2) for d in range(60, 128)]
    table = pd.DataFrame(rows, columns=["kind", "distance", "pairs"])
    _write(root / "data/distances.csv", table)
    conflict = {"file_a": f"{classes[0]}/images/{classes[0]}-2.png", "class_a": classes[0], "distance": 7}
    conflict |= {"file_b": f"{classes[1]}/images/{classes[1]}-2.png", "class_b": classes[1]}
    told = describe(table, choose(table), "from these distances") | described(pd.DataFrame([conflict]))
    (root / "data/near_copies.json").write_text(json.dumps(told))


def _subset(root: Path, size, replicate: int, classes, rng) -> None:
    folder = root / f"subsets/size-{size}/replicate-{replicate}"
    validation = PER_CLASS[size] // 5
    _image_set(folder / "validation", validation, classes, rng, "real")
    _image_set(folder / "train", PER_CLASS[size] - validation, classes, rng, "real")


def _gan(root: Path, size, replicate: int, classes, rng) -> None:
    cell = f"size-{size}/replicate-{replicate}"
    _image_set(root / f"synthetic/{cell}/images", 8, classes, rng, "synthetic")
    kimg = np.arange(4, 101, 4)
    fall = np.exp(-kimg / 30)
    log = {"kimg": kimg, "loss_g": 0.7 + fall, "loss_d": 1.4 - 0.4 * fall, "r1": 0.1 * fall, "path_length": 1 / kimg}
    log |= {"ada_p": 0.004 * kimg * 50 / PER_CLASS[size], "r_t": 0.6 - fall, "real_score": 1 - fall}
    log |= {"fake_score": fall - 1 + rng.normal(0, 0.05, len(kimg))}
    _write(root / f"gan/{cell}/training.csv", pd.DataFrame(log))
    labels = np.repeat(np.arange(len(classes)), 2)
    snapshots = np.stack([_pictures(labels, rng) for _ in range(5)])
    np.save(root / f"gan/{cell}/snapshots.npy", snapshots)
    rows = [
        {"index": t, "kimg": 25 * t, "image": i, "label": label} for t in range(5) for i, label in enumerate(labels)
    ]
    _write(root / f"gan/{cell}/snapshots.csv", pd.DataFrame(rows))
    _provenance(root / f"gan/{cell}", "train_gan", 700.0)
    _provenance(root / f"synthetic/{cell}", "sample_gan", 5.0)
    _provenance(root / f"fidelity/{cell}", "measure_fidelity", 15.0)
    metrics = {"frechet_distance": 80.0, "kernel_distance_mean": 0.05, "kernel_distance_subset_std": 0.01}
    metrics |= {"precision": 0.7, "recall": 0.2}
    counts = {"images": 8, "reference_images": 20}
    rows = [
        {"class": c, "reference": reference, "extractor": "tf_efficientnet_lite0", "metric": m}
        | {"value": v * rng.uniform(0.8, 1.1), "floor": v / 2, **counts}
        | {"warning": "no more images than the 1280 features" if m == "frechet_distance" else ""}
        for c in ["all", *classes]
        for reference in ("train", "held out")
        for m, v in metrics.items()
    ]
    _write(root / f"fidelity/{cell}/fidelity.csv", pd.DataFrame(rows))
    rows = [
        {"kimg": 25 * t, "extractor": "tf_efficientnet_lite0", "metric": m, "value": metrics[m] * (1 + np.exp(-t))}
        for t in range(5)
        for m in ["frechet_distance"]
    ]
    _write(root / f"fidelity/{cell}/curve.csv", pd.DataFrame(rows))

    near = {"synthetic": 8 * len(classes), "held_out": 60 * len(classes), "median_distance": 30.0}
    near |= {"median_distance_held_out": 31.0, "effect": 0.55, "p": 0.3, "near_share": 0.0104}
    near |= {"copies": size == 25, "verdict": "flagged" if size == 25 else "not flagged"}
    _write(root / f"fidelity/{cell}/memorisation.csv", pd.DataFrame([near]))
    closest = {
        "synthetic": range(8),
        "train": range(8, 0, -1),
        "distance": np.arange(8) + 9.0,
        "held_out_nearer": 0.002,
    }
    _write(root / f"fidelity/{cell}/closest.csv", pd.DataFrame(closest))


def _cell(folder: Path, size, augmentation: str, classes, rng) -> None:
    skill = 1.0 + 0.35 * np.log(PER_CLASS[size]) + 0.8 * ("gan" in augmentation) + 0.2 * ("classical" in augmentation)
    skill = {"synthetic-only": skill / 2, "border-only": 0.8}.get(augmentation, skill)
    _write(folder / "predictions.csv", _predictions("test", 60, skill, classes, rng))
    _write(folder / "history.csv", history(best=4 if size == 25 else 6))
    _provenance(folder, "train_classifier", 40.0)


def history(best: int, epochs: int = 6) -> pd.DataFrame:
    """A classifier's, whose validation loss falls by 0.1 an epoch to the best, and rises by 0.2 after it."""
    epoch = np.arange(1, epochs + 1)
    loss = 1.5 + np.where(epoch <= best, -0.1 * epoch, 0.2 * (epoch - best) - 0.1 * best)
    table = {"epoch": epoch, "step": 16 * epoch, "learning_rate": 0.001, "train_loss": 1.4 - 0.05 * epoch}
    table |= {"validation_loss": loss, "validation_balanced_accuracy": 0.5 + 0.02 * epoch, "selected": epoch == best}
    return pd.DataFrame(table)


def _predictions(prefix: str, per_class: int, skill: float, classes, rng) -> pd.DataFrame:
    labels = np.repeat(np.arange(len(classes)), per_class)
    logits = rng.normal(0, 1, (len(labels), len(classes))) + skill * np.eye(len(classes))[labels]
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    table = pd.DataFrame(
        {
            "image": [f"{prefix}/{classes[c]}-{k}.png" for k, c in enumerate(labels)],
            "label": [classes[c] for c in labels],
            "predicted": [classes[c] for c in probabilities.argmax(axis=1)],
        }
    )
    for i, name in enumerate(classes):
        table[f"probability_{name}"] = probabilities[:, i]
    return table


def _provenance(folder: Path, stage: str, wall: float) -> None:
    record = {
        "stage": stage,
        "settings": {},
        "seed": 4242,
        "inputs": {},
        "git_commit": "0123456789abcdef0123456789abcdef01234567",
        "python": "3.11.2",
        "packages": {"torch": "2.11.0", "timm": "1.0.20"},
        "machine": {"system": "Linux", "cpus": 2, "device": "cpu"},
        "wall_seconds": wall,
        "cpu_seconds": wall * 1.9,
        "peak_memory_mib": 900.0,
        "finished": "2025-01-01T00:00:00Z",
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "provenance.json").write_text(json.dumps(record))


STATISTICS = {"confidence": 0.95, "bootstrap_samples": 300, "equivalence_margin": 0.02, "validation_share": 0.2}


def make_tables(root: Path, grid: dict = GRID, generated: bool = True, unfinished: Path | None = None) -> int:
    """Run the stage make_tables on the tree as the workflow does; returns its exit status."""
    parts = {"gan"} if generated else set()
    parts |= {"ratio_sweep"} if grid.get("ratios") else set()
    parts |= {"synthetic_only", "border_only", "external"} if grid.get("probes") else set()
    parts |= {"incomplete"} if unfinished else set()
    names = tables_of(parts)
    outputs = [part for n in names for part in (f"--{n.replace('_', '-')}", str(root / "tables" / f"{n}.csv"))]
    settings = json.dumps({**grid, **STATISTICS, "ratio": 1})
    more = ["--unfinished", str(unfinished)] if unfinished else []
    return main(["make_tables", "--settings", settings, "--seed", "1", "--results", str(root), *outputs, *more])


def make_figure(root: Path, name: str, folder: Path, grid: dict = GRID, unfinished: Path | None = None) -> int:
    """Run the stage make_figure; the files go to folder/<name>.png and .svg."""
    settings = json.dumps({**grid, "confidence": 0.95, "dpi": 60})
    outputs = ["--png", str(folder / f"{name}.png"), "--svg", str(folder / f"{name}.svg")]
    outputs += ["--unfinished", str(unfinished)] if unfinished else []
    return main(["make_figure", "--figure", name, "--settings", settings, "--results", str(root), *outputs])

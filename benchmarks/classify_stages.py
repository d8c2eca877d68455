"""Part of gpu_classify.py: the stages that use a GPU, run as the commands that a study runs."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

from classify_inputs import CLASSICAL, SOURCE, random_generator, random_images, random_weights

WAIT = 30  # seconds for a stage


def stage_commands(folder: Path, args) -> dict[str, list[str]]:
    """Writes the stages' inputs; returns their commands."""
    import numpy as np
    import pandas as pd

    from ganaug.files import write_array, write_csv
    from ganaug.stylegan2.generator import save_generator

    def written(name: str, count: int, seed: int) -> dict:
        images = random_images(count, 64, seed, classes=2)
        files = {f"{name}-images": folder / f"{name}.npy", f"{name}-table": folder / f"{name}.csv"}
        write_array(files[f"{name}-images"], images.images)
        table = {"image": images.names, "class": np.array(images.classes)[images.labels], "label": images.labels}
        write_csv(files[f"{name}-table"], pd.DataFrame(table))
        return files

    sets = [written(name, count, seed) for seed, (name, count) in enumerate({"train": 40, "validation": 20}.items())]
    test, real, synthetic, held_out = (
        written(name, 60, 5 + i) for i, name in enumerate(("test", "real", "synthetic", "held-out"))
    )
    generator = random_generator(32, 512, 32, 64)
    save_generator(folder / "generator.safetensors", generator, [f"class {k}" for k in range(4)])
    four = pd.DataFrame({"class": [f"class {k}" for k in range(4)] * 10, "label": [*range(4)] * 10})
    write_csv(folder / "four.csv", four)
    write_array(folder / "snapshots.npy", random_images(32, 64, 9).images.reshape(2, 16, 64, 64))
    write_csv(folder / "snapshots.csv", pd.DataFrame({"index": np.repeat([0, 1], 16), "kimg": np.repeat([1, 2], 16)}))
    weights = {"weights": random_weights(folder, "tf_efficientnet_lite0")}
    precision = "float32" if args.device == "cpu" else "bfloat16"
    arithmetic = {"precision": precision, "tf32": True, "cudnn_benchmark": False}
    settings = {
        "train_classifier": {
            **{"augmentation": "classical", "augmentation_settings": CLASSICAL, "backbone": "tf_efficientnet_lite0"},
            **{"input_size": 64, "epochs": 2, "steps_per_epoch": 5, "batch": 8, "learning_rate": 1e-3},
            **{"weight_decay": 0.01, **arithmetic},
        },
        "score_images": arithmetic,
        "sample_gan": {"ratio": 1.5, "truncation_psi": 0.9},
        "measure_fidelity": {
            **{"extractor": "tf_efficientnet_lite0", "input_size": 64, "kid_subset_size": 20, "kid_subsets": 5},
            "prc_neighborhood": 3,
        },
    }
    options = {
        "train_classifier": {**sets[0], **sets[1], **test, **weights}
        | {"model": folder / "model.safetensors", "history": folder / "history.csv"}
        | {"predictions": folder / "predictions.csv", "checkpoints": folder / "c", "checkpoint-seconds": 0},
        "score_images": {"model": folder / "model.safetensors", "images": test["test-images"]}
        | {"table": test["test-table"], "predictions": folder / "scored.csv"},
        "sample_gan": {"generator": folder / "generator.safetensors", "table": folder / "four.csv"}
        | {"images": folder / "made.npy", "synthetic-table": folder / "made.csv"},
        "measure_fidelity": {**real, **synthetic, **held_out, **weights}
        | {"snapshots": folder / "snapshots.npy", "snapshot-table": folder / "snapshots.csv"}
        | {name: folder / f"{name}.csv" for name in ("fidelity", "curve", "memorisation", "closest")},
    }
    common = {"seed": 3, "threads": 2, "device": args.device}
    return {
        stage: [
            *(sys.executable, "-m", "ganaug", stage, "--settings", json.dumps(settings[stage])),
            *(f"--{key}={value}" for key, value in (options[stage] | common).items()),
            *(f"--provenance={folder / stage}.provenance.json", f"--log={folder / stage}.log"),
        ]
        for stage in options
    }


def start(command: list[str], folder: Path, name: str) -> subprocess.Popen:
    if name == "measure_fidelity" and not importlib.util.find_spec("torch_fidelity"):
        command = [sys.executable, "-c", ""]  # see ends_well
    environment = {**os.environ, "PYTHONPATH": str(SOURCE)}
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def ends_well(process: subprocess.Popen, folder: Path, name: str) -> dict:
    try:
        printed, _ = process.communicate(timeout=WAIT)
    except subprocess.TimeoutExpired:
        process.kill()
        raise
    if name == "measure_fidelity" and not importlib.util.find_spec("torch_fidelity"):
        return {"pass": None, "error": "not run: torch-fidelity is not installed"}
    log = folder / f"{name}.log"
    tail = log.read_text()[-600:] if log.exists() else ""
    assert process.returncode == 0, f"{printed[-300:]} {tail}"
    record = json.loads((folder / f"{name}.provenance.json").read_text())
    return {"device": record["machine"]["device"], "stage_seconds": record["wall_seconds"]}


def scores_alike(command: list[str], folder: Path) -> dict:
    """The trained model's predictions of the test set must be those of its own stage, to the last bit."""
    row = ends_well(start(command, folder, "score_images"), folder, "score_images")
    own, again = ((folder / f"{name}.csv").read_bytes() for name in ("predictions", "scored"))
    assert own == again, "the predictions are not those of train_classifier"
    return row

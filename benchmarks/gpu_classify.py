"""Speed of the classifiers, of the fidelity's features and of sampling on a GPU, and whether they are right there.

    python benchmarks/gpu_classify.py --device cuda --seconds 75
    python benchmarks/gpu_classify.py --device cuda --check --seconds 45
    python benchmarks/gpu_classify.py --device cpu --quick

One JSON object a line. Images, weights and generators are random. Training: images a second; issue_ms, the CPU's time
for a step, and busy, the share of the time in which the GPU worked (by torch.profiler); the GPU bounds a training whose
issue_ms is below its step_ms. With --check: what is done on the device against the CPU, a training that goes on from a
checkpoint against one that was never stopped, and the stages as commands; `pass` tells, `error` says why not.
"""

import argparse
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import time
import traceback
from pathlib import Path

SOURCE = Path(__file__).parents[1] / "src"
sys.path.insert(0, str(SOURCE))
STARTED = time.perf_counter()

BACKBONES = ("efficientnet_b0", "resnet50", "densenet121")
ARITHMETIC = {  # precision, tf32, cudnn_benchmark
    "float32": ("float32", False, False),
    "tf32": ("float32", True, False),
    "bfloat16": ("bfloat16", True, False),
    "bfloat16, cudnn_benchmark": ("bfloat16", True, True),
}
CLASSICAL = {"rotation_degrees": 10, "shift": 0.05, "zoom": 0.1, "brightness": 0.1}
AUGMENTATIONS = {
    **{"none": {}, "classical": CLASSICAL, "mixup": {"alpha": 0.2}, "cutmix": {"alpha": 1.0}, "trivialaugment": {}},
    "randaugment": {"operations": 2, "magnitude": 9},
}
PROFILED = 3  # steps
WAIT = 30  # seconds for a stage


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--threads", type=int, default=min(8, os.cpu_count() or 1))
    parser.add_argument("--backbones", nargs="+", default=BACKBONES)
    parser.add_argument("--check", action="store_true", help="whether all is right, not how fast it is")
    parser.add_argument("--quick", action="store_true", help="tiny images and networks, to try this script on a CPU")
    parser.add_argument("--seconds", type=float, default=75, help="no measurement or check begins after so many")
    args = parser.parse_args()
    os.environ["OMP_NUM_THREADS"], os.environ["HF_HUB_OFFLINE"] = str(args.threads), "1"
    import torch

    from ganaug.device import pick_device
    from ganaug.seeding import set_determinism

    set_determinism(args.threads)
    device = pick_device(args.device)
    name = torch.cuda.get_device_name() if device.type == "cuda" else "CPU"
    say({"device": name, "torch": torch.__version__, "threads": args.threads, "imports": spent()})
    with tempfile.TemporaryDirectory() as folder:
        (check if args.check else measure)(args, Path(folder), device)
    say({"total_seconds": spent()})


def say(row: dict) -> None:
    print(json.dumps(row), flush=True)


def spent() -> float:
    return round(time.perf_counter() - STARTED, 2)


def now(device) -> float:
    """Seconds, once the device has done what it was given."""
    import torch

    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


def random_weights(folder: Path, backbone: str) -> Path:
    """A file as prepare_weights writes, of weights that nobody has trained."""
    import timm
    import torch

    from ganaug.files import write_tensors

    path = folder / f"{backbone}.safetensors"
    if not path.exists():
        torch.manual_seed(0)
        write_tensors(path, timm.create_model(backbone).state_dict(), weights="random")
    return path


def random_images(count: int, side: int, seed: int = 0, classes: int = 4):
    import numpy as np

    from ganaug.classify.image_sets import ImageSet

    images = np.random.default_rng(seed).integers(0, 256, (count, side, side), np.uint8)
    names = tuple(f"class {k}" for k in range(classes))
    return ImageSet(images, np.arange(count) % classes, names, tuple(f"{seed}-{i}" for i in range(count)))


def random_generator(resolution: int, channel_base: int, channel_max: int, latent: int):
    import torch

    from ganaug.stylegan2.generator import Architecture, Generator

    torch.manual_seed(0)
    a = Architecture(
        **{"resolution": resolution, "image_channels": 1, "class_count": 4, "latent": latent, "mapping_layers": 2},
        **{"channel_base": channel_base, "channel_max": channel_max},
    )
    return Generator(a).requires_grad_(False).eval()


def make_trainer(folder, backbone, device, images, validation, arithmetic="float32", augmentation="none", **changes):
    """A trainer of a new network. changes: of its settings, and `model` for a network that is there already."""
    import torch

    from ganaug.classify.networks import pretrained
    from ganaug.classify.trainer import Settings, Trainer
    from ganaug.gpu import set_arithmetic

    model = changes.pop("model", None)
    if model is None:
        model = pretrained(backbone, random_weights(folder, backbone), len(images.classes), 1)
        model = model.to(device).to(memory_format=torch.channels_last)
    precision, tf32, cudnn_benchmark = ARITHMETIC[arithmetic]
    set_arithmetic(tf32, cudnn_benchmark)
    settings = {
        **{"augmentation": augmentation, "augmentation_settings": AUGMENTATIONS[augmentation], "backbone": backbone},
        **{"input_size": 64, "epochs": 2, "steps_per_epoch": 3, "batch": 8, "learning_rate": 1e-4},
        **{"weight_decay": 0.01, "precision": precision, "tf32": tf32, "cudnn_benchmark": cudnn_benchmark},
    }
    return Trainer(model, images, validation, None, Settings(**settings | changes), 1)


# --- speed ----------------------------------------------------------------------------------------------------------


def measure(args, folder: Path, device) -> None:
    side, size, count = (64, 32, 64) if args.quick else (256, 224, 2000)
    images = random_images(count, side)

    def attempt(row: dict, function, *arguments) -> None:
        if spent() > args.seconds:
            return
        before = spent()
        try:
            row |= function(*arguments)
        except Exception as error:
            row |= {"error": f"{type(error).__name__}: {str(error)[:500]}"}
        say(row | {"seconds": round(spent() - before, 2)})

    for backbone in ("tf_efficientnet_lite0",) if args.quick else ("resnet50", "tf_efficientnet_lite0"):
        attempt({"what": "features", "extractor": backbone}, time_features, folder, backbone, device, images, size)
    shapes = ((16, 256, 16, 16, 8),) if args.quick else ((64, 4096, 512, 512, 1024), (256, 16384, 512, 512, 256))
    for resolution, *shape in shapes:
        attempt({"what": "sampling", "resolution": resolution}, time_sampling, device, resolution, *shape)

    models: dict = {}
    for backbone in args.backbones[:1] if args.quick else args.backbones:
        for arithmetic in ("float32", "tf32") if args.quick else ARITHMETIC:
            for batch in (4,) if args.quick else (32, 128):
                for augmentation in ("none", "classical"):
                    if "benchmark" in arithmetic and (batch, augmentation) != (128, "none"):
                        continue
                    row = {"what": "training", "backbone": backbone, "arithmetic": arithmetic, "batch": batch}
                    options = {"batch": batch, "input_size": size, "augmentation": augmentation}
                    options |= {"arithmetic": arithmetic, "backbone": backbone}
                    row["augmentation"] = augmentation
                    attempt(row, time_training, folder, device, images, options, models)
        models.clear()


def time_training(folder: Path, device, images, options: dict, models: dict) -> dict:
    import torch

    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
    backbone, few = options["backbone"], random_images(8, images.images.shape[1])
    long = {"steps_per_epoch": 10_000, "model": models.get(backbone)}
    trainer = make_trainer(folder, device=device, images=images, validation=few, **options, **long)
    models[backbone] = trainer.model
    for _ in range(2):
        trainer.step()
    start = now(device)
    for _ in range(2):
        trainer.step()
    steps = max(2, min(100, round(0.4 / ((now(device) - start) / 2))))
    issued = []
    start = now(device)
    for _ in range(steps):
        before = time.perf_counter()
        trainer.step()
        issued.append(time.perf_counter() - before)
    seconds = (now(device) - start) / steps
    row = {
        "images_per_second": round(options["batch"] / seconds, 1),
        "step_ms": round(seconds * 1000, 2),
        "issue_ms": round(min(issued) * 1000, 2),
    }
    if device.type == "cuda":
        row["gpu_memory_gb"] = round(torch.cuda.max_memory_allocated() / 2**30, 2)
        if options["batch"] == 32:
            try:
                row["busy"] = busy_share(trainer.step)
            except Exception as error:  # the rest of the row is worth keeping
                row["busy_error"] = f"{type(error).__name__}: {str(error)[:300]}"
    return row


def busy_share(step) -> float:
    """The share of the time of a few steps in which at least one kernel or copy runs."""
    import torch
    from torch.autograd import DeviceType
    from torch.profiler import ProfilerActivity, profile

    with profile(activities=[ProfilerActivity.CUDA]) as profiler:
        torch.cuda.synchronize()
        start = time.perf_counter()
        for _ in range(PROFILED):
            step()
        torch.cuda.synchronize()
        wall = time.perf_counter() - start
    spans = sorted(
        (event.time_range.start, event.time_range.end)
        for event in profiler.events()
        if event.device_type == DeviceType.CUDA and not event.name.startswith(("Optimizer.", "ProfilerStep"))
    )
    busy, reached = 0.0, 0.0
    for begin, end in spans:
        busy += max(0.0, end - max(begin, reached))
        reached = max(reached, end)
    return round(busy / 1e6 / wall, 3)


def time_features(folder: Path, backbone: str, device, images, size: int) -> dict:
    from ganaug.fidelity.extractors import extract, load_extractor

    extractor = load_extractor(backbone, random_weights(folder, backbone), size, device)
    extract(extractor, images.images[:256])
    start = now(device)
    extract(extractor, images.images)
    return {"images_per_second": round(len(images.images) / (now(device) - start), 1)}


def time_sampling(device, resolution: int, channel_base: int, channel_max: int, latent: int, count: int) -> dict:
    import numpy as np
    import torch

    from ganaug.stylegan2.sampling import sample

    generator = random_generator(resolution, channel_base, channel_max, latent).to(device)
    labels = np.arange(count) % 4
    sample(generator, labels[:64], 1.0, 0)
    start = now(device)
    sample(generator, labels, 1.0, 0)
    row = {"images_per_second": round(count / (now(device) - start), 1)}
    start, random = time.perf_counter(), torch.Generator()
    for _ in range(16):
        generator.synthesis.draw_noise(1, random)
    return row | {"draw_ms_per_image": round((time.perf_counter() - start) / 16 * 1000, 3)}


# --- correctness ----------------------------------------------------------------------------------------------------


def check(args, folder: Path, device) -> None:
    commands = stage_commands(folder, args)
    running = {name: start(command, folder, name) for name, command in commands.items() if name != "score_images"}
    checks = {
        "batches on the device are those of the CPU": (batches_agree, folder, device),
        "classical on the device is that of the CPU": (classical_agrees, device),
        "features on the device are those of the CPU": (features_agree, folder, device, 40 if args.quick else 300),
        "samples on the device are those of the CPU": (samples_agree, device),
        "a lost number stops the training": (lost_numbers_stop, folder, device),
    }
    for augmentation in ("none", "mixup") if args.quick else AUGMENTATIONS:
        checks[f"{augmentation} trains"] = (trains, folder, device, augmentation)
    few = (
        ("tf_efficientnet_lite0",)
        if args.quick
        else ("tf_efficientnet_lite0", "resnet18", "efficientnet_b0", "densenet121")
    )
    for backbone in few:
        for arithmetic in ("float32",) if args.quick else ("float32", "bfloat16"):
            name = f"{backbone} in {arithmetic} goes on from a checkpoint with the same bits"
            checks[name] = (resumes, folder, device, backbone, arithmetic)
    for name, (function, *arguments) in checks.items():
        if spent() > args.seconds:
            say({"check": name, "pass": None, "error": "not run: time is up"})
        else:
            judge(name, function, *arguments)
    for name, process in running.items():
        judge(f"stage {name}", ends_well, process, folder, name)
    judge("stage score_images", scores_alike, commands["score_images"], folder)


def judge(name: str, function, *arguments) -> None:
    """A row for one check, which fails where the function raises; what it returns is said too."""
    before, row = spent(), {"check": name, "pass": True}
    try:
        row |= function(*arguments) or {}
    except Exception as error:
        where = traceback.extract_tb(error.__traceback__)[-1]
        row |= {"pass": False, "error": f"{type(error).__name__} ({where.name}): {str(error)[:700]}"}
    say(row | {"seconds": round(spent() - before, 2)})


def batches_agree(folder: Path, device) -> dict:
    import numpy as np
    import torch

    from ganaug.classify.image_sets import Batches

    images, numbers = random_images(40, 256), np.array([3, 39, 0, 3])
    here, there = (Batches(images, 224, place) for place in (torch.device("cpu"), device))
    wanted, found = here.batch(numbers), there.batch(numbers)
    assert found.device.type == device.type, found.device
    torch.testing.assert_close(found.cpu(), wanted, rtol=0, atol=1e-5)
    held, there.held = there.held is not None, None
    assert torch.equal(there.batch(numbers), found), "read from the file, a batch is another"
    return {"held": held}


def classical_agrees(device) -> dict:
    import torch

    from ganaug.classify.augmentations import classical

    images, labels = torch.rand(16, 1, 224, 224, generator=torch.Generator().manual_seed(0)), torch.arange(16) % 4
    made = []
    for place in (torch.device("cpu"), device):
        torch.manual_seed(1)
        made.append(classical(CLASSICAL, 4)(images.to(place), labels)[0].cpu())
    assert not torch.equal(made[0], images)
    torch.testing.assert_close(*made, rtol=0, atol=1e-3)
    return {"difference": float((made[0] - made[1]).abs().max())}


def features_agree(folder: Path, device, count: int) -> dict:
    import torch

    from ganaug.fidelity.extractors import extract, load_extractor

    images, name = random_images(count, 64).images, "tf_efficientnet_lite0"
    weights = random_weights(folder, name)
    made = [extract(load_extractor(name, weights, 64, place), images) for place in (torch.device("cpu"), device)]
    difference = float((made[0] - made[1]).abs().max() / made[0].abs().max())
    assert difference < 1e-3 and made[1].dtype == torch.float64 and made[1].device.type == "cpu", difference
    again = extract(load_extractor(name, weights, 64, device), images)
    assert torch.equal(again, made[1]), "features are others at the second time"
    return {"relative_difference": difference}


def samples_agree(device) -> dict:
    import numpy as np

    from ganaug.stylegan2.sampling import sample

    generator, labels = random_generator(32, 512, 32, 64), np.arange(20) % 4
    wanted = sample(generator, labels, 1.0, 5, batch=8)
    found = sample(generator.to(device), labels, 1.0, 5, batch=8)
    difference = np.abs(wanted.astype(int) - found.astype(int))
    assert difference.max() <= 1, difference.max()
    assert np.array_equal(found, sample(generator, labels, 1.0, 5, batch=8)), "images are others at the second time"
    return {"pixels_that_differ": float((difference > 0).mean())}


def lost_numbers_stop(folder: Path, device) -> None:
    import torch

    from ganaug.errors import NotFinite

    images = random_images(40, 64)
    trainer = make_trainer(folder, "resnet18", device, images, images, steps_per_epoch=100)
    trainer.step()
    with torch.no_grad():
        next(trainer.model.parameters()).fill_(torch.nan)
    try:
        trainer.step()
        trainer.check_finite()  # before a checkpoint
    except NotFinite as error:
        assert "loss is nan at step 2" in str(error), error
    else:
        raise AssertionError("the state was kept")


def trains(folder: Path, device, augmentation: str) -> dict:
    images = random_images(40, 64)
    trainer = make_trainer(folder, "resnet18", device, images, images, augmentation=augmentation)
    run_to(trainer, 6)
    history = trainer.take_best()
    assert len(history) == 2 and history.notna().all().all(), history
    return {"train_loss": [round(x, 4) for x in history["train_loss"]]}


def run_to(trainer, step: int) -> None:
    while trainer.done < step:
        trainer.step()
        if trainer.epoch_ends:
            trainer.end_epoch(trainer.validate())


def resumes(folder: Path, device, backbone: str, arithmetic: str) -> dict:
    import torch

    from ganaug.checkpoint import Checkpoints

    def new():
        images, validation = random_images(40, 64, 1), random_images(12, 64, 2)
        return make_trainer(folder, backbone, device, images, validation, arithmetic, "classical")

    undisturbed, killed, resumed = new(), new(), new()
    run_to(undisturbed, 6)
    run_to(killed, 4)  # in the midst of the second epoch
    killed.check_finite()
    checkpoints = Checkpoints(folder / "checkpoints" / f"{backbone}-{arithmetic}")
    checkpoints.save(killed.done, killed.state())
    resumed.load_state(checkpoints.load_newest(100))
    run_to(resumed, 6)
    run_to(killed, 6)
    for name, other in (("undisturbed, again", killed), ("resumed", resumed)):
        differ = [key for key, pair in pairs(undisturbed.state(), other.state()) if not torch.equal(*pair)]
        assert not differ, f"{name}: {len(differ)} tensors differ, the first is {differ[0]}"
        assert str(undisturbed.rows) == str(other.rows), f"{name}: {undisturbed.rows} and {other.rows}"
    return {"train_loss": [round(row["train_loss"], 4) for row in undisturbed.rows]}


def pairs(a, b, name: str = ""):
    """(name, (tensor, tensor)) of two states of the same form."""
    import torch

    if isinstance(a, torch.Tensor):
        yield name, (a.cpu(), b.cpu())
    elif isinstance(a, dict):
        assert a.keys() == b.keys(), name
        for key in a:
            yield from pairs(a[key], b[key], f"{name}.{key}")
    elif isinstance(a, list):
        for i, (x, y) in enumerate(zip(a, b, strict=True)):
            yield from pairs(x, y, f"{name}.{i}")


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


if __name__ == "__main__":
    main()

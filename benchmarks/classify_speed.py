"""Part of gpu_classify.py: how fast classifiers train, features are computed and a generator samples."""

import time
from pathlib import Path

from classify_inputs import ARITHMETIC, make_trainer, now, random_generator, random_images, random_weights, say, spent

PROFILED = 3  # steps


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

"""Time and memory of StyleGAN2-ADA on this machine.

    python benchmarks/gan.py --resolution 32 --channel-base 1024 --channel-max 32 --latent 64 --threads 2
    python benchmarks/gan.py --resolution 256 --device cuda --precision bfloat16 --tf32 --cudnn-benchmark
    python benchmarks/gan.py --resolution 64 --channel-base 4096 --latent 512 --batch 16 --sampling

Runs whole training steps on random grey images of 4 classes, regularisation at its usual intervals and ADA at --p,
and prints seconds per kimg, the share of each phase, the time of a checkpoint, peak memory (and what of it PyTorch and
the networks take before the first step), and the time of one fixed convolution as a yardstick of the machine. With
--sampling: images per second of a generator instead. With --json: one object on one line.
"""

import argparse
import json
import os
import resource
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "src"))

PHASES = ("train_generator", "regularise_path_length", "train_discriminator", "regularise_r1")
CYCLE = 16  # steps in which every phase has had its turn


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--resolution", type=int, default=32)
    parser.add_argument("--channel-base", type=int, default=1024)
    parser.add_argument("--channel-max", type=int, default=32)
    parser.add_argument("--latent", type=int, default=64)
    parser.add_argument("--mapping-layers", type=int, default=2)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--precision", default="float32", choices=["float32", "bfloat16", "float16"])
    parser.add_argument("--tf32", action="store_true", help="on a GPU: TF32 products")
    parser.add_argument("--cudnn-benchmark", action="store_true", help="on a GPU: cuDNN chooses algorithms by trial")
    parser.add_argument("--p", type=float, default=0.3, help="strength of ADA")
    parser.add_argument("--sampling", action="store_true", help="images per second of a generator, not training")
    parser.add_argument("--cycles", type=int, default=2, help=f"of {CYCLE} steps, timed after one that is not")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of text")
    args = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = str(args.threads)

    row = {
        "resolution": args.resolution,
        "channel_base": args.channel_base,
        "channel_max": args.channel_max,
        "latent": args.latent,
        "mapping_layers": args.mapping_layers,
        "batch": args.batch,
        "threads": args.threads,
        "device": args.device,
        "precision": args.precision,
        "tf32": args.tf32,
        "cudnn_benchmark": args.cudnn_benchmark,
        "p": args.p,
    }
    trainer = make_trainer(args)
    row["memory_at_start_gb"] = peak_memory()
    row |= time_sampling(trainer, args) if args.sampling else time_training(trainer, args)
    if args.device == "cuda":
        row["gpu_memory_gb"] = round(gpu_memory(), 3)
    row |= {"peak_memory_gb": peak_memory(), "yardstick_seconds": yardstick(trainer.device)}
    print(json.dumps(row) if args.json else "\n".join(f"{name:32}{value}" for name, value in row.items()))


def time_training(trainer, args) -> dict:
    from ganaug.checkpoint import Checkpoints

    spent = {name: time_method(trainer, name) for name in PHASES if args.device == "cpu"}  # graphs call no methods
    for _ in range(CYCLE + 1):  # one more: a graph is recorded at a phase's second turn
        trainer.step()
    for seconds in spent.values():
        seconds.clear()
    start = now(trainer.device)
    for _ in range(args.cycles * CYCLE):
        trainer.step()
    total = now(trainer.device) - start
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        start = time.perf_counter()
        Checkpoints(Path(folder)).save(trainer.images_seen, trainer.state())
        checkpoint = time.perf_counter() - start
    return {
        "seconds_per_kimg": round(total / (args.cycles * CYCLE * args.batch) * 1000, 3),
        **{f"share_{name}": round(sum(seconds) / total, 3) for name, seconds in spent.items()},
        "checkpoint_seconds": round(checkpoint, 3),
    }


def time_sampling(trainer, args) -> dict:
    import numpy as np

    from ganaug.stylegan2 import sampling

    sampling.BATCH, labels = args.batch, np.arange(args.batch * 8) % 4
    sampling.sample(trainer.average, labels[: args.batch], 1.0, 0)
    start = now(trainer.device)
    sampling.sample(trainer.average, labels, 1.0, 0)
    return {"images_per_second": round(len(labels) / (now(trainer.device) - start), 2)}


def now(device) -> float:
    """Seconds, once the device has done what it was given."""
    import torch

    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


def gpu_memory() -> float:
    import torch

    return torch.cuda.max_memory_allocated() / 2**30


def peak_memory() -> float:
    """Of the process so far, GiB."""
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 3)


def make_trainer(args):
    import numpy as np
    import torch

    from ganaug.gpu import set_arithmetic
    from ganaug.seeding import set_determinism
    from ganaug.stylegan2.data import LabelledImages
    from ganaug.stylegan2.settings import TrainingSettings
    from ganaug.stylegan2.trainer import Trainer, keep_freed_memory

    set_determinism(args.threads)
    set_arithmetic(args.tf32, args.cudnn_benchmark)
    keep_freed_memory()
    settings = TrainingSettings(
        **{"kimg": 1.0, "batch": args.batch, "channel_base": args.channel_base, "channel_max": args.channel_max},
        **{"latent": args.latent, "mapping_layers": args.mapping_layers, "learning_rate": 0.0025, "r1_gamma": "auto"},
        **{"ema_kimg": "auto", "ema_rampup": 0.05, "style_mixing": 0.9, "path_length_weight": 2.0},
        **{"ada_target": None, "ada_kimg": 500.0, "ada_pipeline": "bgc", "mirror": False},  # p stays as set below
        **{
            "precision": args.precision,
            "half_resolutions": 4,
            "tf32": args.tf32,
            "cudnn_benchmark": args.cudnn_benchmark,
        },
        **{"log_kimg": 1.0, "snapshot_kimg": 1.0, "snapshot_images": 4, "checkpoint_seconds": 1e9},
    )
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (256, args.resolution, args.resolution), np.uint8)
    data = LabelledImages(images, np.arange(256) % 4, ["a", "b", "c", "d"])
    trainer = Trainer(data, settings, 0, torch.device(args.device))
    trainer.augment.p = args.p
    return trainer


def time_method(trainer, name: str) -> list[float]:
    """Replaces a method of the trainer by one that notes the seconds of every call in the list returned."""
    method, spent = getattr(trainer, name), []

    def timed(*args):
        start = now(trainer.device)
        method(*args)
        spent.append(now(trainer.device) - start)

    setattr(trainer, name, timed)
    return spent


def yardstick(device) -> float:
    """Seconds of a 3x3 convolution of [32, 32, 32, 32] to as many channels, float32: median of 50."""
    import torch

    x = torch.randn(32, 32, 32, 32, device=device).contiguous(memory_format=torch.channels_last)
    weight, seconds = torch.randn(32, 32, 3, 3, device=device), []
    for _ in range(50):
        start = now(device)
        torch.nn.functional.conv2d(x, weight, padding=1)
        seconds.append(now(device) - start)
    return round(sorted(seconds)[25], 6)


if __name__ == "__main__":
    main()

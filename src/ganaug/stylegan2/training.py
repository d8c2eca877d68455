"""Stage train_gan: trains StyleGAN2-ADA on the training images of one subset."""

import argparse
import contextlib
import dataclasses
import logging
from pathlib import Path

import pandas as pd
import torch

from ganaug.checkpoint import Checkpoints, Timer, checkpoint_key
from ganaug.device import pick_device
from ganaug.files import sha256_of, write_array, write_csv
from ganaug.gpu import check_capability, set_arithmetic
from ganaug.progress import Progress
from ganaug.seeding import derive_seed, set_determinism
from ganaug.stopping import Steps, Stopped, StopSignal, hear_signals_in_backward
from ganaug.stylegan2.data import LabelledImages, read_images, to_uint8
from ganaug.stylegan2.generator import save_generator
from ganaug.stylegan2.ops import kernels_work
from ganaug.stylegan2.parallel import Part, shared_training
from ganaug.stylegan2.settings import TrainingSettings
from ganaug.stylegan2.trainer import Trainer, keep_freed_memory
from ganaug.stylegan2.transfer import start_from

log = logging.getLogger("ganaug")
CHECK_STEPS = 16  # steps between looks at whether the losses are still finite
HERE = Path(__file__).parent
# The code that decides what a training is at a given number of images: a change of other code does not begin it anew.
SOURCES = {*HERE.glob("*.py"), HERE.parent / "gpu.py", HERE.parent / "seeding.py"} - {
    HERE / "sampling.py",
    HERE / "official.py",
    HERE / "trial.py",
}
LESS_MEMORY = "lower gan.batch, gan.channel_base or gan.snapshot_images, or give the job more"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    inputs = parser.add_argument_group("inputs")
    inputs.add_argument("--images", type=Path, required=True, help="training images, .npy uint8 [N, H, H]")
    inputs.add_argument("--table", type=Path, required=True, help="their table, with columns class and label")
    inputs.add_argument("--init-from", type=Path, help="weights to start from, of convert_stylegan2")
    outputs = parser.add_argument_group("outputs")
    outputs.add_argument("--generator", type=Path, required=True, help="moving average of the generator, .safetensors")
    outputs.add_argument("--training-log", type=Path, required=True, help="losses and ADA's state, .csv")
    outputs.add_argument("--snapshots", type=Path, required=True, help="images along the way, .npy uint8 [T, n, H, H]")
    outputs.add_argument("--snapshot-table", type=Path, required=True, help="one row per snapshot image, .csv")
    parser.add_argument("--checkpoints", type=Path, required=True, help="folder for checkpoints; none of the outputs")
    parser.add_argument("--checkpoint-seconds", type=float, default=600, help="between checkpoints")


def run(args: argparse.Namespace) -> None:
    settings = TrainingSettings(**args.settings, checkpoint_seconds=args.checkpoint_seconds)
    set_determinism(args.threads)
    set_arithmetic(settings.tf32, settings.cudnn_benchmark)
    keep_freed_memory()
    data = read_images(args.images, args.table)
    with shared_training(pick_device(args.device)) as (part, device):
        check_capability(settings.precision, device, "gan.precision")
        train_stage(args, data, settings, device, part)


def train_stage(
    args: argparse.Namespace, data: LabelledImages, settings: TrainingSettings, device: torch.device, part: Part
) -> None:
    identity = {
        "settings": settings.trajectory(),
        "seed": args.seed,
        "threads": args.threads,
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
        "kernels": device.type == "cuda" and kernels_work(device),
        "processes": part.count,
        "images": sha256_of(args.images),
        "table": sha256_of(args.table),
        "init_from": sha256_of(args.init_from) if args.init_from else None,
    }
    checkpoints = Checkpoints(args.checkpoints / checkpoint_key(identity, SOURCES))
    trainer, rows, snapshots = train(data, settings, args.seed, device, checkpoints, args.init_from, part)
    if part.rank:
        return

    labels = snapshot_latents(trainer)[1].tolist()
    table = [
        {"index": i, "kimg": s["kimg"], "image": j, "label": label}
        for i, s in enumerate(snapshots)
        for j, label in enumerate(labels)
    ]
    save_generator(args.generator, trainer.average, data.class_names)
    write_csv(args.training_log, pd.DataFrame(rows))
    write_array(args.snapshots, torch.stack([s["images"] for s in snapshots]).numpy())
    write_csv(args.snapshot_table, pd.DataFrame(table))


def train(
    data: LabelledImages,
    settings: TrainingSettings,
    seed: int,
    device: torch.device,
    checkpoints: Checkpoints,
    init_from: Path | None = None,
    part: Part | None = None,
) -> tuple[Trainer, list[dict], list[dict]]:
    """Trains to `settings.kimg`, from the newest checkpoint where there is one, else from `init_from` or from scratch.

    Returns the trainer, the log's rows and the snapshots ({kimg, images: uint8 [n, H, H]}). Log rows and snapshots fall
    on multiples of their intervals, and on the end; what falls on the end alone is not carried on by a longer training.
    Where several processes share the training (`part`), all have the same state, and the first alone saves it.
    """
    if init_from:  # whose moving average is worth keeping; the reference does so too
        settings = dataclasses.replace(settings, ema_rampup=None)
    trainer = Trainer(data, settings, seed, device, part)
    rows: list[dict] = []
    snapshots: list[dict] = []
    target = -(-round(settings.kimg * 1000) // settings.batch) * settings.batch
    latents = snapshot_latents(trainer)

    def take_snapshot() -> dict:
        return {"kimg": trainer.kimg, "images": torch.from_numpy(to_uint8(trainer.snapshot(*latents)))}

    def to_save(state: dict) -> dict | None:
        """What goes into a checkpoint; nothing where another process saves. Refuses a state that has gone wrong."""
        trainer.check_finite()
        return None if trainer.part.rank else {"trainer": state, "rows": rows, "snapshots": snapshots}

    def save() -> None:
        if (whole := to_save(trainer.state())) is not None:
            checkpoints.try_to_save(trainer.images_seen, whole)

    if (found := checkpoints.load_newest(target)) is not None:
        trainer.load_state(found["trainer"])
        rows, snapshots = found["rows"], found["snapshots"]
        log.info("resuming at %g kimg", trainer.kimg)
    else:
        if others := checkpoints.others():
            log.info("starting anew: the %d checkpoint folders here are of other settings, data or code", others)
        if init_from:
            start_from(init_from, {"G": trainer.generator, "D": trainer.discriminator, "G_ema": trainer.average})
        snapshots.append(take_snapshot())

    a, timer = trainer.generator.architecture, Timer(settings.checkpoint_seconds)
    with (
        checkpoints.named_where_numbers_are_lost(),
        StopSignal() as stop,
        Progress(target, "GAN training", "images", initial=trainer.images_seen) as progress,
    ):
        # One of several processes can't leave at once: the others would wait for it.
        alone = trainer.part.count == 1
        interruptible = stop.at_once if alone else contextlib.nullcontext
        steps = Steps(stop, trainer.step, trainer.state, breakable=alone and device.type == "cpu")
        if device.type == "cpu":  # a GPU's steps are short, and hooks are no part of a CUDA graph
            for network in (trainer.generator, trainer.discriminator):
                hear_signals_in_backward(network.parameters())
        trainer.part.any(False)  # all processes listen to signals before the log says that the training has begun
        log.info(
            "training on %d images, %dx%d, %d classes", len(data.labels), a.resolution, a.resolution, a.class_count
        )
        try:
            while True:
                if _passed(trainer, settings.snapshot_kimg) and snapshots[-1]["kimg"] != trainer.kimg:
                    with interruptible():
                        snapshot = take_snapshot()
                    snapshots.append(snapshot)
                if trainer.images_seen >= target:
                    break
                steps.run()
                shown = {"kimg": trainer.kimg, "ada_p": trainer.augment.p}
                if _passed(trainer, settings.log_kimg):
                    rows.append(log_row(trainer))
                    trainer.clear_statistics()
                elif trainer.images_seen // settings.batch % CHECK_STEPS == 0:
                    trainer.statistics()
                progress.update(settings.batch, **shown)
                if trainer.part.any(stop.asked):
                    raise Stopped
                if timer.due():
                    timer.call(save)
            save()
            with interruptible():
                last_row = [] if rows and rows[-1]["kimg"] == trainer.kimg else [log_row(trainer)]
                last_snapshot = [] if snapshots[-1]["kimg"] == trainer.kimg else [take_snapshot()]
        except Stopped:
            state = steps.whole_state()
            if steps.copy is not None:
                trainer.load_state(state)  # it was in the midst of a step
            where = f"GAN training stopped by a signal at {state['images_seen'] / 1000:g} kimg"
            raise checkpoints.stop(where, state["images_seen"], to_save(state)) from None
    return trainer, rows + last_row, snapshots + last_snapshot


def log_row(trainer: Trainer) -> dict:
    return {"kimg": trainer.kimg, **trainer.statistics(), "ada_p": trainer.augment.p}


def snapshot_latents(trainer: Trainer) -> tuple[torch.Tensor, torch.Tensor]:
    """The latents [n, latent] that all snapshots show, and labels [n], as equal in number as n allows."""
    n, classes = trainer.settings.snapshot_images, len(trainer.data.class_names)
    generator = torch.Generator().manual_seed(derive_seed(trainer.seed, "snapshots"))
    return torch.randn(n, trainer.settings.latent, generator=generator), torch.arange(n) * classes // n


def _passed(trainer: Trainer, interval_kimg: float) -> bool:
    """Whether the last step reached or went past a multiple of the interval."""
    interval, batch = round(interval_kimg * 1000), trainer.settings.batch
    return trainer.images_seen // interval > (trainer.images_seen - batch) // interval

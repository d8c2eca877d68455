"""Stage train_gan: trains StyleGAN2-ADA on the training images of one subset."""

import dataclasses
import logging
import signal
import time
from pathlib import Path

import pandas as pd
import torch

from ganaug.device import pick_device
from ganaug.errors import UserError
from ganaug.files import sha256_of, write_array, write_csv
from ganaug.progress import Progress
from ganaug.seeding import derive_seed, set_determinism
from ganaug.stylegan2.checkpoint import Checkpoints, checkpoint_key
from ganaug.stylegan2.data import LabelledImages, read_images, to_uint8
from ganaug.stylegan2.generator import save_generator
from ganaug.stylegan2.parallel import Part, shared_training
from ganaug.stylegan2.settings import TrainingSettings
from ganaug.stylegan2.trainer import Trainer, keep_freed_memory, set_gpu_arithmetic
from ganaug.stylegan2.transfer import start_from

log = logging.getLogger("ganaug")
CHECK_STEPS = 16  # steps between looks at whether the losses are still finite


def add_arguments(parser):
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


def run(args):
    settings = TrainingSettings(**args.settings)
    set_determinism(args.threads)
    set_gpu_arithmetic(settings.tf32, settings.cudnn_benchmark)
    keep_freed_memory()
    data = read_images(args.images, args.table)
    with shared_training(pick_device(args.device)) as (part, device):
        train_stage(args, data, settings, device, part)


def train_stage(args, data: LabelledImages, settings: TrainingSettings, device: torch.device, part: Part) -> None:
    identity = {
        "settings": settings.trajectory(),
        "seed": args.seed,
        "threads": args.threads,
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
        "processes": part.count,
        "images": sha256_of(args.images),
        "table": sha256_of(args.table),
        "init_from": sha256_of(args.init_from) if args.init_from else None,
    }
    checkpoints = Checkpoints(args.checkpoints / checkpoint_key(identity))
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
    trainer, rows, snapshots = Trainer(data, settings, seed, device, part), [], []
    target = -(-round(settings.kimg * 1000) // settings.batch) * settings.batch
    latents = snapshot_latents(trainer)

    def take_snapshot() -> dict:
        return {"kimg": trainer.kimg, "images": torch.from_numpy(to_uint8(trainer.snapshot(*latents)))}

    def save() -> float:
        """Returns when the next one is due: so late that saving takes no more than 2 % of the time."""
        trainer.check_finite()  # refuses to keep a state that has gone wrong
        start = time.monotonic()
        if trainer.part.rank == 0:
            checkpoints.save(trainer.images_seen, {"trainer": trainer.state(), "rows": rows, "snapshots": snapshots})
        now, interval = time.monotonic(), settings.checkpoint_seconds
        return now + (max(interval, 50 * (now - start)) if interval else 0)

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

    a = trainer.generator.architecture
    due = time.monotonic() + settings.checkpoint_seconds
    with StopSignal() as stop, Progress(target, "GAN training", "images", initial=trainer.images_seen) as progress:
        trainer.part.any(False)  # all processes listen to signals before the log says that the training has begun
        log.info(
            "training on %d images, %dx%d, %d classes", len(data.labels), a.resolution, a.resolution, a.class_count
        )
        while trainer.images_seen < target:
            trainer.step()
            shown = {"kimg": trainer.kimg, "ada_p": trainer.augment.p}
            if _passed(trainer, settings.log_kimg):
                rows.append(log_row(trainer))
                trainer.clear_statistics()
            elif trainer.images_seen // settings.batch % CHECK_STEPS == 0:
                trainer.statistics()
            if _passed(trainer, settings.snapshot_kimg):
                snapshots.append(take_snapshot())
            progress.update(settings.batch, **shown)
            if trainer.part.any(stop.asked):
                save()
                raise UserError(
                    f"GAN training stopped by a signal at {trainer.kimg:g} kimg; its state is in {checkpoints.folder}, "
                    "the same command goes on from there"
                )
            if time.monotonic() >= due:
                due = save()
    save()
    if not rows or rows[-1]["kimg"] != trainer.kimg:
        rows = [*rows, log_row(trainer)]
    if snapshots[-1]["kimg"] != trainer.kimg:
        snapshots = [*snapshots, take_snapshot()]
    return trainer, rows, snapshots


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


class StopSignal:
    """Context in which SIGTERM (a scheduler's notice, say) and SIGINT (Ctrl-C) only set `asked`."""

    def __enter__(self):
        self.asked = False
        self.before = {number: signal.signal(number, self._note) for number in (signal.SIGTERM, signal.SIGINT)}
        return self

    def _note(self, *_):
        self.asked = True

    def __exit__(self, *_):
        for number, handler in self.before.items():
            signal.signal(number, handler)

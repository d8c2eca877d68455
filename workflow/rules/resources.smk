# What jobs need: GPUs, memory, time. Where that is to be had, profiles say.

import functools
from collections import Counter

from snakemake_interface_executor_plugins.settings import SharedFSUsage

from ganaug import attempts, gpu_choice
from ganaug.data.sources import list_images
from ganaug.overview.guesses import gan_megabytes, guess

# Of a job with a network; a constant, since a plan evaluates every function for every job.
GPU = 0 if STUDY["device"] == "cpu" else 1
# Processes that share a GAN training, one per GPU.
SHARES = 1 if STUDY["device"] == "cpu" else STUDY["gan"]["gpus"]

# On this machine as many GPU jobs side by side as it has GPUs, unless --resources gpu=… says otherwise. Which GPU is
# whose, the jobs settle among themselves (ganaug.gpu_choice). Without a GPU nothing is limited: networks are on the CPU.
if GPU and workflow.is_main_process and not workflow.resource_settings.nodes:
    if "gpu" not in workflow.global_resources and (found := gpu_choice.visible()):
        workflow.register_resource("gpu", len(found))

# Memory for a process with PyTorch and a small network, beside its images.
PROCESS_MB = 4000


# A time limit or a preemption ends an attempt of a GAN training, not the training. Only the driver of a cluster's jobs
# starts the next: a job that did so itself would stay on its node, with its memory. On one machine --retries holds.
if not workflow.is_main_process:
    SLOTS = 0
else:
    SLOTS = 20 if workflow.resource_settings.nodes else None


def launcher():
    """The start of a GAN training's command: one process, or one per GPU."""
    # The dashes keep torchrun from taking the stage's --log for a short form of its own options.
    shared = f"python -m ganaug.gpu_choice {SHARES} torchrun --standalone --nproc-per-node {SHARES} -m --"
    return "python -m" if SHARES == 1 else shared


RECORDS_ARE_HERE = SharedFSUsage.INPUT_OUTPUT in workflow.storage_settings.shared_fs_usage


def scaled(amount):
    """A resource that grows with the attempts, up to the third, for jobs that may have run out of it.

    amount: a number, or a function of the wildcards.
    """

    def grown(wildcards, attempt):
        return (amount(wildcards) if callable(amount) else amount) * min(attempt, 3)

    return grown


def scaled_but_for_slots(amount, log):
    """The same for a training in many time slots: an attempt that a signal has ended has lacked nothing.

    Where jobs share no file system their records are not here, and each attempt counts.
    log: of the job, with its wildcards in braces.
    """

    def grown(wildcards, attempt):
        before = attempt - 1
        lacking = attempts.lacking(Path(log.format(**dict(wildcards.items()))), before) if RECORDS_ARE_HERE else before
        return amount(wildcards) * min(1 + lacking, 3)

    return grown


@functools.cache
def images_by_class():
    """Images of each class; none in a job on a node, which has been given what the driver reckoned with."""
    if not workflow.is_main_process:
        return {}
    if PHANTOM:
        names = DATA["classes"] or range(4)
        return {str(name): DATA["phantom"]["images_per_class"] for name in names}
    files = list_images(Path(DATA_ROOT), DATA["source"], DATA["classes"], DATA["follow_links"])
    return dict(Counter(name for _, name in files))


def minutes(stage, threads, size=None):
    """A function of the wildcards: time for a stage's job, half an hour and three times what is guessed for its cell.

    size: to reckon with instead of the cell's: what is asked for a job array is what its first cell asks for.
    """

    def of(wildcards):
        cell = dict(wildcards.items()) | ({"size": str(size)} if size else {})
        return minutes_of(stage, threads, *cell.items())

    return of


@functools.cache
def minutes_of(stage, threads, *cell):
    return 30 + int(guess(stage, dict(cell), STUDY, images_by_class(), threads, GPU * SHARES).seconds / 20)


def slot(amount):
    """A time limit of a day at most, for jobs that go on where their last attempt ended."""
    return lambda wildcards: min(1440, amount(wildcards))


def packed_mb(wildcards):
    """Memory for a process that works on a subset's images: its own, and four copies of them, real and synthetic."""
    return packed_mb_of(wildcards.size)


def set_mb(wildcards):
    """Memory for packing a set of images: of a subset's size, or of any. Decoded and packed, twice over."""
    classes = images_by_class()
    size = dict(wildcards.items()).get("size", "all")
    images = sum(classes.values()) if size == "all" else int(size) * len(classes)
    return 2000 + 2 * images * DATA["resolution"] ** 2 // 10**6


def gan_mb(wildcards):
    """packed_mb, and room for networks and what a step keeps of a batch, where these do not lie in a GPU's memory."""
    networks = 0 if GPU else int(gan_megabytes(STUDY["gan"], DATA["resolution"]))
    return packed_mb(wildcards) + max(0, networks - PROCESS_MB)


def largest_mb(wildcards):
    """packed_mb of the largest size: what is asked for a job array is what its first cell asks for."""
    return packed_mb_of(str(STUDY["sizes"][-1]))


def packed_mb_of(size):
    classes = images_by_class()
    images = sum(classes.values()) if size == "all" else int(size) * len(classes)
    return PROCESS_MB + 4 * int(images * (1 + STUDY["synthetic"]["ratio"])) * DATA["resolution"] ** 2 // 10**6

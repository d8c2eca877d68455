# What jobs need: GPUs, memory, time. Where that is to be had, profiles say.

from snakemake_interface_executor_plugins.settings import SharedFSUsage

from ganaug import gpu_choice

NEEDS = Needs(STUDY, IMAGES, records_are_here=SharedFSUsage.INPUT_OUTPUT in workflow.storage_settings.shared_fs_usage)

# On this machine as many GPU jobs side by side as it has GPUs, unless --resources gpu=… says otherwise. Which GPU is
# whose, the jobs settle among themselves (ganaug.gpu_choice). Without a GPU nothing is limited: networks are on the CPU.
if gpus_of(STUDY, "train_classifier") and MAIN and not workflow.resource_settings.nodes:
    if "gpu" not in workflow.global_resources and (found := gpu_choice.visible()):
        workflow.register_resource("gpu", len(found))

# A time limit or a preemption ends an attempt of a GAN training, not the training. Only the main process of a cluster's
# jobs starts the next: a job that did so itself would stay on its node, with its memory. On one machine --retries holds.
SLOTS = 0 if not MAIN else 20 if workflow.resource_settings.nodes else None


def mem_mb(rule):
    return lambda wildcards, attempt: NEEDS.megabytes(rule, dict(wildcards.items()), attempt)


def runtime(rule):
    return lambda wildcards, attempt: NEEDS.minutes(rule, dict(wildcards.items()), attempt)


def launcher():
    """The start of a GAN training's command: one process, or one per GPU."""
    shares = processes_of(STUDY, "train_gan")
    # The dashes keep torchrun from taking the stage's --log for a short form of its own options.
    shared = f"python -m ganaug.gpu_choice {shares} torchrun --standalone --nproc-per-node {shares} -m --"
    return "python -m" if shares == 1 else shared

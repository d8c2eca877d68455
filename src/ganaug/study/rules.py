"""The rules of the workflow: what the jobs of each read and write, and what of the study decides their results.

workflow/rules has the same files, beside the command of each rule; tests/study/test_jobs.py compares the two.
"""

from collections.abc import Callable
from dataclasses import dataclass

from ganaug.layout import CELL, SUBSET
from ganaug.study import cells, params, reads
from ganaug.study.cells import Wildcards
from ganaug.study.model import Study
from ganaug.study.reads import LEAKS, TRAIN, VALIDATION

TEST = ("data/test.npy", "data/test.csv")
SYNTHETIC = (f"synthetic/{SUBSET}{{at}}/images.npy", f"synthetic/{SUBSET}{{at}}/images.csv")
SNAPSHOTS = (f"gan/{SUBSET}/snapshots.npy", f"gan/{SUBSET}/snapshots.csv")
CLASSIFIER_SPEED = tuple(f"classifier.{name}" for name in ("precision", "tf32", "cudnn_benchmark"))


@dataclass(frozen=True)
class Rule:
    """What the jobs of a rule have in common.

    Attributes:
        of: (study) to the wildcards of each job; one job without wildcards by default.
        reads: files below the study's results, with wildcards in braces.
        also: (study, wildcards) to further such files that a job reads.
        given: (study, wildcards) to files of the user's that a job reads.
        writes: files, or folders, below the study's results, with wildcards in braces.
        also_writes: (study) to further such files.
        settings: those that the stage reads; of a block all of it, without those in `without`.
        more: (study, wildcards) to further settings.
        seed: the stage and the wildcards that the seed is derived from; empty without a seed.
        stage: whose code decides the results, where that has another name than the rule.
        threads: the setting of its threads, below `threads`, for a job with a network; empty for one without.
        benchmark: whether Snakemake writes one.
        checkpoints: the folder below the results from which a job goes on; empty for a job that begins anew.
    """

    of: Callable[[Study], list[Wildcards]] = lambda study: [{}]
    reads: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()
    also: Callable[[Study, Wildcards], list[str]] = lambda study, wildcards: []
    given: Callable[[Study, Wildcards], list[str]] = lambda study, wildcards: []
    also_writes: Callable[[Study], list[str]] = lambda study: []
    settings: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    more: Callable[[Study, Wildcards], dict] = lambda study, wildcards: {}
    seed: tuple[str, ...] = ()
    stage: str = ""
    threads: str = ""
    benchmark: bool = False
    checkpoints: str = ""


RULES: dict[str, Rule] = {
    "make_phantoms": Rule(
        of=cells.when(lambda study: study.phantom, cells.once),
        writes=("data/phantoms", "data/phantoms.provenance.json"),
        settings=("data.phantom",),
        seed=("phantoms",),
        benchmark=True,
    ),
    "make_manifest": Rule(
        also=reads.phantoms,
        given=reads.named("data.groups"),
        writes=(
            *(f"data/{name}" for name in ("manifest.csv", "problems.csv", "distances.csv", "near_copies.json")),
            "data/manifest.provenance.json",
        ),
        settings=(
            *("data.source", "data.classes", "data.max_bad_share", "data.near_copy_distance", "data.follow_links"),
            *("data.not_films", "data.resolution"),
        ),
        benchmark=True,
    ),
    "make_splits": Rule(
        reads=("data/manifest.csv",),
        writes=("data/splits.csv", "data/splits.provenance.json"),
        settings=("splits.test_share",),
        seed=("splits",),
    ),
    "check_sizes": Rule(
        reads=("data/splits.csv",),
        writes=("data/sizes.csv", "data/sizes.provenance.json"),
        settings=("splits.validation_share",),
        more=params.sizes,
    ),
    "make_test_set": Rule(
        reads=("data/splits.csv",),
        also=reads.phantoms,
        writes=(*TEST, "data/test.provenance.json"),
        settings=("data.resolution", "data.classes"),
        benchmark=True,
    ),
    "make_subset": Rule(
        of=cells.subsets,
        reads=("data/splits.csv", "data/sizes.csv"),
        also=reads.phantoms,
        writes=(*TRAIN, *VALIDATION, f"subsets/{SUBSET}/provenance.json"),
        settings=("splits.validation_share", "data.resolution", "data.classes"),
        more=params.size,
        seed=("subset", "replicate"),  # not of the size: a smaller size is a part of the larger one
        benchmark=True,
    ),
    "check_leaks": Rule(
        of=cells.subsets,
        reads=(TRAIN[1], VALIDATION[1], TEST[1], "data/manifest.csv", "data/near_copies.json"),
        writes=(LEAKS, f"subsets/{SUBSET}/leaks.provenance.json"),
    ),
    "prepare_weights": Rule(
        of=lambda study: [{"backbone": network} for network in study.networks],
        given=reads.weights_file,
        writes=("weights/{backbone}.safetensors", "weights/{backbone}.provenance.json"),
        more=params.weights,
    ),
    "check_backbone": Rule(
        of=lambda study: [{"backbone": network} for network in study.grid.backbones],
        reads=("weights/{backbone}.safetensors",),
        writes=("weights/{backbone}.check.json",),
        settings=("classifier.input_size", "classifier.batch", *CLASSIFIER_SPEED),
        more=params.backbone,
        # Of the trainings that wait for it: it runs again when they do, and its own change makes no result anew.
        stage="train_classifier",
        threads="classifier",
    ),
    "check_init_from": Rule(
        of=cells.when(lambda study: study.generated and bool(study.settings["gan"]["init_from"]), cells.once),
        given=reads.named("gan.init_from"),
        writes=("gan/init_from.json",),
        settings=(
            "data.resolution",
            *(f"gan.{name}" for name in ("latent", "mapping_layers", "channel_base", "channel_max")),
        ),
        more=params.class_count,
        stage="train_gan",  # as of check_backbone
    ),
    "train_gan": Rule(
        of=cells.when(cells.generated, cells.subsets),
        reads=(LEAKS, *TRAIN),
        also=reads.trial_of_initial,
        given=reads.named("gan.init_from"),
        writes=(
            *(f"gan/{SUBSET}/generator.safetensors", f"gan/{SUBSET}/training.csv", *SNAPSHOTS),
            f"gan/{SUBSET}/provenance.json",
        ),
        settings=("gan",),
        without=("init_from", "gpus", "checkpoint_seconds"),
        seed=("gan", "size", "replicate"),
        threads="gan",
        benchmark=True,
        checkpoints=f"checkpoints/gan/{SUBSET}",
    ),
    "sample_gan": Rule(
        of=cells.when(cells.generated, cells.synthetic_sets),
        reads=(f"gan/{SUBSET}/generator.safetensors", TRAIN[1]),
        writes=(*SYNTHETIC, f"synthetic/{SUBSET}{{at}}/provenance.json"),
        settings=("synthetic.truncation_psi",),
        more=params.ratio,
        seed=("synthetic", "size", "replicate"),
        threads="gan",
        benchmark=True,
    ),
    "check_synthetic": Rule(
        of=cells.when(cells.generated, cells.synthetic_sets),
        reads=(f"gan/{SUBSET}/provenance.json", SYNTHETIC[0], *TRAIN, *VALIDATION, *TEST),
        writes=(f"synthetic/{SUBSET}{{at}}/check.json", f"synthetic/{SUBSET}{{at}}/check.provenance.json"),
    ),
    "check_extractor": Rule(
        of=cells.when(cells.generated, cells.once),
        also=reads.extractor_weights,
        writes=("fidelity/extractor.json",),
        settings=("fidelity.extractor", "fidelity.input_size"),
        stage="measure_fidelity",  # as of check_backbone
        threads="fidelity",
    ),
    "measure_fidelity": Rule(
        of=cells.when(cells.generated, cells.subsets),
        reads=(
            *("fidelity/extractor.json", *TRAIN, *TEST, *SNAPSHOTS),
            *(f"synthetic/{SUBSET}/{name}" for name in ("images.npy", "images.csv", "check.json")),
        ),
        also=reads.extractor_weights,
        writes=(
            *(f"fidelity/{SUBSET}/{name}.csv" for name in ("fidelity", "curve", "memorisation", "closest")),
            f"fidelity/{SUBSET}/provenance.json",
        ),
        settings=("fidelity",),
        seed=("fidelity", "size", "replicate"),
        threads="fidelity",
        benchmark=True,
    ),
    "train_classifier": Rule(
        of=cells.cells,
        reads=(
            *("weights/{backbone}.check.json", LEAKS, "weights/{backbone}.safetensors"),
            *(*TRAIN, *VALIDATION, *TEST),
        ),
        also=reads.synthetic_set,
        writes=tuple(
            f"cells/{CELL}/{name}"
            for name in ("model.safetensors", "history.csv", "predictions.csv", "provenance.json")
        ),
        settings=("classifier",),
        without=("checkpoint_seconds",),
        more=params.augmentation,
        # Not of the augmentation: all augmentations start from the same weights and draw the same batches.
        seed=("classifier", "size", "replicate", "backbone"),
        threads="classifier",
        benchmark=True,
        checkpoints=f"checkpoints/classifier/{CELL}",
    ),
    "score_synthetic": Rule(
        of=cells.scores,
        reads=(
            f"cells/none/{SUBSET}/{{backbone}}/model.safetensors",
            *(f"synthetic/{SUBSET}/{name}" for name in ("images.npy", "images.csv", "check.json")),
        ),
        writes=(
            f"synthetic/{SUBSET}/scored-{{backbone}}.csv",
            f"synthetic/{SUBSET}/scored-{{backbone}}.provenance.json",
        ),
        settings=CLASSIFIER_SPEED,
        stage="score_images",
        threads="classifier",
    ),
    "make_external_set": Rule(
        of=cells.when(cells.external, cells.once),
        reads=("data/manifest.csv", "data/near_copies.json"),
        writes=(
            *(f"external/{name}" for name in ("images.npy", "images.csv", "problems.csv", "left_out.csv")),
            "external/provenance.json",
        ),
        settings=("data.classes", "data.resolution", "data.max_bad_share", "data.not_films"),
        more=params.external_source,
    ),
    "score_external": Rule(
        of=cells.external_cells,
        reads=(f"cells/{CELL}/model.safetensors", "external/images.npy", "external/images.csv"),
        writes=(f"external/{CELL}/predictions.csv", f"external/{CELL}/provenance.json"),
        settings=CLASSIFIER_SPEED,
        stage="score_images",
        threads="classifier",
    ),
    "check_lineage": Rule(
        writes=("cells/lineage.json", "cells/lineage.provenance.json"),
    ),
    "make_tables": Rule(
        reads=(
            *("cells/lineage.json", "cells/lineage.provenance.json"),
            *("data/splits.csv", "data/test.csv", "data/problems.csv"),
        ),
        also=reads.read_by_tables,
        writes=("tables/provenance.json",),
        also_writes=reads.table_files,
        settings=("statistics", "splits.validation_share"),
        more=params.tables,
        seed=("statistics",),
        benchmark=True,
    ),
    "make_figure": Rule(
        of=cells.figures,
        also=reads.figure_data,
        writes=("figures/{figure}.png", "figures/{figure}.svg"),
        more=params.figure,
    ),
    "make_report": Rule(
        reads=("data/sizes.csv", "data/near_copies.json", "data/problems.csv", "data/splits.csv"),
        also=reads.read_by_report,
        writes=("report.html",),
        more=params.report,
    ),
}
# What comes after all networks: of these an incomplete study's report consists.
ANALYSIS = ("check_lineage", "make_tables", "make_figure", "make_report")

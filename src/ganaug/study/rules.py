"""The rules of the workflow: what the jobs of each read and write, and what of the study decides their results.

workflow/rules has the same files, beside the command of each rule; tests/study/test_jobs.py compares the two.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from ganaug.classify.augmentations import ALL
from ganaug.layout import CELL, SUBSET, augmentation_at, base_of, ratio_folder, ratio_in
from ganaug.study.grid import Grid
from ganaug.study.model import Study, uses_synthetic
from ganaug.study.outputs import READ_BY_FIGURE, figures_of, tables_of

Wildcards = dict[str, str]
TRAIN = (f"subsets/{SUBSET}/train.npy", f"subsets/{SUBSET}/train.csv")
VALIDATION = (f"subsets/{SUBSET}/validation.npy", f"subsets/{SUBSET}/validation.csv")
TEST = ("data/test.npy", "data/test.csv")
LEAKS = f"subsets/{SUBSET}/leaks.json"
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


def when(wanted: Callable[[Study], bool], of: Callable[[Study], list[Wildcards]]) -> Callable[[Study], list[Wildcards]]:
    """Jobs of a rule that only some studies have."""
    return lambda study: of(study) if wanted(study) else []


def once(study: Study) -> list[Wildcards]:
    return [{}]


def subsets(study: Study) -> list[Wildcards]:
    return [{"size": size, "replicate": str(replicate)} for size, replicate in study.grid.subsets]


def synthetic_sets(study: Study) -> list[Wildcards]:
    """At the study's own ratio and at the others."""
    folders = ["", *(ratio_folder(augmentation_at(ratio)) for ratio in study.grid.ratios)]
    return [subset | {"at": folder} for subset in subsets(study) for folder in folders]


def cells(study: Study, trained: Callable[[Grid, str], list[str]] = Grid.trained) -> list[Wildcards]:
    """Every classifier; trained: (grid, size) to the names of what is trained."""
    return [
        {"augmentation": name, **subset, "backbone": backbone}
        for subset in subsets(study)
        for name in trained(study.grid, subset["size"])
        for backbone in study.grid.backbones
    ]


def compared_cells(study: Study) -> list[Wildcards]:
    """The classifiers of the comparison: neither of other ratios nor of probes."""
    return cells(study, lambda grid, size: grid.augmentations)


def scored_subsets(study: Study) -> list[Wildcards]:
    return [subset | {"backbone": backbone} for subset in subsets(study) for backbone in study.grid.backbones]


def generated(study: Study) -> bool:
    return study.generated


def external(study: Study) -> bool:
    return bool(study.settings["external_test"])


def phantoms(study: Study, wildcards: Wildcards) -> list[str]:
    return ["data/phantoms"] if study.phantom else []


def named(setting: str) -> Callable[[Study, Wildcards], list[str]]:
    """The file of the user's that a setting names, if it does."""
    return lambda study, wildcards: [path for name, path in study.files_of_user().items() if name == setting]


def trial_of_initial(study: Study, wildcards: Wildcards) -> list[str]:
    return ["gan/init_from.json"] if study.settings["gan"]["init_from"] else []


def weights_file(study: Study, wildcards: Wildcards) -> list[str]:
    file = study.weights_file(wildcards["backbone"])
    return [file] if file else []


def extractor_weights(study: Study, wildcards: Wildcards) -> list[str]:
    return [f"weights/{study.extractor}.safetensors"]


def synthetic_set(study: Study, wildcards: Wildcards) -> list[str]:
    """The synthetic images of a cell's subset, where its augmentation uses them."""
    if not uses_synthetic(wildcards["augmentation"]):
        return []
    folder = f"synthetic/{SUBSET.format(**wildcards)}{ratio_folder(wildcards['augmentation'])}"
    return [f"{folder}/images.npy", f"{folder}/images.csv", f"{folder}/check.json"]


def least_test(study: Study) -> int:
    """Test images per class that the study needs: without GANs one, with them as many as their fidelity takes."""
    fidelity = study.settings["fidelity"]
    return max(fidelity["kid_subset_size"], fidelity["prc_neighborhood"] + 1) if study.generated else 1


def sizes(study: Study, wildcards: Wildcards) -> dict:
    """least_train: training images per class that the study needs; with GANs what their fidelity is measured on."""
    least, per_synthetic = least_test(study), min(1, study.settings["synthetic"]["ratio"])
    return {"sizes": study.settings["sizes"], "least_train": -int(-least // per_synthetic), "least_test": least}


def size(study: Study, wildcards: Wildcards) -> dict:
    return {"size": wildcards["size"] if wildcards["size"] == "all" else int(wildcards["size"])}


def external_source(study: Study, wildcards: Wildcards) -> dict:
    return {name: study.settings["external_test"][name] for name in ("source", "follow_links")}


def class_count(study: Study, wildcards: Wildcards) -> dict:
    return {"classes": len(study.settings["data"]["classes"] or [1, 2])}


def ratio(study: Study, wildcards: Wildcards) -> dict:
    """Synthetic images per real one of a synthetic set."""
    at = ratio_in(wildcards["at"])
    return {"ratio": float(at) if at else study.settings["synthetic"]["ratio"]}


def weights(study: Study, wildcards: Wildcards) -> dict:
    return study.weights_of(wildcards["backbone"])


def backbone(study: Study, wildcards: Wildcards) -> dict:
    return {"backbone": wildcards["backbone"]}


def augmentation(study: Study, wildcards: Wildcards) -> dict:
    base = base_of(wildcards["augmentation"])
    block = ALL[base].settings
    given = study.settings[block] if block else {}
    return backbone(study, wildcards) | {"augmentation": base, "augmentation_settings": given}


def grid(study: Study, wildcards: Wildcards) -> dict:
    """The cells of the study, for the stages that read them all."""
    names = ("augmentations", "sizes", "replicates", "backbones", "synthetic", "ratios", "probes")
    return {name: getattr(study.grid, name) for name in names}


def tables(study: Study, wildcards: Wildcards) -> dict:
    return grid(study, wildcards) | {"ratio": study.settings["synthetic"]["ratio"]}


def figure(study: Study, wildcards: Wildcards) -> dict:
    """What a figure reads; what it does not is empty, so that a change of it draws no figure anew."""
    given = grid(study, wildcards) | {"confidence": study.settings["statistics"]["confidence"]}
    read = READ_BY_FIGURE.get(wildcards["figure"], given)
    chosen = {name: value if name in read else type(value)() for name, value in given.items()}
    return chosen | {"dpi": study.settings["figures"]["dpi"]}


def report(study: Study, wildcards: Wildcards) -> dict:
    return {
        "title": study.settings["title"] or study.settings["study"],
        "grid": grid(study, wildcards),
        "synthetic": [name for name in study.grid.augmentations if uses_synthetic(name)],
        "tables": tables_of(study),
        "config": study.settings,
    }


def figures(study: Study) -> list[Wildcards]:
    return [{"figure": name} for name in figures_of(study)]


def figure_data(study: Study, wildcards: Wildcards) -> list[str]:
    """The files that a figure reads; of the subsets the first replicate's."""
    files = figures_of(study)[wildcards["figure"]]
    filled = [path.format(size=size, replicate=1) for path in files for size in study.grid.size_names]
    return list(dict.fromkeys(filled))


def table_files(study: Study) -> list[str]:
    return [f"tables/{name}.csv" for name in tables_of(study)]


def figure_files(study: Study) -> list[str]:
    return [f"figures/{name}.{suffix}" for name in figures_of(study) for suffix in ("png", "svg")]


def of_each(of: list[Wildcards], *files: str) -> Iterator[str]:
    """The files of every job of a rule."""
    return (file.format(**wildcards) for wildcards in of for file in files)


def scores(study: Study) -> list[Wildcards]:
    return scored_subsets(study) if "synthetic-only" in study.grid.probes else []


def external_cells(study: Study) -> list[Wildcards]:
    return compared_cells(study) if external(study) else []


def generators(study: Study) -> list[Wildcards]:
    return subsets(study) if study.generated else []


def read_by_tables(study: Study, wildcards: Wildcards) -> list[str]:
    files = [*of_each(cells(study), f"cells/{CELL}/predictions.csv", f"cells/{CELL}/history.csv")]
    files += of_each(external_cells(study), f"external/{CELL}/predictions.csv")
    files += ["external/images.csv"] if external(study) else []
    files += of_each(scores(study), f"synthetic/{SUBSET}/scored-{{backbone}}.csv")
    files += of_each(subsets(study), TRAIN[1], VALIDATION[1])
    measured = [f"fidelity/{SUBSET}/{name}.csv" for name in ("fidelity", "curve", "memorisation")]
    return [*files, *of_each(generators(study), *measured, f"gan/{SUBSET}/training.csv")]


def made(study: Study) -> list[str]:
    """What every job before the tables ends with, but for the data's, which the tables read."""
    files = [*of_each(cells(study), f"cells/{CELL}/provenance.json")]
    files += of_each(subsets(study), f"subsets/{SUBSET}/provenance.json")
    files += [f"weights/{network}.provenance.json" for network in study.networks]
    files += ["data/phantoms"] if study.phantom else []
    files += ["external/provenance.json"] if external(study) else []
    made_by_generators = [f"synthetic/{SUBSET}{{at}}/provenance.json", f"synthetic/{SUBSET}{{at}}/check.json"]
    files += of_each(synthetic_sets(study) if study.generated else [], *made_by_generators)
    return [*files, *of_each(generators(study), f"gan/{SUBSET}/provenance.json", f"fidelity/{SUBSET}/provenance.json")]


def read_by_report(study: Study, wildcards: Wildcards) -> list[str]:
    """Also what all jobs before end with, by name.

    Of a job that failed or was interrupted nothing is left, and Snakemake would not look behind the older results that
    were made from what it had left before.
    """
    files = table_files(study) + figure_files(study) + [*of_each(subsets(study), LEAKS)] + made(study)
    files += ["data/manifest.csv"] if study.settings["data"]["groups"] else []
    return files + ([f"external/{name}.csv" for name in ("images", "problems", "left_out")] if external(study) else [])


RULES: dict[str, Rule] = {
    "make_phantoms": Rule(
        of=when(lambda study: study.phantom, once),
        writes=("data/phantoms", "data/phantoms.provenance.json"),
        settings=("data.phantom",),
        seed=("phantoms",),
        benchmark=True,
    ),
    "make_manifest": Rule(
        also=phantoms,
        given=named("data.groups"),
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
        more=sizes,
    ),
    "make_test_set": Rule(
        reads=("data/splits.csv",),
        also=phantoms,
        writes=(*TEST, "data/test.provenance.json"),
        settings=("data.resolution", "data.classes"),
        benchmark=True,
    ),
    "make_subset": Rule(
        of=subsets,
        reads=("data/splits.csv", "data/sizes.csv"),
        also=phantoms,
        writes=(*TRAIN, *VALIDATION, f"subsets/{SUBSET}/provenance.json"),
        settings=("splits.validation_share", "data.resolution", "data.classes"),
        more=size,
        seed=("subset", "replicate"),  # not of the size: a smaller size is a part of the larger one
        benchmark=True,
    ),
    "check_leaks": Rule(
        of=subsets,
        reads=(TRAIN[1], VALIDATION[1], TEST[1], "data/manifest.csv", "data/near_copies.json"),
        writes=(LEAKS, f"subsets/{SUBSET}/leaks.provenance.json"),
    ),
    "check_init_from": Rule(
        of=when(lambda study: study.generated and bool(study.settings["gan"]["init_from"]), once),
        given=named("gan.init_from"),
        writes=("gan/init_from.json",),
        settings=(
            "data.resolution",
            *(f"gan.{name}" for name in ("latent", "mapping_layers", "channel_base", "channel_max")),
        ),
        more=class_count,
        stage="train_gan",  # as of check_backbone
    ),
    "train_gan": Rule(
        of=when(generated, subsets),
        reads=(LEAKS, *TRAIN),
        also=trial_of_initial,
        given=named("gan.init_from"),
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
        of=when(generated, synthetic_sets),
        reads=(f"gan/{SUBSET}/generator.safetensors", TRAIN[1]),
        writes=(*SYNTHETIC, f"synthetic/{SUBSET}{{at}}/provenance.json"),
        settings=("synthetic.truncation_psi",),
        more=ratio,
        seed=("synthetic", "size", "replicate"),
        threads="gan",
        benchmark=True,
    ),
    "check_synthetic": Rule(
        of=when(generated, synthetic_sets),
        reads=(f"gan/{SUBSET}/provenance.json", SYNTHETIC[0], *TRAIN, *VALIDATION, *TEST),
        writes=(f"synthetic/{SUBSET}{{at}}/check.json", f"synthetic/{SUBSET}{{at}}/check.provenance.json"),
    ),
    "check_extractor": Rule(
        of=when(generated, once),
        also=extractor_weights,
        writes=("fidelity/extractor.json",),
        settings=("fidelity.extractor", "fidelity.input_size"),
        stage="measure_fidelity",  # as of check_backbone
        threads="fidelity",
    ),
    "measure_fidelity": Rule(
        of=when(generated, subsets),
        reads=(
            *("fidelity/extractor.json", *TRAIN, *TEST, *SNAPSHOTS),
            *(f"synthetic/{SUBSET}/{name}" for name in ("images.npy", "images.csv", "check.json")),
        ),
        also=extractor_weights,
        writes=(
            *(f"fidelity/{SUBSET}/{name}.csv" for name in ("fidelity", "curve", "memorisation", "closest")),
            f"fidelity/{SUBSET}/provenance.json",
        ),
        settings=("fidelity",),
        seed=("fidelity", "size", "replicate"),
        threads="fidelity",
        benchmark=True,
    ),
    "prepare_weights": Rule(
        of=lambda study: [{"backbone": network} for network in study.networks],
        given=weights_file,
        writes=("weights/{backbone}.safetensors", "weights/{backbone}.provenance.json"),
        more=weights,
    ),
    "check_backbone": Rule(
        of=lambda study: [{"backbone": network} for network in study.grid.backbones],
        reads=("weights/{backbone}.safetensors",),
        writes=("weights/{backbone}.check.json",),
        settings=("classifier.input_size", "classifier.batch", *CLASSIFIER_SPEED),
        more=backbone,
        # Of the trainings that wait for it: it runs again when they do, and its own change makes no result anew.
        stage="train_classifier",
        threads="classifier",
    ),
    "train_classifier": Rule(
        of=cells,
        reads=(
            *("weights/{backbone}.check.json", LEAKS, "weights/{backbone}.safetensors"),
            *(*TRAIN, *VALIDATION, *TEST),
        ),
        also=synthetic_set,
        writes=tuple(
            f"cells/{CELL}/{name}"
            for name in ("model.safetensors", "history.csv", "predictions.csv", "provenance.json")
        ),
        settings=("classifier",),
        without=("checkpoint_seconds",),
        more=augmentation,
        # Not of the augmentation: all augmentations start from the same weights and draw the same batches.
        seed=("classifier", "size", "replicate", "backbone"),
        threads="classifier",
        benchmark=True,
        checkpoints=f"checkpoints/classifier/{CELL}",
    ),
    "score_synthetic": Rule(
        of=scores,
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
        of=when(external, once),
        reads=("data/manifest.csv", "data/near_copies.json"),
        writes=(
            *(f"external/{name}" for name in ("images.npy", "images.csv", "problems.csv", "left_out.csv")),
            "external/provenance.json",
        ),
        settings=("data.classes", "data.resolution", "data.max_bad_share", "data.not_films"),
        more=external_source,
    ),
    "score_external": Rule(
        of=external_cells,
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
        also=read_by_tables,
        writes=("tables/provenance.json",),
        also_writes=table_files,
        settings=("statistics", "splits.validation_share"),
        more=tables,
        seed=("statistics",),
        benchmark=True,
    ),
    "make_figure": Rule(
        of=figures,
        also=figure_data,
        writes=("figures/{figure}.png", "figures/{figure}.svg"),
        more=figure,
    ),
    "make_report": Rule(
        reads=("data/sizes.csv", "data/near_copies.json", "data/problems.csv", "data/splits.csv"),
        also=read_by_report,
        writes=("report.html",),
        more=report,
    ),
}

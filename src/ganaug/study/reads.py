"""Files that a job reads beside those that its rule names."""

from collections.abc import Callable, Iterator

from ganaug.layout import CELL, SUBSET, ratio_folder
from ganaug.study import cells
from ganaug.study.cells import Wildcards
from ganaug.study.figures import figures_of
from ganaug.study.model import Study, uses_synthetic
from ganaug.study.tables import tables_of

TRAIN = (f"subsets/{SUBSET}/train.npy", f"subsets/{SUBSET}/train.csv")
VALIDATION = (f"subsets/{SUBSET}/validation.npy", f"subsets/{SUBSET}/validation.csv")
LEAKS = f"subsets/{SUBSET}/leaks.json"


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


def of_each(of: list[Wildcards], *files: str) -> Iterator[str]:
    """The files of every job of a rule."""
    return (file.format(**wildcards) for wildcards in of for file in files)


def figure_data(study: Study, wildcards: Wildcards) -> list[str]:
    """The files that a figure reads; of the subsets the first replicate's."""
    files = figures_of(study.parts())[wildcards["figure"]].reads
    filled = [path.format(size=size, replicate=1) for path in files for size in study.grid.size_names]
    return list(dict.fromkeys(filled))


def table_files(study: Study) -> list[str]:
    return [f"tables/{name}.csv" for name in tables_of(study.parts())]


def figure_files(study: Study) -> list[str]:
    return [f"figures/{name}.{suffix}" for name in figures_of(study.parts()) for suffix in ("png", "svg")]


def read_by_tables(study: Study, wildcards: Wildcards) -> list[str]:
    files = [*of_each(cells.cells(study), f"cells/{CELL}/predictions.csv", f"cells/{CELL}/history.csv")]
    files += of_each(cells.external_cells(study), f"external/{CELL}/predictions.csv")
    files += ["external/images.csv"] if cells.external(study) else []
    files += of_each(cells.scores(study), f"synthetic/{SUBSET}/scored-{{backbone}}.csv")
    files += of_each(cells.subsets(study), TRAIN[1], VALIDATION[1])
    measured = [f"fidelity/{SUBSET}/{name}.csv" for name in ("fidelity", "curve", "memorisation")]
    return [*files, *of_each(cells.generators(study), *measured, f"gan/{SUBSET}/training.csv")]


def made(study: Study) -> list[str]:
    """What every job before the tables ends with, but for the data's, which the tables read."""
    files = [*of_each(cells.cells(study), f"cells/{CELL}/provenance.json")]
    files += of_each(cells.subsets(study), f"subsets/{SUBSET}/provenance.json")
    files += [f"weights/{network}.provenance.json" for network in study.networks]
    files += ["data/phantoms"] if study.phantom else []
    files += ["external/provenance.json"] if cells.external(study) else []
    made_by_generators = [f"synthetic/{SUBSET}{{at}}/provenance.json", f"synthetic/{SUBSET}{{at}}/check.json"]
    files += of_each(cells.synthetic_sets(study) if study.generated else [], *made_by_generators)
    return [
        *files,
        *of_each(cells.generators(study), f"gan/{SUBSET}/provenance.json", f"fidelity/{SUBSET}/provenance.json"),
    ]


def read_by_report(study: Study, wildcards: Wildcards) -> list[str]:
    """Also what all jobs before end with, by name.

    Of a job that failed or was interrupted nothing is left, and Snakemake would not look behind the older results that
    were made from what it had left before.
    """
    files = table_files(study) + figure_files(study) + [*of_each(cells.subsets(study), LEAKS)] + made(study)
    files += ["data/manifest.csv"] if study.settings["data"]["groups"] else []
    return files + (
        [f"external/{name}.csv" for name in ("images", "problems", "left_out")] if cells.external(study) else []
    )

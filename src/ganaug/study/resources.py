"""What jobs need of memory and time. Where that is to be had, profiles say."""

from collections.abc import Callable
from functools import cache

from ganaug import attempts
from ganaug.overview.guesses import gan_megabytes, guess
from ganaug.study.jobs import gpus_of, job_of, threads_of
from ganaug.study.model import Study
from ganaug.study.rules import Wildcards

PROCESS_MB = 4000  # of a process with PyTorch and a small network, beside its images
MOST_TIMES = 3  # as much as at the first attempt
SLOT = 1440  # minutes at most of a job that goes on where its last attempt ended


class Needs:
    """Memory and time of a study's jobs. Both grow with the attempts, up to the third.

    images: of each class, before the split. Empty in a job on a node: the main process has reckoned for it.
    records_are_here: whether the records of attempts lie on a file system that jobs share with the main process.
    """

    def __init__(self, study: Study, images: dict[str, int], records_are_here: bool = True):
        self.study, self.images, self.records_are_here = study, images, records_are_here
        self.minutes_of_cell = cache(self._minutes_of_cell)

    def megabytes(self, rule: str, wildcards: Wildcards, attempt: int = 1) -> int:
        """attempt: counts from 1. An attempt of a GAN training that a signal has ended has lacked nothing."""
        lacking = attempt - 1
        if rule == "train_gan" and self.records_are_here:
            lacking = attempts.lacking(job_of(self.study, rule, wildcards).log, lacking)
        amount = MEGABYTES[rule]
        return (amount(self, wildcards) if callable(amount) else amount) * min(1 + lacking, MOST_TIMES)

    def minutes(self, rule: str, wildcards: Wildcards, attempt: int = 1) -> int:
        """attempt: counts from 1. A job that goes on where its last attempt ended needs no more time."""
        cell = wildcards | ({"size": self.largest} if rule in OF_THE_LARGEST else {})
        minutes = MINUTES[rule] if rule in MINUTES else self.minutes_of_cell(rule, *cell.items())
        return min(SLOT, minutes) if rule in IN_SLOTS else minutes * min(attempt, MOST_TIMES)

    def _minutes_of_cell(self, rule: str, *cell: tuple[str, str]) -> int:
        """Half an hour and three times what is guessed."""
        threads, gpus = threads_of(self.study, rule), gpus_of(self.study, rule)
        return 30 + int(guess(rule, dict(cell), self.study.settings, self.images, threads, gpus).seconds / 20)

    @property
    def largest(self) -> str:
        return self.study.grid.size_names[-1]

    def images_of(self, size: str) -> int:
        """Real images of a size, all classes together."""
        return sum(self.images.values()) if size == "all" else int(size) * len(self.images)

    def packed(self, wildcards: Wildcards) -> int:
        """For a process that works on a subset's images: its own, and four copies of them, real and synthetic."""
        images = int(self.images_of(wildcards["size"]) * (1 + self.study.settings["synthetic"]["ratio"]))
        return PROCESS_MB + 4 * images * self.study.settings["data"]["resolution"] ** 2 // 10**6

    def packed_largest(self, wildcards: Wildcards) -> int:
        """packed of the largest size: what is asked for a job array is what its first cell asks for."""
        return self.packed({"size": self.largest})

    def packing(self, wildcards: Wildcards) -> int:
        """For packing a set of images, of a subset's size or of any: decoded and packed, twice over."""
        images = self.images_of(wildcards.get("size", "all"))
        return 2000 + 2 * images * self.study.settings["data"]["resolution"] ** 2 // 10**6

    def training_a_gan(self, wildcards: Wildcards) -> int:
        """packed, and networks and what a step keeps of a batch, where these do not lie in a GPU's memory."""
        gan, resolution = self.study.settings["gan"], self.study.settings["data"]["resolution"]
        networks = 0 if gpus_of(self.study, "train_gan") else int(gan_megabytes(gan, resolution))
        return self.packed(wildcards) + max(0, networks - PROCESS_MB)


MEGABYTES: dict[str, int | Callable[[Needs, Wildcards], int]] = {
    "make_phantoms": 1000,
    "make_manifest": 2000,
    "make_splits": 1000,
    "check_sizes": 1000,
    "make_test_set": Needs.packing,
    "make_subset": Needs.packing,
    "make_external_set": Needs.packing,
    "check_leaks": 1000,
    "check_init_from": PROCESS_MB,
    "train_gan": Needs.training_a_gan,
    "sample_gan": Needs.packed,
    "check_synthetic": Needs.packing,
    "check_extractor": PROCESS_MB,
    "measure_fidelity": Needs.packed,
    "prepare_weights": 2000,
    "check_backbone": PROCESS_MB,
    "train_classifier": Needs.packed_largest,
    "score_synthetic": Needs.packed_largest,
    "score_external": Needs.packed_largest,
    "check_lineage": 1000,
    "make_tables": 2000,
    "make_figure": 2000,
    "make_report": 2000,
}
# Of the others as much as is guessed for their cell.
MINUTES = {
    "make_phantoms": 60,
    "make_manifest": 120,
    "make_splits": 10,
    "check_sizes": 10,
    "make_test_set": 60,
    "make_subset": 60,
    "make_external_set": 120,
    "check_leaks": 10,
    "check_init_from": 30,
    "check_synthetic": 30,
    "check_extractor": 30,
    "prepare_weights": 30,
    "check_backbone": 30,
    "check_lineage": 30,
    "make_figure": 30,
    "make_report": 30,
}
IN_SLOTS = ("train_gan", "train_classifier")
# What is asked for a job array is what its first cell asks for.
OF_THE_LARGEST = ("train_classifier", "score_synthetic", "score_external")

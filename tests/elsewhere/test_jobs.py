"""The jobs that go elsewhere are those that Snakemake would run, with its commands, replicate by replicate."""

import itertools
from pathlib import Path

import pytest

from ganaug.elsewhere.jobs import jobs_to_do
from ganaug.errors import UserError
from ganaug.study.jobs import Job


def planned(rule: str, after=(), **wildcards) -> Job:
    name = "-".join([rule, *map(str, wildcards.values())])
    wildcards = {key: str(value) for key, value in wildcards.items()}
    return Job(rule, wildcards, [], [], [Path(f"{name}.csv")], Path(f"{name}.log"), None, None, 1, 1, list(after))


def study() -> list[Job]:
    jobs = [planned("check_leaks"), planned("make_report")]
    for size, replicate in itertools.product(("all", 50, 100), (2, 1)):
        cell = {"size": size, "replicate": replicate}
        jobs += [planned("train_classifier", [0], augmentation=name, **cell) for name in ("gan@2", "none")]
        jobs.append(planned("train_gan", [0], **cell))
        jobs.append(planned("sample_gan", [len(jobs) - 1], **cell))
    return jobs


def printed(jobs: list[Job]) -> str:
    """As Snakemake's dry run prints jobs; every second command on a line of its own."""
    return "\n".join(
        f"rule {job.rule}:\n    log: {job.log}\nShell command:{' ' if i % 2 else chr(10) + '        '}"
        f'python -m ganaug {job.rule} --settings \'{{"a": "it\'"\'"\'s"}}\' --log {job.log}\n'
        for i, job in enumerate(jobs)
    )


def test_first_replicates_and_their_gans_come_first():
    whole = study()
    jobs = jobs_to_do(whole, ["none"], printed([job for job in whole if job.rule != "check_leaks"]))
    assert len(jobs) == 24
    assert [job.replicate for job in jobs] == [1] * 12 + [2] * 12
    shown = [job.log.removesuffix(".log") for job in jobs[:12]]
    assert shown == [
        *(f"{rule}-{size}-1" for rule in ("train_gan", "sample_gan") for size in ("50", "100", "all")),
        *(f"train_classifier-{name}-{size}-1" for name in ("none", "gan@2") for size in ("50", "100", "all")),
    ]


def test_commands_are_snakemakes_and_jobs_wait_for_those_that_go_too():
    whole = study()
    jobs = {
        job.log: job
        for job in jobs_to_do(whole, ["none"], printed([job for job in whole if job.rule != "check_leaks"]))
    }
    sample = jobs["sample_gan-50-1.log"]
    assert sample.arguments == ["sample_gan", "--settings", '{"a": "it\'s"}', "--log", "sample_gan-50-1.log"]
    assert sample.after == [jobs["train_gan-50-1.log"].name]
    assert jobs["train_gan-50-1.log"].after == []


def test_gans_wait_for_all_trials_of_networks():
    whole = study()
    whole.extend([planned("check_backbone", backbone="a"), planned("check_extractor")])
    jobs = jobs_to_do(whole, ["none"], printed([job for job in whole if job.rule != "check_leaks"]))
    trials = {job.name for job in jobs if job.rule.startswith("check_")}
    assert len(trials) == 2 and all(set(job.after) == trials for job in jobs if job.rule == "train_gan")


def test_what_snakemake_would_not_run_does_not_go():
    whole = study()
    chosen = [job for job in whole if job.wildcards.get("size") == "50" and job.rule == "sample_gan"]
    jobs = jobs_to_do(whole, ["none"], printed(chosen))
    assert sorted(job.log for job in jobs) == ["sample_gan-50-1.log", "sample_gan-50-2.log"]
    assert all(job.after == [] for job in jobs)


def test_what_is_to_be_made_here_before_is_named():
    with pytest.raises(UserError, match="--until check_leaks"):
        jobs_to_do(study(), ["none"], printed(study()))


def test_a_training_on_several_gpus_is_refused():
    with pytest.raises(UserError, match=r"gan\.gpus"):
        jobs_to_do(study(), ["none"], "Shell command: torchrun --standalone -m -- ganaug train_gan --log x.log")

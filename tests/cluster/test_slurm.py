"""The same study on a real SLURM: routing, arrays, faults in mid-training, a driver that dies.

The cluster is four virtual nodes on this machine (helpers/cluster.py). Most of what happens there is waiting. So the
trials run all at once, each in a folder of its own, and a test is the outcome of its trial.
"""

import contextlib
import os
import re
import shutil
import signal
import subprocess
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path

import pytest

from ganaug import attempts
from helpers import cluster as slurm
from helpers.cluster import Cluster, told, until
from helpers.running import ROOT
from helpers.tiny import STUDY, command, differing, results, without_figures
from helpers.waiting import says

PROFILE = ROOT / "profiles" / "slurm"
BRISK = ["--slurm-init-seconds-before-status-checks", "2", "--seconds-between-status-checks", "2"]
BRISK += ["--max-status-checks-per-second", "1"]
# Its training lasts longer than three checkpoints take, on a fast machine too.
LONG = STUDY | {"gan": STUDY["gan"] | {"kimg": 3}}
LOG = Path("results/lab/logs/train_gan/size-10/replicate-1.log")
TRIALS: dict[str, Callable] = {}
pytestmark = [pytest.mark.slurm, pytest.mark.slow]


@dataclass
class Lab:
    """undisturbed: the future results of the LONG study, to the tables, made without SLURM."""

    cluster: Cluster
    undisturbed: Future


def beside_the_others(trial: Callable) -> Callable:
    """A test that is the outcome of the trial. The trial is given a folder in which the study's data are made.

    It returns the fault after which it has compared bytes, as README's table calls it, and how many; or nothing.
    """
    TRIALS[trial.__name__] = trial

    def test(outcomes, survived):
        if fault := outcomes[trial.__name__].result():
            survived(*fault)

    test.__doc__ = trial.__doc__
    return test


def begun(function: Callable, *arguments) -> Future:
    """The outcome to be of a function, which runs in a thread that does not outlive the tests."""
    outcome = Future()

    def run():
        try:
            outcome.set_result(function(*arguments))
        except BaseException as error:  # pytest's failures are none of Exception
            outcome.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return outcome


@pytest.fixture(scope="module")
def outcomes(request, tmp_path_factory):
    """By their tests' names, what will come of the trials that were chosen."""
    if reason := slurm.why_none():
        pytest.skip(reason)
    elsewhere = os.environ.pop("SLURM_CONF")
    # Both end the tests and the cluster. What a shell starts in the background ignores SIGINT, and so would drivers.
    handlers = {each: signal.signal(each, signal.default_int_handler) for each in (signal.SIGINT, signal.SIGTERM)}
    try:
        with slurm.running(tmp_path_factory.mktemp("cluster")) as cluster:
            here(data := tmp_path_factory.mktemp("data"), "--until", "check_leaks", "check_backbone", "check_extractor")

            def copy(name: str) -> Path:
                return shutil.copytree(data, tmp_path_factory.mktemp(name) / "study", symlinks=True)

            lab = Lab(cluster, begun(study_to_the_tables_here, copy("undisturbed")))
            chosen = [item.name for item in request.session.items if item.name in TRIALS]
            yield {name: begun(TRIALS[name], lab, copy(name)) for name in chosen}
    finally:
        for each, handler in handlers.items():
            signal.signal(each, handler)
        os.environ["SLURM_CONF"] = elsewhere


def driver_of(folder: Path, study: dict, *arguments, **environment) -> subprocess.Popen:
    """Snakemake, in the background; its output goes to driver.log."""
    started = command(folder, study, *arguments)
    with open(folder / "driver.log", "a") as log:
        environment = slurm.marked("driver") | environment
        return subprocess.Popen(started, cwd=folder, stdout=log, stderr=subprocess.STDOUT, env=environment)


def through_slurm(folder: Path, study: dict, *arguments, profile: Path = PROFILE, **environment) -> subprocess.Popen:
    return driver_of(folder, study, "--workflow-profile", profile, *BRISK, *arguments, **environment)


def here(folder: Path, *arguments) -> None:
    finished(driver_of(folder, LONG, "--cores", "2", *arguments), folder)


def finished(driver: subprocess.Popen, folder: Path) -> str:
    """What it said."""
    code = driver.wait(1500)
    said = (folder / "driver.log").read_text()
    assert code == 0, said[-4000:]
    return said


def has_said(driver: subprocess.Popen, folder: Path, words: str, times: int = 1) -> None:
    """Wait until the driver has said the words so often."""
    until(lambda: (folder / "driver.log").read_text().count(words) >= times, driver)


def study_to_the_tables_here(folder: Path) -> dict[str, bytes]:
    here(folder, "--until", "make_tables")
    return results(folder)


def jobs(folder: Path, *number: str) -> list[dict]:
    """What the controller knows of the jobs submitted from a folder."""
    lines = told("scontrol", "--oneliner", "show", "job", *number).splitlines()
    found = [dict(re.findall(r"(\S+?)=(\S*)", line)) for line in lines]
    return [job for job in found if job.get("WorkDir") == str(folder)]


def of_rule(folder: Path, rule: str) -> list[dict]:
    return [job for job in jobs(folder) if job.get("Comment", "").startswith(f"rule_{rule}")]


def trained_otherwise(folder: Path, undisturbed: Future) -> list[str]:
    """The files of the GAN, and of all else that is there, that are not those of the undisturbed study."""
    made, whole = results(folder), undisturbed.result()
    return differing(made, {name: whole[name] for name in whole if name in made or name.startswith("gan/")})


def newest(folder: Path) -> float:
    """When the last checkpoint was written; 0 without one."""
    times = [0.0]
    for path in (folder / "results/lab/checkpoints").glob("**/[0-9]*.pt"):
        with contextlib.suppress(FileNotFoundError):  # the training keeps only the last two
            times.append(path.stat().st_mtime)
    return max(times)


def halted(folder: Path) -> int:
    """The process of the training, which stands still once it has gone on to a further checkpoint.

    So it is not over too soon. SLURM wakes what it wants to end.
    """
    before = newest(folder)
    until(lambda: newest(folder) > before, pause=0.1)
    process = attempts.read(folder / LOG)[-1].pid
    with contextlib.suppress(ProcessLookupError):  # it may have been told to end already
        os.kill(process, signal.SIGSTOP)
    return process


def shorten(folder: Path, number: str) -> None:
    """Let the time slot of a job end within two minutes."""
    (job,) = jobs(folder, str(number))
    hours, minutes, _ = map(int, job["RunTime"].split(":"))
    told("scontrol", "update", f"jobid={number}", f"TimeLimit={hours * 60 + minutes + 2}")


def killed(driver: subprocess.Popen) -> None:
    driver.kill()
    driver.wait()


def for_training(*resources: str) -> list[str]:
    """Options that give a training these resources, in place of all that the profile gives it."""
    return ["--set-resources", *(f"train_gan:{resource}" for resource in resources)]


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def asked(folder: Path) -> dict[str, set]:
    """(CPUs, memory), as SLURM writes them, that the jobs of each rule ask for."""
    dry_run = command(folder, LONG, "--workflow-profile", PROFILE, "-n")
    planned = subprocess.run(dry_run, cwd=folder, capture_output=True, text=True, check=True).stdout
    jobs = re.findall(r"^(?:local)?rule (\w+):\n((?:    .*\n)*)", planned, flags=re.MULTILINE)
    found = {rule: set() for rule, _ in jobs}
    for rule, block in jobs:
        threads, memory = re.search(r"threads: (\d+)", block), re.search(r"mem_mb=(\d+)", block)
        shown = int(memory[1]) if memory else 0
        sizes = [f"{shown}M", f"{shown / 1000:g}G"] + ([f"{shown // 1024}G"] if shown % 1024 == 0 else [])
        found[rule] |= {(threads[1] if threads else "1", size) for size in sizes}
    return found


@beside_the_others
def test_a_study_through_slurm_is_that_of_one_machine(lab, folder):
    (remote := folder / "remote").mkdir()  # without data
    wanted = asked(remote)
    finished(through_slurm(remote, LONG), remote)
    where = {job["Comment"].partition("_wildcards")[0].removeprefix("rule_"): job for job in jobs(remote)}
    for rule in ("train_gan", "sample_gan", "measure_fidelity", "train_classifier"):
        assert where[rule]["Partition"] == "gpu" and where[rule]["NodeList"] == "g1", where[rule]
        assert where[rule]["NumCPUs"] == "1" and where[rule]["JobState"] == "COMPLETED"
    for rule in ("make_phantoms", "make_manifest", "make_test_set", "make_subset", "make_tables"):
        assert where[rule]["Partition"] == "cpu" and where[rule]["NodeList"] in ("c1", "c2"), where[rule]
    for rule, job in where.items():
        assert (job["NumCPUs"], job["MinMemoryNode"]) in wanted[rule], job
    assert not {"make_report", "make_figure", "make_splits", "check_leaks"} & where.keys()  # on the login node
    # The cells that were ready together went as one array, each task with a cell of its own; the GAN's came later.
    cells = of_rule(remote, "train_classifier")
    arrays = [job["ArrayJobId"] for job in cells if "ArrayJobId" in job]
    assert len(cells) == 3 and len(arrays) == 2 and len(set(arrays)) == 1
    assert (remote / "results/lab/report.html").is_file()
    assert not differing(lab.undisturbed.result(), without_figures(results(remote)))


@beside_the_others
def test_a_gpu_job_is_given_a_gpu_and_fails_at_once_where_cuda_is_missing(lab, folder):
    """The cluster's GPUs are stand-ins, so that is what happens here; and the next attempt has more memory.

    By time alone the trials, which have passed on a CPU, are not made again; they would fail first.
    """
    driver = through_slurm(folder, STUDY | {"device": "auto"}, "--until", "train_gan", "--rerun-triggers", "mtime")
    log = folder / LOG
    until(says(log, "PyTorch finds no CUDA"))
    assert "was given GPU" in log.read_text() and "write `device: cpu`" in log.read_text()
    first, second = until(lambda: of_rule(folder, "train_gan")[1:] and of_rule(folder, "train_gan")[:2])
    driver.send_signal(signal.SIGINT)
    driver.wait(600)
    assert first["Partition"] == "gpu" and "gpu:1" in first["TresPerJob"], first
    assert (first["MinMemoryNode"], second["MinMemoryNode"]) in (("4000M", "8000M"), ("4G", "8G"))
    assert not (folder / "results/lab/checkpoints").exists()


@contextlib.contextmanager
def controller_away(cluster: Cluster, config: Path):
    """SLURM's controller is ended, and started again afterwards. Commands wait for it; those with this config give up
    soon."""
    edit(config, "MessageTimeout=100", "MessageTimeout=2")
    cluster.end_controller()
    try:
        yield
    finally:
        edit(config, "MessageTimeout=2", "MessageTimeout=100")
        cluster.start_controller()


@beside_the_others
def test_gpus_by_gres_and_shared_and_a_controller_that_is_restarted(lab, folder):
    """The other profile; its classifiers ask for a share of a GPU each, as its comment says."""
    shared = shutil.copytree(ROOT / "profiles" / "slurm-gres", folder / "shared")
    (line,) = (
        line for line in (shared / "config.yaml").read_text().splitlines() if line.startswith("  train_classifier")
    )
    edit(shared / "config.yaml", line, line.replace("gpu:1", "shard:1"))
    config = shutil.copy(slurm.CONFIGS[0], folder)
    goal = ["--until", "train_classifier", "--verbose"]
    driver = through_slurm(folder, STUDY, *goal, profile=shared, SLURM_CONF=config)
    until(lambda: len(of_rule(folder, "train_classifier")) == 3)
    with controller_away(lab.cluster, Path(config)):
        # More often in vain than the plugin would without the profile.
        has_said(driver, folder, "could not check status", 6)
    finished(driver, folder)
    (gan,) = of_rule(folder, "train_gan")
    assert "gres:gpu:1" in gan["TresPerNode"] and gan["NodeList"] == "g1"
    assert {(job["TresPerNode"], job["NodeList"]) for job in of_rule(folder, "train_classifier")} == {
        ("gres:shard:1", "g1")
    }


@beside_the_others
def test_a_training_that_is_cancelled_requeued_and_loses_its_node_ends_the_same(lab, folder):
    frail = for_training("slurm_partition=frail", "slurm_extra='--signal=TERM@120'")  # a node that no other trial needs
    driver = through_slurm(folder, LONG, "--until", "train_gan", *frail)
    running = lambda: [job for job in of_rule(folder, "train_gan") if job["JobState"] == "RUNNING"]  # noqa: E731
    for fault in ("cancel", "requeue", "power cut"):
        (job,) = until(running)
        number = job["JobId"]
        halted(folder)  # it has gone on from where it was
        if fault == "cancel":
            told("scancel", number)
        elif fault == "requeue":
            told("scontrol", "requeue", number)
        else:
            lab.cluster.cut_power("f1")
            told("scontrol", "update", "nodename=f1", "state=down", "reason=test")  # else after SlurmdTimeout
        until(lambda job=job: (job["JobId"], job["Restarts"]) not in {(j["JobId"], j["Restarts"]) for j in running()})
        if fault == "power cut":
            lab.cluster.boot("f1")
        if fault != "cancel":
            until(lambda number=number: jobs(folder, number)[0]["JobState"] == "PENDING")
            told("scontrol", "update", f"jobid={number}", "StartTime=now")  # not in two minutes
        assert not list((folder / "results/lab/gan").rglob("generator.safetensors")), "it was over too soon"
    finished(driver, folder)
    assert len(attempts.read(folder / LOG)) == 4
    assert not trained_otherwise(folder, lab.undisturbed)
    return "on SLURM: a training cancelled, requeued, robbed of its node", 3


@beside_the_others
def test_a_training_of_several_time_slots_ends_the_same(lab, folder):
    """A slot ends once its training has gone on to a further checkpoint, however slow the machine is.

    SLURM looks every 30 s whether a notice is due, and gives it up to 30 s early.
    """
    slot = for_training("slurm_partition=gpu", "slurm_extra='--signal=TERM@5'")
    driver = through_slurm(folder, LONG, "--until", "train_gan", *slot)
    for _ in range(2):
        halted(folder)
        attempt = attempts.read(folder / LOG)[-1]
        shorten(folder, attempt.slurm_job)
        until(lambda: attempts.read(folder / LOG)[-1].outcome == attempts.STOPPED)  # SLURM's notice wakes it
    finished(driver, folder)
    slots = of_rule(folder, "train_gan")
    assert len(slots) == 3 and len(attempts.read(folder / LOG)) == 3
    assert {job["MinMemoryNode"] for job in slots} <= {"4000M", "4G"}  # it has not lacked any
    assert not trained_otherwise(folder, lab.undisturbed)
    return "on SLURM: the end of a time slot", 2


@beside_the_others
def test_a_killed_driver_is_started_again_and_no_job_runs_twice(lab, folder):
    driver = through_slurm(folder, LONG, "--until", "train_gan")
    training = halted(folder)
    killed(driver)
    driver = through_slurm(folder, LONG, "--until", "train_gan")
    has_said(driver, folder, "waiting for jobs of an earlier driver")
    os.kill(training, signal.SIGCONT)
    assert "unlock" not in finished(driver, folder)
    (job,) = of_rule(folder, "train_gan")
    assert job["JobState"] == "COMPLETED" and job["Restarts"] == "0"
    assert not trained_otherwise(folder, lab.undisturbed)
    # What the job has made without a driver is known: another setting trains again.
    changed = LONG | {"gan": LONG["gan"] | {"r1_gamma": 3}}
    again = command(folder, changed, "-n", "--cores", "1", "--until", "train_gan")
    assert "rule train_gan" in told(*again)
    return "on SLURM: SIGKILL of the driver", 1


@beside_the_others
def test_jobs_of_other_settings_are_cancelled_by_the_next_driver(lab, folder):
    driver = through_slurm(folder, LONG, "--until", "train_gan")
    halted(folder)
    killed(driver)
    short = LONG | {"gan": LONG["gan"] | {"kimg": 0.2, "r1_gamma": 3}}
    said = finished(through_slurm(folder, short, "--until", "train_gan"), folder)
    assert "cancelling jobs that an earlier driver left" in said
    assert sorted(job["JobState"] for job in of_rule(folder, "train_gan")) == ["CANCELLED", "COMPLETED"]

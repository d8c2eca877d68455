"""The same study on a real SLURM: routing, faults in mid-training, a driver that dies.

The cluster is three virtual nodes on this machine (shared/slurm), so the tests want root, Debian and its packages.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from running import ROOT

CLUSTER = ROOT.parent / "shared" / "slurm" / "cluster"
PROFILE = ROOT / "profiles" / "slurm"
PACKAGES = ["slurm-wlm", "slurm-wlm-basic-plugins", "munge"]
BRISK = ["--slurm-init-seconds-before-status-checks", "2", "--seconds-between-status-checks", "2"]
STUDY = {
    "study": "lab",
    "device": "cpu",
    "data": {"source": "phantom", "resolution": 16, "phantom": {"images_per_class": 24, "resolution": 32}},
    "splits": {"test_share": 0.4},
    "sizes": [10],
    "replicates": 1,
    "augmentations": ["none", "gan"],
    "backbones": ["tf_efficientnet_lite0"],
    "probes": {"synthetic_only": False, "border_only": False},
    "gan": {
        **{"kimg": 0.2, "batch": 8, "channel_base": 256, "channel_max": 16, "latent": 16, "log_kimg": 0.1},
        **{"snapshot_kimg": 0.1, "snapshot_images": 8, "checkpoint_seconds": 1},
    },
    "fidelity": {"input_size": 32, "kid_subset_size": 4, "kid_subsets": 5},
    "classifier": {"input_size": 32, "epochs": 2, "steps_per_epoch": 2, "batch": 8},
    "threads": {"gan": 1, "classifier": 1, "fidelity": 1},
}
LONG = STUDY | {"gan": STUDY["gan"] | {"kimg": 6}}  # a minute or so


def installed() -> bool:
    """Whether SLURM is here, or could be installed."""
    if shutil.which("sbatch"):
        return True
    if os.geteuid() or not shutil.which("apt-get"):
        return False
    install = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *PACKAGES]
    quiet = {"capture_output": True, "env": os.environ | {"DEBIAN_FRONTEND": "noninteractive"}}
    return all(subprocess.run(command, **quiet).returncode == 0 for command in (["apt-get", "update", "-qq"], install))


pytestmark = [pytest.mark.slurm, pytest.mark.skipif(not CLUSTER.is_file(), reason=f"no test cluster at {CLUSTER}")]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    if os.geteuid() or not installed():
        pytest.skip("SLURM is not here and can't be installed: it takes root and apt-get with Debian's packages")
    folder = tmp_path_factory.mktemp("cluster")
    subprocess.run([CLUSTER, "start", folder], check=True)
    yield
    subprocess.run(["scancel", "--user", "root"], check=False)
    subprocess.run([CLUSTER, "stop", folder], check=True)


def command(folder: Path, study: dict, *arguments) -> list[str]:
    (folder / "study.yaml").write_text(yaml.safe_dump(study))
    where = ["--snakefile", ROOT / "Snakefile", "--directory", folder, "--configfile", folder / "study.yaml"]
    return [sys.executable, "-m", "snakemake", *map(str, [*where, *arguments])]


def through_slurm(folder: Path, study: dict, *arguments) -> subprocess.Popen:
    """A driver that submits to the cluster, in the background; its output goes to driver.log."""
    started = command(folder, study, "--workflow-profile", PROFILE, *BRISK, *arguments)
    with open(folder / "driver.log", "a") as log:
        return subprocess.Popen(started, cwd=folder, stdout=log, stderr=subprocess.STDOUT)


def here(folder: Path, study: dict, *arguments) -> None:
    subprocess.run(command(folder, study, "--cores", "2", *arguments), cwd=folder, check=True, capture_output=True)


def finished(driver: subprocess.Popen, folder: Path, status: int = 0) -> str:
    code = driver.wait(600)
    told = (folder / "driver.log").read_text()
    assert code == status, told[-4000:]
    return told


def jobs(folder: Path) -> list[dict]:
    """What the controller knows of the jobs submitted from a folder."""
    shown = subprocess.run(["scontrol", "--oneliner", "show", "job"], capture_output=True, text=True, check=True).stdout
    found = [dict(re.findall(r"(\S+?)=(\S*)", line)) for line in shown.splitlines()]
    return [job for job in found if job.get("WorkDir") == str(folder)]


def of_rule(folder: Path, rule: str) -> list[dict]:
    return [job for job in jobs(folder) if job.get("Comment", "").startswith(f"rule_{rule}")]


def of_id(number: str) -> dict:
    show = ["scontrol", "--oneliner", "show", "job", number]
    return dict(re.findall(r"(\S+?)=(\S*)", subprocess.run(show, capture_output=True, text=True, check=True).stdout))


def until(condition, seconds: float = 120):
    """Waits for something true and returns it."""
    end = time.time() + seconds
    while not (value := condition()):
        assert time.time() < end, "waited in vain"
        time.sleep(0.2)
    return value


def results(folder: Path) -> dict[str, bytes]:
    """The files of a study that must be the same wherever it ran."""
    root = folder / "results" / "lab"
    skipped = ("logs", "benchmarks", "checkpoints")
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file()
        and path.relative_to(root).parts[0] not in skipped
        and not path.name.endswith("provenance.json")
        and path.name not in ("report.html", "plan.json")
    }


def same(a: dict, b: dict) -> bool:
    assert a.keys() == b.keys()
    assert not [name for name in a if a[name] != b[name]]
    return True


def test_a_study_through_slurm_is_that_of_one_machine(cluster, tmp_path):
    (local := tmp_path / "local").mkdir()
    (remote := tmp_path / "remote").mkdir()
    finished(through_slurm(remote, STUDY), remote)
    where = {job["Comment"].partition("_wildcards")[0].removeprefix("rule_"): job for job in jobs(remote)}
    for rule in ("train_gan", "sample_gan", "measure_fidelity", "train_classifier"):
        assert where[rule]["Partition"] == "gpu" and where[rule]["NodeList"] == "g1", where[rule]
        assert where[rule]["NumCPUs"] == "1" and where[rule]["JobState"] == "COMPLETED"
    for rule in ("make_phantoms", "make_manifest", "make_test_set", "make_subset", "make_tables"):
        assert where[rule]["Partition"] == "cpu" and where[rule]["NodeList"] in ("c1", "c2"), where[rule]
    assert where["make_manifest"]["MinMemoryNode"] in ("2000M", "2G", "1.95G")
    assert not {"make_report", "make_figure", "make_splits", "check_leaks"} & where.keys()  # on the login node
    here(local, STUDY)
    assert same(results(local), results(remote))


def test_a_gpu_job_is_given_a_gpu_and_fails_at_once_where_cuda_is_missing(cluster, tmp_path):
    """The cluster's GPUs are stand-ins, so that is what happens here."""
    driver = through_slurm(tmp_path, STUDY | {"device": "auto"}, "--until", "train_gan")
    log = tmp_path / "results/lab/logs/train_gan/size-10/replicate-1.log"
    until(lambda: log.is_file() and "PyTorch finds no CUDA" in log.read_text())
    assert "SLURM gave this job GPU" in log.read_text() and "write `device: cpu`" in log.read_text()
    driver.send_signal(signal.SIGINT)
    driver.wait(120)
    job = of_rule(tmp_path, "train_gan")[0]
    assert job["Partition"] == "gpu" and "gpu:1" in job["TresPerJob"], job
    assert not (tmp_path / "results/lab/checkpoints").exists()


def checkpointed(folder: Path) -> bool:
    return any((folder / "results/lab/checkpoints").rglob("*.pt"))


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("undisturbed")
    here(folder, LONG, "--until", "train_gan")
    return results(folder)


def test_a_training_that_is_cancelled_requeued_and_loses_its_node_ends_the_same(cluster, tmp_path, undisturbed):
    driver = through_slurm(tmp_path, LONG, "--until", "train_gan")
    running = lambda: [job for job in of_rule(tmp_path, "train_gan") if job["JobState"] == "RUNNING"]  # noqa: E731
    gan = tmp_path / "results/lab/gan"
    until(lambda: checkpointed(tmp_path))
    for fault in ("cancel", "requeue", "node down"):
        (job,) = until(running)
        before = newest(tmp_path)
        until(lambda before=before: newest(tmp_path) > before)  # it has gone on from where it was
        if fault == "cancel":
            subprocess.run(["scancel", job["JobId"]], check=True)
        elif fault == "requeue":
            subprocess.run(["scontrol", "requeue", job["JobId"]], check=True)
            until(lambda job=job: of_id(job["JobId"])["JobState"] == "PENDING")
            subprocess.run(["scontrol", "update", f"jobid={job['JobId']}", "StartTime=now"], check=True)  # not in 2 min
        else:
            subprocess.run(["scontrol", "update", "nodename=g1", "state=down", "reason=test"], check=True)
        until(lambda job=job: not [j for j in running() if j["JobId"] == job["JobId"] and j == job])
        if fault == "node down":
            subprocess.run(["scontrol", "update", "nodename=g1", "state=resume"], check=True)
        assert not list(gan.rglob("generator.safetensors")), "it was over too soon"
    finished(driver, tmp_path)
    assert same(results(tmp_path), undisturbed)


def newest(folder: Path) -> float:
    return max((p.stat().st_mtime for p in (folder / "results/lab/checkpoints").rglob("*.pt")), default=0.0)


def test_a_training_of_several_time_slots_ends_the_same(cluster, tmp_path, undisturbed):
    """Slots of a minute, the shortest that SLURM knows, with a notice after a quarter of it."""
    slot = ["--set-resources", "train_gan:runtime=1", "train_gan:slurm_extra='--signal=TERM@45'"]
    finished(through_slurm(tmp_path, LONG, "--until", "train_gan", *slot), tmp_path)
    slots = of_rule(tmp_path, "train_gan")
    assert len(slots) > 1 and {job["TimeLimit"] for job in slots} == {"00:01:00"}
    assert same(results(tmp_path), undisturbed)


def test_a_killed_driver_is_started_again_and_no_job_runs_twice(cluster, tmp_path, undisturbed):
    driver = through_slurm(tmp_path, LONG, "--until", "train_gan")
    until(lambda: checkpointed(tmp_path))
    os.kill(driver.pid, signal.SIGKILL)
    driver.wait()
    study = ["--snakefile", ROOT / "Snakefile", "--directory", tmp_path, "--configfile", tmp_path / "study.yaml"]
    environment = os.environ | {"SNAKEMAKE": f"{sys.executable} -m snakemake", "POLL_SECONDS": "2"}
    again = subprocess.run(
        [PROFILE / "start", *study, *BRISK, "--until", "train_gan"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert again.returncode == 0, again.stdout + again.stderr
    assert "waiting for the running jobs of an earlier driver" in again.stdout
    assert len(of_rule(tmp_path, "train_gan")) == 1
    assert same(results(tmp_path), undisturbed)

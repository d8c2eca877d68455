"""The same study on a real SLURM: routing, arrays, faults in mid-training, a driver that dies.

The cluster is three virtual nodes on this machine (shared/slurm), so the tests want root, Debian and its packages.
"""

import contextlib
import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

import psutil
import pytest

from ganaug import attempts
from helpers.running import ROOT
from helpers.tiny import STUDY, command, differing, results

CLUSTER = ROOT.parent / "shared" / "slurm" / "cluster"
PROFILE = ROOT / "profiles" / "slurm"
CONFIGS = [Path("/etc/slurm/slurm.conf"), Path("/etc/slurm/gres.conf")]  # where the cluster's script writes them
PACKAGES = ["slurm-wlm", "slurm-wlm-basic-plugins", "munge"]
BRISK = ["--slurm-init-seconds-before-status-checks", "2", "--seconds-between-status-checks", "2"]
LONG = STUDY | {"gan": STUDY["gan"] | {"kimg": 6}}  # a minute or so


def installed() -> bool:
    """Whether SLURM is here, or could be installed."""
    if shutil.which("sbatch"):
        return True
    if os.geteuid() or not shutil.which("apt-get"):
        return False
    install = ["apt-get", "-o", "DPkg::Lock::Timeout=300", "install", "-y", "-qq", "--no-install-recommends", *PACKAGES]
    quiet = {"capture_output": True, "env": os.environ | {"DEBIAN_FRONTEND": "noninteractive"}}
    return all(subprocess.run(command, **quiet).returncode == 0 for command in (["apt-get", "update", "-qq"], install))


pytestmark = [pytest.mark.slurm, pytest.mark.skipif(not CLUSTER.is_file(), reason=f"no test cluster at {CLUSTER}")]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    if CONFIGS[0].exists() and "ClusterName=lab\n" not in CONFIGS[0].read_text():
        pytest.skip(f"this machine is of another SLURM cluster, whose {CONFIGS[0]} would be lost")
    if os.geteuid() or not installed():
        pytest.skip("SLURM is not here and can't be installed: it takes root and apt-get with Debian's packages")
    folder = tmp_path_factory.mktemp("cluster")
    scripts = shutil.copytree(CLUSTER.parent, folder / "scripts")  # with GPUs that can be shared, too
    subprocess.run(["chmod", "-R", "u+w", scripts], check=True)
    edit(scripts / "slurm.conf.in", "GresTypes=gpu", "GresTypes=gpu,shard")
    edit(scripts / "slurm.conf.in", "Gres=gpu:fake:2", "Gres=gpu:fake:2,shard:8")
    # A busy machine may take long to answer, to end a job, and till all of its jobs are looked at.
    edit(scripts / "slurm.conf.in", "SlurmdTimeout=20\n", "SlurmdTimeout=300\nMessageTimeout=100\n")
    edit(scripts / "slurm.conf.in", "KillWait=5", "KillWait=30")
    edit(scripts / "slurm.conf.in", "MinJobAge=600", "MinJobAge=7200")
    edit(scripts / "cluster", "seq 1 150", "seq 1 1200")
    edit(scripts / "gres.conf", "AutoDetect=off\n", "AutoDetect=off\nNodeName=g1 Name=shard Count=8\n")
    elsewhere = os.environ.pop("SLURM_CONF")
    try:
        subprocess.run([scripts / "cluster", "start", folder], check=True)
        yield folder
        subprocess.run(["scancel", "--user", "root"], check=False)
    finally:
        subprocess.run([scripts / "cluster", "stop", folder], check=True)
        os.environ["SLURM_CONF"] = elsewhere
        for process in psutil.process_iter():  # jobs that the loss of their node has left
            with contextlib.suppress(psutil.Error):
                if process.environ().get("SLURM_CLUSTER_NAME") == "lab":
                    process.kill()
        for path in CONFIGS:  # else each start of Snakemake would wait for the controller
            path.unlink(missing_ok=True)


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def through_slurm(folder: Path, study: dict, *arguments, profile: Path = PROFILE) -> subprocess.Popen:
    """A driver that submits to the cluster, in the background; its output goes to driver.log."""
    started = command(folder, study, "--workflow-profile", profile, *BRISK, *arguments)
    with open(folder / "driver.log", "a") as log:
        return subprocess.Popen(started, cwd=folder, stdout=log, stderr=subprocess.STDOUT)


def here(folder: Path, study: dict, *arguments) -> None:
    subprocess.run(command(folder, study, "--cores", "2", *arguments), cwd=folder, check=True, capture_output=True)


def finished(driver: subprocess.Popen, folder: Path, status: int = 0) -> str:
    code = driver.wait(1500)
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


def until(condition, seconds: float = 1500):
    """Waits for something true and returns it."""
    end = time.time() + seconds
    while not (value := condition()):
        assert time.time() < end, "waited in vain"
        time.sleep(0.2)
    return value


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """Folder of a study up to its GAN, made without SLURM."""
    folder = tmp_path_factory.mktemp("undisturbed")
    here(folder, LONG, "--until", "train_gan")
    return folder


@pytest.fixture
def prepared(undisturbed, tmp_path):
    """The same in a folder of its own, before the training: data are made alike for all trainings tried here."""
    shutil.copytree(undisturbed, tmp_path, dirs_exist_ok=True, symlinks=True)
    for name in ("gan", "checkpoints", "logs/train_gan"):
        shutil.rmtree(tmp_path / "results/lab" / name)
    return tmp_path


def newest(folder: Path) -> float:
    """When the last checkpoint was written; 0 without one."""
    times = [0.0]
    for path in (folder / "results/lab/checkpoints").glob("**/[0-9]*.pt"):
        with contextlib.suppress(FileNotFoundError):  # the training keeps only the last two
            times.append(path.stat().st_mtime)
    return max(times)


def asked(folder: Path) -> dict[str, set]:
    """(CPUs, memory), as SLURM writes them, that the jobs of each rule ask for."""
    dry_run = [*command(folder, STUDY, "--workflow-profile", PROFILE, "-n")]
    told = subprocess.run(dry_run, cwd=folder, capture_output=True, text=True, check=True).stdout
    jobs = re.findall(r"^(?:local)?rule (\w+):\n((?:    .*\n)*)", told, flags=re.MULTILINE)
    found = {rule: set() for rule, _ in jobs}
    for rule, block in jobs:
        threads, memory = re.search(r"threads: (\d+)", block), re.search(r"mem_mb=(\d+)", block)
        shown = int(memory[1]) if memory else 0
        sizes = [f"{shown}M", f"{shown / 1000:g}G"] + ([f"{shown // 1024}G"] if shown % 1024 == 0 else [])
        found[rule] |= {(threads[1] if threads else "1", size) for size in sizes}
    return found


def test_a_study_through_slurm_is_that_of_one_machine(cluster, tmp_path):
    (local := tmp_path / "local").mkdir()
    (remote := tmp_path / "remote").mkdir()
    wanted = asked(remote)
    finished(through_slurm(remote, STUDY), remote)
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
    assert len(cells) == 4 and len(arrays) == 3 and len(set(arrays)) == 1
    here(local, STUDY)
    assert not differing(results(local), results(remote))


def test_a_gpu_job_is_given_a_gpu_and_fails_at_once_where_cuda_is_missing(cluster, prepared):
    """The cluster's GPUs are stand-ins, so that is what happens here; and the next attempt has more memory."""
    driver = through_slurm(prepared, STUDY | {"device": "auto"}, "--until", "train_gan")
    log = prepared / "results/lab/logs/train_gan/size-10/replicate-1.log"
    until(lambda: log.is_file() and "PyTorch finds no CUDA" in log.read_text())
    assert "was given GPU" in log.read_text() and "write `device: cpu`" in log.read_text()
    first, second = until(lambda: of_rule(prepared, "train_gan")[1:] and of_rule(prepared, "train_gan")[:2])
    driver.send_signal(signal.SIGINT)
    driver.wait(600)
    assert first["Partition"] == "gpu" and "gpu:1" in first["TresPerJob"], first
    assert (first["MinMemoryNode"], second["MinMemoryNode"]) in (("4000M", "8000M"), ("4G", "8G"))
    assert not (prepared / "results/lab/checkpoints").exists()


@contextlib.contextmanager
def controller_away(cluster: Path):
    """SLURM's controller is ended, and started again afterwards. Meanwhile commands give up soon."""
    answers = lambda: subprocess.run(["scontrol", "ping"], capture_output=True).returncode == 0  # noqa: E731
    edit(CONFIGS[0], "MessageTimeout=100", "MessageTimeout=2")
    os.kill(int((cluster / "run/slurmctld.pid").read_text()), signal.SIGTERM)
    try:
        until(lambda: not answers())
        yield
    finally:
        edit(CONFIGS[0], "MessageTimeout=2", "MessageTimeout=100")
        subprocess.run(["/usr/sbin/slurmctld"], check=True)
        until(answers)


def test_gpus_by_gres_and_shared_and_a_controller_that_is_restarted(cluster, prepared):
    """The other profile; its classifiers ask for a share of a GPU each, as its comment says."""
    shared = prepared / "shared"
    shutil.copytree(ROOT / "profiles" / "slurm-gres", shared)
    (line,) = (
        line for line in (shared / "config.yaml").read_text().splitlines() if line.startswith("  train_classifier")
    )
    edit(shared / "config.yaml", line, line.replace("gpu:1", "shard:1"))
    driver = through_slurm(prepared, STUDY, "--until", "train_classifier", "--verbose", profile=shared)
    until(lambda: len(of_rule(prepared, "train_classifier")) == 4)
    with controller_away(cluster):
        # More often in vain than the plugin would without the profile.
        until(lambda: (prepared / "driver.log").read_text().count("could not check status") > 5)
    finished(driver, prepared)
    (gan,) = of_rule(prepared, "train_gan")
    assert "gres:gpu:1" in gan["TresPerNode"] and gan["NodeList"] == "g1"
    assert {(job["TresPerNode"], job["NodeList"]) for job in of_rule(prepared, "train_classifier")} == {
        ("gres:shard:1", "g1")
    }


def test_a_training_that_is_cancelled_requeued_and_loses_its_node_ends_the_same(cluster, prepared, undisturbed):
    driver = through_slurm(prepared, LONG, "--until", "train_gan")
    running = lambda: [job for job in of_rule(prepared, "train_gan") if job["JobState"] == "RUNNING"]  # noqa: E731
    gan = prepared / "results/lab/gan"
    for fault in ("cancel", "requeue", "node down"):
        (job,) = until(running)
        before = newest(prepared)
        until(lambda before=before: newest(prepared) > before)  # it has gone on from where it was
        if fault == "cancel":
            subprocess.run(["scancel", job["JobId"]], check=True)
        elif fault == "requeue":
            subprocess.run(["scontrol", "requeue", job["JobId"]], check=True)
            until(lambda job=job: of_id(job["JobId"])["JobState"] == "PENDING")
            subprocess.run(["scontrol", "update", f"jobid={job['JobId']}", "StartTime=now"], check=True)  # not in 2 min
        else:
            subprocess.run(["scontrol", "update", "nodename=g1", "state=down", "reason=test"], check=True)
        until(lambda job=job: (job["JobId"], job["Restarts"]) not in {(j["JobId"], j["Restarts"]) for j in running()})
        if fault == "node down":
            # Refused where the node has come back by itself.
            subprocess.run(["scontrol", "update", "nodename=g1", "state=resume"], check=False)
        assert not list(gan.rglob("generator.safetensors")), "it was over too soon"
    finished(driver, prepared)
    assert not differing(results(prepared), results(undisturbed))


def test_a_training_of_several_time_slots_ends_the_same(cluster, prepared, undisturbed):
    """Slots of a minute, the shortest that SLURM knows. It looks every 30 s whether a notice is due, and gives it up to
    30 s early: here after 25 to 55 s. The first two slots make no more headway than their first checkpoint, lest a fast
    machine needs no third."""
    # In place of all that the profile says of these jobs.
    slot = ["runtime=1", "slurm_partition=gpu", "slurm_extra='--signal=TERM@5'"]
    slot = ["--set-resources", *(f"train_gan:{resource}" for resource in slot)]
    driver = through_slurm(prepared, LONG, "--until", "train_gan", *slot)
    log = prepared / "results/lab/logs/train_gan/size-10/replicate-1.log"
    for _ in range(2):
        before = newest(prepared)
        until(lambda before=before: newest(prepared) > before)
        with contextlib.suppress(ProcessLookupError):  # on a slow machine its notice has come already
            os.kill(attempts.read(log)[-1].pid, signal.SIGSTOP)
        until(lambda: attempts.read(log)[-1].outcome == attempts.STOPPED)  # SLURM's notice wakes it
    finished(driver, prepared)
    slots = of_rule(prepared, "train_gan")
    assert len(slots) > 2 and {job["TimeLimit"] for job in slots} == {"00:01:00"}
    assert {job["MinMemoryNode"] for job in slots} <= {"4000M", "4G"}  # it has not lacked any
    assert not differing(results(prepared), results(undisturbed))


def test_a_killed_driver_is_started_again_and_no_job_runs_twice(cluster, prepared, undisturbed):
    driver = through_slurm(prepared, LONG, "--until", "train_gan")
    until(lambda: newest(prepared))
    os.kill(driver.pid, signal.SIGKILL)
    driver.wait()
    told = finished(through_slurm(prepared, LONG, "--until", "train_gan"), prepared)
    assert "waiting for jobs of an earlier driver" in told and "unlock" not in told
    (job,) = of_rule(prepared, "train_gan")
    assert job["JobState"] == "COMPLETED" and job["Restarts"] == "0"
    assert not differing(results(prepared), results(undisturbed))
    # What the job has made without a driver is known: another setting trains again.
    changed = LONG | {"gan": LONG["gan"] | {"r1_gamma": 3}}
    again = command(prepared, changed, "-n", "--cores", "1", "--until", "train_gan")
    assert "rule train_gan" in subprocess.run(again, cwd=prepared, capture_output=True, text=True).stdout


def test_jobs_of_other_settings_are_cancelled_by_the_next_driver(cluster, prepared):
    driver = through_slurm(prepared, LONG, "--until", "train_gan")
    until(lambda: newest(prepared))
    os.kill(driver.pid, signal.SIGKILL)
    driver.wait()
    short = LONG | {"gan": LONG["gan"] | {"kimg": 0.2, "r1_gamma": 3}}
    told = finished(through_slurm(prepared, short, "--until", "train_gan"), prepared)
    assert "cancelling jobs that an earlier driver left" in told
    assert sorted(job["JobState"] for job in of_rule(prepared, "train_gan")) == ["CANCELLED", "COMPLETED"]

"""Which GPUs a machine has, and which of them each job takes. Names of GPUs stand for GPUs: none is needed."""

import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from ganaug import gpu_choice
from helpers.running import ROOT, dry_run

# Takes GPUs in a folder, tells which, and keeps them until its input ends.
HOLDER = """
import sys
from pathlib import Path
from ganaug.gpu_choice import take
print(",".join(take(int(sys.argv[1]), Path(sys.argv[2]))), flush=True)
sys.stdin.read()
"""


@pytest.fixture
def hold(tmp_path):
    """Starts a process that takes GPUs of `a`, `b` and `c`; returns it and what it has taken."""
    running = []

    def start(count=1, names="a,b,c"):
        command = [sys.executable, "-c", HOLDER, str(count), str(tmp_path)]
        environment = os.environ | {"CUDA_VISIBLE_DEVICES": names, "PYTHONPATH": str(ROOT / "src")}
        process = subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        running.append(process)
        return process, process.stdout.readline().strip()

    yield start
    for process in running:
        process.kill()
        process.wait()


def test_jobs_side_by_side_spread_over_the_gpus(hold):
    taken = [hold()[1] for _ in range(6)]
    assert taken[:3] == ["a", "b", "c"] and Counter(taken) == dict.fromkeys("abc", 2)


def test_a_job_that_ends_or_is_killed_leaves_its_gpu(hold):
    first, second, third = hold(), hold(), hold()
    for process, name in (second, third):
        process.kill() if name == "b" else process.stdin.close()
        process.wait()
        assert hold()[1] == name
    assert first[0].poll() is None


def test_a_job_on_several_gpus_takes_the_free_ones(hold):
    assert hold()[1] == "a"
    assert hold(2)[1] == "b,c"
    assert hold(2)[1] == "a,b"


def test_with_no_more_gpus_than_wanted_nothing_is_decided(hold, tmp_path):
    """As in a job to which a cluster has given its GPUs."""
    assert [hold(1, "GPU-7")[1], hold(2, "3,1")[1], hold(1, "")[1]] == ["GPU-7", "3,1", ""]
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("given", "names"),
    [
        ("", []),
        ("-1", []),
        ("0", ["0"]),
        ("1, 0", ["1", "0"]),
        ("GPU-8a,GPU-9b", ["GPU-8a", "GPU-9b"]),
        ("2,-1,0", ["2"]),
    ],
)
def test_what_cuda_is_told_to_show_is_counted(given, names, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", given)
    assert gpu_choice.visible() == names


def test_gpus_are_counted_by_their_device_files_or_by_the_driver(tmp_path, monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    monkeypatch.setenv("PATH", str(tmp_path))
    for name in ("nvidiactl", "nvidia-uvm", "null"):
        (tmp_path / name).touch()
    assert gpu_choice.visible(tmp_path) == []
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\n[ $1 = --list-gpus ] && echo 'GPU 0: NVIDIA L4 (UUID: GPU-1)'\n")
    program.chmod(0o755)
    assert gpu_choice.visible(tmp_path) == ["0"]  # as in WSL
    program.write_text("#!/bin/sh\necho 'Failed to initialize NVML: Driver/library version mismatch'\nexit 18\n")
    assert gpu_choice.visible(tmp_path) == []
    for number in (0, 3, 11):
        (tmp_path / f"nvidia{number}").touch()
    assert gpu_choice.visible(tmp_path) == ["0", "1", "2"]


def with_gpus(count: int, visible: str, folder: Path) -> subprocess.CompletedProcess:
    """`python -m ganaug.gpu_choice`, on a command that says what CUDA would see."""
    told = "import os; print(os.environ['CUDA_VISIBLE_DEVICES'])"
    command = [sys.executable, "-m", "ganaug.gpu_choice", str(count), sys.executable, "-c", told]
    more = {"CUDA_VISIBLE_DEVICES": visible, "PYTHONPATH": str(ROOT / "src"), "TMPDIR": str(folder)}
    return subprocess.run(command, env=os.environ | more, capture_output=True, text=True)


def test_a_command_runs_with_as_many_gpus_as_it_wants(tmp_path):
    assert with_gpus(2, "4,5,6", tmp_path).stdout == "4,5\n"
    assert with_gpus(2, "4,5", tmp_path).stdout == "4,5\n"
    assert with_gpus(2, "", tmp_path).stdout == "\n"  # the CPU it is
    short = with_gpus(2, "4", tmp_path)
    assert short.returncode == 1 and "lower gan.gpus" in short.stderr and not short.stdout


def test_a_command_keeps_its_gpus_until_it_ends(tmp_path):
    """It takes the place of the process that has locked them."""
    inner = f"import os, sys; sys.path.insert(0, {str(ROOT / 'src')!r}); from ganaug.gpu_choice import take"
    inner += "; os.environ['CUDA_VISIBLE_DEVICES'] = '4,5,6'; print(take(1))"
    command = [sys.executable, "-m", "ganaug.gpu_choice", "2", "sh", "-c", f'"{sys.executable}" -c "$0"', inner]
    more = {"CUDA_VISIBLE_DEVICES": "4,5,6", "PYTHONPATH": str(ROOT / "src"), "TMPDIR": str(tmp_path)}
    done = subprocess.run(command, env=os.environ | more, capture_output=True, text=True)
    assert done.stdout == "['6']\n", done.stderr


def test_locks_lie_in_a_folder_of_the_users_own(tmp_path):
    place = tmp_path / f"ganaug-gpus-{os.getuid()}"
    place.symlink_to(tmp_path)
    refused = with_gpus(1, "4,5", tmp_path)
    assert refused.returncode and "belongs to somebody else" in refused.stderr
    place.unlink()
    assert with_gpus(1, "4,5", tmp_path).stdout == "4\n"
    assert place.stat().st_mode & 0o777 == 0o700


def test_a_stage_takes_a_gpu_before_anything_else(tmp_path):
    """CUDA reads what it may show once, so it must not have been called."""
    for device, told in (("auto", "takes GPU 4 of 4,5"), ("cuda", "takes GPU 4 of 4,5"), ("cpu", None)):
        command = [sys.executable, "-m", "ganaug", "make_splits", "--device", device, "--log", str(tmp_path / "log")]
        more = {"CUDA_VISIBLE_DEVICES": "4,5", "PYTHONPATH": str(ROOT / "src"), "TMPDIR": str(tmp_path)}
        subprocess.run(command, env=os.environ | more, capture_output=True)  # it lacks its files, and ends
        lines = (tmp_path / "log").read_text().splitlines()
        assert [line.partition(" INFO ")[2] for line in lines[1:2]] == ([told] if told else []), lines


@pytest.mark.parametrize(
    ("device", "visible", "options", "limit"),
    [
        ("auto", "0", [], 1),
        ("cuda", "0,1", ["--resources", "mem_mb=99999"], 2),
        ("auto", "0", ["--resources", "gpu=3"], 3),  # trainings share it
        ("auto", "", [], 4),  # on the CPU: no limit
    ],
)
def test_snakemake_is_told_how_many_gpus_there_are(device, visible, options, limit, tmp_path, monkeypatch):
    """By a training that is to have four: Snakemake lowers what a job asks for to what there is."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    study = {"study": "s", "sizes": [100], "replicates": 1, "augmentations": ["gan"], "gan": {"gpus": 4}}
    told = dry_run(tmp_path, *options, "--until", "train_gan", study=study | {"device": device})
    assert re.search(r"^rule train_gan:\n(?:    .*\n)*?    resources: .*\bgpu=(\d+)", told, re.MULTILINE)[1] == str(
        limit
    )


def test_a_cluster_has_gpus_of_its_own(tmp_path, monkeypatch):
    """The limit is this machine's, which is only the driver's."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    study = {"study": "s", "sizes": [100], "replicates": 1, "augmentations": ["gan"], "gan": {"gpus": 4}}
    profile = ("--workflow-profile", ROOT / "profiles/slurm")
    told = dry_run(tmp_path, *profile, "--until", "train_gan", study=study)
    assert "gpu=4" in told

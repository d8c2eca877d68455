"""What made an output: settings, seed, input hashes, code, package versions, device, time and memory."""

import os
import platform
import resource
import subprocess
import sys
import time
from importlib import metadata
from pathlib import Path

from ganaug.errors import UserError
from ganaug.files import read_json, sha256_of

PACKAGES = (
    *("numpy", "pandas", "scipy", "scikit-learn", "pillow", "tifffile", "imagecodecs"),
    *("torch", "torchvision", "timm", "torch-fidelity"),
)


def record(
    stage: str,
    settings: dict,
    seed: int | None,
    threads: int,
    code: str,
    inputs: dict[str, str],
    outputs: list[Path],
    started: float,
) -> dict:
    """The provenance of a finished stage as a JSON-serialisable dict.

    threads: CPU threads of the stage. code: what `imports.digest_of_stage` returned at the start, inputs: what
    `checked` returned, started: `time.time()` then. Files are hashed (SHA-256); folders are named only, since their
    files are hashed elsewhere: raw images in the manifest, results in the provenance of what made them. Seconds are
    wall and CPU seconds of this process, memory its peak in MiB.
    """
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return {
        "stage": stage,
        "settings": settings,
        "seed": seed,
        "threads": threads,
        "code": code,
        "inputs": inputs,
        "outputs": _hashes(outputs),
        "git_commit": git_commit(),
        "python": platform.python_version(),
        "packages": {name: version for name in PACKAGES if (version := _version(name))},
        "machine": {
            "system": platform.platform(),
            "cpu": cpu_model(),
            "cpus": os.cpu_count(),
            "device": device_used(),
        },
        "wall_seconds": round(time.time() - started, 3),
        "cpu_seconds": cpu_seconds(),
        "peak_memory_mib": round(usage.ru_maxrss / 1024, 1),
        "finished": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }


def checked(inputs: list[Path]) -> dict[str, str]:
    """The hashes of a stage's inputs. Raises UserError where one is not what its own stage wrote.

    What that was is in the provenance beside it, where there is one.
    """
    hashes = _hashes(inputs)
    for path in inputs:
        for beside in sorted(path.parent.glob("*provenance.json")):
            try:
                record = read_json(beside)
                written = {Path(name).name: digest for name, digest in record["outputs"].items()}
            except (OSError, ValueError, KeyError):
                continue
            if hashes[str(path)] != written.get(path.name, hashes[str(path)]):
                raise UserError(
                    f"{path} is not what {record['stage']} wrote, by the hash in {beside}: the disk has lost some of "
                    "it, or somebody has changed it. Delete it and run the same command again"
                )
    return hashes


def cpu_seconds() -> float:
    """Of this process, so far."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return round(usage.ru_utime + usage.ru_stime, 3)


def _hashes(paths: list[Path]) -> dict[str, str]:
    return {str(p): sha256_of(p) if p.is_file() else "folder" for p in paths}


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def git_commit() -> str | None:
    """The checkout's commit, with `+changes` where tracked files differ from it.

    Outside a checkout of this project, what GANAUG_COMMIT says, or None: where only its files were brought to a job,
    where they were unpacked inside another repository, and where git distrusts the checkout's owner.
    """
    root = Path(__file__).resolve().parents[2]
    # Set where a hook of another repository runs this; git would look there.
    elsewhere = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_COMMON_DIR")
    environment = {name: value for name, value in os.environ.items() if name not in elsewhere}

    def git(*arguments: str) -> str:
        command = ["git", *arguments]
        done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    try:
        if root.samefile(git("rev-parse", "--show-toplevel")):
            return git("rev-parse", "HEAD") + ("+changes" if git("status", "--porcelain", "-uno") else "")
    except (OSError, subprocess.CalledProcessError):
        pass
    return os.environ.get("GANAUG_COMMIT") or None


def cpu_model() -> str:
    """Name of the CPU's model, as Linux or macOS tell it; elsewhere what Python knows, at least the architecture."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    told = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    if not told and platform.system() == "Darwin":
        asked = subprocess.run(["sysctl", "-n", "machdep.cpu.brand_string"], capture_output=True, text=True)
        told = [asked.stdout.strip()]
    return next(filter(None, told), "") or platform.processor() or platform.machine()


def device_used() -> str:
    """The GPU this process has used, if any; a stage that never imported torch is not made to.

    One whose memory was never used was only looked at: `device.pick_device` found that PyTorch can't use it.
    """
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized() and torch.cuda.max_memory_allocated():
        return torch.cuda.get_device_name()
    return "cpu"

"""What made an output: settings, seed, input hashes, code, package versions, device, time and memory."""

import os
import platform
import resource
import subprocess
import sys
import time
from importlib import metadata
from pathlib import Path

from ganaug.files import sha256_of

PACKAGES = ("numpy", "pandas", "scipy", "scikit-learn", "pillow", "torch", "torchvision", "timm", "torch-fidelity")


def record(
    stage: str, settings: dict, seed: int | None, inputs: list[Path], outputs: list[Path], started: float
) -> dict:
    """The provenance of a finished stage as a JSON-serialisable dict.

    started: `time.time()` at the start. Files are hashed (SHA-256); folders are named only, since their files are
    hashed elsewhere: raw images in the manifest, results in the provenance of what made them. Seconds are wall and CPU
    seconds of this process, memory its peak in MiB.
    """
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return {
        "stage": stage,
        "settings": settings,
        "seed": seed,
        "inputs": _hashes(inputs),
        "outputs": _hashes(outputs),
        "git_commit": _git_commit(),
        "python": platform.python_version(),
        "packages": {name: version for name in PACKAGES if (version := _version(name))},
        "machine": {"system": platform.platform(), "cpus": os.cpu_count(), "device": _device()},
        "wall_seconds": round(time.time() - started, 3),
        "cpu_seconds": round(usage.ru_utime + usage.ru_stime, 3),
        "peak_memory_mib": round(usage.ru_maxrss / 1024, 1),
        "finished": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }


def _hashes(paths: list[Path]) -> dict[str, str]:
    return {str(p): sha256_of(p) if p.is_file() else "folder" for p in paths}


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _git_commit() -> str | None:
    """The checkout's commit, with `+changes` where tracked files differ from it; None outside a checkout."""
    here = Path(__file__).parent

    def git(*arguments):
        return subprocess.run(["git", *arguments], cwd=here, capture_output=True, text=True, check=True).stdout.strip()

    try:
        return git("rev-parse", "HEAD") + ("+changes" if git("status", "--porcelain", "-uno") else "")
    except (OSError, subprocess.CalledProcessError):
        return None


def _device() -> str:
    """The GPU this process has used, if any; a stage that never imported torch is not made to."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available() and torch.cuda.is_initialized():
        return torch.cuda.get_device_name()
    return "cpu"

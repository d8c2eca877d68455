"""GPUs of this machine: how many a process may use, and which of them a job takes.

CUDA gives every process the first GPU. So each job takes the GPU that the fewest jobs of this user have taken, and
hides the others from CUDA. A file that the job keeps locked says so; the kernel frees the lock when the process ends,
however that happens. How many jobs run side by side is not decided here: Snakemake is told the number of GPUs
(workflow/rules/resources.smk). With one GPU, or one that a cluster has given to the job, nothing is to be decided.

    python -m ganaug.gpu_choice 2 torchrun …      runs a command with two of the GPUs
"""

import fcntl
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import IO

from ganaug.errors import UserError

VARIABLE = "CUDA_VISIBLE_DEVICES"
_taken: list[IO[str]] = []  # files whose locks this process holds until its end


def visible(devices: Path = Path("/dev")) -> list[str]:
    """The GPUs that CUDA shows to a process started here, by the names that CUDA_VISIBLE_DEVICES takes.

    devices: the folder of the system's device files. Where it has none of a GPU, the driver's nvidia-smi is asked.
    """
    given = os.environ.get(VARIABLE)
    if given is not None:
        names = [name.strip() for name in given.split(",")]
        ends = [place for place, name in enumerate(names) if name in ("", "-1")]  # CUDA reads no further
        return names[: ends[0]] if ends else names
    files = [path for path in devices.glob("nvidia*") if re.fullmatch(r"nvidia\d+", path.name)]
    count = len(files) or len([line for line in nvidia_smi("--list-gpus")[0] if line.startswith("GPU ")])
    return list(map(str, range(count)))


def nvidia_smi(*options: str) -> tuple[list[str], bool]:
    """What the driver's tool nvidia-smi says, line by line, and whether it could answer; none where it is missing."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return [], False
    try:
        done = subprocess.run([program, *options], capture_output=True, text=True, errors="replace", timeout=60)
    except (OSError, subprocess.TimeoutExpired) as error:
        return [str(error)], False
    return (done.stdout + done.stderr).strip().splitlines(), done.returncode == 0


def take(count: int = 1, folder: Path | None = None) -> list[str]:
    """Takes GPUs for this process and what it starts: those that the fewest jobs have taken. Returns their names.

    To be called before CUDA is: it reads CUDA_VISIBLE_DEVICES once. With no more GPUs than wanted all are taken, and
    nothing is written down. folder: of the locks; None for the user's own below the system's temporary folder.
    """
    names = visible()
    if len(names) <= count:
        return names
    folder = folder or _folder()
    with open(folder / "choosing", "a") as choosing:
        fcntl.flock(choosing, fcntl.LOCK_EX)  # freed when the file is closed
        # Of two that are taken as often the first: sorting keeps their order.
        chosen = sorted(names, key=lambda name: _holders(folder, name))[:count]
        for name in chosen:
            file = tempfile.NamedTemporaryFile("w", prefix=f"{_plain(name)}.", dir=folder, delete=False)  # noqa: SIM115
            os.set_inheritable(file.fileno(), True)  # for a command that takes this process's place
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _taken.append(file)
    chosen.sort(key=names.index)
    os.environ[VARIABLE] = ",".join(chosen)
    return chosen


def _folder() -> Path:
    """Where this user's jobs on this machine lock GPUs; of a job in SLURM, those of the same allocation."""
    name = "-".join(filter(None, [f"ganaug-gpus-{os.getuid()}", os.environ.get("SLURM_JOB_ID")]))
    folder = Path(tempfile.gettempdir(), name)
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.is_symlink() or folder.stat().st_uid != os.getuid():
        raise UserError(f"{folder} belongs to somebody else, and the GPUs' locks can't lie there; set TMPDIR")
    return folder


def _plain(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9-]", "_", name)


def _holders(folder: Path, name: str) -> int:
    """How many processes have taken a GPU. Files that none keeps locked are removed."""
    count = 0
    for path in folder.glob(f"{_plain(name)}.*"):
        with open(path, "a") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                path.unlink()
            except BlockingIOError:
                count += 1
    return count


def main(arguments: list[str]) -> None:
    """Becomes a command with some of the GPUs: their number, then the command."""
    wanted, command = int(arguments[0]), arguments[1:]
    names = take(wanted)
    if 0 < len(names) < wanted:
        sys.exit(f"gan.gpus: a training is to have {wanted} GPUs, and this machine has {len(names)}; lower gan.gpus")
    os.execvp(command[0], command)


if __name__ == "__main__":
    main(sys.argv[1:])

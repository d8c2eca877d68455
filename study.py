"""Three questions to a study, answered from its files, with or without a running Snakemake:

    python study.py estimate  --configfile config/paper.yaml      what will it take: hours, days, disk
    python study.py status    --configfile config/paper.yaml      how far is it, what has failed
    python study.py leftovers --configfile config/paper.yaml      which files no longer belong to it

What stands before a `--` goes to Snakemake, which is only asked what the study consists of; without --configfile it is
the quickstart. What stands after it goes to the stage: `-- --gpus 8` (estimate), `-- --all` and `-- --delete`
(leftovers). Run it with the Python of Snakemake, in the folder of the study or with its --directory.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent
STAGES = {"estimate": "show_estimate", "status": "show_status", "leftovers": "list_leftovers"}


def main(arguments: list[str]) -> int:
    if not arguments or arguments[0] not in STAGES:
        print(__doc__, file=sys.stderr)
        return 2
    cut = arguments.index("--") if "--" in arguments else len(arguments)
    paths = [str(ROOT / "src"), os.environ.get("PYTHONPATH")]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, paths))}
    with tempfile.TemporaryDirectory() as folder:
        plan = Path(folder, "plan.json")
        snakemake = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile"), *arguments[1:cut]]
        read = subprocess.run(
            [*snakemake, "--list-rules"], env=environment | {"GANAUG_PLAN": str(plan)}, capture_output=True, text=True
        )
        if read.returncode or not plan.is_file():
            print(read.stderr or read.stdout, file=sys.stderr)
            return 1
        stage = [sys.executable, "-m", "ganaug", STAGES[arguments[0]], "--plan", str(plan)]
        command = [*stage, "--log", str(Path(folder, "log")), *arguments[cut + 1 :]]
        at = json.loads(plan.read_text())["folder"]
        told = subprocess.run(command, env=environment, cwd=at, stdout=subprocess.PIPE, text=True)
    try:
        print(told.stdout, end="", flush=True)
    except BrokenPipeError:  # `| head` has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return told.returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

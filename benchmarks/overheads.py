"""What jobs and plans cost beyond their work, on this machine.

    python benchmarks/overheads.py                        all of it: some minutes
    python benchmarks/overheads.py stages --repeats 5     the start of each stage's process
    python benchmarks/overheads.py plan --cells 10000     a plan of a study with so many cells, nothing made yet
    python benchmarks/overheads.py rerun                  the quickstart once more, with nothing to do

Prints the median of the repeats: wall seconds, CPU seconds (user and system, all processes: what to judge by where the
machine is shared) and peak memory of the largest process. With --json: one object on one line.

stages: `python -m ganaug <stage> --help`, which imports all that the stage's module does, and the heavy packages that
came with it; then what processes with networks import as they begin, and can't do without: PyTorch, its optimisers
(through which it loads its compiler), timm. plan: `snakemake -n`, which lists the jobs too, with 4 augmentations, two
of them with GANs, 5 sizes, 5 backbones, and as many replicates as make the number of cells; subsets, GANs, probes and
checks come on top. rerun: `snakemake` on results/quickstart, which is made first where it is not up to date.
"""

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "src"))

HEAVY = ("torch", "torchvision", "timm", "torch_fidelity", "pandas", "scipy", "sklearn", "matplotlib", "jinja2")
FLOORS = {
    "import torch": "import torch",
    "… and an optimiser": "import torch; torch.optim.Adam([torch.zeros(1)])",
    "… and timm": "import torch; torch.optim.Adam([torch.zeros(1)]); import timm",
}
SIZES = [100, 200, 300, 400, 500]
BACKBONES = ["tf_efficientnet_lite0", "efficientnet_b0", "resnet18", "resnet50", "densenet121"]
AUGMENTATIONS = ["none", "classical", "gan", "gan+classical"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="*", metavar="stages|plan|rerun", help="all three unless named")
    parser.add_argument("--cells", type=int, default=10000, help="of the planned study")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", action="store_true", help="one JSON object instead of text")
    args = parser.parse_args()
    measures = {"stages": time_stages, "plan": time_plan, "rerun": time_rerun}
    if unknown := sorted(set(args.what) - set(measures)):
        parser.error(f"{unknown[0]!r} is none of {', '.join(measures)}")

    results = {name: measures[name](args) for name in args.what or measures}
    if args.json:
        print(json.dumps(results))
        return
    print(f"{'':32}{'wall s':>10}{'CPU s':>10}{'peak MiB':>10}")
    for rows in results.values():
        for name, wall, cpu, memory, note in (r.values() for r in rows):
            print(f"{name:32}{wall:>10.2f}{cpu:>10.2f}{memory:>10.0f}  {note}".rstrip())


def time_stages(args) -> list[dict]:
    from ganaug.cli import STAGES

    rows = [row(stage, args.repeats, "-m", "ganaug", stage, "--help") for stage in STAGES]
    rows = [r | {"note": " ".join(heavy_packages(r["name"]))} for r in rows]
    return rows + [row(name, args.repeats, "-c", code) for name, code in FLOORS.items()]


def heavy_packages(stage: str) -> list[str]:
    """Those of HEAVY that a stage's module imports, directly or not."""
    _, output = measured("-X", "importtime", "-m", "ganaug", stage, "--help")
    imported = set(re.findall(r"\| +(\w+)$", output, flags=re.MULTILINE))
    return [name for name in HEAVY if name in imported]


def time_plan(args) -> list[dict]:
    replicates = max(1, round(args.cells / (len(AUGMENTATIONS) * len(SIZES) * len(BACKBONES))))
    cells = replicates * len(AUGMENTATIONS) * len(SIZES) * len(BACKBONES)
    study = {"study": "grid", "augmentations": AUGMENTATIONS, "sizes": SIZES, "replicates": replicates}
    study |= {"backbones": BACKBONES, "data": {"source": "phantom"}, "device": "cpu"}
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "grid.yaml")
        file.write_text(json.dumps(study))  # JSON is YAML
        plan = ["-m", "snakemake", "-n", "--cores", "2", "--snakefile", ROOT / "Snakefile", "--directory", folder]
        planned = row(f"plan of {cells} cells", args.repeats, *plan, "--configfile", file)
    return [planned | {"note": re.search(r"^total +(\d+)$", planned["note"], flags=re.MULTILINE)[1] + " jobs"}]


def time_rerun(args) -> list[dict]:
    again = ["-m", "snakemake", "--cores", "2"]
    measured(*again)
    rerun = row("quickstart, nothing to do", args.repeats, *again)
    if "Nothing to be done" not in rerun["note"]:
        sys.exit(f"the quickstart was made, and yet there is something to do:\n{rerun['note']}")
    return [rerun | {"note": ""}]


def row(name: str, repeats: int, *arguments) -> dict:
    """Medians over the runs of a command of Python; as its note the last one's output."""
    runs, output = [], ""
    for _ in range(repeats):
        figures, output = measured(*arguments)
        runs.append(figures)
    return {"name": name, **{key: statistics.median(r[key] for r in runs) for key in runs[0]}, "note": output}


def measured(*arguments) -> tuple[dict[str, float], str]:
    """Wall and CPU seconds and peak memory of a command of Python and of what it waited for; its output."""
    command = [sys.executable, *map(str, arguments)]
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    with tempfile.TemporaryFile("w+") as output:
        start = time.perf_counter()
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=output, stderr=output)
        _, status, usage = os.wait4(process.pid, 0)  # of this one alone: getrusage would add up all children so far
        wall = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        text = output.read()
    if process.returncode:
        sys.exit(f"{' '.join(command)} fails:\n{text}")
    cpu = usage.ru_utime + usage.ru_stime
    figures = {"wall_seconds": round(wall, 3), "cpu_seconds": round(cpu, 3)}
    return figures | {"peak_mib": round(usage.ru_maxrss / 1024, 1)}, text


if __name__ == "__main__":
    main()

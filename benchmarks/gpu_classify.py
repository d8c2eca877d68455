"""Speed of the classifiers, of the fidelity's features and of sampling on a GPU, and whether they are right there.

    python benchmarks/gpu_classify.py --device cuda --seconds 75
    python benchmarks/gpu_classify.py --device cuda --check --seconds 45
    python benchmarks/gpu_classify.py --device cpu --quick

One JSON object a line. Images, weights and generators are random. Training: images a second; issue_ms, the CPU's time
for a step, and busy, the share of the time in which the GPU worked (by torch.profiler); the GPU bounds a training whose
issue_ms is below its step_ms. With --check: what is done on the device against the CPU, a training that goes on from a
checkpoint against one that was never stopped, and the stages as commands; `pass` tells, `error` says why not.
"""

import argparse
import os
import tempfile
from pathlib import Path

from classify_inputs import say, spent
from classify_right import check
from classify_speed import measure

BACKBONES = ("efficientnet_b0", "resnet50", "densenet121")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--threads", type=int, default=min(8, os.cpu_count() or 1))
    parser.add_argument("--backbones", nargs="+", default=BACKBONES)
    parser.add_argument("--check", action="store_true", help="whether all is right, not how fast it is")
    parser.add_argument("--quick", action="store_true", help="tiny images and networks, to try this script on a CPU")
    parser.add_argument("--seconds", type=float, default=75, help="no measurement or check begins after so many")
    args = parser.parse_args()
    os.environ["OMP_NUM_THREADS"], os.environ["HF_HUB_OFFLINE"] = str(args.threads), "1"
    import torch

    from ganaug.device import pick_device
    from ganaug.seeding import set_determinism

    set_determinism(args.threads)
    device = pick_device(args.device)
    name = torch.cuda.get_device_name() if device.type == "cuda" else "CPU"
    say({"device": name, "torch": torch.__version__, "threads": args.threads, "imports": spent()})
    with tempfile.TemporaryDirectory() as folder:
        (check if args.check else measure)(args, Path(folder), device)
    say({"total_seconds": spent()})


if __name__ == "__main__":
    main()

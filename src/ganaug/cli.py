"""`python -m ganaug <stage> …`: one command per stage, each runnable alone from the line in its log.

A stage is a module with `add_arguments(parser)` and `run(args)`. It declares its files in the argument groups
`inputs` and `outputs`, and gets `settings` (a dict), `seed`, `threads` and `device` from the options here. Modules are
imported only when their stage runs, after the thread count is set, so that a process starts fast.
"""

import argparse
import importlib
import json
import logging
import os
import shlex
import sys
import time
from pathlib import Path

from ganaug.errors import UserError

STAGES = {
    "make_phantoms": "ganaug.data.phantom",
    "make_manifest": "ganaug.data.manifest",
    "make_splits": "ganaug.data.splits",
    "check_sizes": "ganaug.data.sizes",
    "make_subset": "ganaug.data.subsets",
    "make_test_set": "ganaug.data.test_set",
    "make_external_set": "ganaug.data.external",
    "check_leaks": "ganaug.data.leaks",
    "check_synthetic": "ganaug.data.synthetic_check",
    "train_gan": "ganaug.stylegan2.training",
    "sample_gan": "ganaug.stylegan2.sampling",
    "convert_stylegan2": "ganaug.stylegan2.official",
    "prepare_weights": "ganaug.weights",
    "measure_fidelity": "ganaug.fidelity.measure",
    "train_classifier": "ganaug.classify.training",
    "score_images": "ganaug.classify.scoring",
    "check_lineage": "ganaug.analysis.lineage",
    "make_tables": "ganaug.analysis.tables",
    "make_figure": "ganaug.analysis.figures",
    "make_report": "ganaug.report.page",
    "show_status": "ganaug.status",
    "print_summary": "ganaug.analysis.summary",
}


def main(argv: list[str] | None = None) -> int:
    argv = sys.argv[1:] if argv is None else argv
    if not argv or argv[0] not in STAGES:
        print(
            f"usage: python -m ganaug <stage> …  (--help for its options)\nstages: {' '.join(STAGES)}", file=sys.stderr
        )
        return 2
    stage, started = argv[0], time.time()

    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--settings", type=json.loads, default={}, help="the stage's settings as JSON")
    common.add_argument("--seed", type=int, help="seed of the stage for this cell")
    common.add_argument("--threads", type=int, default=1, help="CPU threads; part of what decides the bytes")
    common.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda"])
    common.add_argument("--log", type=Path, help="log file, plain lines")
    common.add_argument("--provenance", type=Path, help="JSON file for the provenance of the outputs")

    known, _ = common.parse_known_args(argv[1:])
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):  # read when the libraries load
        os.environ[name] = str(known.threads)
    first = os.environ.get("RANK", "0") == "0"  # of the processes that torchrun starts, one writes for all
    _start_log(known.log, ["python", "-m", "ganaug", *argv], first)
    log = logging.getLogger("ganaug")
    try:
        module = importlib.import_module(STAGES[stage])
        parser = argparse.ArgumentParser(prog=f"python -m ganaug {stage}", description=module.__doc__, parents=[common])
        module.add_arguments(parser)
        args = parser.parse_args(argv[1:])
        module.run(args)
        if args.provenance and first:
            from ganaug.files import write_json
            from ganaug.provenance import record

            inputs, outputs = _files(parser, args, "inputs"), _files(parser, args, "outputs")
            write_json(args.provenance, record(stage, args.settings, args.seed, inputs, outputs, started))
    except UserError as error:
        log.error("%s: %s", stage, error)
        return 1
    except Exception:
        log.exception("%s failed", stage)
        return 1
    log.info("%s done in %.1f s", stage, time.time() - started)
    return 0


def _files(parser: argparse.ArgumentParser, args: argparse.Namespace, title: str) -> list[Path]:
    group = next((g for g in parser._action_groups if g.title == title), None)
    values = [getattr(args, action.dest) for action in group._group_actions] if group else []
    return [value for value in values if value is not None]


def _start_log(path: Path | None, command: list[str], first: bool) -> None:
    """Everything to the log file, errors to the terminal too; without a log file all goes to the terminal."""
    terminal = logging.StreamHandler()
    terminal.setLevel(logging.ERROR if path else logging.INFO)
    terminal.setFormatter(logging.Formatter("%(message)s"))
    handlers: list[logging.Handler] = [terminal]
    if path and first:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = logging.FileHandler(path, mode="w", encoding="utf-8")
        file.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
        handlers.append(file)
    logging.basicConfig(level=logging.WARNING, handlers=handlers, force=True)
    logging.getLogger("ganaug").setLevel(logging.INFO)
    logging.captureWarnings(True)
    logging.getLogger("ganaug").info("$ %s", shlex.join(command))

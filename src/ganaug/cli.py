"""`ganaug <command> …`, or `python -m ganaug <command> …`: questions to a study, and the stages of the workflow.

A question is a module with `add_arguments(parser)` and `run(args)`, which returns the answer. `run` works in the folder
of the study.

A stage is a module with `add_arguments(parser)` and `run(args)`, too. It runs alone from the line in its log. It
declares its files in the argument groups `inputs` and `outputs`, and gets `settings` (a dict), `seed`, `threads` and
`device` from the options here. Modules are imported only when their stage runs, after the thread count is set, so that
a process starts fast.

A stage that reads a folder of images leaves the digest of what it read in `args.listing`, for the provenance.

Where it can need much memory it says in `LESS_MEMORY` what to lower. A function that `run` returns is called when the
outputs and their provenance are whole.
"""

import argparse
import difflib
import importlib
import json
import logging
import os
import shlex
import sys
import textwrap
import time
from pathlib import Path

from ganaug import __version__, attempts
from ganaug.errors import Interrupted, UserError, out_of_memory
from ganaug.files import disk_errors_explained

# By name: the module, and what the answer tells.
QUESTIONS = {
    "estimate": ("ganaug.overview.estimate", "what the study will take: hours, days, disk"),
    "status": ("ganaug.overview.status", "how far the study is, and what has failed"),
    "leftovers": ("ganaug.overview.leftovers", "which files no longer belong to the study"),
    "report": ("ganaug.overview.partial", "with --partial: tables, figures and page of what is there so far"),
}
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
    "check_backbone": "ganaug.classify.trial",
    "check_extractor": "ganaug.fidelity.trial",
    "check_init_from": "ganaug.stylegan2.trial",
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
    "print_summary": "ganaug.analysis.summary",
}


def main(argv: list[str] | None = None) -> int:
    argv = sys.argv[1:] if argv is None else argv
    if argv[:1] in (["--help"], ["-h"]):
        return _print(overview())
    if argv[:1] == ["--version"]:
        return _print(f"ganaug {__version__}")
    if argv and argv[0] in QUESTIONS:
        return _ask(argv[0], argv[1:])
    if argv and argv[0] in STAGES:
        return _run_stage(argv)
    for word in argv[:1]:
        near = difflib.get_close_matches(word, [*QUESTIONS, *STAGES], n=1)
        print(f"ganaug {word}: no such command{f'; did you mean {near[0]}?' if near else ''}\n", file=sys.stderr)
    print(overview(), file=sys.stderr)
    return 2


def overview() -> str:
    """What commands there are, for a terminal."""
    questions = "\n".join(f"  {name:10} {told}" for name, (_, told) in QUESTIONS.items())
    stages = textwrap.fill(" ".join(STAGES), 78, initial_indent="  ", subsequent_indent="  ", break_on_hyphens=False)
    return f"""usage: ganaug <command> [options]        (ganaug <command> --help tells the options)

Questions to a study, answered from its settings and its files, with or without a
running Snakemake. Without --configfile it is the quickstart.
{questions}

  ganaug estimate  --configfile config/paper.yaml --gpus 8
  ganaug status    --configfile config/paper.yaml --directory /scratch/study
  ganaug leftovers --configfile config/paper.yaml
  ganaug report    --configfile config/paper.yaml --partial

Stages, which the workflow runs; the first line of a job's log is such a command.
{stages}"""


def _print(text: str) -> int:
    """Prints to the standard output; a reader that has seen enough (`| head`) is no error. Returns 0."""
    try:
        print(text, flush=True)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def _ask(name: str, words: list[str]) -> int:
    """Answers a question; returns the exit status."""
    from ganaug.study.arguments import study_folder

    module = importlib.import_module(QUESTIONS[name][0])
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(prog=f"ganaug {name}", description=module.__doc__, formatter_class=raw)
    module.add_arguments(parser)
    args = parser.parse_args(words)
    try:
        with study_folder(args):
            answer = module.run(args)
    except UserError as error:
        print(f"{name}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return _print(answer)


def _run_stage(argv: list[str]) -> int:
    """Runs a stage, with a log and a provenance where they are asked for; returns the exit status."""
    started = time.time()

    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--settings", type=json.loads, default={}, help="the stage's settings as JSON")
    common.add_argument("--seed", type=int, help="seed of the stage for this cell")
    common.add_argument("--threads", type=int, default=1, help="CPU threads; part of what decides the bytes")
    common.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda"])
    common.add_argument("--log", type=Path, help="log file, plain lines")
    common.add_argument("--provenance", type=Path, help="JSON file for the provenance of the outputs")

    known, _ = common.parse_known_args(argv[1:])
    may_use_gpu = known.device != "cpu" and any(word.partition("=")[0] == "--device" for word in argv)
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):  # read when the libraries load
        os.environ[name] = str(known.threads)
    if cache := os.environ.get("XDG_CACHE_HOME"):  # set where HOME can't be written to; Triton knows HOME alone
        os.environ.setdefault("TRITON_HOME", cache)
    os.environ["HF_HUB_OFFLINE"] = "1"  # what timm might fetch there has no known hash; see ganaug.downloads
    first = os.environ.get("RANK", "0") == "0"  # of the processes that torchrun starts, one writes for all
    try:
        with attempts.recorded(known.log if first else None) as attempt:
            _start_log(known.log, ["python", "-m", "ganaug", *argv], first)
            attempt.outcome = _run(argv, common, first, started, on_gpu=may_use_gpu)
    except UserError as error:  # there is no place for the log
        print(f"{argv[0]}: {error}", file=sys.stderr)
        return 1
    return 0 if attempt.outcome == attempts.DONE else 1


def _run(argv: list[str], common: argparse.ArgumentParser, first: bool, started: float, on_gpu: bool) -> str:
    """Runs the stage and logs how it ends; returns that, by its name among the attempts. on_gpu: if it can find one."""
    log, stage, module = logging.getLogger("ganaug"), argv[0], None
    try:
        if on_gpu and "RANK" not in os.environ:  # for the processes of torchrun they are chosen before it starts
            _take_gpu()
        module = importlib.import_module(STAGES[stage])
        parser = argparse.ArgumentParser(prog=f"python -m ganaug {stage}", description=module.__doc__, parents=[common])
        module.add_arguments(parser)
        args = parser.parse_args(argv[1:])
        from ganaug.imports import digest_of_stage
        from ganaug.provenance import checked, record

        inputs = checked(_files(parser, args, "inputs"))
        code = digest_of_stage(stage) if args.provenance and first else ""  # the code may change while the stage runs
        afterwards = module.run(args)
        if args.provenance and first:
            from ganaug.files import write_json

            outputs = _files(parser, args, "outputs")
            made = record(stage, args.settings, args.seed, args.threads, code, inputs, outputs, started)
            write_json(args.provenance, made | ({"listing": args.listing} if "listing" in args else {}))
        if afterwards:
            afterwards()
    except UserError as error:
        log.error("%s: %s", stage, error)
        return attempts.STOPPED if isinstance(error, Interrupted) else attempts.FAILED
    except KeyboardInterrupt as signalled:
        log.error("%s: %s", stage, str(signalled) or "interrupted")
        return attempts.STOPPED
    except Exception as error:
        if out_of_memory(error):
            what = str(error).partition("\n")[0]
            advice = getattr(module, "LESS_MEMORY", "give the job more (the rule's mem_mb)")
            log.error("%s: memory ran out; %s. What failed: %s", stage, advice, what)
        else:
            log.exception("%s failed", stage)
        return attempts.FAILED
    log.info("%s done in %.1f s", stage, time.time() - started)
    return attempts.DONE


def _take_gpu() -> None:
    """Of several GPUs takes one that the fewest others use. CUDA must not have been called yet."""
    from ganaug import gpu_choice

    names = gpu_choice.visible()
    if len(names) > 1:
        logging.getLogger("ganaug").info("takes GPU %s of %s", *gpu_choice.take(), ",".join(names))


def _files(parser: argparse.ArgumentParser, args: argparse.Namespace, title: str) -> list[Path]:
    group = next((g for g in parser._action_groups if g.title == title), None)
    values = [getattr(args, action.dest) for action in group._group_actions] if group else []
    return [value for value in values if value is not None]


class LogFile(logging.FileHandler):
    """A log file that does not end the work it tells of: where there is no room for it, the terminal says so once."""

    told = False

    def handleError(self, record: logging.LogRecord) -> None:
        if not self.told:
            self.told = True
            print(f"{self.baseFilename} can't be written: {sys.exc_info()[1]}; the work goes on", file=sys.stderr)


def _start_log(path: Path | None, command: list[str], first: bool) -> None:
    """Everything to the log file, errors to the terminal too, and what a record's `on_terminal` says is for it; without
    a log file all goes to the terminal."""
    terminal = logging.StreamHandler()
    if path:
        terminal.addFilter(lambda record: record.levelno >= logging.ERROR or getattr(record, "on_terminal", False))
    terminal.setFormatter(logging.Formatter("%(message)s"))
    handlers: list[logging.Handler] = [terminal]
    if path and first:
        with disk_errors_explained(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            file = LogFile(path, mode="w", encoding="utf-8")
        file.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
        handlers.append(file)
    logging.basicConfig(level=logging.WARNING, handlers=handlers, force=True)
    logging.getLogger("ganaug").setLevel(logging.INFO)
    logging.captureWarnings(True)
    logging.getLogger("ganaug").info("$ %s", shlex.join(command))

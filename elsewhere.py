"""A study's networks on another machine: one with a GPU, with PyTorch, and without Snakemake.

    python elsewhere.py export --configfile config/reference.yaml -- --package package.tar.xz      here
    python elsewhere.py run --package package.tar.xz --folder /tmp/study --out OUT --seconds 500   there
    python elsewhere.py accept --configfile config/reference.yaml -- OUT/results-*.tar             here

`export` packs all jobs with networks that Snakemake would run now, with their commands and what they read: run
Snakemake `--until check_leaks prepare_weights` before. `run` does these jobs with the code of
its own checkout, many at once, replicate after replicate, until the time is over, and packs what was made. `accept`
puts the results in place and has Snakemake take them for its own; a plain run then makes what is left.

For export and accept, what stands before a `--` goes to Snakemake, with whose Python they run, in the folder of the
study.
"""

import argparse
import math
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent
sys.path.insert(0, str(ROOT / "src"))

from ganaug import attempts  # noqa: E402
from ganaug.elsewhere import package, pool, results  # noqa: E402
from ganaug.elsewhere.jobs import RULES, Job, jobs_to_do  # noqa: E402
from ganaug.errors import UserError  # noqa: E402
from ganaug.imports import digest_of_all_stages  # noqa: E402


def snakemake(arguments: list[str]) -> str:
    """What Snakemake prints. Raises UserError with it where Snakemake fails."""
    paths = os.pathsep.join(filter(None, [str(ROOT / "src"), os.environ.get("PYTHONPATH")]))
    done = subprocess.run(
        [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile"), "--cores", "1", *arguments],
        env=os.environ | {"PYTHONPATH": paths},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if done.returncode:
        raise UserError(done.stdout)
    return done.stdout


def study_now(arguments: list[str]) -> tuple[Path, Path, list[Job]]:
    """(the folder that the study is run in, its results below, jobs that Snakemake would run elsewhere).

    arguments: for Snakemake, of which those that name the study are read here, too.
    """
    from ganaug.study.arguments import add_study, settings_of  # needs more than the other machine may have
    from ganaug.study.jobs import jobs_of
    from ganaug.study.model import Study

    parser = argparse.ArgumentParser(add_help=False, usage="elsewhere.py: before `--`")
    add_study(parser)
    args, _ = parser.parse_known_args(arguments)
    study = Study(settings_of(args))
    printed = snakemake([*arguments, "--dry-run", "--printshellcmds"])
    jobs = jobs_to_do(jobs_of(study), study.settings["augmentations"], printed)
    return (args.directory or Path()).absolute(), Path(study.results), jobs


def export(for_snakemake: list[str], args: argparse.Namespace) -> None:
    folder, at, jobs = study_now(for_snakemake)
    if not jobs:
        raise UserError("there is nothing to do elsewhere: Snakemake would run no job with a network")
    package.write_package(args.package, folder, at, jobs, args.module)
    print(f"{args.package}: {len(jobs)} jobs, {args.package.stat().st_size / 2**20:.1f} MiB")
    print(*(f"  {sum(job.rule == rule for job in jobs):4d} {rule}" for rule in RULES), sep="\n")


def told(line: str) -> None:
    print(line, flush=True)


def run(args: argparse.Namespace) -> None:
    start = time.monotonic()
    table = package.unpack(args.package, args.folder)
    unpacked = time.monotonic() - start
    sys.path.append(str(args.folder / package.MODULES))
    os.environ["GANAUG_COMMIT"] = table["commit"] or ""
    code = digest_of_all_stages()
    if changed := [stage for stage in code if code[stage] != table["code"].get(stage)]:
        print("other code than where the package was made, in:", *changed)
    everything = [Job(**job) for job in table["jobs"]]
    jobs = [job for job in everything if job.rule not in args.leave_out]
    forks = pool.prepare(jobs)
    prepared = time.monotonic() - start
    print(f"unpacked in {unpacked:.1f} s; {len(jobs)} jobs can begin after {prepared:.1f} s", flush=True)
    until = start + args.seconds - args.packing_seconds
    if not forks:
        print("forks can't use the GPU here: each job starts a Python of its own", flush=True)
    work = pool.Pool(jobs, args.folder, args.trainings, args.others, until, anew=not forks, tell=told)
    tried = work.run()
    tried += [pool.Attempt(job, pool.LEFT) for job in everything if job.rule in args.leave_out]
    ended = time.monotonic() - start
    record = {
        "code": code,
        "attempts": [attempt.as_dict() for attempt in tried],
        "seconds": {
            "unpacking": round(unpacked, 1),
            "imports": round(prepared - unpacked, 1),
            "ended": round(ended, 1),
        },
    }
    left_out = results.pack_results(tried, record, args.folder, args.out, args.parts, args.part_bytes)
    print(f"jobs ended after {ended:.1f} s, results packed after {time.monotonic() - start:.1f} s")
    for rule in RULES:
        ours = [attempt for attempt in tried if attempt.job.rule == rule]
        outcomes = {outcome: sum(a.outcome == outcome for a in ours) for outcome in {a.outcome for a in ours}}
        seconds = [a.seconds for a in ours if a.outcome == pool.DONE and a.seconds]
        mean = f", {sum(seconds) / len(seconds):.1f} s each" if seconds else ""
        print(f"  {rule}: {', '.join(f'{count} {outcome}' for outcome, count in sorted(outcomes.items()))}{mean}")
    if left_out:
        print(f"{len(left_out)} files did not fit, the first of them {left_out[0]}")


def accept(for_snakemake: list[str], args: argparse.Namespace) -> None:
    """Takes over jobs that Snakemake would run now, by the same command, and that were done elsewhere."""
    folder, _, jobs = study_now(for_snakemake)
    commands = {job.name: job.arguments for job in jobs}
    with tempfile.TemporaryDirectory(dir=folder, prefix=".elsewhere-") as temporary:
        came = Path(temporary)
        record = results.lay_out(args.parts, came)
        done = [attempt for attempt in record["attempts"] if attempt["outcome"] == pool.DONE]
        here = digest_of_all_stages()
        if (changed := made_by_other_code(done, record["code"], here)) and not args.other_code:
            raise UserError(
                f"the code that made them is not this checkout's: {', '.join(changed)}. Check out that code, or take "
                "them with --other-code"
            )
        taken = [attempt for attempt in done if commands.get(attempt["name"]) == attempt["arguments"]]
        for attempt in taken:
            results.check(attempt["outputs"], came, folder)
            results.accept(attempt["outputs"], came, here[attempt["arguments"][0]])
        for attempt in taken:
            log = Path(attempt["log"])
            for path in map(Path, [*attempt["outputs"], log, attempts.beside(log)]):
                if (came / path).is_file():
                    (folder / path).parent.mkdir(parents=True, exist_ok=True)
                    (came / path).replace(folder / path)
    if taken:  # in Snakemake's order; it notes what made them, so that it sees a setting that changes later
        snakemake([*for_snakemake, "--touch", "--force", *(attempt["outputs"][-1] for attempt in taken)])
    print(f"took over {len(taken)} of {len(done)} jobs that were done elsewhere; {len(jobs) - len(taken)} are left")


def made_by_other_code(done: list[dict], code: dict[str, str], here: dict[str, str]) -> list[str]:
    """Stages of the jobs whose code was another than this checkout's."""
    return sorted({stage for stage in (attempt["arguments"][0] for attempt in done) if here[stage] != code[stage]})


def main(words: list[str]) -> int:
    """words: of the command line. Returns the exit status."""
    cut = words.index("--") if "--" in words else len(words)
    if words[:1] in (["export"], ["accept"]):
        for_snakemake, words = words[1:cut], [words[0], *words[cut + 1 :]]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    exporting = commands.add_parser("export")
    exporting.add_argument("--package", type=Path, default=Path("package.tar.xz"), help="the file to write")
    exporting.add_argument(
        "--module", nargs="*", default=["torch-fidelity"], help="installed pure-Python packages that are missing there"
    )
    running = commands.add_parser("run")
    running.add_argument("--package", type=Path, required=True)
    running.add_argument("--folder", type=Path, required=True, help="where to work; new, or of an earlier run of this")
    running.add_argument("--out", type=Path, required=True, help="folder of the packed results")
    running.add_argument("--seconds", type=float, required=True, help="until all must be over")
    running.add_argument("--packing-seconds", type=float, default=30, help="of these, for packing the results")
    running.add_argument("--parts", type=int, default=1, help="files of results, at most")
    running.add_argument("--part-bytes", type=float, default=math.inf, help="of each, at most; what does not fit stays")
    running.add_argument("--trainings", type=int, default=8, help="GANs that train at a time")
    running.add_argument("--others", type=int, default=8, help="other jobs at a time")
    running.add_argument("--leave-out", nargs="*", default=[], choices=RULES, help="rules that are run here later")
    accepting = commands.add_parser("accept")
    accepting.add_argument("parts", type=Path, nargs="+", help="results-1.tar, …")
    accepting.add_argument("--other-code", action="store_true", help="take also what other code has made")
    args = parser.parse_args(words)
    try:
        if args.command == "export":
            export(for_snakemake, args)
        elif args.command == "run":
            run(args)
        else:
            accept(for_snakemake, args)
    except UserError as error:
        print(f"{args.command}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

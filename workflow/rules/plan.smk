# What the study consists of, as plan.json, from which study.py tells what it takes, how far it is and what no longer
# belongs. The rules are asked for all of it, so that nothing is written here that they know.

from snakemake.iocontainers import Wildcards

from ganaug.files import sha256_of


def planned_jobs():
    """Every job of the study, done or not, from its targets back; one dict per job.

    rule, wildcards; outputs, log, benchmark (empty without one), checkpoints (a folder that is none of the outputs;
    empty without one); threads, gpus; after: numbers of the jobs whose outputs it reads.
    """
    found = jobs_before(targets())
    maker = {output: number for number, (job, _) in enumerate(found) for output in job["outputs"]}
    return [job | {"after": sorted({maker[path] for path in inputs if path in maker})} for job, inputs in found]


def jobs_before(files):
    """(job, its inputs) of every job that some files come from, done or not, from them back."""
    before = str(workflow.get_rule("make_splits").output[0]).rpartition(f"{RESULTS}/")[0]  # of a storage, if any
    jobs, seen, waiting = [], set(), list(files)
    while waiting:
        file = waiting.pop()
        if file.startswith(f"{RESULTS}/"):
            file = before + file
        if file in seen:
            continue
        seen.add(file)
        ours = next((ours for ours in workflow.rules if ours.is_producer(file)), None)
        if ours is None:  # a source file or a raw image
            continue
        wildcards = Wildcards(fromdict=ours.get_wildcards(file))
        outputs = list(map(str, ours.expand_output(wildcards)[0]))
        checkpoints = ours.params["checkpoints"] if "checkpoints" in ours.params.keys() else ""
        checkpoints = checkpoints(wildcards) if callable(checkpoints) else checkpoints
        job = {
            "rule": ours.name,
            "wildcards": dict(wildcards.items()),
            "outputs": outputs,
            "log": str(ours.expand_log(wildcards)[0]),
            "benchmark": str(ours.expand_benchmark(wildcards) or ""),
            "checkpoints": checkpoints.format(**dict(wildcards.items())),
            "threads": needs(ours, "_cores", wildcards),
            "gpus": needs(ours, "gpu", wildcards),
        }
        jobs.append((job, list(map(str, ours.expand_input(wildcards)[0]))))
        seen.update(outputs)
        waiting += jobs[-1][1]
    return jobs


def needs(ours, resource, wildcards):
    """How much of a resource a rule asks for, whatever this machine has."""
    return ours.resources[resource].evaluate(wildcards).value if resource in ours.resources else 0


def plan():
    return {
        "results": RESULTS,
        "study": STUDY,
        "images": images_by_class(),
        # A study that has changed since is seen by these.
        "configs": {str(path): sha256_of(path) for path in workflow.configfiles},
        "jobs": planned_jobs(),
    }


def write_plan():
    write_json(f"{RESULTS}/plan.json", plan())


# How study.py gets the plan: rules are read, no job is planned or run, no lock is taken.
if "GANAUG_PLAN" in os.environ:
    write_json(os.environ.pop("GANAUG_PLAN"), plan() | {"folder": os.getcwd()})

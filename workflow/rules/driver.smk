# The driver is the Snakemake process that plans a study and starts its jobs. While at work, the driver holds a lock of the
# kernel (ganaug.drivers). Where a driver has died (killed, the login node rebooted), the next in the same folder takes
# over by itself: jobs that the dead one left in SLURM's queue are cancelled or, where they run already, waited for, and
# what they finish counts. All of this begins at `onstart`: while a Snakefile is parsed, nothing is written or deleted.

import atexit
import hashlib
import shutil
import signal
import subprocess
import time

import psutil

from ganaug import attempts
from ganaug.data.listing import save_caches
from ganaug.drivers import DRIVERS, Driver
from ganaug.files import check_writable
from ganaug.imports import digest_of_all_stages
from ganaug.joblog import why_failed

POLL = 10  # seconds between looks at what is waited for
PATIENCE = 600  # seconds for which SLURM is asked in vain
AGAIN = []  # the folder in which to start Snakemake anew at the end of this one, where that is to be
QUEUED = ("PENDING", "CONFIGURING", "RUNNING", "SUSPENDED", "COMPLETING")


def become_driver():
    """Take the study's lock, and write this process down as its driver."""
    # What decides the results: a job of another study, setting or code is of no use to this driver.
    decides = json.dumps([SETTINGS, digest_of_all_stages()], sort_keys=True)
    driver = Driver(RESULTS, hashlib.sha256(decides.encode()).hexdigest(), workflow.executor_plugin.name)
    os.environ.update(GANAUG_DRIVER=json.dumps(driver.record))  # jobs have it from here
    atexit.register(end, driver)
    return driver


def end(driver):
    """At the process's end: strike this driver off, and start Snakemake anew where plan_again has asked for that.

    A driver that leaves jobs to SLURM counts as one that has died: Ctrl-C cancels none while the controller is away.
    """
    if not (workflow.executor_plugin.name == "slurm" and getattr(workflow.scheduler, "running", None)):
        driver.leave()
    for folder in AGAIN:
        sys.stdout.flush()
        os.chdir(folder)
        os.execv(sys.executable, sys.orig_argv)  # which lets the lock go


def queued(*states):
    """Numbers of this user's SLURM jobs in some states that a driver has submitted from this folder.

    Its plugin writes the rule into their comment; a driver may be a job of SLURM's itself, and has none. While
    the controller does not answer, it is asked again, for ten minutes at most.
    """
    ask = ["squeue", "--noheader", "--array", "--user", str(os.getuid()), "--states", ",".join(states)]
    for tried in range(PATIENCE // POLL):
        done = subprocess.run([*ask, "--format", "%i|%k|%Z"], capture_output=True, text=True)
        if done.returncode == 0:
            break
        if not tried:
            print("SLURM does not answer, and is asked again:", done.stderr.strip(), flush=True)
        time.sleep(POLL)
        end_if_told()
    else:
        raise WorkflowError(f"jobs that an earlier driver may have left can't be seen: {done.stderr.strip()}")
    here, jobs = os.path.realpath("."), [line.split("|", 2) for line in done.stdout.splitlines()]
    return sorted(number for number, comment, folder in jobs if comment.startswith("rule_") and folder.strip() == here)


def left_in_queue(of_use):
    """Settle an earlier driver's jobs in SLURM's queue; whether there were any.

    What runs is waited for where it is `of_use`; all else is cancelled.
    """
    told = set()

    def tell(what, jobs):
        if new := [job for job in jobs if (what, job) not in told]:
            print(what, *new, flush=True)
            told.update((what, job) for job in new)

    while jobs := queued(*QUEUED):
        unwanted = queued("PENDING") if of_use else jobs
        if unwanted:
            tell("cancelling jobs that an earlier driver left in SLURM's queue:", unwanted)
            # One that has begun meanwhile is waited for. What is refused is tried again.
            subprocess.run(["scancel", *(["--state=PENDING"] if of_use else []), *unwanted])
        else:
            tell("waiting for jobs of an earlier driver (scancel those you do not want):", jobs)
        time.sleep(POLL)
        end_if_told()
    return bool(told)


def orphans():
    """Processes on this machine that a driver of this study started and that outlived it."""
    here, found = os.path.realpath("."), []
    for process in psutil.process_iter():
        try:
            environment = process.environ()
            starter = json.loads(environment.get("GANAUG_DRIVER", "{}"))
            # Of this study there is no other driver: this one has the lock.
            own = starter.get("runs") == RESULTS and starter["host"] == attempts.here()
            # SLURM looks after its own jobs, also on this machine.
            own = own and environment.get("SLURM_JOB_ID") == os.environ.get("SLURM_JOB_ID")
            if own and starter["pid"] != os.getpid() and process.cwd() == here:
                found.append(process)
        except (psutil.Error, OSError, ValueError):
            continue
    return found


def left_here():
    """End what a driver left running on this machine; whether there was any. A training writes its checkpoint first."""
    found = orphans()
    if found:
        print("ending jobs that an earlier driver left running:", *(p.pid for p in found), flush=True)
        for process in found:
            process.terminate()
        for process in psutil.wait_procs(found, timeout=60)[1]:
            process.kill()
        psutil.wait_procs(found, timeout=10)
    return bool(found)


def finished_without_driver(since):
    """Jobs that have ended since then and of which Snakemake does not know with what settings and code."""
    return [
        job
        for job in workflow.dag.jobs
        if job.output and not workflow.dag.needrun(job) and not workflow.persistence.has_metadata(job)
        if all(os.path.exists(path) and os.path.getmtime(path) >= since for path in job.output)
    ]


def adopt(jobs):
    """Have Snakemake note what made their outputs. It would else not see later that a setting of theirs has changed."""
    for job in jobs:
        workflow.async_run(workflow.persistence.finished(job))


def take_away(jobs):
    """Remove their outputs, which may be of other settings than now; whether there are any.

    A training of the same settings goes on from its last checkpoint, and so is done again at once. (To mark them as
    incomplete does not do: Snakemake overlooks that where an input is remade that it need not wait for.)
    """
    if jobs:
        print("making again what has ended without a driver, of other settings perhaps:", *jobs, flush=True)
    for path in [Path(path) for job in jobs for path in job.output]:
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    return bool(jobs)


def end_if_told():
    """SIGTERM only tells Snakemake's scheduler to start no more jobs, and here it has not begun yet."""
    if getattr(workflow.scheduler, "_user_kill", None):
        raise WorkflowError("ended by SIGTERM")


def plan_again():
    """Start Snakemake anew, in this very process and with the same arguments: what it had planned is out of date.

    This Snakemake ends first, and takes its own lock away, where the profile lets it have one.
    """
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # else one that comes from here on would be lost
    end_if_told()
    AGAIN.append(workflow.rundir)  # where its arguments hold; since then it has gone to --directory
    sys.exit(1)


def keep_to_squeue():
    """Have the SLURM plugin ask the controller only once how long it remembers jobs, and wait for the answer.

    It asks before each look at its jobs, and while the controller is being restarted takes to sacct, which without an
    accounting database never answers: the driver would wait for ever.
    """
    plugin, known = sys.modules.get("snakemake_executor_plugin_slurm"), []
    if plugin is None:
        return
    ask = plugin.get_min_job_age

    def age():
        for _ in range(0 if known else PATIENCE // POLL):
            if (answer := ask()) is not None:
                break
            time.sleep(POLL)
        if not known:
            known.append(answer)
        return known[0]

    plugin.get_min_job_age = age


def by_command():
    """Whether this process is Snakemake's command, and not a program that uses it and can't be started anew."""
    program = Path(sys.argv[0])
    return "snakemake" in (program.name, program.parent.name)


def take_over():
    """Before the first job: take the study's lock, and settle what earlier drivers of the study have left."""
    save_caches()
    driver = become_driver()
    changed, beside = left_here(), driver.beside()
    if beside:
        print(
            "another study runs in this folder: what an earlier driver may have left in SLURM's queue can't be told from "
            "its jobs",
            flush=True,
        )
    elif driver.dead:
        changed |= settle(driver.dead, all(dead["study"] == driver.record["study"] for dead in driver.dead), changed)
    if changed:
        if not by_command():
            raise WorkflowError("jobs of an earlier driver have ended just now; start again")
        plan_again()
    if not beside:
        driver.settled()


def settle(dead, of_use, changed):
    """Settle what dead drivers have left: in SLURM's queue and, once nothing has changed there or here, of jobs that ended
    without a driver. Whether anything has changed by this."""
    queue = any("slurm" in (workflow.executor_plugin.name, driver["executor"]) for driver in dead)
    changed |= bool(queue and shutil.which("squeue") and left_in_queue(of_use))
    if changed:
        return True
    ended = finished_without_driver(min(driver["started"] for driver in dead))
    if not of_use:
        return take_away(ended)
    adopt(ended)
    return False


# What the long jobs start from. It may be made anew and come out as it was.
# The last of them; the others come before.
LAST_OF_THEM = ["check_leaks", "prepare_weights", *(["make_external_set"] if EXTERNAL else [])]
BEGINNINGS = ["check_sizes", "make_subset", "make_test_set", *LAST_OF_THEM]


# What tries each network as the study will use it, and reads no image.
TRIALS = ["check_backbone", "check_extractor", "check_init_from"]


def make_beginnings():
    """Where networks are to be tried, or subsets, test sets or weights to be made again, do so first and plan again.

    A network that can't work ends the run here: no edge of the DAG could say so, since a backbone more must not make the
    GANs anew. And Snakemake plans all that follows from a job it runs, whatever comes out. Planned with the new files in
    place, it compares their bytes: an image more in the data reruns what follows from the subsets that it came into.
    """
    due = list(workflow.dag.needrun_jobs())
    beside = trials_beside(due)
    trials = [trial_of(job) for job in due if job.rule.name in TRIALS] + beside
    again = [job for job in due if job.rule.name in BEGINNINGS]
    again = [job for job in again if all(os.path.exists(path) for path in job.output)]
    if not (again or trials) or workflow.touch or not by_command():
        return
    if "GANAUG_BEGUN" in os.environ:  # once: what is planned after that is run, and what has failed fails again
        untried = [trial for trial in trials if not os.path.exists(trial["output"])]
        if untried:
            raise WorkflowError(
                "no training begins before each network of the study has worked once, and these have not:",
                *(f"{trial['name']}: {why_untried(trial)}" for trial in untried),
            )
        return
    os.environ.update(GANAUG_BEGUN="yes")
    if again:
        print("first the subsets, test sets and weights, to see which of them come out different", flush=True)
    if trials:
        print("first one step of each network, to see whether it can work", flush=True)
    first = [*(LAST_OF_THEM if again else []), *dict.fromkeys(trial["rule"] for trial in trials)]
    # The trials do not come from the targets, so the whole study is planned instead.
    targets = {*workflow.dag_settings.targets, "--"} if beside else ()
    given = without(targets, sys.orig_argv[1:])
    heard = run_part([sys.executable, *given, "--nolock", "--no-hooks", "--until", *first])
    if heard:
        raise WorkflowError(f"ended by {signal.Signals(heard[0]).name}")
    plan_again()


def without(targets, arguments):
    """The arguments of a command but its targets; the word of `--cores all` is none."""
    pairs = zip(["", *arguments], arguments)
    return [given for before, given in pairs if given not in targets or before in ("--cores", "-c", "--jobs", "-j")]


def trial_of(job):
    """A record of a trial in the plan: name, rule, output, log."""
    return {
        "name": job_name(job.rule.name, job.wildcards_dict),
        "rule": job.rule.name,
        "output": str(job.output[0]),
        "log": str(job.log[0]),
    }


def trials_beside(due):
    """The trials of the networks that a GAN's images are for, where a part of a study (`--until train_gan`, a file)
    trains GANs and comes from no such trial. Whether they are up to date is not known before they are planned. In a
    storage a part is run without them: whether they are there is not seen from here."""
    if workflow.storage_settings.default_storage_provider or not any(job.rule.name == "train_gan" for job in due):
        return []
    planned = outputs_of(workflow.dag.jobs)
    return [
        {"name": job.name, "rule": job.rule, "output": str(job.outputs[0]), "log": str(job.log)}
        for job in jobs_of(STUDY)
        if job.rule in ("check_backbone", "check_extractor") and str(job.outputs[0]) not in planned
    ]


def why_untried(trial):
    """Why a trial has no output: it failed, or never began since what it waits for failed."""
    log = Path(trial["log"])
    return why_failed(log) if log.is_file() else "its weights could not be had; the messages above say why"


def run_part(command):
    """Run Snakemake for the beginnings, pass on to it the signals that ask this process to end, and return these."""
    heard, child = [], None

    def pass_on(number, _):
        heard.append(number)
        if child:
            child.send_signal(number)

    before = {number: signal.signal(number, pass_on) for number in (signal.SIGTERM, signal.SIGINT)}
    end_if_told()
    # In a process group of its own: a terminal's Ctrl-C would else reach it twice.
    child = subprocess.Popen(command, cwd=workflow.rundir, process_group=0)
    for number in list(heard):  # before there was a child
        child.send_signal(number)
    child.wait()
    for number, handler in before.items():
        signal.signal(number, handler)
    return heard


if MAIN:
    keep_to_squeue()
    with told_in_words():  # Snakemake itself fails on this with a traceback
        check_writable(DRIVERS)

"""Every kind of job: killed at a random moment, and on a full disk. With time or room it gives the same bytes."""

import subprocess
import time

import pytest

from helpers.disks import fill
from helpers.forks import end
from helpers.jobs import STAGES, Job, jobs, load_everything

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", autouse=True)
def everything():
    load_everything()


@pytest.fixture
def study(stage, request):
    """Folder of a finished study with such a job: the miniature, whose images are given, or one that draws its own."""
    return request.getfixturevalue("undisturbed" if stage == "make_phantoms" else "finished")


def test_all_stages_are_tried(finished, undisturbed):
    assert set(STAGES) == {*jobs(finished), *jobs(undisturbed)}


@pytest.mark.parametrize("stage", STAGES)
def test_a_job_killed_at_a_random_moment_leaves_nothing_half_made(study, tmp_path, stage, rng, survived):
    job = Job(study, tmp_path / "study", stage)
    expected, others, began = job.expected(), job.others(), time.monotonic()
    assert end(job.start(tmp_path / "said")) == 0, (tmp_path / "said").read_text()
    takes = time.monotonic() - began
    assert job.made() == expected != {}
    killed = False
    while not killed:  # it was over sooner than the one before
        job.remove()
        child = job.start()
        time.sleep(rng.uniform(0, takes))
        status = end(child, 9)
        killed = status == -9
        assert killed or status == 0
    assert job.made() == job.expected(left=True)
    assert end(job.start(tmp_path / "said")) == 0, (tmp_path / "said").read_text()
    assert job.whole() and job.made() == expected and job.others() == others
    survived("SIGKILL of jobs, of each kind, at random moments")


@pytest.mark.parametrize("stage", STAGES)
def test_a_job_on_a_full_disk_says_so_and_leaves_nothing_half_made(study, disk, tmp_path, stage, survived):
    subprocess.run(["mount", "-o", "remount,size=48m", str(disk)], check=True)
    job = Job(study, disk / "study", stage)
    others, filler = job.others(), fill(disk)
    assert end(job.start(tmp_path / "said")) == 1
    said = (tmp_path / "said").read_text()
    assert "can't be written: the disk is full" in said and "Traceback" not in said
    assert job.others() == others and not any((job.folder / path).exists() for path in job.outputs)
    filler.unlink()
    assert end(job.start(tmp_path / "said")) == 0, (tmp_path / "said").read_text()
    assert job.whole() and job.made() == job.expected() and job.others() == others
    survived("a full disk during jobs of each kind")

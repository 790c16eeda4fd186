"""Full disks, read-only outputs, and two runs at once: a sentence, nothing half written, and the next run finishes."""

from __future__ import annotations

import re
import subprocess
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest

from ex4d_core.config import make_config
from ex4d_core.errors import OutputFailed
from ex4d_core.jobs.manifest import Job
from ex4d_core.jobs.records import read_record
from ex4d_core.jobs.runner import JobRunner
from ex4d_core.jobs.running import run_jobs
from tests.helpers.forked import forking
from tests.hostile.test_full_disk import Disk


@pytest.fixture
def disk(tmp_path):
    """A file system in memory, whose size can be changed."""
    disk = Disk(tmp_path / "disk")
    if not disk.has(2**20):
        pytest.skip("a file system in memory can be mounted by root only")
    yield disk
    disk.close()


@pytest.fixture
def job(small_clip):
    """Make a job of the small clip, to the guidance only."""

    def make(name="a"):
        depth = {"name": "file", "path": str(small_clip.depth)}
        tree = {"clips": [str(small_clip.video)], "cam": ["10"], "video": {"num_frames": 2}, "depth": depth}
        return Job(id=name, config=make_config({**tree, "renderer": {"name": "zbuffer"}}))

    return make


def run(job, folder):
    return JobRunner(folder, run="r", goal="guidance").run(job)


def error_of(work):
    """Return the error of a job, or of its record."""
    try:
        return work().error
    except OutputFailed as error:
        return str(error)


@pytest.mark.parametrize("pages", [6, 8, 12])
def test_a_full_disk_is_a_sentence_and_the_next_run_finishes(disk, job, pages):
    out = disk.folder / "out"
    assert disk.has(pages * 4096)
    assert re.search("No space left on device|free space", error_of(partial(run, job(), out)))
    assert read_record(out, "a").status in ("failed", "running", "pending")
    assert disk.has(2**26)
    report = run(job(), out)
    assert (report.status, report.error) == ("done", "")
    assert all((out / output).stat().st_size > 0 for output in report.outputs)


def test_a_read_only_output_is_a_sentence_before_anything_runs(ex4d, disk, small_clip, tmp_path):
    (tmp_path / "m.csv").write_text(f"clip\n{small_clip.video}\n")
    options = ("m.csv", "--depth-file", small_clip.depth, "--goal", "guidance", "--num-frames", 2)
    subprocess.run(["mount", "-o", "remount,ro", str(disk.folder)], check=True)
    code, out, err = ex4d("batch", "run", *options, "-o", disk.folder / "out")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert err.startswith(f"error: {disk.folder}")
    assert "Read-only file system" in err


@pytest.mark.slow
def test_two_runs_at_once_do_each_job_once(job, tmp_path, monkeypatch):
    monkeypatch.setattr("ex4d_core.processes._CONTEXT", forking())
    jobs = [job(f"job{number}") for number in range(4)]
    both = [partial(run_jobs, jobs, tmp_path, run=name, goal="guidance") for name in ("first", "second")]
    with ThreadPoolExecutor() as pool:
        first, second = pool.map(lambda each: each(), both)
    fresh = sorted(report.id for report in (*first, *second) if report.fresh)
    assert fresh == [each.id for each in jobs]
    assert {report.status for report in (*first, *second)} <= {"done", "running"}
    assert {read_record(tmp_path, each.id).status for each in jobs} == {"done"}

"""On a real cluster of this machine: the contract of executors, and workers that are killed are replaced."""

import os
import sys
from functools import partial

import pytest

from ex4d_cluster_ray.executor import process_groups
from ex4d_core.jobs.contract import ExecutorContract, small_job, two_frames
from ex4d_core.jobs.records import read_report
from ex4d_core.video_io import write_video
from tests.helpers.fragile_plugin import plant_fragile_plugin

ray = pytest.importorskip("ray", reason="Ray is not installed")
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]


class TestRay(ExecutorContract):
    @pytest.fixture(scope="class")
    def further_jobs(self, tmp_path_factory):
        """Return a job that ends its process once, and one that always does."""
        folder = tmp_path_factory.mktemp("fragile")
        plant_fragile_plugin(folder)
        with pytest.MonkeyPatch.context() as patch:
            patch.syspath_prepend(folder)
            patch.setenv("PYTHONPATH", os.pathsep.join([str(folder), *sys.path]))
            patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
            ray.shutdown()  # one of another test has other modules
            jobs = []
            for name, crashes in (("once", 1), ("always", 9)):
                write_video(two_frames(), folder / f"{name}.mp4")
                (folder / name).write_text(str(crashes))
                depth = {"name": "fragile", "crashes": str(folder / name)}
                jobs.append(small_job(name, folder / f"{name}.mp4", depth=depth))
            yield jobs
            ray.shutdown()

    @pytest.fixture(scope="class")
    def execute(self):
        return partial(process_groups, target="local", workers=2)

    def test_a_job_whose_worker_is_killed_is_done_by_another(self, executed):
        record = read_report(executed.place, "once")
        assert (record.status, record.starts) == ("done", 2)

    def test_a_job_that_always_kills_its_worker_is_not_repeated_without_end(self, executed):
        record = read_report(executed.place, "always")
        assert (record.status, record.starts) == ("crashed", 3)
        assert "its process ended each time that it ran this clip" in record.error

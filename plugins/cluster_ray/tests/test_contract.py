"""On a real cluster of this machine: the contract of executors, and workers that are killed are replaced."""

import os
import sys
from functools import partial

import pytest

from ex4d_cluster_ray.executor import process_groups
from ex4d_core.jobs.contract import ExecutorContract, small_job, two_frames
from ex4d_core.jobs.records import read_record
from ex4d_core.video_io import write_video
from tests.helpers.fragile_plugin import plant_fragile_plugin

pytest.importorskip("ray", reason="Ray is not installed")
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
            jobs = []
            for name, crashes in (("once", 1), ("always", 9)):
                write_video(two_frames(), folder / f"{name}.mp4")
                (folder / name).write_text(str(crashes))
                depth = {"name": "fragile", "crashes": str(folder / name)}
                jobs.append(small_job(name, folder / f"{name}.mp4", depth=depth))
            yield jobs

    @pytest.fixture(scope="class")
    def printed(self, tmp_path_factory):
        """Return the file of all that this process and those of Ray print."""
        return tmp_path_factory.mktemp("printed") / "both"

    @pytest.fixture(scope="class")
    def execute(self, printed):
        """Return the executor; its processes inherit the streams."""
        before = {stream: os.dup(stream) for stream in (1, 2)}
        with printed.open("w") as file:
            for stream in before:
                os.dup2(file.fileno(), stream)
        yield partial(process_groups, target="local", workers=2)
        for stream, own in before.items():
            os.dup2(own, stream)
            os.close(own)

    def test_only_ex4d_prints(self, executed, printed):
        assert printed.read_text() == ""

    def test_a_job_whose_worker_is_killed_is_done_by_another(self, executed):
        record = read_record(executed.place, "once")
        assert (record.status, record.starts) == ("done", 2)

    def test_a_job_that_always_kills_its_worker_is_not_repeated_without_end(self, executed):
        record = read_record(executed.place, "always")
        assert (record.status, record.starts) == ("crashed", 3)
        assert "its process ended each time that it ran this clip" in record.error

"""Contract of executors of jobs; requires pytest, as `ex4d_core.testing` does. Only tests import it."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import attrs
import pytest
import torch

from ex4d_core.config import make_config
from ex4d_core.jobs.manifest import Job
from ex4d_core.jobs.records import JobReport, read_record
from ex4d_core.jobs.running import run_jobs
from ex4d_core.jobs.workers import Execute
from ex4d_core.types import Video
from ex4d_core.video_io import write_video


@attrs.frozen
class Executed:
    """One call of an executor."""

    jobs: list[Job]
    returned: list[JobReport]
    announced: list[JobReport]
    place: Path


class ExecutorContract:
    """Tests of a function that processes items on other machines. Derive a class with `execute`.

    It is called once, with two jobs of one clip, one of another clip, and one of a file that is not a video.
    """

    @pytest.fixture(scope="class")
    def execute(self) -> Execute:
        """The function of the executor, with `target` and `workers` set. Override it."""
        raise NotImplementedError

    @pytest.fixture(scope="class")
    def further_jobs(self, tmp_path_factory: pytest.TempPathFactory) -> Sequence[Job]:
        """More jobs for the same call, for own tests."""
        return ()

    @pytest.fixture(scope="class")
    def executed(
        self,
        execute: Execute,
        further_jobs: Sequence[Job],
        tmp_path_factory: pytest.TempPathFactory,
    ) -> Executed:
        """The call."""
        folder = tmp_path_factory.mktemp("executor")
        clip, other, broken = (folder / name for name in ("clip.mp4", "other.mp4", "broken.mp4"))
        for path in (clip, other):
            write_video(two_frames(), path)
        broken.write_bytes(b"no video")
        first, second = small_job("first", clip), attrs.evolve(small_job("second", clip, cam="8"), first="first")
        jobs = [first, second, small_job("other", other), small_job("broken", broken), *further_jobs]
        announced: list[JobReport] = []
        returned = run_jobs(
            jobs, folder / "out", run="run", goal="guidance", execute=execute, on_report=announced.append
        )
        return Executed(jobs, returned, announced, folder / "out")

    def test_each_job_ends_once(self, executed: Executed) -> None:
        assert sorted(report.id for report in executed.returned) == sorted(job.id for job in executed.jobs)

    def test_each_end_is_announced(self, executed: Executed) -> None:
        assert executed.announced == executed.returned

    def test_good_jobs_are_done_and_bad_ones_have_a_reason(self, executed: Executed) -> None:
        states = {report.id: report.status for report in executed.returned}
        assert {states["first"], states["second"], states["other"]} == {"done"}
        assert states["broken"] == "failed"
        assert "is not a video that can be read" in read_record(executed.place, "broken").error

    def test_states_are_recorded(self, executed: Executed) -> None:
        for report in executed.returned:
            record = read_record(executed.place, report.id)
            assert (record.status, record.run, record.outputs) == (report.status, "run", report.outputs)
            assert all((executed.place / output).exists() for output in report.outputs)

    def test_jobs_of_a_clip_share_its_depth(self, executed: Executed) -> None:
        second = next(report for report in executed.returned if report.id == "second")
        assert second.stages["depth"].reused


def two_frames() -> Video:
    """Return a clip of two small frames."""
    frames = torch.arange(2 * 32 * 48 * 3).reshape(2, 32, 48, 3).to(torch.uint8)
    return Video(frames=frames, fps=Fraction(10))


def small_job(name: str, clip: Path, *, cam: str = "5", **tables: Any) -> Job:
    """Return a job that takes a fraction of a second up to its guidance."""
    tree = {"clips": [str(clip)], "cam": [cam], "depth": {"name": "sketch"}, "renderer": {"name": "zbuffer"}}
    return Job(id=name, config=make_config({**tree, **tables}))

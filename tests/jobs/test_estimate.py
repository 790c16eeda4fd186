"""An estimate counts each stage once, and states what it rests on."""

from __future__ import annotations

import pytest

from ex4d_core.config import make_config
from ex4d_core.jobs.estimate import estimate
from ex4d_core.jobs.manifest import Job
from ex4d_core.jobs.storage import Storage
from ex4d_core.pipeline.rates import Rate, rate_key, record_rates
from ex4d_core.pipeline.session import Session
from ex4d_core.pipeline.stage_order import roles_for_stage

MEGAPIXELS = 2 * 64 * 48 / 1e6
"""Of the two frames of the clip."""


@pytest.fixture
def jobs(small_clip, monkeypatch, tmp_path):
    """Return two jobs of one clip, along two paths and one, to the guidance."""
    monkeypatch.setenv("EX4D_CACHE", str(tmp_path / "cache"))
    depth = {"name": "file", "path": str(small_clip.depth)}
    tree = {"clips": [str(small_clip.video)], "video": {"num_frames": 2}, "depth": depth}
    tree |= {"renderer": {"name": "zbuffer"}}
    first = Job(id="first", config=make_config({**tree, "cam": ["10", "20"]}))
    return [first, Job(id="second", config=make_config({**tree, "cam": ["30"]}), first="first")]


def lines(jobs, tmp_path):
    return estimate(jobs, Storage(str(tmp_path / "out")), goal="guidance").lines()


def remember(jobs, *stages):
    """Record that each stage takes 10 s and 1 MB for the frames of the clip."""
    session = Session(jobs[0].config)
    roles = {stage: () if stage == "refine" else roles_for_stage(stage) for stage in stages}
    rate = Rate(seconds=10 / MEGAPIXELS, bytes=1e6 / MEGAPIXELS)
    record_rates({rate_key(session, stage, roles[stage]): rate for stage in stages})


def test_without_measurements_the_time_is_unknown(jobs, tmp_path):
    assert lines(jobs, tmp_path) == [
        "jobs: 2, 0 done, 3 camera paths to run",
        "time: unknown for 3 paths with stages that were not measured on this CPU; run one of their jobs first (stages "
        "below 1 s and clips below 4 million pixels do not count)",
        "disk: about 1 MB of artifacts, at measured or typical sizes",
    ]


def test_depth_counts_once_for_a_clip_and_reading_once_for_a_job(jobs, tmp_path):
    remember(jobs, "read", "depth", "refine", "guidance")
    assert lines(jobs, tmp_path)[1:] == [
        "time: about 80 s of one worker on this CPU for 3 paths, without loading models and writing videos; "
        "measured on this machine",
        "disk: about 8 MB of artifacts, at measured or typical sizes",
    ]


def test_the_part_that_was_not_measured_is_stated(jobs, tmp_path, monkeypatch):
    remember(jobs, "depth", "guidance")
    assert lines(jobs, tmp_path)[1].endswith(
        "without loading models and writing videos; measured on this machine"
    )  # the rest is short
    typical = {"read": 5 / MEGAPIXELS, "depth": 0, "refine": 5 / MEGAPIXELS, "guidance": 0}
    monkeypatch.setattr("ex4d_core.pipeline.forecast._SECONDS", typical)
    assert lines(jobs, tmp_path)[1].endswith("; 67% of it measured on this machine, the rest typical times")


def test_a_job_that_cannot_run_is_named(tmp_path):
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"no video")
    bad = Job(id="bad", config=make_config({"clips": [str(broken)], "depth": {"name": "sketch"}}))
    assert lines([bad], tmp_path)[0] == "jobs: 1, 0 done, 0 camera paths to run"
    assert lines([bad], tmp_path)[1].startswith("errors: 1 of 1 jobs cannot run on this machine, such as bad: ")

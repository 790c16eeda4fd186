"""On a real cluster of this machine: good jobs are done once, a killed worker is replaced, errors are rows."""

import os
import sys
from fractions import Fraction

import pytest
import torch

from ex4d_cluster_ray.executor import run_jobs
from ex4d_core.config import make_config
from ex4d_core.errors import InvalidConfig
from ex4d_core.jobs.manifest import Job
from ex4d_core.jobs.records import read_report
from ex4d_core.types import Video
from ex4d_core.video_io import write_video
from tests.helpers.fragile_plugin import plant_fragile_plugin

pytest.importorskip("ray", reason="Ray is not installed")
pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("ray"), pytest.mark.filterwarnings("ignore")]


def test_a_cluster_runs_jobs_of_which_one_kills_its_worker_and_one_is_no_video(tmp_path, monkeypatch):
    plant_fragile_plugin(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), *sys.path]))
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    frames = torch.arange(2 * 32 * 48 * 3, dtype=torch.int32).reshape(2, 32, 48, 3).to(torch.uint8)
    write_video(Video(frames=frames, fps=Fraction(10)), tmp_path / "video.mp4")
    jobs = []
    for name, crashes in (("good", 0), ("once", 1), ("always", 9), ("broken", 0)):
        clip = tmp_path / f"{name}.mp4"
        clip.write_bytes(b"no video" if name == "broken" else (tmp_path / "video.mp4").read_bytes())
        (tmp_path / name).write_text(str(crashes))
        depth = {"name": "fragile", "crashes": str(tmp_path / name)}
        tree = {"clips": [str(clip)], "cam": ["5"], "video": {"num_frames": 2}, "renderer": {"name": "zbuffer"}}
        jobs.append(Job(id=name, config=make_config({**tree, "depth": depth})))
    out, seen = tmp_path / "out", []
    reports = run_jobs(jobs, out, run="r", target="local", workers=2, goal="guidance", on_report=seen.append)
    assert reports == seen
    assert {report.id: report.status for report in reports} == {
        **{"good": "done", "once": "done", "always": "crashed", "broken": "failed"},
    }
    assert read_report(out, "once").starts == 2
    assert "is not a video that can be read" in read_report(out, "broken").error


def test_an_address_without_a_cluster_is_one_sentence(tmp_path):
    job = Job(id="a", config=make_config({"clips": ["a.mp4"]}))
    with pytest.raises(InvalidConfig, match="there is no Ray cluster at 'auto'"):
        run_jobs([job], tmp_path, run="r")

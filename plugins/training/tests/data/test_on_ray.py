"""On a real cluster of this machine, videos become the same bytes as in this process."""

from __future__ import annotations

import os
import sys
from functools import partial

import pytest
import torch

from ex4d_training.data import prepare
from plugins.training.tests.data.test_parts import everything

pytestmark = pytest.mark.slow


@pytest.mark.filterwarnings("ignore")
def test_ray_makes_the_same_bytes(job, some_videos, tmp_path, monkeypatch):
    """With the networks, which cannot be replaced in other processes."""
    pytest.importorskip("ray", reason="Ray is not installed")
    executor = pytest.importorskip("ex4d_cluster_ray.executor", reason="the plugin is not installed")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as Ray sets for each actor
    try:
        prepare(some_videos, tmp_path / "here", job=job())
    finally:
        torch.set_num_threads(threads)
    execute = partial(executor.process_groups, target="local", workers=2)
    report = prepare(some_videos, tmp_path / "ray", job=job(), execute=execute)
    assert report.counts == {"unreadable": 1}
    assert everything(tmp_path / "ray") == everything(tmp_path / "here")

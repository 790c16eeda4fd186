"""A worker runs the jobs that it is sent, and refuses to run on a node with other versions."""

import json

import attrs
import pytest

from ex4d_cluster_ray.executor import _connect, _groups, _reason, _size
from ex4d_cluster_ray.plugin import ex4d_job_executors
from ex4d_cluster_ray.worker import Worker, check_versions, decode, encode, installed_versions, report_of
from ex4d_core.config import make_config
from ex4d_core.errors import InvalidConfig, PluginFailed
from ex4d_core.jobs.manifest import Job


def job(name, clip, **tables):
    return Job(id=name, config=make_config({"clips": [str(clip)], "cam": ["10"], **tables}))


def test_jobs_survive_the_journey(tmp_path):
    jobs = [job("a", tmp_path / "a.mp4", seed=5, mesh={"min_angle": 2.5}), job("b", "b.mp4", prompt="a, b")]
    assert [(each.id, each.config.seed, each.config.mesh, each.key()) for each in decode(encode(jobs))] == [
        (each.id, each.config.seed, each.config.mesh, each.key()) for each in jobs
    ]


def test_a_worker_returns_states(tmp_path):
    (tmp_path / "c.mp4").write_bytes(b"no video")
    worker = Worker(str(tmp_path / "out"), "run", "guidance", installed_versions())
    row = worker({"jobs": [encode([job("a", tmp_path / "c.mp4"), job("b", tmp_path / "c.mp4")])]})
    reports = [report_of(text) for text in row["report"]]
    assert [(report.id, report.status) for report in reports] == [("a", "failed"), ("b", "failed")]
    assert json.loads((tmp_path / "out" / "jobs" / "a.json").read_text())["run"] == "run"


def test_a_node_with_other_versions_is_refused_with_the_difference():
    versions = installed_versions()
    check_versions(versions)
    other = {**versions, "ex4d-core": "0.0.1", "ex4d-mine": "2.0"}
    with pytest.raises(PluginFailed) as error:
        check_versions(other)
    assert f"ex4d-core {versions['ex4d-core']} instead of 0.0.1" in str(error.value)
    assert "ex4d-mine is not installed instead of 2.0" in str(error.value)


def test_jobs_of_a_clip_are_one_row():
    a, b, c = job("a", "x.mp4"), job("b", "y.mp4"), attrs.evolve(job("c", "x.mp4"), first="a")
    assert _groups([a, b, c]) == [[a, c], [b]]


def test_each_gpu_has_one_worker_by_default():
    assert _size({"CPU": 64, "GPU": 8}, None) == (8, 1.0)
    assert _size({"CPU": 64, "GPU": 8}, 16) == (16, 0.5)
    assert _size({"CPU": 4}, None) == (2, 0)
    assert _size({"CPU": 1}, None) == (1, 0)


def test_the_plugin_offers_the_executor():
    (offer,) = ex4d_job_executors()
    assert (offer.name, offer.app) == ("ray", "ex4d_cluster_ray.executor:run_jobs")


def test_an_error_on_a_node_is_one_line_of_the_traceback_that_ray_returns():
    remote = RuntimeError("The actor died (pid=1)\n  File x\nex4d_core.errors.PluginFailed: the node n has ex4d 2\n")
    assert _reason(remote) == "the node n has ex4d 2"
    assert _reason(RuntimeError("a\nb")) == "the Ray cluster failed: b"
    assert _reason(RuntimeError()) == "the Ray cluster failed: RuntimeError"


@pytest.mark.parametrize("target", ["auto", "10.0.0.1:6379"])
def test_an_address_without_a_cluster_is_one_sentence(target):
    class Ray:
        """Finds no cluster, as Ray does; a real search may end the process."""

        @staticmethod
        def init(address, **_):
            raise ConnectionError(f"Could not find any running Ray instance at {address}.\nMore lines.")

    with pytest.raises(InvalidConfig) as error:
        _connect(Ray, target)
    assert str(error.value).startswith(
        f"there is no Ray cluster at '{target}' (Could not find any running Ray instance"
    )
    assert str(error.value).endswith("start one with: ray start --head, or use --ray local")

"""The depth estimator of the first clip works in a process of its own, beside the loading of the backbone."""

import os
import signal
from functools import partial

import attrs
import psutil
import pytest
import torch

import ex4d_core as ex4d
from ex4d_core.errors import Cancelled, InputNotFound, PluginFailed
from ex4d_core.pipeline.estimator_process import EstimatorProcess
from ex4d_core.pipeline.measure import measure
from ex4d_core.plugins.registry import Registry
from ex4d_core.progress import silent
from ex4d_core.runs import estimator_start
from ex4d_core.runs.estimator_start import start_estimator
from tests.helpers.backbones import STEPWISE, plugins_with


def no_weights(options):
    return []


def session(**settings) -> ex4d.Session:
    return ex4d.Session(device="cpu", **settings)


@pytest.fixture
def started():
    """Start processes, and end those that are left."""
    processes = []

    def start(**settings) -> EstimatorProcess:
        owner = session(**settings)
        chosen = owner.choose("depth")
        processes.append(process := EstimatorProcess(chosen, device="cpu"))
        process.take_over(chosen, partial(owner.registry.make, chosen.offer, chosen.options, device=owner.device))
        return process

    yield start
    for process in processes:
        process.close()


def children() -> list[psutil.Process]:
    return [child for child in psutil.Process().children() if "spawn_main" in " ".join(child.cmdline())]


def test_it_estimates_the_same_depth_and_ends(started, small_clip):
    video = session().open_clip(small_clip.video).video
    expected = session(depth="sketch").run(video, cam="0").clip_run.estimated_depth
    process, told = started(depth="sketch"), []
    with measure() as usage:
        process.prepare()
        depth = process.estimate(video, progress=lambda done, total: told.append((done, total)))
    assert torch.equal(depth.depth, expected.depth)
    assert (depth.kind, depth.intrinsics) == (expected.kind, expected.intrinsics)
    assert told[0][0] == 0
    assert told[-1][0] == told[-1][1]
    assert usage.peak_bytes > psutil.Process().memory_info().rss + 2**27  # of both processes
    assert not children()
    again = process.estimate(video, progress=silent)
    assert torch.equal(again.depth, expected.depth)
    assert not children()


def test_errors_of_the_component_and_of_its_process_are_raised(started, small_clip, tmp_path):
    missing, killed, cancelled = (
        started(depth={"name": "file", "path": str(tmp_path / "none.npz")}),
        started(depth="sketch"),
        started(depth="sketch"),
    )
    video = session().open_clip(small_clip.video).video
    with pytest.raises(InputNotFound, match=r"none\.npz"):
        missing.estimate(video, progress=silent)
    killed.prepare()
    killed.prepare()  # is loaded
    os.kill(killed._process.pid, signal.SIGKILL)
    with pytest.raises(PluginFailed, match="the process of the depth estimator was killed by SIGKILL"):
        killed.estimate(video, progress=silent)

    def cancel(done: int, total: int) -> None:
        raise Cancelled("enough")

    with pytest.raises(Cancelled, match="enough"):
        cancelled.estimate(video, progress=cancel)
    assert not children()


class Recorded:
    """Stands for the process."""

    def __init__(self, chosen, *, device):
        self.chosen, self.device, self.is_closed = chosen, device, False

    def take_over(self, chosen, make):
        return chosen == self.chosen

    def close(self):
        self.is_closed = True


@pytest.fixture
def planned(monkeypatch):
    """Make a session whose depth estimator has weights, and start the estimator as the command does."""
    monkeypatch.setattr(estimator_start, "EstimatorProcess", Recorded)

    @attrs.frozen
    class LocalOptions:
        pass

    def plan(*, gpu=True, weights=True, local=False) -> ex4d.Session:
        monkeypatch.setattr(estimator_start, "expects_gpu", lambda name: gpu)
        given = {"weights": f"{__name__}:no_weights"} if weights else {}
        plugins = plugins_with(attrs.evolve(STEPWISE, **given))
        sketch = Registry(plugins).find("depth", "sketch")
        options = LocalOptions if local else sketch.spec.options
        spec = attrs.evolve(sketch.spec, name="slow", weights=f"{__name__}:no_weights", options=options)
        slow = attrs.evolve(sketch, spec=spec)
        registry = Registry(attrs.evolve(plugins, offers=(*plugins.offers, slow)))
        made = session(depth="slow", backbone="stepwise", registry=registry)
        start_estimator(made)
        return made

    return plan


def test_it_is_started_if_the_estimator_and_the_backbone_have_weights_for_a_gpu(planned):
    process = planned().estimator_process
    assert (process.chosen.offer.name, process.device) == ("slow", "cpu")
    assert planned(gpu=False).estimator_process is None
    assert planned(weights=False).estimator_process is None
    assert planned(local=True).estimator_process is None


def test_it_takes_the_place_of_the_component_that_is_loaded(planned):
    run = planned()
    run.load_ahead("depth")
    assert not run.estimator_process.is_closed
    assert run._loading.take("depth") is run.estimator_process


def test_it_ends_if_the_depth_is_stored(planned):
    run = planned()
    run.load_ahead("mesh")
    assert run.estimator_process.is_closed


def test_it_ends_if_another_component_is_selected(started):
    process = started(depth="sketch")
    assert not process.take_over(session(depth={"name": "sketch", "far": 7.0}).choose("depth"), silent)
    assert not children()

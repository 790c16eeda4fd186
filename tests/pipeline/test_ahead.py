"""Components with weights are loaded while earlier stages compute."""

import sys
import threading

import attrs
import pytest

import ex4d_core as ex4d
from ex4d_core.errors import InvalidInput
from ex4d_core.pipeline.ahead import TURN, Ahead, Loading
from ex4d_core.plugins.registry import Registry
from ex4d_core.runs.export import export
from tests.helpers.backbones import STEPWISE, StepBackbone, plugins_with

CALLS: list[tuple[str, bool]] = []
"""What was called, and whether in the main thread."""


def called(name: str) -> None:
    CALLS.append((name, threading.current_thread() is threading.main_thread()))


class AheadBackbone(StepBackbone):
    def start(self):
        called("start")

    def prepare(self, *, prompt, ahead):
        called(f"prepare {prompt} {'ahead' if ahead else ''}".strip())

    def generate(self, *args, **options):
        called("generate")
        return super().generate(*args, **options)


class FailsAhead(AheadBackbone):
    def prepare(self, *, prompt, ahead):
        super().prepare(prompt=prompt, ahead=ahead)
        if ahead:
            raise RuntimeError("a library is not ready for threads")


class Fails(AheadBackbone):
    def prepare(self, *, prompt, ahead):
        raise InvalidInput("the weights are damaged")


def no_weights(options):
    return []


@pytest.fixture
def session(small_clip):
    def make(component):
        CALLS.clear()
        places = {"component": f"{__name__}:{component}", "weights": f"{__name__}:no_weights"}
        return ex4d.Session(
            depth={"name": "file", "path": str(small_clip.depth)},
            backbone="stepwise",
            prompt="a boat",
            device="cpu",
            registry=Registry(plugins_with(attrs.evolve(STEPWISE, **places))),
        )

    return make


ALL = [("start", False), ("prepare a boat ahead", False), ("prepare a boat", True), ("generate", True)]


def test_a_backbone_is_loaded_in_another_thread_and_completed_in_the_main_one(session, small_clip, tmp_path):
    first = session("AheadBackbone")
    export(first.open_clip(small_clip.video, folder=tmp_path).along("20"))
    assert CALLS == ALL
    export(first.open_clip(small_clip.video, folder=tmp_path).along("10"))
    assert [*ALL, ("generate", True)] == CALLS


def test_a_finished_run_loads_nothing(session, small_clip, tmp_path):
    export(session("AheadBackbone").open_clip(small_clip.video, folder=tmp_path).along("20"))
    export(session("AheadBackbone").open_clip(small_clip.video, folder=tmp_path).along("20"))
    assert CALLS == []


def test_what_fails_in_the_other_thread_is_loaded_again(session, small_clip):
    session("FailsAhead").run(small_clip.video, cam="20")
    assert CALLS == ALL
    with pytest.raises(InvalidInput, match="the weights are damaged"):
        session("Fails").run(small_clip.video, cam="20")


def test_the_depth_estimator_is_imported_while_the_clip_is_read_unless_the_depth_is_stored(
    session, small_clip, tmp_path, monkeypatch
):
    loads = []
    load = Registry.load

    def recorded(registry, offer):
        loads.append((offer.role, threading.current_thread().name))
        return load(registry, offer)

    monkeypatch.setattr(Registry, "load", recorded)
    export(session("AheadBackbone").open_clip(small_clip.video, folder=tmp_path).along("20"))
    assert ("depth", "import ahead") in loads
    loads.clear()
    export(session("AheadBackbone").open_clip(small_clip.video, folder=tmp_path).along("10"))
    assert "depth" not in {role for role, _ in loads}


def test_loading_and_computing_are_recorded_apart(session, small_clip, tmp_path):
    clip_run = session("AheadBackbone").open_clip(small_clip.video, folder=tmp_path)
    export(clip_run.along("20"))
    stages = clip_run.record.read()["takes"]["20"]["stages"]
    assert [stage["stage"] for stage in stages] == ["read", "depth", "refine", "guidance", "result"]
    for stage in stages:
        assert stage["seconds"] == pytest.approx(stage["load"] + stage["compute"])


def test_threads_take_shorter_turns_while_work_is_under_way():
    before, both = sys.getswitchinterval(), threading.Barrier(2)

    def work():
        both.wait(60)
        return sys.getswitchinterval(), both.wait(60)

    works = [Ahead(work), Ahead(work)]
    assert [each.result()[0] for each in works] == [pytest.approx(TURN, rel=0.01)] * 2
    assert sys.getswitchinterval() == before


def test_components_without_weights_are_imported_when_one_is_loaded():
    loading, imported, done = Loading(), [], threading.Event()

    def fail():
        raise ImportError

    loading.import_later("mesh", lambda: imported.append("mesh"))
    loading.import_later("renderer", fail)
    loading.import_later("backbone", lambda: (imported.append("backbone"), done.set()))
    assert loading.take("mesh") is None  # used at once, so it is imported by its user
    assert imported == []
    loading.continue_now()
    assert done.wait(60)
    loading.continue_now()
    assert imported == ["backbone"]

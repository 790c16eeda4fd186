"""An error inside a component names the component and the line of its code, for every role."""

import sys
import traceback

import pytest
import torch

import ex4d_core as ex4d
from ex4d_core.errors import ComponentCrashed, InvalidInput
from ex4d_core.pipeline import stages
from ex4d_core.plugins.crashes import named_crash
from ex4d_core.plugins.registry import Registry

LENS = ex4d.Intrinsics.from_fov(width=16, height=16)
VIDEO = ex4d.Video(frames=torch.zeros(1, 16, 16, 3, dtype=torch.uint8), fps=24)
SCENE = ex4d.Scene(video=VIDEO, depth=ex4d.DepthVideo(depth=torch.ones(1, 16, 16), kind="metric", intrinsics=LENS))
PATH = ex4d.CameraPath(world_to_camera=torch.eye(4)[None], intrinsics=LENS)
GUIDANCE = ex4d.Guidance(color=VIDEO.frames, mask=torch.ones(1, 16, 16, dtype=torch.bool), fps=24)
TRACE = "; rerun with EX4D_TRACE=1 and report the traceback"

CODE = """
import json

class Broken:
    def __init__(self, options=None, *, device=None):
        self.share = 1 / (options or 1)

    def fail(self, *values, **named):
        json.loads(0)

    estimate = path = build = render = generate = fail
"""


@pytest.fixture
def broken(tmp_path, monkeypatch):
    """A component of a plugin whose every method fails in a library."""
    package, info = tmp_path / "ex4d_depth_my_depth", tmp_path / "ex4d_depth_my_depth-0.1.0.dist-info"
    package.mkdir()
    info.mkdir()
    (package / "__init__.py").touch()
    (package / "estimator.py").write_text(CODE)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: ex4d-depth-my-depth\nVersion: 0.1.0\n")
    (info / "entry_points.txt").write_text("[ex4d]\nmy-depth = ex4d_depth_my_depth\n")
    monkeypatch.syspath_prepend(tmp_path)
    from ex4d_depth_my_depth.estimator import Broken

    yield Broken
    for name in [name for name in sys.modules if name.startswith("ex4d_depth_my_depth")]:
        del sys.modules[name]


class Fine:
    """Works in every role but one."""

    def build(self, frame, depth, intrinsics, *, valid=None):
        square = torch.tensor([[0, 0, 1], [1, 0, 1], [0, 1, 1.0]])
        return ex4d.Mesh(
            vertices=square,
            faces=torch.tensor([[0, 1, 2]], dtype=torch.int32),
            vertex_colors=torch.zeros(3, 3, dtype=torch.uint8),
            face_occluded=torch.zeros(1, dtype=torch.bool),
            max_stretch=torch.ones(1),
        )


CALLS = {
    "depth": lambda component: stages.estimate_depth(VIDEO, component),
    "trajectory": lambda component: stages.plan_path(SCENE, component),
    "mesh": lambda component: stages.build_mesh(SCENE, 0, component),
    "renderer": lambda component: stages.render_guidance(SCENE, PATH, Fine(), component),
    "backbone": lambda component: stages.generate_video(GUIDANCE, None, component),
}


@pytest.mark.parametrize("role", CALLS)
def test_a_crash_names_the_component_and_its_last_line(broken, role):
    with pytest.raises(ComponentCrashed) as caught:
        CALLS[role](broken())
    said = "in my-depth (ex4d-depth-my-depth 0.1.0), estimator.py:9: TypeError: the JSON object must be str"
    assert str(caught.value).startswith(said)
    assert str(caught.value).endswith(TRACE)
    cause = caught.value.__cause__
    assert [frame.name for frame in traceback.extract_tb(cause.__traceback__)][-2:] == ["fail", "loads"]


def test_a_crash_while_a_component_is_created_names_it(broken, monkeypatch):
    registry = Registry()
    offer = registry.find("depth", "file")
    monkeypatch.setattr(type(offer), "load", lambda self: broken)
    with pytest.raises(ComponentCrashed, match=r"^in my-depth \(.*\), estimator.py:6: TypeError: unsupported operand"):
        registry.make(offer, "no number", device="cpu")


@pytest.mark.parametrize("role", CALLS)
def test_an_object_of_the_caller_is_named_by_class_and_file(role):
    class Mine:
        def estimate(self, *values, **named):
            return {}["horse"]

        path = build = render = generate = estimate

    with pytest.raises(ComponentCrashed) as caught:
        CALLS[role](Mine())
    said = str(caught.value)
    assert said.startswith("in test_an_object_of_the_caller_is_named_by_class_and_file.<locals>.Mine, ")
    assert said.endswith(": KeyError: 'horse'")
    assert "test_crashes.py:" in said


def test_a_method_with_other_arguments_is_named_too():
    class Mine:
        def estimate(self, video):
            return video

    with pytest.raises(ComponentCrashed, match=r"Mine, .*test_crashes.py: TypeError: .*keyword argument 'progress'$"):
        stages.estimate_depth(VIDEO, Mine())


class OutOfMemoryError(RuntimeError):
    """As torch has one."""


@pytest.mark.parametrize(
    "error", [InvalidInput("no"), MemoryError(), OutOfMemoryError(), KeyboardInterrupt(), BrokenPipeError()]
)
def test_errors_of_ex4d_limits_of_the_machine_and_stops_stay_as_they_are(error):
    with pytest.raises(type(error)) as caught, named_crash(Fine()):
        raise error
    assert caught.value is error


def test_a_stop_that_a_library_converted_is_not_a_crash():
    with pytest.raises(RuntimeError, match=r"^lost$"), named_crash(Fine()):
        try:
            raise KeyboardInterrupt
        except KeyboardInterrupt as stop:
            raise RuntimeError("lost") from stop


def test_a_crash_in_a_move_of_a_joined_path_names_the_move(broken):
    from ex4d_core.cameras.generators import JoinedPath, Move, Segment

    joined = JoinedPath([Segment(moves=(Move(generator=broken()),))])
    with pytest.raises(ComponentCrashed, match=r"^in my-depth .* estimator.py:9"):
        stages.plan_path(SCENE, joined)


def test_a_command_shows_one_sentence_and_ends_with_1(ex4d, small_clip, broken, monkeypatch):
    monkeypatch.setattr("ex4d_core.builtin.depth_file.DepthFile.estimate", broken.fail)
    arguments = (small_clip.video, "--depth-file", small_clip.depth, "--quiet")
    code, out, err = ex4d("preview", *arguments)
    *_, last = err.splitlines()
    assert (code, out, err.count("error: "), "Traceback" in err) == (1, "", 1, False)
    assert last.startswith("error: in my-depth (ex4d-depth-my-depth 0.1.0), estimator.py:9: TypeError: ")
    assert last.endswith(TRACE)
    assert ex4d("depth", *arguments)[2].splitlines()[-1] == last

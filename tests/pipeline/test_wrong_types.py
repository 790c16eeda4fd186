"""Values of the wrong type are refused at once, in one sentence."""

import pytest
import torch

import ex4d_core as ex4d
from ex4d_core.errors import ComponentNotFound, InvalidConfig, InvalidInput

LENS = ex4d.Intrinsics.from_fov(width=16, height=16)


def test_a_misspelled_component_is_refused_when_the_session_is_created():
    with pytest.raises(ComponentNotFound, match=r"unknown depth estimator 'fil'; did you mean 'file'\?"):
        ex4d.Session(depth="fil")


@pytest.mark.parametrize(
    "make",
    [
        lambda: ex4d.Session("clip.mp4"),
        lambda: ex4d.Session(ex4d.RunConfig(), depth="file"),
        lambda: ex4d.Session(depth=3),
        lambda: ex4d.Session(seed="many"),
    ],
)
def test_settings_of_the_wrong_type_are_refused(make):
    with pytest.raises(InvalidConfig):
        make()


@pytest.mark.parametrize("clip", [None, 3, b"clip.mp4", object()])
def test_a_clip_of_the_wrong_type_is_refused(clip):
    with pytest.raises(InvalidInput, match="clip"):
        ex4d.Session().open_clip(clip)
    with pytest.raises(InvalidInput, match="clip"):
        ex4d.read_video(clip)


def test_a_camera_of_the_wrong_type_is_refused(small_clip):
    with pytest.raises(InvalidConfig, match="cam must be"):
        ex4d.run(small_clip.video, cam=object(), depth={"name": "file", "path": str(small_clip.depth)})


def test_only_videos_are_written_and_only_to_paths(tmp_path):
    with pytest.raises(InvalidInput, match="write_video takes a Video, not str"):
        ex4d.write_video("clip.mp4", tmp_path / "out.mp4")
    with pytest.raises(InvalidInput, match="output file must be a path, not 3"):
        ex4d.write_video(ex4d.Video(frames=torch.zeros(1, 16, 16, 3, dtype=torch.uint8), fps=24), 3)


@pytest.mark.parametrize(
    "make",
    [
        lambda: ex4d.Video(frames="clip.mp4", fps=24),
        lambda: ex4d.Video(frames=torch.zeros(1, 16, 16, 3, dtype=torch.uint8), fps="many"),
        lambda: ex4d.CameraPath(world_to_camera=torch.eye(4)[None], intrinsics=None),
        lambda: ex4d.CameraPath(world_to_camera=torch.eye(4)[None], intrinsics=LENS, frames=["a"]),
        lambda: ex4d.CameraPath(world_to_camera=torch.eye(4)[None], intrinsics=LENS, frames=3),
        lambda: ex4d.DepthVideo(depth=torch.ones(1, 16, 16), kind="metres", intrinsics=LENS),
        lambda: ex4d.DepthVideo(depth=torch.ones(1, 16, 16), kind="metric", intrinsics=50),
    ],
)
def test_values_of_the_wrong_type_are_refused(make):
    with pytest.raises(InvalidInput):
        make()

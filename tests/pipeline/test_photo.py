"""Photos: a camera path along one frame is a move, not a single pose."""

import numpy as np
import pytest
import torch

import ex4d_core as ex4d
from ex4d_core.pipeline.clip_run import PHOTO_FRAMES
from ex4d_core.video_io.images import write_png


@pytest.fixture
def photo(tmp_path, small_clip):
    """A photo, and the settings of a session with its depth."""
    write_png(tmp_path / "photo.png", ex4d.read_video(small_clip.video, num_frames=1).frames[0].numpy())
    np.save(tmp_path / "depth.npy", np.load(small_clip.depth)[:1])
    return tmp_path / "photo.png", {"depth": {"name": "file", "path": str(tmp_path / "depth.npy")}}


def clip_run_of(photo, **options):
    path, settings = photo
    return ex4d.Session(**settings, **options).open_clip(path)


@pytest.mark.parametrize("cam", ["30", "static", "30 then static"])
def test_a_path_along_a_photo_has_49_frames(photo, cam):
    path = clip_run_of(photo).along(cam).path
    assert path.num_frames == PHOTO_FRAMES == 49
    assert set(path.frames) == {0}
    moves = not torch.allclose(path.world_to_camera[0], path.world_to_camera[-1])
    assert moves == (cam != "static")


def test_the_number_of_frames_can_be_chosen(photo):
    assert clip_run_of(photo, path={"frames": 1}).along("30").path.num_frames == 1
    assert clip_run_of(photo, path={"frames": 5}).along("30").path.num_frames == 5


def test_given_poses_determine_the_number_of_frames(photo, tmp_path):
    given = clip_run_of(photo, path={"frames": 3}).along("30").path
    ex4d.write_camera_path(given, tmp_path / "path.npz")
    assert clip_run_of(photo).along(f"from_file:path={tmp_path / 'path.npz'}").path.num_frames == 3
    assert clip_run_of(photo).along(given).path.num_frames == 3


def test_one_frame_of_a_longer_clip_is_one_view(photo, small_clip):
    _, settings = photo
    clip_run = ex4d.Session(**settings, video={"num_frames": 1}).open_clip(small_clip.video)
    assert clip_run.along("30").path.num_frames == 1


def test_a_video_is_made_of_a_photo(photo):
    clip_run = clip_run_of(photo)
    assert clip_run.along("10").video.num_frames == 49

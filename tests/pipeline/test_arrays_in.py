"""Clips, depth and cameras are passed as arrays, tensors and lists of images."""

import numpy as np
import pytest
import torch
from PIL import Image

import ex4d_core as ex4d
from ex4d_core.errors import InvalidConfig, InvalidInput

T, H, W = 3, 48, 64


@pytest.fixture
def frames():
    return np.random.default_rng(0).integers(0, 256, (T, H, W, 3), np.uint8)


@pytest.fixture
def depth():
    return (1 / (0.2 + 0.3 * np.arange(H)[None, :, None] / H + np.zeros((T, 1, W)))).astype(np.float32)  # a floor


@pytest.fixture
def session():
    return ex4d.Session(backbone="telea", renderer="zbuffer", device="cpu")


@pytest.mark.parametrize(
    "as_frames",
    [
        lambda frames: frames,
        torch.from_numpy,
        lambda frames: list(frames),
        lambda frames: [Image.fromarray(frame) for frame in frames],
        lambda frames: frames / 255,
    ],
)
def test_frames_of_any_kind_are_the_same_clip(session, frames, as_frames):
    clip = session.open_clip(as_frames(frames))
    assert np.array_equal(clip.video.numpy(), frames)
    assert clip.fps == 30


def test_frames_with_their_channels_first_are_refused_with_the_call_that_moves_them(session, frames):
    with pytest.raises(InvalidInput, match=r"\[T, H, W, 3\], not \[3, 3, 48, 64\]; move the channels last"):
        session.open_clip(torch.from_numpy(frames).permute(0, 3, 1, 2))


def test_depth_and_poses_are_arrays(session, frames, depth):
    poses = np.tile(np.eye(4), (T, 1, 1))
    poses[:, 0, 3] = np.linspace(0, 0.3, T)
    path_run = session.run(frames, depth=depth, cam=poses)
    assert path_run.video.numpy().shape == frames.shape
    color, mask = path_run.guidance.numpy()
    assert color.shape == frames.shape
    assert 0.5 < mask[-1].mean() < 1
    assert np.allclose(path_run.scene.depth.numpy(), depth)
    tensors = session.run(torch.from_numpy(frames), depth=torch.from_numpy(depth), cam=torch.from_numpy(poses[:, :3]))
    assert np.array_equal(tensors.guidance.numpy()[1], mask)


def test_a_depth_video_replaces_the_estimator(session, frames, depth):
    given = ex4d.DepthVideo(depth=depth, kind="relative", intrinsics=ex4d.Intrinsics.from_fov(80, width=W, height=H))
    clip = session.open_clip(frames, depth=given)
    assert clip.estimated_scene.depth is given
    with pytest.raises(InvalidInput, match="pass depth for each pixel"):
        _ = session.open_clip(frames[:2], depth=given).scene


def test_the_kind_of_an_array_is_stated_or_decided_as_for_files(session, frames, depth):
    near = session.open_clip(frames, depth=depth, depth_kind="inverse").scene.depth
    assert near.kind is ex4d.DepthKind.AFFINE_INVERSE
    with pytest.raises(InvalidInput, match="all values of the depth array lie between 0 and 1"):
        _ = session.open_clip(frames, depth=depth / 8).scene
    with pytest.raises(InvalidConfig, match="kind"):
        session.open_clip(frames, depth=depth, depth_kind="metres")


def test_another_depth_of_the_same_clip_is_used(session, frames, depth):
    first = session.open_clip(frames, depth=depth)
    assert session.open_clip(frames, depth=depth) is first
    assert session.open_clip(frames, depth=depth * 2) is not first


def test_given_depth_is_reused_from_a_run_folder(session, frames, depth, tmp_path):
    session.run(frames, depth=depth, cam=20, folder=tmp_path)
    again = ex4d.Session(backbone="telea", renderer="zbuffer", device="cpu")
    records = again.run(frames, depth=depth, cam=20, folder=tmp_path).clip_run.records
    assert all(record.reused for record in records)


def test_values_are_made_of_numpy_arrays(frames, depth):
    assert ex4d.Video(frames=frames[:, ::-1], fps=24).frames.dtype == torch.uint8
    lens = ex4d.Intrinsics.from_fov(width=W, height=H)
    assert ex4d.DepthVideo(depth=depth.astype(np.float64), kind="metric", intrinsics=lens).depth.dtype == torch.float32

"""The depth is as accurate as two eyes allow, and follows the frames and the window that the clip shows."""

import attrs
import cv2
import numpy as np
import pytest
import torch

from ex4d_core import read_video, write_video
from ex4d_core.errors import InputNotFound, InvalidInput
from ex4d_core.progress import silent
from ex4d_core.types import DepthKind
from ex4d_depth_stereo.__main__ import main
from ex4d_depth_stereo.contract import BASELINE, both_eyes
from ex4d_depth_stereo.estimator import StereoEstimator
from ex4d_depth_stereo.options import StereoOptions

FRAMES, WIDTH, HEIGHT = 3, 160, 120


@pytest.fixture(scope="module")
def scene():
    return both_eyes(FRAMES, WIDTH, HEIGHT)[0]


@pytest.fixture(scope="module")
def files(scene, tmp_path_factory):
    """The left eye's clip, and the right eye's pictures in each layout, without loss."""
    folder = tmp_path_factory.mktemp("stereo")
    left, right = scene.video, both_eyes(FRAMES, WIDTH, HEIGHT)[1]
    squeezed = [
        np.hstack([cv2.resize(eye, (WIDTH // 2, HEIGHT), interpolation=cv2.INTER_AREA) for eye in eyes])
        for eyes in zip(left.frames.numpy(), right.frames.numpy(), strict=True)
    ]
    pictures = {
        "left": left.frames,
        "whole": right.frames,
        "side-by-side": torch.cat([left.frames, right.frames], dim=2),
        "top-bottom": torch.cat([left.frames, right.frames], dim=1),
        "squeezed": torch.from_numpy(np.stack(squeezed)),
        "short": right.frames[:2],
    }
    for name, frames in pictures.items():
        write_video(attrs.evolve(left, frames=frames), folder / f"{name}.mkv")
    return folder


def estimate(video, right, **options):
    component = StereoEstimator(StereoOptions(right=str(right), **options), device=torch.device("cpu"))
    return component.estimate(video, progress=silent)


def errors(found, truth, *, scaled=False):
    """Return the relative errors of what is valid."""
    ratio = (found.depth / truth)[found.valid]
    return (ratio / (ratio.median() if scaled else 1) - 1).abs()


@pytest.mark.parametrize(
    ("layout", "file", "most"),
    [
        ("whole", "whole", 0.03),
        ("side-by-side", "side-by-side", 0.03),
        ("top-bottom", "top-bottom", 0.03),
        ("side-by-side", "squeezed", 0.05),
    ],
)
def test_depth_is_metric_and_accurate_in_every_layout(scene, files, layout, file, most):
    clip = read_video(files / "left.mkv")
    found = estimate(clip, files / f"{file}.mkv", layout=layout, baseline=BASELINE)
    wrong = errors(found, scene.depth.depth)
    assert found.kind is DepthKind.METRIC
    assert found.valid.float().mean() > 0.6
    assert wrong.median() < most
    assert (wrong > 0.1).float().mean() < 0.25  # the ceiling is the same all over


def test_without_a_baseline_depth_is_right_up_to_scale(scene, files):
    found = estimate(scene.video, files / "whole.mkv")
    assert found.kind is DepthKind.RELATIVE
    assert errors(found, scene.depth.depth, scaled=True).median() < 0.03


def test_what_only_one_eye_sees_is_not_valid(scene, files):
    found = estimate(scene.video, files / "whole.mkv", baseline=BASELINE)
    disparity = scene.depth.intrinsics_at(0).fx * BASELINE / scene.depth.depth
    beyond = torch.arange(WIDTH) + 0.5 < disparity  # left of all that the right eye sees
    assert beyond.float().mean() > 0.03
    assert found.valid[beyond].float().mean() < 0.05


@pytest.mark.parametrize("fit", ["crop", "pad", "stretch"])
def test_the_same_frames_and_window_are_taken_of_the_right_eye(scene, files, fit):
    clip = read_video(files / "left.mkv", start=0, stride=2, size=(120, 120), fit=fit)
    found = estimate(clip, files / "whole.mkv", baseline=BASELINE)
    truth = _shown(scene.depth.depth[::2].numpy(), clip.origin)
    assert found.depth.shape == (2, 120, 120)
    known = torch.from_numpy(truth > 0)
    assert not found.valid[~known].any()
    wrong = (found.depth / torch.from_numpy(truth) - 1).abs()[found.valid]
    assert wrong.median() < 0.04


def _shown(depth, origin):
    """Return what a clip of 120x120 shows of depth maps of its source; 0 in padding."""
    x = origin.left + (np.arange(120) + 0.5) * origin.width / 120
    y = origin.top + (np.arange(120) + 0.5) * origin.height / 120
    inside = ((y >= 0) & (y < HEIGHT))[:, None] & ((x >= 0) & (x < WIDTH))
    rows, columns = y.astype(int).clip(0, HEIGHT - 1), x.astype(int).clip(0, WIDTH - 1)
    return depth[:, rows[:, None], columns] * inside


def test_the_focal_length_is_that_of_the_clip_as_it_was_filmed(scene, files):
    clip = read_video(files / "left.mkv", size=(120, 120))
    wide = estimate(clip, files / "whole.mkv", baseline=BASELINE, focal=100)
    long = estimate(clip, files / "whole.mkv", baseline=BASELINE, focal=200)
    assert (wide.intrinsics_at(0).fx, long.intrinsics_at(0).fx) == (100, 200)
    torch.testing.assert_close(long.depth, 2 * wide.depth)


def test_a_right_eye_of_another_length_is_refused(files):
    with pytest.raises(InvalidInput, match="has 2 frames and the clip has 3"):
        estimate(read_video(files / "left.mkv"), files / "short.mkv")


def test_depth_is_made_anew_when_the_right_eyes_video_changes(files, tmp_path):
    path = tmp_path / "right.mkv"
    with pytest.raises(InputNotFound, match="does not exist"):
        StereoOptions(right=str(path)).fingerprint()
    prints = []
    for name in ("whole", "short"):
        path.write_bytes((files / f"{name}.mkv").read_bytes())
        prints.append(StereoOptions(right=str(path)).fingerprint())
    assert prints[0] != prints[1]


def test_even_blocks_are_refused():
    with pytest.raises(ValueError, match="odd number"):
        StereoOptions(right="right.mp4", block=4)


@pytest.mark.parametrize("layout", ["side-by-side", "top-bottom"])
def test_the_left_eye_is_taken_out_of_a_stereo_video(scene, files, tmp_path, layout):
    main([str(files / f"{layout}.mkv"), str(tmp_path / "left.mkv"), "--layout", layout])
    left = read_video(tmp_path / "left.mkv")
    assert (left.fps, left.frames.shape) == (scene.video.fps, scene.video.frames.shape)
    assert torch.equal(left.frames, scene.video.frames)


def test_a_stereo_video_that_is_not_there_is_said(tmp_path):
    with pytest.raises(SystemExit, match="does not exist"):
        main([str(tmp_path / "no.mp4"), str(tmp_path / "left.mkv")])

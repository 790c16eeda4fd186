"""The warping error along true motion, on a scene whose textures have no fine detail."""

from fractions import Fraction

import pytest
import torch

from benchmarks.core.warping_error import Motion, warping_error
from ex4d_core.cameras.generators import path_of_eyes
from ex4d_core.testing._paint import checks, plain
from ex4d_core.testing._solids import Ellipsoid, Interior
from ex4d_core.testing.scenes import SyntheticScene
from ex4d_core.types import CameraPath, Intrinsics

FPS = Fraction(4)
LENS = Intrinsics.from_fov(width=64, height=48)
EVERYWHERE = torch.ones(4, 48, 64, dtype=torch.bool)


def scene(paint):
    wall = Interior(center=(0, 0, 0), half=(9, 9, 6), paint=paint)
    return SyntheticScene(
        objects=lambda time: (wall, Ellipsoid(center=(time - 0.4, 0, 3), radii=(0.4,) * 3, paint=plain((1, 0, 0))))
    )


@pytest.fixture(scope="module")
def path() -> CameraPath:
    return path_of_eyes([(0.3 * n, 0.0, 0.0) for n in range(4)], center=(0, 0, 6), intrinsics=LENS)


@pytest.fixture(scope="module")
def motion(path):
    return Motion.of(scene(plain((0.5, 0.5, 0.5))), path, fps=FPS)


def test_true_views_of_a_plain_wall_have_no_error_and_what_moves_does_not_count(motion, path):
    gray = scene(plain((0.5, 0.5, 0.5)))
    frames = gray.novel_views(path, fps=FPS).frames
    ball = frames[1:, ..., 0].int() - frames[1:, ..., 2] > 130  # without mixed pixels
    assert ball.sum() > 200
    assert not (torch.from_numpy(motion.shared) & ball).any()
    assert motion.shared.mean() > 0.7
    assert warping_error(motion, frames, EVERYWHERE)[0] < 1


def test_frames_that_move_as_the_scene_does_have_less_error_than_frames_that_do_not_move(motion, path):
    checkered = scene(checks((0.2, 0.3, 0.7), (0.9, 0.8, 0.3), size=3, axes=(0, 1)))
    frames = checkered.novel_views(path, fps=FPS).frames
    still = frames[:1].expand_as(frames)
    assert warping_error(motion, frames, EVERYWHERE)[0] < 0.4 * warping_error(motion, still, EVERYWHERE)[0]


def test_a_fill_that_gets_brighter_and_darker_has_the_error_of_the_change_at_both_scales(motion):
    frames = torch.full((4, 48, 64, 3), 100, dtype=torch.uint8)
    frames[1::2] += 6
    assert warping_error(motion, frames, EVERYWHERE) == pytest.approx((6, 6), rel=1e-5)


def test_noise_cancels_in_boxes(motion):
    noise = torch.randint(80, 120, (4, 48, 64, 3), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
    fine, coarse = warping_error(motion, noise, EVERYWHERE)
    assert fine > 8
    assert coarse < fine / 3


def test_only_pixels_count_that_are_hidden_now_and_were_before(motion):
    frames = torch.full((4, 48, 64, 3), 100, dtype=torch.uint8)
    hidden = torch.zeros_like(EVERYWHERE)
    hidden[:, :, :20] = True
    frames[1::2][:, :, 24:] += 60
    assert warping_error(motion, frames, hidden)[0] == 0
    assert not motion.differences(frames, hidden)[1][:, :, 20:].any()

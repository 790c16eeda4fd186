"""Facts about where shots are taken to end."""

from __future__ import annotations

import pytest
import torch

from ex4d_core.testing.scenes import room_scene
from ex4d_training.data.shot_detection import color_changes, find_cuts


@pytest.fixture(scope="module")
def shots():
    """Two shots of one room from other places, 12 frames each."""
    return [room_scene(seed=seed).clip(num_frames=12, width=96, height=64, fps=12).video.frames for seed in (0, 1)]


def test_a_shot_has_no_cut(shots):
    assert find_cuts(shots[0]) == []


def test_a_cut_is_found_where_it_is(shots):
    assert find_cuts(torch.cat([shots[0][:7], shots[1].flip(2)[:9]])) == [7]


def test_several_cuts_are_found(shots):
    a, b = shots[0], shots[1].flip(2)
    assert find_cuts(torch.cat([a[:5], b[:5], a[5:12]])) == [5, 10]


def test_a_cut_to_the_same_colors_elsewhere_is_found():
    frame = torch.zeros(64, 64, 3, dtype=torch.uint8)
    frame[:32, :32] = 250
    frame[32:, 32:] = 120
    assert find_cuts(torch.stack([frame] * 4 + [frame.flip(0)] * 4)) == [4]


def test_a_fast_camera_makes_no_cut():
    generator = torch.Generator().manual_seed(0)
    wide = torch.randint(0, 256, (8, 60, 3), generator=generator, dtype=torch.uint8)
    wide = wide.repeat_interleave(8, 0).repeat_interleave(8, 1)
    frames = torch.stack([wide[:, 40 * t : 40 * t + 96] for t in range(9)])
    assert color_changes(frames).min() > 0.3  # much changes all the time
    assert find_cuts(frames) == []


def test_fading_light_makes_no_cut(shots):
    light = torch.linspace(1, 0.1, 12).view(-1, 1, 1, 1)
    assert find_cuts((shots[0] * light).byte()) == []


@pytest.mark.parametrize("count", [0, 1])
def test_one_frame_has_no_cut(shots, count):
    assert find_cuts(shots[0][:count]) == []

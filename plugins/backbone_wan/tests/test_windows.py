"""Facts about how long clips are cut."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch

from ex4d_backbone_wan.windows import Window, cut_windows, latent_length, noise_of, padded_length, whole_latents


@pytest.mark.parametrize("num_frames", [1, 2, 48, 49])
def test_a_clip_that_fits_is_one_window(num_frames):
    assert cut_windows(num_frames, window=49, overlap=9) == [Window(0, num_frames)]


@pytest.mark.parametrize("num_frames", range(50, 200))
def test_windows_are_equally_long_cover_the_clip_and_take_over_whole_latent_frames(num_frames):
    windows = cut_windows(num_frames, window=49, overlap=9)
    assert {window.length for window in windows} == {49}
    assert (windows[0].start, windows[-1].stop) == (0, num_frames)
    for before, after in pairwise(windows):
        assert after.taken_over % 4 == 1
        assert 9 <= after.taken_over <= before.stop - after.start
        assert before.stop - after.start - after.taken_over < 4


def test_no_window_is_made_for_nothing():
    windows = cut_windows(89, window=49, overlap=9)
    assert windows == [Window(0, 49), Window(40, 89, taken_over=9)]
    assert len(cut_windows(90, window=49, overlap=9)) == 3


def test_windows_of_one_frame_take_over_that_frame():
    assert cut_windows(6, window=5, overlap=1) == [Window(0, 5), Window(1, 6, taken_over=1)]


@pytest.mark.parametrize(("frames", "padded", "whole"), [(1, 1, 1), (2, 5, 1), (5, 5, 5), (6, 9, 5), (49, 49, 49)])
def test_lengths_are_rounded_to_4k_plus_1(frames, padded, whole):
    assert (padded_length(frames), whole_latents(frames)) == (padded, whole)


def test_49_frames_have_13_latent_frames():
    assert [latent_length(frames) for frames in (1, 5, 49)] == [1, 2, 13]


def test_frames_that_windows_share_start_from_the_same_noise():
    noise = torch.randn(1, 16, 13, 2, 2)
    first, second, third = cut_windows(129, window=49, overlap=9)
    assert torch.equal(noise_of(first, noise), noise)
    assert torch.equal(noise_of(second, noise)[:, :, :3], noise[:, :, -3:])
    assert torch.equal(noise_of(third, noise)[:, :, :3], noise_of(second, noise)[:, :, -3:])

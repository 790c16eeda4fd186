"""Facts about how clips are cut into windows."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ex4d_depth_depthcrafter.windows import DepthWindow, cut_windows


@st.composite
def cuts(draw):
    window = draw(st.integers(1, 130))
    return draw(st.integers(1, 600)), window, draw(st.integers(0, window - 1))


@given(cuts())
def test_every_frame_is_made_and_windows_share_the_overlap(cut):
    num_frames, window, overlap = cut
    windows = cut_windows(num_frames, window=window, overlap=overlap)
    assert windows[0].start == 0
    assert windows[-1].stop == num_frames
    for before, after in pairwise(windows):
        assert after.start == before.stop - overlap
        assert after.overlap == overlap
        assert after.stop > before.stop


@given(cuts())
def test_all_windows_but_the_last_are_full(cut):
    num_frames, window, overlap = cut
    windows = cut_windows(num_frames, window=window, overlap=overlap)
    assert {w.length for w in windows[:-1]} <= {window}
    assert overlap * (len(windows) > 1) < windows[-1].length <= window


@given(cuts())
def test_a_clip_that_fits_is_one_window_without_overlap(cut):
    num_frames, window, overlap = cut
    if num_frames <= window:
        assert cut_windows(num_frames, window=window, overlap=overlap) == [DepthWindow(0, num_frames, 0)]
    else:
        assert len(cut_windows(num_frames, window=window, overlap=overlap)) > 1


@pytest.mark.parametrize(
    ("num_frames", "expected"),
    [(110, [(0, 110)]), (111, [(0, 110), (85, 111)]), (196, [(0, 110), (85, 195), (170, 196)])],
)
def test_the_reference_settings_cut_as_the_reference_does(num_frames, expected):
    assert [(w.start, w.stop) for w in cut_windows(num_frames, window=110, overlap=25)] == expected

"""Which frames and which window of a source are taken."""

import numpy as np
import pytest

from ex4d_core.errors import InvalidInput
from ex4d_core.video_io.framing import check_size, frame_to, sample_nearest, selected


@pytest.mark.parametrize(
    ("source", "size", "fit", "source_box", "box"),
    [
        ((1280, 720), (512, 512), "crop", (280, 0, 720, 720), (0, 0, 512, 512)),
        ((720, 1280), (512, 256), "crop", (0, 460, 720, 360), (0, 0, 512, 256)),
        ((1280, 720), (512, 512), "pad", (0, 0, 1280, 720), (0, 112, 512, 288)),
        ((100, 200), (160, 160), "pad", (0, 0, 100, 200), (40, 0, 80, 160)),
        ((1280, 720), (512, 512), "stretch", (0, 0, 1280, 720), (0, 0, 512, 512)),
        ((333, 77), None, "crop", (0, 0, 333, 77), (0, 0, 333, 77)),
    ],
)
def test_the_window_is_the_largest_centerd_one(source, size, fit, source_box, box):
    framing = frame_to(source, size, fit)
    assert (framing.source_box, framing.box) == (source_box, box)


@pytest.mark.parametrize("fit", ["crop", "pad", "stretch"])
def test_the_origin_window_maps_to_the_whole_output(fit):
    framing = frame_to((101, 57), (64, 48), fit)
    origin = framing.origin((0,), 1)
    left, top, width, height = framing.source_box
    to_left, to_top, to_width, to_height = framing.box
    assert origin.left + to_left * origin.width / 64 == pytest.approx(left)
    assert origin.top + (to_top + to_height) * origin.height / 48 == pytest.approx(top + height)
    assert to_width * origin.width / 64 == pytest.approx(width)


def test_padding_is_black_with_a_sharp_edge():
    frame = np.full((32, 64, 3), 200, np.uint8)
    out = frame_to((64, 32), (32, 32), "pad").apply(frame)
    assert (out[8:24] == 200).all()
    assert out[:8].max() == out[24:].max() == 0


def test_shrinking_averages():
    checkers = (np.indices((64, 64)).sum(0) % 2 * 200).astype(np.uint8)[..., None].repeat(3, 2)
    out = frame_to((64, 64), (32, 32)).apply(checkers)
    assert (out == 100).all()


def test_nothing_is_resampled_without_a_size():
    frame = np.random.default_rng(0).integers(0, 256, (17, 31, 3), np.uint8)
    assert np.array_equal(frame_to((31, 17), None).apply(frame), frame)


@pytest.mark.parametrize(
    ("size", "message"),
    [
        ((4, 4), "4x4 is too small; the minimum is 16x16"),
        ((512, 15), "512x15 is too small; the minimum is 16x16"),
        ((16384, 8193), "the size has more than 134,217,728 pixels, which is too large"),
        ((10**5000, 16), "more than 134,217,728 pixels"),
        ((0, 512), "a size must be a width and a height in whole pixels, both above 0, not"),
        ((-512, 512), "both above 0"),
        ((512.0, 512), "whole pixels"),
        (512, "a width and a height"),
        ((True, 512), "whole pixels"),
    ],
)
def test_a_size_that_makes_no_sense_is_refused(size, message):
    with pytest.raises(InvalidInput, match=message):
        check_size(size)


def test_an_unknown_fit_is_refused():
    with pytest.raises(InvalidInput, match="fit must be one of crop, pad, stretch, not 'squash'"):
        frame_to((64, 64), (32, 32), "squash")


def test_frames_are_selected_by_start_stride_and_number():
    assert list(selected(10, num_frames=3, start=2, stride=3)) == [2, 5, 8]
    assert list(selected(10, num_frames=49, start=8, stride=1)) == [8, 9]
    assert list(selected(5, num_frames=None, start=0, stride=2)) == [0, 2, 4]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"num_frames": 0}, "num_frames must be a whole number of at least 1, not 0"),
        ({"start": -1}, "start must be a whole number of at least 0, not -1"),
        ({"stride": 0}, "stride must be a whole number of at least 1, not 0"),
        ({"stride": 1.5}, "stride must be a whole number of at least 1, not 1.5"),
        ({"start": 10}, "start=10 is beyond the end: there are 10 frames, counted from 0"),
    ],
)
def test_a_selection_that_makes_no_sense_is_refused(values, message):
    with pytest.raises(InvalidInput, match=message):
        selected(10, **{"num_frames": None, "start": 0, "stride": 1, **values})


def test_maps_of_another_resolution_show_the_same_window():
    # A map that holds its own x coordinate in source pixels, at half resolution.
    x = np.broadcast_to(2 * np.arange(50) + 1, (30, 50))
    origin = frame_to((100, 60), (32, 32)).origin((0,), 1)
    values, inside = sample_nearest(x, origin, (32, 32))
    centers = 20 + (np.arange(32) + 0.5) * 60 / 32
    assert np.abs(values[0] - centers).max() <= 1
    assert inside.all()


def test_padding_is_outside_of_the_maps():
    origin = frame_to((64, 32), (32, 32), "pad").origin((0,), 1)
    _, inside = sample_nearest(np.zeros((32, 64)), origin, (32, 32))
    assert inside[8:24].all()
    assert not inside[:8].any()
    assert not inside[24:].any()


def test_sampling_keeps_to_values_of_the_map():
    edge = np.where(np.arange(64) < 31, 1.0, 100.0) * np.ones((64, 1))
    values, _ = sample_nearest(edge, frame_to((64, 64), (40, 40)).origin((0,), 1), (40, 40))
    assert set(np.unique(values)) == {1.0, 100.0}

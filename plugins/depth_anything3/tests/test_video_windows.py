"""Windows cover a clip of any length, and their predictions are joined without a step."""

import pytest
import torch

from ex4d_depth_anything3.video.windows import join, scale_and_shift, windows


def seen(frames):
    """Return the frames of each window of a clip, by number."""
    return [window.tolist() for window in windows(torch.arange(frames), lambda chosen: chosen.clone())]


def test_windows_begin_with_keyframes_of_the_one_before():
    first, second, third = seen(60)
    assert first == list(range(32))
    assert second[:12] == [0, 12, *range(24, 34)]
    assert third[:10] == [0, second[12], *range(46, 54)]
    assert third[10:16] == [54, 55, 56, 57, 58, 59]
    assert set(third[16:]) == {59}  # padding


def test_a_frame_is_prepared_once_for_each_window():
    prepared = []
    list(windows(torch.arange(60), lambda chosen: prepared.extend(chosen.tolist()) or chosen))
    assert sorted(set(prepared)) == list(range(60))
    assert len(prepared) == 60


def predictions(frames, change):
    """Return what windows predict for a clip whose frames have values 1, 2, ..., changed by window."""
    truth = torch.arange(1.0, frames + 1)[:, None, None] * torch.linspace(1, 2, 12).reshape(3, 4)
    return truth, [change(number, truth[window]) for number, window in enumerate(seen(frames))]


@pytest.mark.parametrize("frames", [1, 22, 31, 32, 33, 100])
def test_scale_and_shift_of_windows_are_aligned(frames):
    truth, parts = predictions(frames, lambda number, window: window * (1 + number) + 5 * number)
    found = torch.cat(list(join(parts, aligned=True)))
    assert len(found) >= frames
    torch.testing.assert_close(found[:frames], truth)


def test_metric_windows_are_not_scaled_and_fade():
    truth, parts = predictions(60, lambda number, window: window * (1 + number))
    found = torch.cat(list(join(parts, aligned=False)))[:60] / truth
    factors = found.mean(dim=(1, 2))
    torch.testing.assert_close(factors[:25], torch.ones(25))
    torch.testing.assert_close(factors[31:46], torch.full((15,), 2.0))
    assert (factors[24:32].diff() > 0).all()


def test_a_window_is_predicted_when_it_is_needed():
    taken = []
    _, parts = predictions(500, lambda number, window: window)
    found = join((taken.append(number) or part for number, part in enumerate(parts)), aligned=True)
    next(found)  # the frames of the first window that the second does not change
    assert taken == [0]
    for number in range(1, 4):
        next(found)
        next(found)
        assert taken == list(range(number + 1))


def test_equal_values_have_no_scale():
    assert scale_and_shift(torch.ones(4), torch.arange(4.0)) == (1, 0)

"""Split a clip of any length into overlapping windows."""

from __future__ import annotations

import attrs


@attrs.frozen
class DepthWindow:
    """Frames denoised together."""

    start: int
    """First frame."""
    stop: int
    """One after the last frame."""
    overlap: int
    """Number of its first frames that earlier windows have computed."""

    @property
    def length(self) -> int:
        """Number of frames."""
        return self.stop - self.start


def cut_windows(num_frames: int, *, window: int, overlap: int) -> list[DepthWindow]:
    """Return windows that cover `num_frames` frames in order, each sharing `overlap` frames with the previous one.

    All but the last have `window` frames; the last one has at least one new frame. A clip of up to `window` frames is
    one window.
    """
    assert num_frames >= 1, num_frames
    assert 0 <= overlap < window, (overlap, window)
    if num_frames <= window:
        return [DepthWindow(0, num_frames, 0)]
    starts = range(0, num_frames - overlap, window - overlap)
    return [DepthWindow(start, min(start + window, num_frames), overlap if start else 0) for start in starts]

"""How a clip of any length is cut into windows that overlap."""

from __future__ import annotations

import attrs


@attrs.frozen
class DepthWindow:
    """Frames that are denoised together."""

    start: int
    """First frame."""
    stop: int
    """One after the last frame."""
    overlap: int
    """How many of its first frames the windows before it have already made."""

    @property
    def length(self) -> int:
        """Number of frames."""
        return self.stop - self.start


def cut_windows(num_frames: int, *, window: int, overlap: int) -> list[DepthWindow]:
    """Return windows that cover `num_frames` frames in order, each sharing `overlap` frames with what is before it.

    All but the last are `window` frames long; the last one brings at least one new frame. A clip that fits into one
    window is one window.
    """
    assert num_frames >= 1, num_frames
    assert 0 <= overlap < window, (overlap, window)
    if num_frames <= window:
        return [DepthWindow(0, num_frames, 0)]
    starts = range(0, num_frames - overlap, window - overlap)
    return [DepthWindow(start, min(start + window, num_frames), overlap if start else 0) for start in starts]

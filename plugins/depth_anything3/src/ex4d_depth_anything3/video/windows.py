"""Predict a clip of any length in windows, as the released code does (`video_depth_anything/video_depth.py`).

A window has 32 frames. All but the first begin with 10 keyframes of the window before: its first frame, which is the
first of the clip, a frame in its middle and its last 8 frames. The two distant ones give the scale and the shift
between the predictions of both windows; the 8 shared frames fade from one to the other. Only one window is in memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import torch
from torch import Tensor

LENGTH = 32
"""Frames of a window."""

KEYFRAMES = (0, 12, *range(24, LENGTH))
"""Frames of a window that the next one repeats at its beginning."""

DISTANT = 2
"""Keyframes that set scale and shift; the others fade."""

STEP = LENGTH - len(KEYFRAMES)
"""New frames of each window after the first."""


def windows(frames: Tensor, prepare: Callable[[Tensor], Tensor]) -> Iterator[Tensor]:
    """Yield model input [LENGTH, ...] of each window; the last frame of the clip is repeated as padding.

    Args:
        frames: of the clip, [T, ...].
        prepare: function from frames [n, ...] to model input [n, ...].
    """
    before: Tensor | None = None
    for start in range(0, len(frames), STEP):
        first = start + (0 if before is None else len(KEYFRAMES))
        wanted = torch.arange(first, start + LENGTH).clamp(max=len(frames) - 1)
        needed, order = torch.unique(wanted, return_inverse=True)
        prepared = prepare(frames[needed])[order]
        before = prepared if before is None else torch.cat([before[list(KEYFRAMES)], prepared])
        yield before


def join(predictions: Iterable[Tensor], *, aligned: bool) -> Iterator[Tensor]:
    """Yield the prediction for each frame once, in order, 0 or more, in parts [n, H, W]; padding comes last.

    Args:
        predictions: of the windows in order, float32 [LENGTH, H, W].
        aligned: whether scale and shift of each window are fitted to those of the window before.
    """
    reference = tail = torch.empty(0)
    faded = len(KEYFRAMES) - DISTANT
    share = torch.linspace(0, 1, faded)[:, None, None]
    for number, window in enumerate(predictions):
        fresh = window
        if number > 0:
            if aligned:
                scale, shift = scale_and_shift(window[:DISTANT], reference)
                window = (window * scale + shift).clamp(min=0)
            yield torch.lerp(tail, window[DISTANT : len(KEYFRAMES)], share)
            fresh = window[len(KEYFRAMES) :]
        yield fresh[:-faded]
        middle = window[KEYFRAMES[1]]
        reference = torch.stack([window[0] if number == 0 else reference[0], middle])
        tail = fresh[-faded:]
    yield tail


def scale_and_shift(values: Tensor, target: Tensor) -> tuple[float, float]:
    """Return the scale and the shift that map values to a target by least squares; 1 and 0 if values are equal."""
    from_values, from_target = values.double().flatten(), target.double().flatten()
    mean, target_mean = from_values.mean(), from_target.mean()
    centered = from_values - mean
    spread = centered @ centered
    if spread == 0:
        return 1.0, 0.0
    scale = centered @ (from_target - target_mean) / spread
    return float(scale), float(target_mean - scale * mean)

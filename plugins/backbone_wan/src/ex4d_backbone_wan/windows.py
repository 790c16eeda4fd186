"""Clips of any length, cut into windows of the 4k+1 frames that Wan takes. Only arithmetic."""

from __future__ import annotations

import attrs
from torch import Tensor

from ex4d_backbone_wan.options import STRIDE


@attrs.frozen
class Window:
    """Frames `start` to `stop`, of which the first `taken_over` were made by the window before."""

    start: int
    stop: int
    taken_over: int = 0
    """4k+1, or 0 for the first window."""

    @property
    def length(self) -> int:
        """Number of frames; 4k+1, but for a clip of one window, which is padded to that."""
        return self.stop - self.start


def cut_windows(num_frames: int, *, window: int, overlap: int) -> list[Window]:
    """Return windows that cover a clip.

    All have the same length, so that none is shorter than the model likes; the last one ends with the clip and may
    take over more than `overlap` frames, or fewer by up to 3 than the window before has made for it.

    Args:
        num_frames: of the clip, at least 1.
        window: frames of a window, 4k+1.
        overlap: frames that a window takes over from the one before, 4k+1 and less than `window`.
    """
    windows = [Window(0, min(num_frames, window))]
    while windows[-1].stop < num_frames:
        made = windows[-1].stop
        start = min(made - overlap, num_frames - window)
        windows.append(Window(start, start + window, taken_over=whole_latents(made - start)))
    return windows


def padded_length(num_frames: int) -> int:
    """Return the smallest 4k+1 that is at least `num_frames`."""
    return num_frames + (1 - num_frames) % STRIDE


def whole_latents(num_frames: int) -> int:
    """Return the largest 4k+1 that is at most `num_frames`."""
    return num_frames - (num_frames - 1) % STRIDE


def latent_length(num_frames: int) -> int:
    """Return how many latent frames 4k+1 frames have: the first has one of its own, then each 4 share one."""
    return (num_frames - 1) // STRIDE + 1


def noise_of(window: Window, noise: Tensor) -> Tensor:
    """Return the noise that a window starts from: that of the first window, moved along with the clip.

    So frames that two windows share start from the same noise in both, and the others from noise that the window
    before had too: a window leads to what the one before led to (Qiu et al. 2023, arXiv 2310.15169).

    Args:
        window: of the clip.
        noise: of the first window, [1, 16, t, h, w].
    """
    return noise.roll(-(window.start // STRIDE), dims=2)

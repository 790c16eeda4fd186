"""Split clips of any length into windows of 4k+1 frames."""

from __future__ import annotations

import attrs
import torch
from torch import Tensor

from ex4d_backbone_wan.options import STRIDE


@attrs.frozen
class Window:
    """Frames `start` to `stop`; the first `taken_over` come from the previous window."""

    start: int
    stop: int
    taken_over: int = 0
    """4k+1, or 0 for the first window."""

    @property
    def length(self) -> int:
        """Number of frames; 4k+1, except for a clip of one window, which is padded."""
        return self.stop - self.start


def cut_windows(num_frames: int, *, window: int, overlap: int) -> list[Window]:
    """Return windows that cover a clip.

    All have the same length. The last one ends with the clip, so that it may share more than `overlap` frames; up to 3
    of them are not taken over, so that their number is 4k+1.

    Args:
        num_frames: of the clip, at least 1.
        window: frames of a window, 4k+1.
        overlap: frames shared with the previous window, 4k+1 and less than `window`.
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
    """Return the number of latent frames of 4k+1 frames: one for the first, then one for each 4."""
    return (num_frames - 1) // STRIDE + 1


def noise_of(window: Window, noise: Tensor, *, leading: int = 0) -> Tensor:
    """Return the initial noise of a window: that of the first window, shifted along time.

    Frames shared by two windows start from the same noise in both, and the other frames reuse noise of the previous
    window, which makes the windows consistent (Qiu et al. 2023, arXiv 2310.15169).

    Args:
        window: of the clip.
        noise: of the first window, [1, 16, t, h, w].
        leading: latent frames at the start that are not of the video, and stay.
    """
    moved = noise[:, :, leading:].roll(-(window.start // STRIDE), dims=2)
    return torch.cat([noise[:, :, :leading], moved], dim=2)

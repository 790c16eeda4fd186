"""A video in memory."""

from __future__ import annotations

from fractions import Fraction

import attrs
import torch
from torch import Tensor

from ex4d_core.errors import InvalidInput
from ex4d_core.types._arrays import rate, shaped
from ex4d_core.types.camera import Intrinsics


@attrs.frozen(kw_only=True)
class Origin:
    """Which frames, and which window of them, a video was made from; what comes along (depth, K) follows it."""

    frame_indices: tuple[int, ...] = attrs.field(repr=lambda indices: f"<{len(indices)} of them>")
    """For each frame, its index in the source, counted from 0."""

    source_frames: int
    """Number of frames in the source; 0 when it was not read to its end."""

    source_width: int
    """Width of the source in pixels, as shown (after rotation)."""

    source_height: int
    """Height of the source in pixels, as shown (after rotation)."""

    left: float
    """Left edge of the window in source pixels; negative where the source was padded."""

    top: float
    """Upper edge of the window in source pixels; negative where the source was padded."""

    width: float
    """Width of the window in source pixels; it was resized to the video's width."""

    height: float
    """Height of the window in source pixels; it was resized to the video's height."""

    def windowed(self, filmed: Intrinsics, *, width: int, height: int) -> Intrinsics:
        """Return the intrinsics of the video's frames (width x height) from those of the source (any size)."""
        return filmed.scaled_to(width=self.source_width, height=self.source_height).windowed(
            left=self.left, top=self.top, width=self.width, height=self.height, to_width=width, to_height=height
        )


@attrs.frozen(eq=False, kw_only=True)
class Video:
    """Frames at a constant rate."""

    frames: Tensor = shaped("T H W 3", torch.uint8)
    """uint8 [T, H, W, 3], sRGB, on the CPU."""

    fps: Fraction = rate()
    """Frames per second."""

    origin: Origin | None = None
    """Where the frames come from; None for frames made in memory."""

    def __attrs_post_init__(self) -> None:
        if self.origin is not None and len(self.origin.frame_indices) != self.num_frames:
            raise InvalidInput(
                f"Video has {self.num_frames} frames but its origin names {len(self.origin.frame_indices)}"
            )

    @property
    def num_frames(self) -> int:
        """T."""
        return self.frames.shape[0]

    @property
    def height(self) -> int:
        """H in pixels."""
        return self.frames.shape[1]

    @property
    def width(self) -> int:
        """W in pixels."""
        return self.frames.shape[2]

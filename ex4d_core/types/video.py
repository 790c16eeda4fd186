"""A video in memory."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import TYPE_CHECKING

import attrs
import numpy as np

from ex4d_core.errors import InvalidInput
from ex4d_core.field_help import with_fields
from ex4d_core.types._arrays import instance, rate, shaped
from ex4d_core.types.camera import Intrinsics

if TYPE_CHECKING:  # torch takes seconds to import
    from torch import Tensor


@with_fields
@attrs.frozen(kw_only=True)
class Origin:
    """The frames and the window of a source from which a video was made; used to align depth and intrinsics."""

    frame_indices: tuple[int, ...] = attrs.field(repr=lambda indices: f"<{len(indices)} indices>")
    """Index of each frame in the source, from 0."""

    source_frames: int
    """Number of frames of the source; 0 if it was not read to its end."""

    source_width: int
    """Width of the source in pixels, as shown (after rotation)."""

    source_height: int
    """Height of the source in pixels, as shown (after rotation)."""

    left: float
    """Left edge of the window in source pixels; negative where the source was padded."""

    top: float
    """Upper edge of the window in source pixels; negative where the source was padded."""

    width: float
    """Width of the window in source pixels, resized to the width of the video."""

    height: float
    """Height of the window in source pixels, resized to the height of the video."""

    def windowed(self, source: Intrinsics, *, width: int, height: int) -> Intrinsics:
        """Return the intrinsics of the video (width x height) from those of the source, for any image size."""
        return source.scaled_to(width=self.source_width, height=self.source_height).windowed(
            left=self.left, top=self.top, width=self.width, height=self.height, to_width=width, to_height=height
        )


@with_fields
@attrs.frozen(eq=False, kw_only=True)
class Video:
    """Frames at a constant rate."""

    frames: Tensor = shaped("T H W 3", "uint8")
    """uint8 [T, H, W, 3], sRGB, on the CPU."""

    fps: Fraction = rate()
    """Frames per second."""

    origin: Origin | None = instance(Origin, optional=True)
    """Source of the frames; None for frames created in memory."""

    def __attrs_post_init__(self) -> None:
        if self.origin is not None and len(self.origin.frame_indices) != self.num_frames:
            raise InvalidInput(
                f"Video has {self.num_frames} frames but its origin has {len(self.origin.frame_indices)}"
            )

    def _repr_html_(self) -> str | None:
        """Return an HTML player, or None before `ex4d_core.video_io` is imported."""
        return _PLAYERS[-1](self) if _PLAYERS else None

    def numpy(self) -> np.ndarray:
        """Return the frames, uint8 [T, H, W, 3]."""
        return self.frames.numpy(force=True)

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


_PLAYERS: list[Callable[[Video], str]] = []
"""Functions that return an HTML player; encoding is in a layer above the types."""


def use_player(player: Callable[[Video], str]) -> Callable[[Video], str]:
    """Make a function the one that shows videos in notebooks; a decorator."""
    _PLAYERS.append(player)
    return player

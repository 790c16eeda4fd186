"""A video in memory."""

from __future__ import annotations

from fractions import Fraction

import attrs
import torch
from torch import Tensor

from ex4d_core.types._arrays import shaped


@attrs.frozen(eq=False, kw_only=True)
class Video:
    """Frames at a constant rate."""

    frames: Tensor = shaped("T H W 3", torch.uint8)
    """uint8 [T, H, W, 3], sRGB, on the CPU."""

    fps: Fraction = attrs.field(converter=Fraction, validator=attrs.validators.gt(0))
    """Frames per second."""

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

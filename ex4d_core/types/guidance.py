"""Guidance: the rendered color and visibility mask along a camera path."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

import attrs
import numpy as np

from ex4d_core.errors import InvalidInput
from ex4d_core.field_help import with_fields
from ex4d_core.types._arrays import instance, optional_shaped, rate, shaped
from ex4d_core.types.camera import CameraPath

if TYPE_CHECKING:  # torch takes seconds to import
    from torch import Tensor


@with_fields
@attrs.frozen(eq=False, kw_only=True)
class RenderedFrame:
    """One view of a mesh. All tensors are on one device."""

    color: Tensor = shaped("H W 3", "uint8")
    """uint8 [H, W, 3], sRGB, 0 where the mask is False."""

    mask: Tensor = shaped("H W", "bool")
    """bool [H, W], True where the front surface was visible to the source camera."""

    depth: Tensor = shaped("H W", "float32")
    """float32 [H, W] along +z of the viewing camera, of visible and occluded faces; inf in the background."""

    def numpy(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return color, mask and depth, uint8 [H, W, 3], bool [H, W] and float32 [H, W]."""
        return self.color.numpy(force=True), self.mask.numpy(force=True), self.depth.numpy(force=True)


@with_fields
@attrs.frozen(eq=False, kw_only=True)
class Guidance:
    """Rendered color and visibility mask along a camera path: the input of a backbone."""

    color: Tensor = shaped("T H W 3", "uint8")
    """uint8 [T, H, W, 3], sRGB, 0 where hidden, on the CPU."""

    mask: Tensor = shaped("T H W", "bool")
    """bool [T, H, W], True in the visible region, on the CPU."""

    background: Tensor | None = optional_shaped("T H W", "bool")
    """bool [T, H, W], True where a visible pixel shows the static background as seen at other times, which may be less
    accurate than the frame itself; None: nowhere."""

    fps: Fraction = rate()
    """Frames per second."""

    cameras: CameraPath | None = instance(CameraPath, optional=True)
    """The path of the rendering; None if unknown, as for videos from files."""

    def __attrs_post_init__(self) -> None:
        if self.color.shape[:3] != self.mask.shape:
            raise InvalidInput(
                f"Guidance.mask is {list(self.mask.shape)} but its color is {list(self.color.shape[:3])}"
            )
        if self.background is not None and self.background.shape != self.mask.shape:
            raise InvalidInput(
                f"Guidance.background is {list(self.background.shape)} but its mask is {list(self.mask.shape)}"
            )
        if self.cameras is not None and self.cameras.num_frames != self.num_frames:
            raise InvalidInput(f"Guidance has {self.num_frames} frames but {self.cameras.num_frames} cameras")

    def numpy(self) -> tuple[np.ndarray, np.ndarray]:
        """Return color and mask, uint8 [T, H, W, 3] and bool [T, H, W]."""
        return self.color.numpy(force=True), self.mask.numpy(force=True)

    @property
    def num_frames(self) -> int:
        """T."""
        return self.mask.shape[0]

"""Depth maps of one file or folder, as a reader found them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Literal

import attrs
import numpy as np

from ex4d_core.types import DepthKind

Unit = Literal["integer", "float", "normalized"]
"""Type of the values: integers of a small unit, floats, or 8-bit values normalized to 0..1."""

MILLIMETRE = 0.001
"""Default unit of integer depth, in meters."""

Read = Callable[[Sequence[int]], Iterator[np.ndarray]]
"""Yields the depth maps [h, w] of ascending indices, which may repeat."""

Window = tuple[float, float, float, float]
"""Left, top, right and bottom edge of the part of the picture that a map shows, in parts of the picture."""

WHOLE: Window = (0.0, 0.0, 1.0, 1.0)


@attrs.frozen(eq=False, kw_only=True)
class DepthFrames:
    """Depth maps of one file or folder."""

    count: int
    """Number of depth maps."""

    size: tuple[int, int]
    """Their width and height in pixels."""

    read: Read
    """Reads depth maps, in the unit of the file."""

    unit: Unit
    """Type of the values."""

    tool: str = ""
    """The program that writes this layout, if it is recognized."""

    is_inverse: bool = False
    """Whether a name in the file, or of it, says disparity; its values may contradict."""

    doubt: str = ""
    """Why the meaning of the values cannot be taken from the layout: what its values are, in words."""

    valid_at: Callable[[int], np.ndarray] | None = None
    """Returns the validity of a depth map, bool [h, w], if stated in the file."""

    intrinsics: np.ndarray | None = None
    """float64 [1 or count, 3, 3], K in pixels of the depth maps."""

    kind: DepthKind | None = None
    """Meaning of the values, if stated in the file."""

    scale: float | None = None
    """Depth of one unit of the file, if stated in it."""

    world_to_camera: np.ndarray | None = None
    """float64 [count, 4, 4], poses of the source camera (OpenCV axes) in any world, if the file contains them."""

    covers: Window = WHOLE
    """Part of the picture that the maps show, if stated in the file."""

    numbers: tuple[int, ...] | None = None
    """Frame numbers of the maps, if the tool leaves frames out."""

    notes: tuple[str, ...] = ()
    """Parts of the file that are used, in words."""

    warnings: tuple[str, ...] = ()
    """Parts of the file that are ignored although they may matter, in words."""

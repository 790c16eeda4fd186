"""The ground on which things stand, as a plane.

The inverse depth of a plane is affine in image positions, also if it is known up to an affine function only. Nothing
that the model continues lies beneath this plane, and what lies on it has colors of the ground, not of the things that
stand in the same row.
"""

from __future__ import annotations

import attrs
import numpy as np
from numpy.typing import NDArray

from ex4d_backbone_inpaint.samples import Floats, Floats64
from ex4d_core.types import Intrinsics

ROUNDS = 10
"""Rounds of reweighting of the fit."""

SPREAD = 0.05
"""Smallest relative residual at which a pixel has a quarter of its weight; it grows with the median."""

SAME = 0.25
"""Relative difference of inverse depth at which a surface hardly is the ground: estimated depth bends it."""

SUPPORT = 0.5
"""Smallest share of the last tenth of the rows that is the ground."""

UPRIGHT = 0.7
"""Smallest cosine between the normal of the ground and the vertical axis of the picture."""


@attrs.frozen(eq=False, kw_only=True)
class Ground:
    """A plane, in the frame of the camera that sees it."""

    _plane: Floats64
    """float64 [3]: inverse depth at position (0, 0), and its change per pixel to the right and down."""

    @classmethod
    def of(cls, inverse: Floats, known: NDArray[np.bool_], lens: Intrinsics) -> Ground:
        """Return the ground of a picture; it is nowhere if the last rows do not show it.

        Those of a moving camera rarely do, since its samples have a margin. In a room, a ground that was found without
        them covered the foot of walls and lost 0.08 to 0.16 dB.

        Args:
            inverse: float32 [H, W], inverse depth.
            known: bool [H, W].
            lens: of the camera, for an image of W x H.
        """
        height = len(inverse)
        lower = known & (np.arange(height) >= height // 2)[:, None]
        rows, columns = np.nonzero(lower)
        terms = np.stack([np.ones(len(rows)), columns + 0.5, rows + 0.5], axis=-1)
        plane, error = _fitted(terms, inverse[lower].astype(np.float64), rows >= 3 * height // 4)
        last = error[rows >= 9 * height // 10]
        center = float(plane @ (1, lens.cx, lens.cy))
        normal = np.array([plane[1] * lens.fx, plane[2] * lens.fy, center])
        if np.count_nonzero(last < SAME) <= SUPPORT * len(last) or normal[1] < UPRIGHT * np.linalg.norm(normal):
            plane = np.array([-np.inf, 0, 0])
        return cls(plane=plane)

    def at(self, columns: Floats64, rows: Floats64) -> Floats:
        """Return inverse depth float32 [H', W'] at positions [W'] and [H']; not positive above the horizon."""
        start, right, down = self._plane
        return np.asarray(start + right * columns + down * rows[:, None], np.float32)


def likeness(inverse: Floats, ground: Floats) -> Floats:
    """Return how much a surface is the ground, float32 [H, W] from 0 to 1, by the inverse depth [H, W] of both."""
    ratio = np.divide(inverse, ground, out=np.full_like(inverse, np.inf), where=ground > 0)
    return np.asarray(np.exp(-(((ratio - 1) / SAME) ** 2)), np.float32)


def _fitted(terms: Floats64, values: Floats64, start: NDArray[np.bool_]) -> tuple[Floats64, Floats64]:
    """Return the plane [3] that explains most values [N], and their relative residuals [N].

    Args:
        terms: float64 [N, 3].
        values: float64 [N], > 0.
        start: bool [N], the values that count at first.
    """
    plane: Floats64 = np.zeros(3)
    error, weight = np.full(len(values), np.inf), start.astype(np.float64)
    for _ in range(ROUNDS):
        if not weight.any():
            break
        weighted = (terms * weight[:, None]).T
        plane = np.asarray(np.linalg.lstsq(weighted @ terms, weighted @ values, rcond=None)[0])
        fitted = terms @ plane
        error = np.divide(np.abs(values - fitted), fitted, out=np.full_like(values, np.inf), where=fitted > 0)
        median = float(np.median(error[weight > 0.25]))
        if np.isinf(median):  # most of them lie above the horizon of the plane, which explains nothing
            return plane, np.full_like(error, np.inf)
        spread = max(1.5 * median, SPREAD)
        weight = 1 / (1 + (error / spread) ** 2) ** 2
    return plane, error

"""Relative inverse depth from the motion in a clip: parallax of a moving camera, and things that move by themselves.

For a small camera motion, the optical flow of a pixel is `r A t + B w`: translation t, scaled by inverse depth r, and
rotation w, which is independent of depth (H. C. Longuet-Higgins, K. Prazdny, 1980). With a first guess of r, t and w
are a linear least-squares problem; they in turn correct r. Pixels that contradict the camera move by themselves.
"""

from __future__ import annotations

import math
from typing import Any, cast

import attrs
import cv2
import numpy as np
from numpy.typing import NDArray

from ex4d_core.types.camera import DEFAULT_FOV

Array = NDArray[np.float32]
Picture = NDArray[np.uint8]

FARTHEST_PARTNER = 8
"""Largest distance of compared frames: a slow camera needs time for visible parallax, a walker turns meanwhile."""

WANTED_FLOW = 0.02
"""Median flow to a partner, as a fraction of the longer side; more would break the linear model."""

FLOW_NOISE = 0.2
"""Smallest standard deviation of the flow in pixels."""

MOVING = 1.0
"""Flow in pixels that the camera does not explain, from which a pixel may move by itself."""

LEVELS = 16.0
"""Change of color that shows another surface, in levels."""

PRIOR_SPREAD = 0.25
"""Standard deviation of the inverse depth that is guessed from the vertical position."""

PRIOR_PRECISION = 1 / PRIOR_SPREAD**2
MOST_PRECISE = 25 * PRIOR_PRECISION
"""Upper bound of the precision of a frame; errors of optical flow are common to neighbors and do not average out."""

NEAREST = 1.2
"""Largest inverse depth that is believed; the prior ends below 1."""

SLOPE_NOISE = 2.0
"""Slope of brightness, in levels per pixel, below which optical flow is interpolated."""


@attrs.frozen(eq=False)
class Evidence:
    """What frames show of the depth and motion of pixels."""

    maps: Array
    """float32 [h, w, 4]: precision * inverse depth, precision, weight * share of motion, weight. Sums are evidence."""

    @property
    def precision(self) -> Array:
        """Precision (1 / variance) of the measured inverse depth."""
        return self.maps[..., 1]

    def fused(self, prior: Array) -> Array:
        """Return the inverse depth after combining the measurements with a prior."""
        fused: Array = (self.maps[..., 0] + PRIOR_PRECISION * prior) / (self.maps[..., 1] + PRIOR_PRECISION)
        return fused

    def moving(self) -> Array:
        """Return the share, 0 to 1, of frames in which a pixel moves by itself."""
        return cast(Array, self.maps[..., 2] / np.maximum(self.maps[..., 3], 1))


class MotionField:
    """Optical flow and its linear model, for pictures of one size."""

    def __init__(self, height: int, width: int) -> None:
        self._rows, self._columns = np.mgrid[:height, :width].astype(np.float32)
        focal = max(height, width) / (2 * math.tan(math.radians(DEFAULT_FOV) / 2))
        self._x, self._y = (self._columns + 0.5 - width / 2) / focal, (self._rows + 0.5 - height / 2) / focal
        self._search: Any = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
        self._has_room = min(height, width) >= 16  # for the patches of the search
        self._distances = {1: 0, -1: 0}

    def flow(self, gray: Picture, other: Picture) -> Array:
        """Return where each pixel is in the other frame, relative to its position, [h, w, 2] in pixels."""
        if not self._has_room:
            return np.zeros((*gray.shape, 2), np.float32)
        flow: Array = self._search.calc(gray, other, None)
        return flow

    def to_partner(self, grays: list[Picture], frame: int, direction: int) -> tuple[int, Array]:
        """Return a frame before (-1) or after (1) with enough flow, and the flow to it; the frame itself if none is.

        The distance follows the speed of the camera from call to call.
        """
        room = len(grays) - 1 - frame if direction > 0 else frame
        distance = min(self._distances[direction] or FARTHEST_PARTNER, room)
        flow = np.zeros((*grays[0].shape, 2), np.float32)
        wanted = WANTED_FLOW * max(grays[0].shape)
        while distance > 0:
            flow = self.flow(grays[frame], grays[frame + direction * distance])
            median = float(np.median(np.hypot(flow[..., 0], flow[..., 1])))
            if distance == 1 or median < 2 * wanted:
                self._distances[direction] = min(distance + (median < wanted), FARTHEST_PARTNER)
                break
            distance //= 2
        return frame + direction * distance, flow

    def at(self, maps: Array | Picture, flow: Array) -> Array:
        """Return maps of another frame at the positions to which the flow points; 0 outside."""
        there = (self._columns + flow[..., 0], self._rows + flow[..., 1])
        return cast(Array, cv2.remap(maps, *there, cv2.INTER_LINEAR, borderValue=(0,) * 4))

    def likeness(self, picture: Picture, other: Picture, flow: Array) -> Array:
        """Return 1 where the other frame has the same color at the position of the flow, towards 0 elsewhere."""
        off = cv2.blur(cv2.absdiff(self.at(other, flow), picture), (3, 3)).astype(np.float32)
        same: Array = np.exp(-((np.maximum(np.maximum(off[..., 0], off[..., 1]), off[..., 2]) / LEVELS) ** 2))
        return same

    def evidence(self, picture: Picture, other: Picture, flow: Array, known: Array) -> Evidence:
        """Return what the flow to a partner shows.

        Args:
            picture: uint8 [h, w, 3].
            other: the partner.
            flow: from the frame to the partner, in pixels.
            known: inverse depth from earlier frames.
        """
        seen = self.likeness(picture, other, flow)
        inverse, certainty = known, seen * _texture(picture)
        for _ in range(2):
            motion = self._camera(flow, inverse, certainty)
            along_x, along_y, turn_x, turn_y = self._model(motion)
            rest_x, rest_y = flow[..., 0] - turn_x, flow[..., 1] - turn_y
            squared = np.maximum(along_x**2 + along_y**2, 1e-9)
            length = np.sqrt(squared)
            measured = (rest_x * along_x + rest_y * along_y) / squared
            across = np.abs(rest_x * along_y - rest_y * along_x) / length
            noise = max(FLOW_NOISE, 1.5 * float(np.median(across)))
            plausible = np.clip(measured, 0, NEAREST)
            off = (across + np.abs(measured - plausible) * length) / noise
            precision = np.minimum(squared / noise**2 / (1 + (off / 2) ** 2) ** 2, MOST_PRECISE) * certainty
            inverse = (plausible * precision + known * PRIOR_PRECISION) / (precision + PRIOR_PRECISION)
        by_camera = np.dstack([turn_x + along_x * inverse, turn_y + along_y * inverse])
        unexplained = np.hypot(flow[..., 0] - by_camera[..., 0], flow[..., 1] - by_camera[..., 1])
        moves = (unexplained > max(MOVING, 3 * noise)) * (1 - self.likeness(picture, other, by_camera))
        return Evidence(np.dstack([precision * plausible, precision, seen * moves, seen]).astype(np.float32))

    def _model(self, motion: NDArray[np.float32]) -> tuple[Array, Array, Array, Array]:
        """Return x and y of `A t` and of `B w`."""
        x, y = self._x, self._y
        tx, ty, tz, wx, wy, wz = motion
        bend = wy * x - wx * y
        return tx - tz * x, ty - tz * y, wy - wz * y + bend * x, wz * x - wx + bend * y

    def _camera(self, flow: Array, inverse: Array, weight: Array) -> NDArray[np.float32]:
        """Return translation and rotation [6] that explain most of the flow, robust to what moves by itself."""
        step = max(1, max(inverse.shape) // 48)
        here = (slice(None, None, step),) * 2
        x, y, r = (maps[here].ravel().astype(np.float64) for maps in (self._x, self._y, inverse))
        zero, one = np.zeros_like(x), np.ones_like(x)
        across = np.stack([r, zero, -r * x, -x * y, one + x * x, -y])
        down = np.stack([zero, r, -r * y, -one - y * y, x * y, x])
        design, seen = np.concatenate([across, down], 1), flow[here].reshape(-1, 2).T.ravel().astype(np.float64)
        given = np.tile(weight[here].ravel().astype(np.float64) + 1e-6, 2)
        weights = given
        for _ in range(8):
            normal = (design * weights) @ design.T
            normal[np.diag_indices(6)] += 1e-6 * np.trace(normal) + 1e-9
            motion = np.linalg.solve(normal, design @ (weights * seen))
            off = np.tile(np.hypot(*(seen - motion @ design).reshape(2, -1)), 2)
            # Geman-McClure weights: what is far from the model, such as a walker, has next to no influence.
            weights = given / (1 + (off / max(1.5 * float(np.median(off)), FLOW_NOISE / 2)) ** 2) ** 2
        return motion.astype(np.float32)


def joined(first: Evidence, second: Evidence) -> Evidence:
    """Join the evidence of two partners; what one of them sees at rest, such as ground next to a walker, is at rest."""
    a, b = first.maps, second.maps
    weight = np.maximum(a[..., 3], b[..., 3])
    shares = [np.where(maps[..., 3] > 0.2, maps[..., 2] / np.maximum(maps[..., 3], 0.2), 1) for maps in (a, b)]
    share = np.where(weight > 0.2, np.minimum(*shares), 0)
    return Evidence(np.dstack([(a[..., :2] + b[..., :2]) / 2, weight * share, weight]).astype(np.float32))


def _texture(picture: Picture) -> Array:
    """Return 1 where there is structure for optical flow, towards 0 where it is interpolated."""
    gray = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
    across, down = (cv2.Sobel(gray, cv2.CV_32F, *order, scale=1 / 8) for order in ((1, 0), (0, 1)))
    slope = cv2.blur(across**2 + down**2, (5, 5))
    texture: Array = slope / (slope + SLOPE_NOISE**2)
    return texture

"""Text format of ViewCrafter: a line of key numbers each for phi, theta and r (utils/pvd_utils.py, render_help.md).

The camera turns about the vertical axis through the subject by phi (right), then by -theta (up), and moves back by r,
in distances to the subject. The axes are tilted by the elevation of the source camera, 5 degrees by default, which the
file does not contain. With y up and the subject at the origin, c2w = Ry(phi) Rx(theta) T(0, 0, r R cos e) c2w0.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from ex4d_core.cameras.files._format import Content, Format, Match, likely, possible
from ex4d_core.cameras.files._key_numbers import count_of_lines, lines_of, spread
from ex4d_core.cameras.files._value import CameraFile, ReadOptions
from ex4d_core.errors import InvalidInput

FRAMES = 25
"""Frames of a video of ViewCrafter."""


def read(content: Content, reading: ReadOptions) -> CameraFile:
    """Read the path at 25 frames.

    Raises:
        InvalidInput: it does not have three lines of numbers.
    """
    rows = lines_of(content.value)
    if len(rows) != 3:
        raise InvalidInput(f"it has {len(rows)} lines; ViewCrafter needs three: phi, theta and r")
    curve = _curve(rows, reading.distance, reading.elevation)
    return CameraFile(world_to_camera=curve(FRAMES), spread=curve)


def _curve(rows: list[list[float]], distance: float, elevation: float) -> Callable[[int], np.ndarray]:
    tilt = math.radians(180 - elevation)
    source = np.eye(4)
    source[1:3, 1:3] = [[math.cos(tilt), math.sin(tilt)], [-math.sin(tilt), math.cos(tilt)]]
    source[2, 3] = distance
    start = np.linalg.inv(source)

    def poses(frames: int) -> np.ndarray:
        columns = [spread(row, frames, overwrite_ends=frames == FRAMES) for row in rows]
        to_world = []
        for phi, theta, r in zip(*columns, strict=True):
            moved = start.copy()
            moved[2, 3] += r * start[2, 3]
            to_world.append(_about_y(phi) @ _about_x(theta) @ moved)
        matrices: np.ndarray = np.linalg.inv(np.stack(to_world)) @ to_world[0]
        return matrices

    return poses


def _about_x(degrees: float) -> np.ndarray:
    matrix, angle = np.eye(4), math.radians(degrees)
    matrix[1:3, 1:3] = [[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]]
    return matrix


def _about_y(degrees: float) -> np.ndarray:
    matrix, angle = np.eye(4), math.radians(degrees)
    matrix[0, 0] = matrix[2, 2] = math.cos(angle)
    matrix[0, 2], matrix[2, 0] = math.sin(angle), -math.sin(angle)
    return matrix


def _matches(content: Content) -> Match | None:
    if count_of_lines(content) != 3:
        return None
    if "viewcrafter" in str(content.path).lower():
        return likely("three lines of numbers and the name of ViewCrafter")
    return possible("three lines of numbers")


FORMATS = (
    Format(
        name="viewcrafter",
        files="lines of key numbers for phi (right), theta (down), r (backward) of ViewCrafter; needs `format=`",
        kinds=("text",),
        matches=_matches,
        read=read,
        convention="angles",
        world="its first pose",
    ),
)

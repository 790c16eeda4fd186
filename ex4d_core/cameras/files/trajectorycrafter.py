"""Text format of TrajectoryCrafter: one line each for theta, phi, r and, optionally, x and y.

Degrees for theta (up) and phi (right), r forward in units of the distance to the subject, x (right) and y (up) in units
of the scene. With R the distance, points are mapped from source to target camera coordinates by
Z(R) Ry(phi) Rx(theta) T(-x, y, -r R) Z(-R), where Z(R) and T are translations: a rotation about the subject, after the
shift. The source camera is the first pose, as with `--anchor_idx 0`.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from ex4d_core.bounds import LARGEST, number, shown
from ex4d_core.cameras.files._value import CameraFile, ReadOptions, check_count, refuse_start_elsewhere
from ex4d_core.errors import InvalidInput
from ex4d_core.geometry.keyframes import smooth_curve

NAMES = ("theta", "phi", "r", "x", "y")
ROLL = 1e-6
"""Largest error, in an entry of the matrix, of a rotation described by two angles."""


def read(text: str, reading: ReadOptions) -> CameraFile:
    """Read a pose for each column; a line with fewer numbers than the longest is interpolated.

    Interpolation is linear for up to three numbers, smooth for more.

    Raises:
        InvalidInput: it does not have three or five lines of numbers.
    """
    lines = [line.split() for line in text.splitlines() if line.strip()]
    check_count(max(map(len, lines), default=0))
    rows = [[_number(word) for word in line] for line in lines[: len(NAMES)]]
    if len(lines) not in (3, 5):
        raise InvalidInput(f"it has {len(lines)} lines; it needs five, theta, phi, r, x and y, or the first three")
    count = max(map(len, rows))
    values = [_spread(row, count) for row in rows] + [[0.0] * count] * (5 - len(rows))
    matrices = [_matrix(*column, distance=reading.distance) for column in zip(*values, strict=True)]
    largest = max((abs(angle) for angle in values[0] + values[1]), default=0.0)
    radians = any(abs(largest - math.pi / part) < 0.01 for part in (1, 2, 3, 4, 6))
    warning = f"turns by at most {largest:g} degrees; if it is meant in radians, multiply by 57.2958"
    from_first = np.stack(matrices) @ np.linalg.inv(matrices[0])
    return CameraFile(world_to_camera=from_first, warnings=(warning,) if radians else ())


def write(file: CameraFile, path: Path, distance: float) -> None:
    """Write five lines.

    Raises:
        InvalidInput: the five numbers cannot represent a rotation, or the path does not start at the source camera.
    """
    refuse_start_elsewhere(file, "TrajectoryCrafter")
    columns = [_numbers(matrix, index, distance) for index, matrix in enumerate(file.world_to_camera)]
    lines = [" ".join(map(repr, row)) for row in zip(*columns, strict=True)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _number(word: str) -> float:
    try:
        return number(float(word), "a number")
    except ValueError as error:
        raise InvalidInput(
            f"it must hold lines of numbers, theta, phi, r, x and y, each at most {LARGEST:g}, not {shown(word)}"
        ) from error


def _matrix(theta: float, phi: float, r: float, x: float, y: float, *, distance: float) -> np.ndarray:
    to_subject = _shift(0, 0, -distance)
    matrix: np.ndarray = _shift(0, 0, distance) @ _turn(theta, phi) @ _shift(-x, y, -r * distance) @ to_subject
    return matrix


def _numbers(matrix: np.ndarray, index: int, distance: float) -> tuple[float, ...]:
    rotation = matrix[:3, :3]
    theta, phi = math.atan2(-rotation[1, 2], rotation[1, 1]), math.atan2(-rotation[2, 0], rotation[0, 0])
    theta, phi = math.degrees(theta), math.degrees(phi)
    if np.abs(_turn(theta, phi)[:3, :3] - rotation).max() > ROLL:
        raise InvalidInput(
            f"the rotation of pose {index} cannot be stored as theta and phi, because it includes roll; "
            "use another format"
        )
    inner = _shift(0, 0, -distance) @ matrix @ _shift(0, 0, distance)
    x, y, r = np.linalg.solve(_turn(theta, phi), inner)[:3, 3].tolist()
    return theta, phi, -r / distance, -x, y


def _turn(theta: float, phi: float) -> np.ndarray:
    up, right = math.radians(theta), math.radians(phi)
    matrix = np.eye(4)
    about_x = [[1, 0, 0], [0, math.cos(up), -math.sin(up)], [0, math.sin(up), math.cos(up)]]
    about_y = [[math.cos(right), 0, math.sin(right)], [0, 1, 0], [-math.sin(right), 0, math.cos(right)]]
    matrix[:3, :3] = np.array(about_y) @ np.array(about_x)
    return matrix


def _shift(x: float, y: float, z: float) -> np.ndarray:
    matrix = np.eye(4)
    matrix[:3, 3] = x, y, z
    return matrix


def _spread(row: list[float], count: int) -> list[float]:
    if len(row) == count:
        return row
    at = [index / max(len(row) - 1, 1) for index in range(len(row))]
    times = [index / (count - 1) for index in range(count)]
    if len(row) <= 3:
        return [float(value) for value in np.interp(times, at, row)]
    curve = smooth_curve(at, row)
    return [curve(t) for t in times]

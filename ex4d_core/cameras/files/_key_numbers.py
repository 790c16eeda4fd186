"""Lines of key numbers of TrajectoryCrafter and ViewCrafter, spread over the frames as these tools do.

`txt_interpolation` of both (TrajectoryCrafter: models/utils.py, ViewCrafter: utils/pvd_utils.py) connects up to three
numbers by straight lines and approximates more by a cubic smoothing spline of scipy with its default smoothing, then
overwrites the first and last value. The latter makes a corner next to the ends, the sharper the more frames there are,
so it is only done at the tool's own number of frames.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np

from ex4d_core.bounds import LARGEST, number, shown
from ex4d_core.cameras.files._format import Content, Text
from ex4d_core.cameras.files._poses import are_rigid
from ex4d_core.cameras.files._value import check_count
from ex4d_core.errors import InvalidInput

STRAIGHT = 3
"""Largest number of numbers that are connected by straight lines."""

TOLERANCE = 0.02
"""Largest deviation of a rotation that is written with two decimals."""

NAMES = ("theta", "phi", "r", "x", "y")


def lines_of(text: Text) -> list[list[float]]:
    """Return the numbers of the first five lines that are not empty.

    Raises:
        InvalidInput: they are not lines of numbers, or too long.
    """
    lines = [line.split() for line in text.text.splitlines() if line.strip()]
    check_count(max(map(len, lines), default=0))
    rows = [[_number(word) for word in line] for line in lines[: len(NAMES)]]
    if len(lines) not in (3, 5):
        raise InvalidInput(f"it has {len(lines)} lines; it needs five, theta, phi, r, x and y, or the first three")
    return rows


def _number(word: str) -> float:
    try:
        return number(float(word), "a number")
    except ValueError as error:
        raise InvalidInput(
            f"it must hold lines of numbers, theta, phi, r, x and y, each at most {LARGEST:g}, not {shown(word)}"
        ) from error


def spread(row: Sequence[float], count: int, *, overwrite_ends: bool) -> np.ndarray:
    """Return a value for each of `count` frames, float64 [count]."""
    from scipy.interpolate import UnivariateSpline

    at, times = np.linspace(0, 1, len(row)), np.linspace(0, 1, count)
    if len(row) <= STRAIGHT:
        values: np.ndarray = np.interp(times, at, row)
        return values

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the smoothing may not be reached, which the tools do not check either
        values = UnivariateSpline(at, row, k=3)(times)
    if overwrite_ends:
        values[0], values[-1] = row[0], row[-1]
    return values


def count_of_lines(content: Content) -> int:
    """Return the number of lines if the text consists of a few lines of numbers, otherwise 0."""
    rows = content.value.rows
    if not 3 <= len(rows) <= len(NAMES) or content.value.title or content.value.comments:
        return 0
    return 0 if _holds_poses(content.value.table) else len(rows)


def may_be_poses(table: np.ndarray) -> bool:
    """Return whether lines may be positions and angles, after a number or before a field of view, of a few poses.

    The key numbers of a path that starts at the source camera start with 0.
    """
    return bool(table.shape[1] in (6, 7, 8) and table[:, 0].any())


def is_intrinsics(matrix: np.ndarray) -> bool:
    """Return whether a matrix [3, 3] has focal lengths and a principal point."""
    zero = (matrix[1, 0], matrix[2, 0], matrix[2, 1])
    return bool(not any(zero) and matrix[2, 2] == 1 and min(matrix[0, 0], matrix[1, 1]) > 0)


def _holds_poses(table: np.ndarray) -> bool:
    """Return whether lines are matrices or have a unit quaternion, or all are one matrix, as in other formats."""
    rows, columns = table.shape
    if columns in (7, 8):
        pieces = (table[:, -4:], table[:, columns - 7 : columns - 3])
        return any(bool(np.abs(np.linalg.norm(piece, axis=1) - 1).max() < TOLERANCE) for piece in pieces)
    if (rows, columns) == (3, 3) and is_intrinsics(table):
        return True
    if (rows, columns) in ((3, 3), (3, 4)):
        matrices = table[None]
    elif columns in (16, 17):
        matrices = table[:, -16:].reshape(-1, 4, 4)
    elif columns in (12, 13, 19):
        matrices = table[:, -12:].reshape(-1, 3, 4)
    else:
        return False
    return are_rigid(matrices, tolerance=TOLERANCE)

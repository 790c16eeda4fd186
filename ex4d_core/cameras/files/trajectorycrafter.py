"""Text format of TrajectoryCrafter: one line of key numbers each for theta, phi, r (demo.py, models/utils.py).

Degrees for theta (up) and phi (right), r forward in units of the distance to the subject. Lines for x (right) and y
(up) in units of the scene are an addition of ex4d. With R the distance, points are mapped from source to target camera
coordinates by Z(R) Ry(phi) Rx(theta) T(-x, y, -r R) Z(-R), where Z(R) and T are translations: a rotation about the
subject, after the shift. The source camera is the first pose, as with `--anchor_idx 0`. The text of the web page and of
`--target_pose` has the five final numbers, separated by semicolons.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np

from ex4d_core.bounds import number, spelled
from ex4d_core.cameras.files._format import Content, Evidence, Format, Match, certain, likely, possible
from ex4d_core.cameras.files._key_numbers import NAMES, count_of_lines, lines_of, may_be_poses, spread
from ex4d_core.cameras.files._value import CameraFile, ReadOptions, refuse_start_elsewhere
from ex4d_core.errors import InvalidInput

FRAMES = 49
"""Frames of a video of TrajectoryCrafter."""

ROLL = 1e-6
"""Largest error, in an entry of the matrix, of a rotation described by two angles."""

OTHERWISE = "positions and angles of a pose in each line, which are not read"

AMBIGUOUS = (
    "has three lines, which are read as theta, phi and r of TrajectoryCrafter; "
    "if they are phi, theta and r of ViewCrafter, use format=viewcrafter"
)


def read(content: Content, reading: ReadOptions) -> CameraFile:
    """Read the path at 49 frames, or, from five lines, at as many as the longest line has numbers.

    Raises:
        InvalidInput: it does not have three or five lines of numbers.
    """
    distance = reading.distance
    if ";" in content.value.text:
        rows = [[0.0, value] for value in _target(content.value.text)]
    else:
        rows = lines_of(content.value)
    rows += [[0.0]] * (len(NAMES) - len(rows))
    rows[2] = [value * distance for value in rows[2]]
    is_own = len(content.value.rows) == len(NAMES)
    frames = max(map(len, rows)) if is_own else FRAMES
    warnings = [] if is_own or ";" in content.value.text else [AMBIGUOUS]
    largest = max((abs(angle) for angle in rows[0] + rows[1]), default=0.0)
    if any(abs(largest - math.pi / part) < 0.01 for part in (1, 2, 3, 4, 6)):
        warnings.append(f"turns by at most {largest:g} degrees; if it is meant in radians, multiply by 57.2958")
    curve = _curve(rows, distance, exact=frames if is_own else 0)
    return CameraFile(world_to_camera=curve(frames), spread=curve, warnings=tuple(warnings))


def _curve(rows: list[list[float]], distance: float, *, exact: int) -> Callable[[int], np.ndarray]:
    """Return the poses at a number of frames; at `exact` frames, complete lines are used without interpolation."""

    def poses(frames: int) -> np.ndarray:
        columns = [
            np.array(row) if frames == exact == len(row) else spread(row, frames, overwrite_ends=frames == FRAMES)
            for row in rows
        ]
        matrices = np.stack([_matrix(*values, distance=distance) for values in zip(*columns, strict=True)])
        from_first: np.ndarray = matrices @ np.linalg.inv(matrices[0])
        return from_first

    return poses


def _target(text: str) -> list[float]:
    """Return theta, phi, r, x and y of the last frame."""
    values = [number(spelled(word.strip(), "a number"), "a number") for word in text.split(";", 5)]
    if len(values) != len(NAMES):
        raise InvalidInput(f"it has {len(values)} numbers; it needs five: theta; phi; r; x; y")
    return values


def write(file: CameraFile, path: Path, distance: float) -> None:
    """Write five lines.

    Raises:
        InvalidInput: the five numbers cannot represent a rotation, or the path does not start at the source camera.
    """
    refuse_start_elsewhere(file, "TrajectoryCrafter")
    columns = [_numbers(matrix, index, distance) for index, matrix in enumerate(file.world_to_camera)]
    lines = [" ".join(map(repr, row)) for row in zip(*columns, strict=True)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _matrix(theta: float, phi: float, r: float, x: float, y: float, *, distance: float) -> np.ndarray:
    to_subject = _shift(0, 0, -distance)
    matrix: np.ndarray = _shift(0, 0, distance) @ _turn(theta, phi) @ _shift(-x, y, -r) @ to_subject
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


def _matches(content: Content) -> Match | None:
    text = content.value
    words = text.text.split(";") if len(text.text) < 1000 else []
    if len(words) == len(NAMES) and not any(word.strip().count(" ") for word in words):
        return certain("five numbers separated by semicolons")
    count = count_of_lines(content)
    if not count:
        named = content.path.suffix.lower() == ".txt" and not text.table.size
        return Match(Evidence.SUFFIX, "the suffix .txt") if named else None
    if may_be_poses(text.table):
        return Match(Evidence.LIKELY, f"{count} lines of key numbers", OTHERWISE)
    named = "viewcrafter" not in str(content.path).lower()
    if count == len(NAMES):
        return likely("five lines of numbers")
    return likely("three lines of numbers") if named and count == 3 else possible("a few lines of numbers")


FORMATS = (
    Format(
        name="trajectorycrafter",
        files="lines of key numbers for theta (up), phi (right), r (forward) of TrajectoryCrafter; x and y by ex4d",
        kinds=("text",),
        matches=_matches,
        read=read,
        convention="angles",
        world="its first pose",
        suffix=".txt",
        write=write,
    ),
)

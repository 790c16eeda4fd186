"""Plain matrices that say what they mean: JSON, also of keyframes, and CSV."""

from __future__ import annotations

import csv
import itertools
import json
import reprlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs
import numpy as np

from ex4d_core.camera_files._value import (
    CameraFile,
    Reading,
    numbers,
    one_or_each,
    read_json,
    to_world_to_camera,
    whole_numbers,
)
from ex4d_core.errors import InvalidInput, describe
from ex4d_core.reading import read_text
from ex4d_core.types import Intrinsics

DIRECTIONS = {"world_to_camera": "w2c", "camera_to_world": "c2w"}
MATRIX = [f"m{row}{column}" for row in range(4) for column in range(4)]
LENS = [field.name for field in attrs.fields(Intrinsics)]


def read_matrices(path: Path, reading: Reading) -> CameraFile:
    """Return the poses of a JSON file: an object with `world_to_camera` or `camera_to_world`, or bare matrices.

    Raises:
        InvalidInput: it holds no poses, or does not say what they mean.
    """
    tree = read_json(path)
    facts: Mapping[str, Any] = tree if isinstance(tree, Mapping) else {}
    found = [name for name in DIRECTIONS if name in facts]
    if facts and len(found) != 1:
        raise InvalidInput(f"{path} must have either world_to_camera or camera_to_world, matrices of 4x4")
    try:
        matrices = numbers(facts[found[0]] if found else tree, found[0] if found else "a camera path")
        lens = facts.get("intrinsics")
        lens = [lens] if isinstance(lens, Mapping) else lens
        intrinsics = None if lens is None else one_or_each([_lens(camera, path) for camera in lens], len(matrices))
        shares, frames = facts.get("shares"), facts.get("clip_frames")
        convention = f"{DIRECTIONS[found[0]]}-{facts.get('axes', 'opencv')}" if found else reading.convention
        return CameraFile(
            world_to_camera=to_world_to_camera(_square(matrices), _stated(convention, path)),
            intrinsics=intrinsics,
            shares=None if shares is None else _rising(shares),
            frames=None if frames is None else whole_numbers(frames, "clip_frames"),
        )
    except InvalidInput:
        raise
    except (TypeError, ValueError) as error:
        raise InvalidInput(f"{path} is no camera path: {error}") from error


def write_matrices(file: CameraFile, path: Path, distance: float) -> None:
    """Write JSON with world-to-camera matrices in OpenCV's axes."""
    facts: dict[str, Any] = {"axes": "opencv", "world_to_camera": file.world_to_camera.tolist()}
    if file.shares is not None:
        facts["shares"] = list(file.shares)
    if file.frames is not None:
        facts["clip_frames"] = list(file.frames)
    if file.intrinsics is not None:
        facts["intrinsics"] = [attrs.asdict(camera) for camera in file.intrinsics]
    path.write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")


def read_csv(path: Path, reading: Reading) -> CameraFile:
    """Return the poses of a CSV file: 16 numbers a line, row by row, and more columns where a head names them.

    A first line `# w2c-opencv` says what the matrices mean.

    Raises:
        InvalidInput: it holds no poses, or does not say what they mean.
    """
    lines = read_text(path, "camera file").splitlines()
    stated = lines[0].lstrip("# ").strip() if lines and lines[0].startswith("#") else None
    rows = [row for row in csv.reader(line for line in lines if line.strip() and not line.startswith("#")) if row]
    head = [name.strip() for name in rows[0]] if rows and not _is_number(rows[0][0]) else MATRIX
    body = rows[1:] if rows and head is not MATRIX else rows
    if missing := [name for name in MATRIX if name not in head]:
        raise InvalidInput(f"{path} has no column {missing[0]}; it needs m00, m01, ... m33, or 16 numbers and no head")
    try:
        columns = {
            name: [float(row[index]) for row in body] for index, name in enumerate(head) if name in {*MATRIX, *LENS}
        }
        frames = [int(row[head.index("clip_frame")]) for row in body] if "clip_frame" in head else None
        matrices = np.array([columns[name] for name in MATRIX]).T.reshape(-1, 4, 4)
        lens = [dict(zip(LENS, row, strict=True)) for row in zip(*(columns.get(n, ()) for n in LENS), strict=True)]
        cameras = [Intrinsics(**{**row, "width": int(row["width"]), "height": int(row["height"])}) for row in lens]
    except (ValueError, IndexError, OverflowError) as error:
        raise InvalidInput(f"{path} is no table of numbers: {describe(error)}") from error
    return CameraFile(
        world_to_camera=to_world_to_camera(matrices, _stated(reading.convention or stated, path)),
        intrinsics=one_or_each(cameras, len(matrices)) if cameras else None,
        frames=None if frames is None else tuple(frames),
    )


def write_csv(file: CameraFile, path: Path, distance: float) -> None:
    """Write a line for each pose: world-to-camera in OpenCV's axes, row by row, then the lens and the frame shown."""
    cameras = file.intrinsics or ()
    head = [*MATRIX, *(LENS if cameras else ()), *(["clip_frame"] if file.frames is not None else ())]
    lines = ["# w2c-opencv", ",".join(head)]
    for index, matrix in enumerate(file.world_to_camera):
        camera = attrs.astuple(cameras[index if len(cameras) > 1 else 0]) if cameras else ()
        frame = () if file.frames is None else (file.frames[index],)
        lines.append(",".join(map(repr, [*matrix.ravel().tolist(), *camera, *frame])))
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _stated(convention: str | None, path: Path) -> str:
    if convention is None:
        raise InvalidInput(
            f"{path} does not say what its matrices mean; say it, as in {path.name}:convention=c2w-opencv for --cam, "
            f"or once and for all: ex4d cam convert {path} named.json --convention c2w-opencv "
            "(c2w or w2c, opencv or opengl)"
        )
    return convention


def _lens(facts: Any, path: Path) -> Intrinsics:
    if not isinstance(facts, Mapping) or set(facts) != set(LENS):
        raise InvalidInput(
            f"{path} has intrinsics {reprlib.repr(facts)}; each needs {', '.join(LENS)} and nothing else"
        )
    return Intrinsics(**facts)


def _square(numbers: np.ndarray) -> np.ndarray:
    """Return matrices [T, 4, 4], the last row added where it was left out."""
    if numbers.ndim == 3 and numbers.shape[1:] == (3, 4):
        bottom = np.broadcast_to([0.0, 0.0, 0.0, 1.0], (len(numbers), 1, 4))
        return np.concatenate([numbers, bottom], axis=1)
    return numbers


def _rising(shares: Any) -> tuple[float, ...]:
    rising = tuple(numbers(shares, "shares").ravel().tolist())
    if any(not one < other for one, other in itertools.pairwise(rising)) or not all(0 <= t <= 1 for t in rising):
        raise InvalidInput("shares must rise from 0 to 1: how much of the path is done at each keyframe")
    return rising


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True

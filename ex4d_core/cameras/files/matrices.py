"""Camera matrices in self-describing JSON (keyframes included) and CSV."""

from __future__ import annotations

import csv
import itertools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs
import numpy as np

from ex4d_core.bounds import numbers, shown, spelled, whole
from ex4d_core.cameras.files._value import (
    LENS,
    CameraFile,
    ReadOptions,
    frames_of,
    lens_of,
    one_or_each,
    to_world_to_camera,
)
from ex4d_core.errors import InvalidInput
from ex4d_core.types import Intrinsics

DIRECTIONS = {"world_to_camera": "w2c", "camera_to_world": "c2w"}
MATRIX = [f"m{row}{column}" for row in range(4) for column in range(4)]
FRAME = "clip_frame"


def read_matrices(tree: Any, reading: ReadOptions) -> CameraFile:
    """Return the poses of JSON: an object with `world_to_camera` or `camera_to_world`, or bare matrices.

    Raises:
        InvalidInput: it holds no poses, or does not say what they mean.
    """
    facts: Mapping[str, Any] = tree if isinstance(tree, Mapping) else {}
    found = [name for name in DIRECTIONS if name in facts]
    if facts is tree and len(found) != 1:
        raise InvalidInput("it must have either world_to_camera or camera_to_world, matrices of 4x4")
    matrices = _square(numbers(facts[found[0]] if found else tree, found[0] if found else "a camera path"))
    convention = f"{DIRECTIONS[found[0]]}-{facts.get('axes', 'opencv')}" if found else reading.convention
    poses = to_world_to_camera(matrices, _stated(convention, reading))
    shares, frames = facts.get("shares"), facts.get("clip_frames")
    return CameraFile(
        world_to_camera=poses,
        intrinsics=_lenses(facts.get("intrinsics"), len(poses)),
        shares=None if shares is None else _rising(shares),
        frames=None if frames is None else frames_of(frames, "clip_frames"),
    )


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


def read_csv(text: str, reading: ReadOptions) -> CameraFile:
    """Return the poses of a CSV file: 16 numbers a line, row by row, and more columns where a head names them.

    A first line `# w2c-opencv` says what the matrices mean.

    Raises:
        InvalidInput: it holds no poses, or does not say what they mean.
    """
    lines = text.splitlines()
    stated = lines[0].lstrip("# ").strip() if lines and lines[0].startswith("#") else None
    rows = [row for row in csv.reader(line for line in lines if line.strip() and not line.startswith("#")) if row]
    has_head = bool(rows) and not _is_number(rows[0][0])
    head = [name.strip() for name in rows[0]] if has_head else MATRIX
    columns = _columns(head, rows[1:] if has_head else rows)
    matrices = numbers(np.array([columns[name] for name in MATRIX]).T.reshape(-1, 4, 4), "the matrices")
    lens = [dict(zip(LENS, row, strict=True)) for row in zip(*(columns.get(n, ()) for n in LENS), strict=True)]
    cameras = [lens_of(facts) for facts in lens]
    frames = tuple(whole(frame, FRAME) for frame in columns[FRAME]) if FRAME in columns else None
    return CameraFile(
        world_to_camera=to_world_to_camera(matrices, _stated(reading.convention or stated, reading)),
        intrinsics=one_or_each(cameras, len(matrices)) if cameras else None,
        frames=frames,
    )


def _columns(head: list[str], rows: list[list[str]]) -> dict[str, list[float]]:
    """Return the numbers of each column that a path has."""
    if missing := [name for name in MATRIX if name not in head]:
        raise InvalidInput(f"it has no column {missing[0]}; it needs m00, m01, ... m33, or 16 numbers and no head")
    lens = [name for name in LENS if name in head]
    if lens and (missing := [name for name in LENS if name not in head]):
        raise InvalidInput(f"it has a column {lens[0]} and no column {missing[0]}; a lens needs {', '.join(LENS)}")
    wanted = {name: head.index(name) for name in (*MATRIX, *lens, FRAME) if name in head}
    last = max(wanted.values())
    for number, row in enumerate(rows, 1):
        if len(row) <= last:
            raise InvalidInput(f"row {number} has {len(row)} entries; {last + 1} are needed")
    return {name: [spelled(row[at], name) for row in rows] for name, at in wanted.items()}


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


def _stated(convention: str | None, reading: ReadOptions) -> str:
    if convention is None:
        raise InvalidInput(
            "it does not say what its matrices mean; say it, as in "
            f"{reading.file.name}:convention=c2w-opencv for --cam, "
            f"or once and for all: ex4d cam convert {reading.file} named.json --convention c2w-opencv "
            "(c2w or w2c, opencv or opengl)"
        )
    return convention


def _lenses(lenses: Any, poses: int) -> tuple[Intrinsics, ...] | None:
    if lenses is None:
        return None
    each = lenses if isinstance(lenses, list) else [lenses]
    for facts in each:
        if not isinstance(facts, Mapping) or set(facts) != set(LENS):
            raise InvalidInput(f"it has intrinsics {shown(facts)}; each needs {', '.join(LENS)} and nothing else")
    return one_or_each([lens_of(facts) for facts in each], poses)


def _square(numbers: np.ndarray) -> np.ndarray:
    """Return matrices [T, 4, 4], the last row added where it was left out."""
    if numbers.ndim == 3 and numbers.shape[1:] == (3, 4):
        bottom = np.broadcast_to([0.0, 0.0, 0.0, 1.0], (len(numbers), 1, 4))
        return np.concatenate([numbers, bottom], axis=1)
    return numbers


def _rising(shares: Any) -> tuple[float, ...]:
    array = numbers(shares, "shares")
    rising = tuple(array.ravel().tolist())
    if (
        array.ndim != 1
        or any(not one < other for one, other in itertools.pairwise(rising))
        or not all(0 <= t <= 1 for t in rising)
    ):
        raise InvalidInput("shares must rise from 0 to 1: how much of the path is done at each keyframe")
    return rising


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True

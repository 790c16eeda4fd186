"""Camera matrices in JSON, including keyframes, and in CSV; the files declare their convention."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs
import numpy as np

from ex4d_core.bounds import numbers, shown, spelled, whole
from ex4d_core.cameras.files._format import Capability, Content, Evidence, Format, Match, certain, likely
from ex4d_core.cameras.files._poses import order_of, positions_of, square, to_world_to_camera
from ex4d_core.cameras.files._value import (
    LENS,
    CameraFile,
    ReadOptions,
    frames_of,
    lens_of,
    one_or_each,
    required_convention,
)
from ex4d_core.errors import InvalidInput
from ex4d_core.types import Intrinsics

DIRECTIONS = {"world_to_camera": "w2c", "camera_to_world": "c2w"}
MATRIX = [f"m{row}{column}" for row in range(4) for column in range(4)]
FRAME = "clip_frame"
NUMBERS = ("frame", "frame_id", "index", "timestamp", "time")
"""Columns with the number or time of a pose, of which one is used."""
FORMER_TIMES = "shares"
"""Former key of `times` in JSON, still read."""


def read_matrices(content: Content, reading: ReadOptions) -> CameraFile:
    """Read JSON: an object with `world_to_camera` or `camera_to_world`, or bare matrices.

    Raises:
        InvalidInput: it contains no poses, or their convention is unknown.
    """
    tree = content.value
    facts: Mapping[str, Any] = tree if isinstance(tree, Mapping) else {}
    poses = _poses(tree, reading)
    times, frames = facts.get("times", facts.get(FORMER_TIMES)), facts.get("clip_frames")
    return CameraFile(
        world_to_camera=poses,
        intrinsics=_lenses(facts.get("intrinsics"), len(poses)),
        times=None if times is None else _increasing(times),
        frames=None if frames is None else frames_of(frames, "clip_frames"),
    )


def _poses(tree: Any, reading: ReadOptions) -> np.ndarray:
    """Return world-to-camera matrices, float64 [T, 4, 4], in OpenCV axes."""
    if not isinstance(tree, Mapping):
        matrices = square(tree, "a camera path")
        return to_world_to_camera(matrices, required_convention(reading, matrices))
    found = [name for name in DIRECTIONS if name in tree]
    if len(found) != 1:
        raise InvalidInput("it must have either world_to_camera or camera_to_world, matrices of 4x4")
    matrices = square(tree[found[0]], found[0])
    return to_world_to_camera(matrices, f"{DIRECTIONS[found[0]]}-{tree.get('axes', 'opencv')}")


def write_matrices(file: CameraFile, path: Path, distance: float) -> None:
    """Write JSON with world-to-camera matrices in OpenCV axes."""
    facts: dict[str, Any] = {"axes": "opencv", "world_to_camera": file.world_to_camera.tolist()}
    if file.times is not None:
        facts["times"] = list(file.times)
    if file.frames is not None:
        facts["clip_frames"] = list(file.frames)
    if file.intrinsics is not None:
        facts["intrinsics"] = [attrs.asdict(camera) for camera in file.intrinsics]
    path.write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")


def read_csv(content: Content, reading: ReadOptions) -> CameraFile:
    """Read a CSV file with the 16 entries of a matrix in each row, and further columns if it has a header.

    A first line `# w2c-opencv` declares the convention of the matrices.

    Raises:
        InvalidInput: it contains no poses, or their convention is unknown.
    """
    lines = content.value.text.splitlines()
    declared = lines[0].lstrip("# ").strip() if lines and lines[0].startswith("#") else None
    body = [line for line in lines if line.strip() and not line.startswith("#")]
    first = [word.strip() for word in next(csv.reader(body[:1]), [])]
    has_header = bool(first) and not _is_number(first[0])
    columns = first if has_header else MATRIX
    used = _used_columns(columns)
    table = csv.DictReader(body[has_header:], fieldnames=columns)
    rows = [_row(row, number, used) for number, row in enumerate(table, 1)]
    matrices = numbers(np.array([[row[name] for name in MATRIX] for row in rows]).reshape(-1, 4, 4), "the matrices")
    number = next((name for name in NUMBERS if name in used), None)
    stamps = np.zeros(len(rows)) if number is None else np.array([row[number] for row in rows])
    order = order_of(stamps) if rows else np.arange(0)
    rows, matrices = [rows[at] for at in order], matrices[order]
    lenses = [lens_of(row) for row in rows] if LENS[0] in used else []
    return CameraFile(
        positions=positions_of(stamps[order]),
        world_to_camera=to_world_to_camera(matrices, declared or required_convention(reading, matrices)),
        intrinsics=one_or_each(lenses, len(matrices)) if lenses else None,
        frames=tuple(whole(row[FRAME], FRAME) for row in rows) if FRAME in used else None,
    )


def _used_columns(columns: list[str]) -> list[str]:
    """Return the columns of a camera path among those of a file."""
    if missing := [name for name in MATRIX if name not in columns]:
        raise InvalidInput(f"it has no column {missing[0]}; it needs m00, m01, ... m33, or 16 numbers and no header")
    lens = [name for name in LENS if name in columns]
    if lens and (missing := [name for name in LENS if name not in columns]):
        raise InvalidInput(
            f"it has a column {lens[0]} but no column {missing[0]}; intrinsics need the columns {', '.join(LENS)}"
        )
    numbered = [name for name in NUMBERS if name in columns][:1]
    return [*MATRIX, *lens, *([FRAME] if FRAME in columns else []), *numbered]


def _row(row: dict[str, str | None], number: int, columns: list[str]) -> dict[str, float]:
    """Return the numbers in the given columns of a row."""
    values = {}
    for name in columns:
        if (text := row[name]) is None:
            raise InvalidInput(f"row {number} has no entry in column {name}")
        values[name] = spelled(text, name)
    return values


def write_csv(file: CameraFile, path: Path, distance: float) -> None:
    """Write a row for each pose: world-to-camera in OpenCV axes, then the intrinsics and the shown frame."""
    cameras = file.intrinsics or ()
    head = [*MATRIX, *(LENS if cameras else ()), *([FRAME] if file.frames is not None else ())]
    lines = ["# w2c-opencv", ",".join(head)]
    for index, matrix in enumerate(file.world_to_camera):
        camera = attrs.astuple(cameras[index if len(cameras) > 1 else 0]) if cameras else ()
        frame = () if file.frames is None else (file.frames[index],)
        lines.append(",".join(map(repr, [*matrix.ravel().tolist(), *camera, *frame])))
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _lenses(lenses: Any, poses: int) -> tuple[Intrinsics, ...] | None:
    if lenses is None:
        return None
    each = lenses if isinstance(lenses, list) else [lenses]
    for facts in each:
        if not isinstance(facts, Mapping) or set(facts) != set(LENS):
            raise InvalidInput(f"it has intrinsics {shown(facts)}; each needs {', '.join(LENS)} and nothing else")
    return one_or_each([lens_of(facts) for facts in each], poses)


def _increasing(values: Any) -> tuple[float, ...]:
    times = numbers(values, "times")
    if times.ndim != 1 or not (np.diff(times) > 0).all() or not ((times >= 0) & (times <= 1)).all():
        raise InvalidInput("times must be the normalized times of the keyframes, increasing, from 0 to 1")
    return tuple(times.tolist())


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _matches_json(content: Content) -> Match | None:
    found = next((name for name in DIRECTIONS if name in content.facts), None)
    return certain(found) if found and content.kind == "json" else None


def _matches_csv(content: Content) -> Match | None:
    text = content.value
    if any(word in MATRIX for row in text.rows[:1] for word in row) or re.match("# *(c2w|w2c)-", text.text):
        return certain("columns m00, m01, ..., or a convention in its first line")
    if content.path.suffix.lower() != ".csv":
        return None
    return likely("16 columns and the suffix .csv") if text.table.shape[1] == 16 else Match(Evidence.SUFFIX, ".csv")


_ALL: frozenset[Capability] = frozenset({"lens", "zoom", "time"})

FORMATS = (
    Format(
        name="json",
        files="JSON with `world_to_camera` or `camera_to_world`, and `axes`; `times` of keyframes",
        kinds=("json",),
        matches=_matches_json,
        read=read_matrices,
        world="ex4d",
        lens="pixels, can change",
        suffix=".json",
        capabilities=_ALL,
        write=write_matrices,
    ),
    Format(
        name="csv",
        files="CSV with `m00`, `m01`, ...; the first line declares the convention, `# w2c-opencv`",
        kinds=("text",),
        matches=_matches_csv,
        read=read_csv,
        world="ex4d",
        lens="pixels, can change",
        suffix=".csv",
        capabilities=_ALL,
        write=write_csv,
    ),
)

"""ReCamMaster's camera JSON: `frame0` ... each with `cam01` ... `cam10`, a matrix as text.

Camera-to-world in Unreal's axes (x forward, y right, z up) and centimetres, multiplying rows: the translation is the
last row. Poses count from the first one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ex4d_core.camera_files._value import (
    CameraFile,
    Reading,
    camera_to_world_of,
    check_rigid,
    read_json,
    refuse_start_elsewhere,
)
from ex4d_core.errors import InvalidInput, describe, nearest
from ex4d_core.types.camera import CAMERA_AXES, from_camera_axes, to_camera_axes

CENTIMETRES = 100.0
TYPES = (
    "pan_right",
    "pan_left",
    "tilt_up",
    "tilt_down",
    "zoom_in",
    "zoom_out",
    "translate_up",
    "translate_down",
    "arc_left",
    "arc_right",
)
"""What its cameras 1 to 10 do."""


def read(path: Path, reading: Reading) -> CameraFile:
    """Return the poses of one camera, from its first one on.

    Raises:
        InvalidInput: it holds no such camera.
    """
    tree = read_json(path)
    try:
        frames = [tree[name] for name in sorted(tree, key=lambda name: int(name.removeprefix("frame")))]
        name = _camera(frames[0], reading.camera, path)
        matrices = np.array([_matrix(frame[name]) for frame in frames])
    except InvalidInput:
        raise
    except (TypeError, KeyError, ValueError, AttributeError, IndexError) as error:
        raise InvalidInput(f"{path} holds no camera poses as ReCamMaster writes them ({describe(error)})") from error
    check_rigid(matrices)
    matrices[:, :3, 3] /= CENTIMETRES
    relative = np.linalg.inv(matrices[0]) @ matrices
    # The world turns as the camera does, because it is the first camera: left-handed axes become right-handed ones.
    to_world = from_camera_axes(relative, "unreal", world=CAMERA_AXES["unreal"].T)
    return CameraFile(world_to_camera=np.linalg.inv(to_world))


def write(file: CameraFile, path: Path, distance: float) -> None:
    """Write the path as `cam01`.

    Raises:
        InvalidInput: it does not start at the source camera, from which the format counts.
    """
    refuse_start_elsewhere(file, "ReCamMaster")
    matrices = to_camera_axes(camera_to_world_of(file), "unreal", world=CAMERA_AXES["unreal"].T)
    matrices[:, :3, 3] *= CENTIMETRES
    frames = {f"frame{index}": {"cam01": _text(matrix.T)} for index, matrix in enumerate(matrices)}
    path.write_text(json.dumps(frames, indent=1) + "\n", encoding="utf-8")


def _camera(frame: Mapping[str, Any], wanted: str | None, path: Path) -> str:
    if wanted is None and len(frame) == 1:
        return next(iter(frame))
    text = str(wanted).removeprefix("cam")
    name = f"cam{TYPES.index(text) + 1 if text in TYPES else int(text) if text.isdigit() else 0:02d}"
    if name not in frame:
        said = f"has no camera {wanted!r}{nearest(str(wanted), TYPES)}" if wanted else "has several cameras"
        raise InvalidInput(
            f"{path} {said}; say which, as in {path.name}:camera=1, of {', '.join(sorted(frame))} ({', '.join(TYPES)})"
        )
    return name


def _matrix(text: str) -> np.ndarray:
    numbers = re.findall(r"[-+]?[\d.]+(?:[eE][-+]?\d+)?", text)
    return np.array(list(map(float, numbers))).reshape(4, 4).T


def _text(matrix: np.ndarray) -> str:
    return " ".join("[" + " ".join(map(repr, row)) + "]" for row in matrix.tolist()) + " "

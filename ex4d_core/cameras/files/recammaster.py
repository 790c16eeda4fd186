"""Camera JSON of ReCamMaster: `frame0` ... each with `cam01` ... `cam10`, a matrix as text.

Camera-to-world in Unreal axes (x forward, y right, z up) and centimeters, transposed: the translation is the last
row. Poses are relative to the first one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ex4d_core.bounds import numbers, shown, spelled
from ex4d_core.cameras.files._format import Content, Format, Match, certain
from ex4d_core.cameras.files._poses import positions_of_numbers, square
from ex4d_core.cameras.files._value import (
    CameraFile,
    ReadOptions,
    camera_to_world_of,
    check_count,
    check_rigid,
    refuse_start_elsewhere,
)
from ex4d_core.errors import InvalidInput, nearest
from ex4d_core.types import Intrinsics
from ex4d_core.types.camera import CAMERA_AXES, from_camera_axes, to_camera_axes

CENTIMETERS = 100.0
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
"""Moves of the cameras 1 to 10."""

SENSOR, SIDE = 23.76, 1280
"""Width of the sensor in millimeters and of the images in pixels, in the data set MultiCamVideo (its README)."""

_FOLDER = re.compile(r"f([0-9]{1,4})_aperture[0-9.]{1,8}")
"""Folder of MultiCamVideo, named after the focal length in millimeters."""


def read(content: Content, reading: ReadOptions) -> CameraFile:
    """Read the poses of one camera, relative to the first.

    Raises:
        InvalidInput: the camera does not exist, or a pose is not valid.
    """
    tree = content.value
    if not isinstance(tree, Mapping) or not tree:
        raise InvalidInput(f"it must be an object of frames as written by ReCamMaster, not {shown(tree)}")
    check_count(len(tree))
    names = sorted(tree, key=_index)
    frames = [tree[name] for name in names]
    name = _camera(frames[0], reading)
    matrices = numbers([_matrix(frame, name) for frame in frames], "the matrices")
    matrices[:, :3, 3] /= CENTIMETERS
    check_rigid(matrices)
    relative = np.linalg.inv(matrices[0]) @ matrices
    # The world is the first camera, so its axes are converted like those of the camera, from left- to right-handed.
    to_world = from_camera_axes(relative, "unreal", world=CAMERA_AXES["unreal"].T)
    focal = next((found for part in content.path.parts if (found := _FOLDER.fullmatch(part))), None)
    lens = None if focal is None else Intrinsics.from_focal(float(focal[1]) / SENSOR * SIDE, width=SIDE, height=SIDE)
    return CameraFile(
        world_to_camera=np.linalg.inv(to_world),
        intrinsics=None if lens is None else (lens,),
        positions=positions_of_numbers([_index(name) for name in names]),
    )


def write(file: CameraFile, path: Path, distance: float) -> None:
    """Write the path as `cam01`.

    Raises:
        InvalidInput: it does not start at the source camera.
    """
    refuse_start_elsewhere(file, "ReCamMaster")
    matrices = to_camera_axes(camera_to_world_of(file), "unreal", world=CAMERA_AXES["unreal"].T)
    matrices[:, :3, 3] *= CENTIMETERS
    frames = {f"frame{index}": {"cam01": _text(matrix.T)} for index, matrix in enumerate(matrices)}
    path.write_text(json.dumps(frames, indent=1) + "\n", encoding="utf-8")


def _index(name: str) -> int:
    found = re.fullmatch(r"(?:frame_?)?([0-9]{1,9})", name)
    if found is None:
        raise InvalidInput(f"it has a frame {shown(name)}; frames must be named frame0, frame1 and so on")
    return int(found[1])


def _camera(frame: Any, reading: ReadOptions) -> str:
    """Return the name of the selected camera, or of the only one."""
    if not isinstance(frame, Mapping):
        raise InvalidInput(
            f"its first frame must be an object of cameras as written by ReCamMaster, not {shown(frame)}"
        )
    selected = reading.camera
    if selected is None and len(frame) == 1:
        return str(next(iter(frame)))
    text = str(selected).removeprefix("cam")
    number = TYPES.index(text) + 1 if text in TYPES else int(text) if re.fullmatch("[0-9]{1,2}", text) else 0
    name = f"cam{number:02d}"
    if name not in frame:
        names = f"{', '.join(map(repr, sorted(frame)[:10]))} ({', '.join(TYPES)})"
        how = f"select one with {reading.file.name}:camera=1, out of {names}"
        guess = nearest(text[:100] if selected else "", TYPES, then=how)
        raise InvalidInput(f"it {f'has no camera {shown(selected)}' if selected else 'has several cameras'}{guess}")
    return name


def _matrix(frame: Any, name: str) -> list[list[float]]:
    """Return the rows of the transposed matrix."""
    text = frame.get(name) if isinstance(frame, Mapping) else None
    if isinstance(text, list):
        transposed: list[list[float]] = square(text, name)[0].T.tolist()
        return transposed
    words = re.findall(r"[-+]?[\d.]+(?:[eE][-+]?\d+)?", text) if isinstance(text, str) else []
    if len(words) == 12:  # rows without their last number, which vis_cam.py of ReCamMaster accepts too
        words = [*words[:3], "0", *words[3:6], "0", *words[6:9], "0", *words[9:], "1"]
    if len(words) != 16:
        raise InvalidInput(f"{name} of each frame must be a matrix as written by ReCamMaster, not {shown(text)}")
    rows = np.array([spelled(word, f"a number of {name}") for word in words]).reshape(4, 4)
    return rows.T.tolist()


def _text(matrix: np.ndarray) -> str:
    return " ".join("[" + " ".join(map(repr, row)) + "]" for row in matrix.tolist()) + " "


def _matches(content: Content) -> Match | None:
    if content.kind != "json" or not all(re.fullmatch("frame_?[0-9]{1,9}", name) for name in content.facts):
        return None
    first = next(iter(content.facts.values()), None)
    named = isinstance(first, Mapping) and all(re.fullmatch("cam[0-9]{1,2}", str(name)) for name in first)
    return certain("frames with cam01, ...") if named and first else None


FORMATS = (
    Format(
        name="recammaster",
        files="`camera_extrinsics.json` of ReCamMaster and MultiCamVideo: matrices as text, transposed, in centimeters",
        kinds=("json",),
        matches=_matches,
        read=read,
        convention="c2w-unreal",
        world="its first pose",
        lens="from the folder name of MultiCamVideo",
        suffix=".json",
        write=write,
    ),
)

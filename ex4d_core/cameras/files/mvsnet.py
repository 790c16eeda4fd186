"""Cameras of MVSNet and DTU, `NNNNNNNN_cam.txt` (mvsnet/preprocess.py): extrinsic, intrinsic, each above a matrix."""

from __future__ import annotations

import numpy as np

from ex4d_core.cameras.files._format import Content, Format, Match, Text, certain
from ex4d_core.cameras.files._poses import lens_fields, poses_of, positions_of_names
from ex4d_core.cameras.files._value import CameraFile, ReadOptions, text_of
from ex4d_core.errors import InvalidInput

FILES = r".*_cam\.txt"
WORDS = 1 + 16 + 1 + 9


def read(content: Content, reading: ReadOptions) -> CameraFile:
    """Read a folder of cameras, or one camera.

    Raises:
        InvalidInput: a file is malformed.
    """
    files = content.value.matching(FILES) if content.kind == "folder" else [content.path]
    cameras = [_camera(text_of(file), file.name) for file in files]
    if not cameras:
        raise InvalidInput("it has no files with names that end in _cam.txt")
    poses = poses_of(np.stack([camera[0] for camera in cameras]), "extrinsic", "w2c-opencv")
    lens = lens_fields(np.stack([camera[1] for camera in cameras]), None, len(poses), name="intrinsic")
    return CameraFile(world_to_camera=poses, positions=positions_of_names([file.name for file in files]), **lens)


def _camera(text: str, name: str) -> tuple[np.ndarray, np.ndarray]:
    words = text.split(maxsplit=WORDS)
    try:
        values = np.array([float(word) for word in words[1:17] + words[18:27]])
    except ValueError as error:
        raise InvalidInput(f"{name} contains a word that is not a number in its matrices") from error
    if len(values) != 25:
        raise InvalidInput(f"{name} needs extrinsic and 16 numbers, intrinsic and 9 numbers")
    return values[:16].reshape(4, 4), values[16:].reshape(3, 3)


def _matches(content: Content) -> Match | None:
    if content.kind == "folder":
        return certain("files *_cam.txt") if content.value.matching(FILES) else None
    text: Text = content.value
    return certain("the word extrinsic") if text.rows and text.rows[0] == ["extrinsic"] else None


FORMATS = (
    Format(
        name="mvsnet",
        files="folder of `*_cam.txt` of MVSNet, DTU",
        kinds=("folder", "text"),
        matches=_matches,
        read=read,
        convention="w2c-opencv",
        lens="pixels, can change",
    ),
)

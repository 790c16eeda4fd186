"""Depth Anything 3: archives (utils/export/npz.py, app/modules/model_inference.py) and tables (da3_streaming.py)."""

from __future__ import annotations

import numpy as np

from ex4d_core.cameras.files._arrays import pose_shape, read_arrays
from ex4d_core.cameras.files._format import Content, Format, Match, Text, likely
from ex4d_core.cameras.files._poses import lens_fields, poses_of
from ex4d_core.cameras.files._value import CameraFile, ReadOptions, text_of
from ex4d_core.errors import InvalidInput

TABLE, LENSES = "camera_poses.txt", "intrinsic.txt"


def read(content: Content, reading: ReadOptions) -> CameraFile:
    """Read an archive; the intrinsics are for images of the size of the depth.

    Raises:
        InvalidInput: it has no poses.
    """
    images = ("depth", "depths", "image", "images")
    return read_arrays(content, "extrinsics", "w2c-opencv", lens="intrinsics", images=images)


def read_streaming(content: Content, reading: ReadOptions) -> CameraFile:
    """Read 16 numbers in each line, and fx fy cx cy in the lines of `intrinsic.txt` next to the file.

    Raises:
        InvalidInput: a line is malformed.
    """
    table = content.value.table
    if table.shape[1:] != (16,):
        raise InvalidInput("each line needs the 16 numbers of a matrix")
    poses = poses_of(table.reshape(-1, 4, 4), "the matrices", "c2w-opencv")
    lens = content.path.parent / LENSES
    if not lens.is_file():
        return CameraFile(world_to_camera=poses)
    lenses: np.ndarray = Text(text_of(lens)).table
    return CameraFile(world_to_camera=poses, **lens_fields(lenses, None, len(poses), name=LENSES))


def _matches(content: Content) -> Match | None:
    if not content.has("extrinsics", "intrinsics") or pose_shape(content, "extrinsics") != (3, 4):
        return None
    return likely("extrinsics of 3x4 and intrinsics")


def _matches_streaming(content: Content) -> Match | None:
    named = content.path.name == TABLE and content.value.table.shape[1] == 16
    return likely(f"16 columns and the name {TABLE}") if named else None


FORMATS = (
    Format(
        name="da3",
        files="`.npz` of Depth Anything 3: `extrinsics` 3x4, `intrinsics`, `depth`",
        kinds=("npz", "json"),
        matches=_matches,
        read=read,
        convention="w2c-opencv",
        lens="pixels of the depth, can change",
    ),
    Format(
        name="da3-streaming",
        files="`camera_poses.txt` of Depth Anything 3",
        kinds=("text",),
        matches=_matches_streaming,
        read=read_streaming,
        convention="c2w-opencv",
        lens="`intrinsic.txt` next to it",
    ),
)

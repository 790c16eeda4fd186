"""Animated cameras of Nuke, `.chan`, as written by Blender (io_anim_nuke_chan/export_nuke_chan.py).

A frame number, position, Euler angles in degrees and, optionally, the vertical field of view in degrees, in a world
with y up. The file does not contain the order of rotations; XYZ is the default of Blender.
"""

from __future__ import annotations

import numpy as np
from scipy.spatial.transform import Rotation

from ex4d_core.cameras.files._format import Content, Format, Match, certain, possible
from ex4d_core.cameras.files._poses import Y_UP, poses_of, positions_of, rigid
from ex4d_core.cameras.files._value import CameraFile, ReadOptions, one_or_each
from ex4d_core.errors import InvalidInput

COLUMNS = (7, 8)
WARNING = "does not contain the order of its rotations; XYZ, the default of Blender, is assumed"


def read(content: Content, reading: ReadOptions) -> CameraFile:
    """Read the poses.

    Raises:
        InvalidInput: a line is malformed.
    """
    table = content.value.table
    if table.shape[1] not in COLUMNS:
        raise InvalidInput("each line needs a frame number, position, three angles and, optionally, a field of view")
    turns = Rotation.from_euler("xyz", table[:, 4:7], degrees=True).as_matrix()
    poses = poses_of(rigid(turns, table[:, 1:4]), "the matrices", "c2w-opengl", world=Y_UP)
    fields = np.radians(table[:, 7]).tolist() if table.shape[1] == 8 else None
    return CameraFile(
        world_to_camera=poses,
        fov=None if fields is None else one_or_each(fields, len(poses)),
        fov_side="height",
        positions=positions_of(table[:, 0]),
        warnings=(WARNING,),
    )


def _matches(content: Content) -> Match | None:
    if content.value.table.shape[1] not in COLUMNS:
        return None
    if content.path.suffix.lower() == ".chan":
        return certain("the suffix .chan")
    table = content.value.table
    counted = len(table) > 1 and (np.diff(table[:, 0]) == 1).all() and not (table[:, 0] % 1).any()
    angles = np.abs(np.linalg.norm(table[:, 4:8], axis=1) - 1).max() > 0.1
    return possible("frame numbers, positions and angles") if counted and angles else None


FORMATS = (
    Format(
        name="chan",
        files="`.chan` of Nuke and Blender: frame, position, angles and field of view in each line",
        kinds=("text",),
        matches=_matches,
        read=read,
        convention="c2w-opengl",
        world="y up",
        lens="vertical field of view, degrees",
    ),
)

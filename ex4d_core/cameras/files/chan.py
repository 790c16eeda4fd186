"""Animated cameras of Nuke, `.chan`, as written by Blender (io_anim_nuke_chan/export_nuke_chan.py).

A frame number, position, Euler angles in degrees and, optionally, the vertical field of view in degrees, in a world
with y up. The file does not contain the order of rotations; XYZ is the default of Blender.
"""

from __future__ import annotations

import re

import numpy as np

from ex4d_core.cameras.files._format import Content, Format, Match, certain, possible
from ex4d_core.cameras.files._poses import Y_UP, order_of, poses_of, positions_of, rigid
from ex4d_core.cameras.files._value import CameraFile, ReadOptions, one_or_each
from ex4d_core.errors import InvalidInput

COLUMNS = (7, 8)
FIELDS = (5.0, 150.0)
"""Range of fields of view in degrees by which the format is recognized without its suffix."""
WARNING = "does not contain the order of its rotations; XYZ, the default of Blender, is assumed"


def read(content: Content, reading: ReadOptions) -> CameraFile:
    """Read the poses.

    Raises:
        InvalidInput: a line is malformed.
    """
    from scipy.spatial.transform import Rotation

    table = content.value.table
    if table.shape[1] not in COLUMNS:
        raise InvalidInput("each line needs a frame number, position, three angles and, optionally, a field of view")
    order = order_of(content.value.stamps)
    table = table[order]
    turns = Rotation.from_euler("xyz", table[:, 4:7], degrees=True).as_matrix()
    poses = poses_of(rigid(turns, table[:, 1:4]), "the matrices", "c2w-opengl", world=Y_UP)
    fields = np.radians(table[:, 7]).tolist() if table.shape[1] == 8 else None
    return CameraFile(
        world_to_camera=poses,
        fov=None if fields is None else one_or_each(fields, len(poses)),
        fov_side="height",
        positions=positions_of(content.value.stamps[order]),
        warnings=(WARNING,),
    )


def _matches(content: Content) -> Match | None:
    table = content.value.table
    heading = " ".join((*content.value.comments[:10], content.value.title)).lower()
    if table.shape[1] not in COLUMNS or re.search(r"(?<![a-z])q_?[wxyz](?![a-z])|quat", heading):
        return None
    if content.path.suffix.lower() == ".chan":
        return certain("the suffix .chan")
    if table.shape[1] != 8 or not ((table[:, 7] >= FIELDS[0]) & (table[:, 7] <= FIELDS[1])).all():
        return None
    counted = len(table) > 1 and (np.diff(table[:, 0]) == 1).all() and not (table[:, 0] % 1).any()
    return possible("frame numbers, positions, angles and fields of view") if counted else None


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

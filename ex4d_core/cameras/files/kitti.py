"""Poses of KITTI odometry: the 12 numbers of a 3x4 camera-to-world matrix in each line.

A first column with the number of the frame, as written by kitti-odom-eval, is accepted.
"""

from __future__ import annotations

import re

import numpy as np

from ex4d_core.cameras.files._format import Content, Format, Match, likely
from ex4d_core.cameras.files._poses import are_rigid, order_of, poses_of, positions_of
from ex4d_core.cameras.files._value import CameraFile, ReadOptions
from ex4d_core.errors import InvalidInput

COLUMNS = (12, 13)


def read(content: Content, reading: ReadOptions) -> CameraFile:
    """Read the poses.

    Raises:
        InvalidInput: a line is malformed.
    """
    table = content.value.table
    if table.shape[1] not in COLUMNS:
        raise InvalidInput("each line needs the 12 numbers of a 3x4 matrix, after a frame number or not")
    stamps = content.value.stamps if table.shape[1] == 13 else np.zeros(len(table))
    order = order_of(stamps)
    poses = poses_of(table[order, -12:].reshape(-1, 3, 4), "the matrices", "c2w-opencv")
    return CameraFile(world_to_camera=poses, positions=positions_of(stamps[order]))


def _matches(content: Content) -> Match | None:
    table = content.value.table
    if table.shape[1] not in COLUMNS:
        return None
    matrices = table[:, -12:].reshape(-1, 3, 4)
    if not are_rigid(matrices, tolerance=0.01):
        return None
    if table.shape[1] == 13:
        return likely("a frame number and a 3x4 matrix in each line") if not (table[:, 0] % 1).any() else None
    if np.abs(matrices[0] - np.eye(3, 4)).max() < 1e-4:
        return likely("3x4 matrices, the first of which is the identity")
    named = content.path.parent.name == "poses" and re.fullmatch("[0-9]{2}", content.path.stem)
    return likely("the name of a file of KITTI odometry") if named else None


FORMATS = (
    Format(
        name="kitti",
        files="`poses/NN.txt` of KITTI odometry, evo: 12 numbers in each line",
        kinds=("text",),
        matches=_matches,
        read=read,
        convention="c2w-opencv",
    ),
)

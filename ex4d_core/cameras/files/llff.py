"""`poses_bounds.npy` of LLFF (README.md): 17 numbers for each image.

A 3x5 matrix, whose first columns are the camera's axes down, right and backward and its position, and whose last column
is height, width and focal length; then the nearest and farthest depth.
"""

from __future__ import annotations

import numpy as np

from ex4d_core.bounds import numbers, whole
from ex4d_core.cameras.files._format import Content, Format, Match, certain, possible
from ex4d_core.cameras.files._poses import poses_of
from ex4d_core.cameras.files._value import CameraFile, ReadOptions, one_or_each
from ex4d_core.errors import InvalidInput
from ex4d_core.types import Intrinsics
from ex4d_core.types.camera import LARGEST_SIDE

COLUMNS = 17


def read(content: Content, reading: ReadOptions) -> CameraFile:
    """Read poses and intrinsics.

    Raises:
        InvalidInput: the array has another shape.
    """
    table = numbers(content.value, "the poses")
    if table.ndim != 2 or table.shape[1] != COLUMNS or not len(table):
        raise InvalidInput(f"it has the shape {list(table.shape)[:5]}; poses_bounds.npy of LLFF is [T, 17]")
    each = table[:, :15].reshape(-1, 3, 5)
    down, right, back, position = (each[:, :, column] for column in range(4))
    matrices = np.stack([right, down, -back, position], axis=2)
    lenses = [
        Intrinsics.from_focal(
            focal, width=whole(width, "width", 1, LARGEST_SIDE), height=whole(height, "height", 1, LARGEST_SIDE)
        )
        for height, width, focal in each[:, :, 4].tolist()
    ]
    return CameraFile(
        world_to_camera=poses_of(matrices, "the poses", "c2w-opencv"), intrinsics=one_or_each(lenses, len(table))
    )


def _matches(content: Content) -> Match | None:
    if np.ndim(content.value) != 2 or np.shape(content.value)[1] != COLUMNS:
        return None
    return certain("the name") if content.path.stem == "poses_bounds" else possible("17 columns")


FORMATS = (
    Format(
        name="llff",
        files="`poses_bounds.npy` of LLFF",
        kinds=("npy",),
        matches=_matches,
        read=read,
        convention="c2w, axes down, right, backward",
        lens="pixels, can change",
    ),
)

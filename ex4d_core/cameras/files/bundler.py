"""`bundle.out` of Bundler (bundler_sfm, README.md): focal length, distortion, rotation and translation of each camera.

World to camera, OpenGL axes. Cameras without a pose are zeros.
"""

from __future__ import annotations

import numpy as np

from ex4d_core.bounds import numbers, whole
from ex4d_core.cameras.files._format import Content, Format, Match, certain
from ex4d_core.cameras.files._poses import poses_of, rigid
from ex4d_core.cameras.files._value import MOST_POSES, CameraFile, ReadOptions
from ex4d_core.errors import InvalidInput

HEADING = "Bundle file"
EACH = 15


def read(content: Content, reading: ReadOptions) -> CameraFile:
    """Read the cameras in the order of the file.

    Raises:
        InvalidInput: it has fewer numbers than its cameras need, or no camera with a pose.
    """
    words = [word for row in content.value.rows[: 1 + 5 * MOST_POSES] for word in row]
    try:
        count = whole(float(words[0]), "the number of cameras", 1, MOST_POSES)
        values = numbers([float(word) for word in words[2 : 2 + EACH * count]], "the cameras")
    except (ValueError, IndexError) as error:
        raise InvalidInput("it needs the number of cameras, then 15 numbers for each") from error
    if len(values) != EACH * count:
        raise InvalidInput(f"it has {len(values)} numbers for {count} cameras; each needs 15")
    table = values.reshape(count, EACH)
    present = np.flatnonzero(table[:, 0] > 0)
    if not len(present):
        raise InvalidInput("it has no camera with a pose")
    table = table[present]
    poses = poses_of(rigid(table[:, 3:12].reshape(-1, 3, 3), table[:, 12:]), "the matrices", "w2c-opengl")
    focal = f"has focal lengths in pixels ({table[0, 0]:g}) without the size of the images, which are left out"
    distorted = ("has lens distortion, which is ignored",) if table[:, 1:3].any() else ()
    first = int(present[0])
    return CameraFile(
        world_to_camera=poses,
        positions=_positions([int(index) - first for index in present]),
        warnings=(focal, *distorted),
    )


def _positions(present: list[int]) -> tuple[int, ...] | None:
    return tuple(present) if present[-1] >= len(present) else None


def _matches(content: Content) -> Match | None:
    return certain("the heading of a Bundle file") if content.value.text.startswith(f"# {HEADING}") else None


FORMATS = (
    Format(
        name="bundler",
        files="`bundle.out` of Bundler",
        kinds=("text",),
        matches=_matches,
        read=read,
        convention="w2c-opengl",
    ),
)

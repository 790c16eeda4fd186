"""`keyframes/cameras` and `corrected_cameras` of Polycam (nerfstudio: process_data/polycam_utils.py).

One JSON file for each image, named by its time: `t_00` ... `t_23`, camera to world, OpenGL axes, y up, in meters.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ex4d_core.bounds import shown
from ex4d_core.cameras.files._format import Content, Format, Match, certain
from ex4d_core.cameras.files._poses import Y_UP, poses_of, positions_of_names
from ex4d_core.cameras.files._value import LENS, CameraFile, ReadOptions, json_of, lens_of, one_or_each
from ex4d_core.errors import InvalidInput

FILES = r".*\.json"
ENTRIES = [[f"t_{row}{column}" for column in range(4)] for row in range(3)]


def read(content: Content, reading: ReadOptions) -> CameraFile:
    """Read a folder of cameras, or one camera.

    Raises:
        InvalidInput: a file is malformed.
    """
    files = content.value.matching(FILES) if content.kind == "folder" else [content.path]
    cameras = [json_of(file) for file in files]
    needed = [name for row in ENTRIES for name in row] + list(LENS)
    for file, camera in zip(files, cameras, strict=True):
        if not isinstance(camera, Mapping) or not set(needed) <= set(camera):
            raise InvalidInput(
                f"{shown(file.name)} is not a camera of Polycam; it needs t_00 ... t_23 and {', '.join(LENS)}"
            )
    matrices = [[[camera[name] for name in row] for row in ENTRIES] for camera in cameras]
    return CameraFile(
        world_to_camera=poses_of(matrices, "t_00 ... t_23", "c2w-opengl", world=Y_UP),
        intrinsics=one_or_each([lens_of(camera) for camera in cameras], len(cameras)),
        positions=positions_of_names([file.name for file in files]),
    )


def _matches(content: Content) -> Match | None:
    tree: Any = content.value
    if content.kind == "folder":
        files = content.value.matching(FILES)
        tree = json_of(files[0]) if files else {}
    return certain("t_00") if isinstance(tree, Mapping) and "t_00" in tree else None


FORMATS = (
    Format(
        name="polycam",
        files="`keyframes/corrected_cameras` folder of Polycam",
        kinds=("folder", "json"),
        matches=_matches,
        read=read,
        convention="c2w-opengl",
        world="y up",
        lens="pixels, can change",
    ),
)

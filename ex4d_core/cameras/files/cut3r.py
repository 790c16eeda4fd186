"""Cameras of CUT3R (demo.py): a folder with `NNNNNN.npz`, each with `pose` and `intrinsics` of the image center."""

from __future__ import annotations

import numpy as np

from ex4d_core.arrays import open_npz
from ex4d_core.bounds import numbers
from ex4d_core.cameras.files._format import Content, Format, Match, certain, likely
from ex4d_core.cameras.files._poses import lens_fields, poses_of, positions_of_names, square
from ex4d_core.cameras.files._value import WHAT, CameraFile, ReadOptions
from ex4d_core.errors import InvalidInput
from ex4d_core.types.camera import LARGEST_SIDE

FILES = r"[0-9]{1,12}\.npz"


def read(content: Content, reading: ReadOptions) -> CameraFile:
    """Read the folder of a file, or one.

    Raises:
        InvalidInput: a file has no pose.
    """
    files = content.value.matching(FILES) if content.kind == "folder" else [content.path]
    archives = [open_npz(file, WHAT) for file in files]
    if missing := next((file for file, each in zip(files, archives, strict=True) if "pose" not in each), None):
        raise InvalidInput(f"{missing.name} has no array pose")
    poses = poses_of(_stacked([square(each["pose"], "pose") for each in archives]), "pose", "c2w-opencv")
    fields = {}
    if all("intrinsics" in each for each in archives):
        each_k = [numbers(each["intrinsics"], "intrinsics") for each in archives]
        if any(k.shape != (3, 3) for k in each_k):
            raise InvalidInput("intrinsics of each file must be a 3x3 matrix")
        k = np.stack(each_k)
        size = (round(2 * float(k[0, 0, 2])), round(2 * float(k[0, 1, 2])))
        fields = lens_fields(k, size if 0 < min(size) <= max(size) <= LARGEST_SIDE else None, len(poses))
    return CameraFile(world_to_camera=poses, positions=positions_of_names([file.name for file in files]), **fields)


def _stacked(poses: list[np.ndarray]) -> np.ndarray:
    if any(pose.shape != (1, 4, 4) for pose in poses):
        raise InvalidInput("pose of each file must be a 4x4 matrix")
    return np.concatenate(poses)


def _matches(content: Content) -> Match | None:
    if content.kind == "npz":
        return likely("pose and intrinsics") if content.shape("pose") == (4, 4) and content.has("intrinsics") else None
    files = content.value.matching(FILES)
    return certain("numbered archives with pose") if files and "pose" in open_npz(files[0], WHAT) else None


FORMATS = (
    Format(
        name="cut3r",
        files="`camera` folder of CUT3R with `NNNNNN.npz`: `pose`, `intrinsics`",
        kinds=("folder", "npz"),
        matches=_matches,
        read=read,
        convention="c2w-opencv",
        lens="pixels, can change",
    ),
)

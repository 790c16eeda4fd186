"""Readers of NumPy archives that differ only in names, convention and the arrays that give the size of the images."""

from __future__ import annotations

from typing import Any

import numpy as np

from ex4d_core.cameras.files._format import Content
from ex4d_core.cameras.files._poses import lens_fields, poses_of
from ex4d_core.cameras.files._value import CameraFile
from ex4d_core.errors import InvalidInput


def array_of(content: Content, name: str) -> np.ndarray:
    """Return an array of an archive.

    Raises:
        InvalidInput: it is missing or damaged.
    """
    if not content.has(name):
        raise InvalidInput(f"it has no array {name}")
    array: np.ndarray = content.value[name]
    return array


def read_arrays(
    content: Content,
    poses: str,
    convention: str,
    *,
    lens: str | None = None,
    images: tuple[str, ...] = (),
    size: tuple[int, int] | None = None,
    world: np.ndarray | None = None,
) -> CameraFile:
    """Read poses and intrinsics of an archive.

    Args:
        content: the archive.
        poses: name of the matrices.
        convention: of the matrices.
        lens: name of the intrinsics, which may be missing.
        images: names of arrays [T, H, W, ...] with the size of the images, the first that exists is used.
        size: width and height of the images, if known otherwise.
        world: rotation from the world of ex4d to that of the file.

    Raises:
        InvalidInput: they are missing or not valid.
    """
    matrices = poses_of(array_of(content, poses), poses, convention, world=world)
    fields: dict[str, Any] = {}
    if lens is not None and content.has(lens):
        size = size or next((found for name in images if (found := size_of(content, name))), None)
        fields = lens_fields(array_of(content, lens), size, len(matrices), name=lens)
    return CameraFile(world_to_camera=matrices, **fields)


def size_of(content: Content, name: str) -> tuple[int, int] | None:
    """Return width and height of images [T, H, W], [T, H, W, C] or [T, C, H, W], or of a batch of 1 of these."""
    shape = content.shape(name)
    shape = shape[1:] if len(shape) == 5 else shape
    if len(shape) == 4:
        shape = shape[:3] if shape[3] in (1, 3, 4) else shape[1:]
    return (shape[2], shape[1]) if len(shape) == 3 and 0 not in shape[1:] else None


def pose_shape(content: Content, name: str) -> tuple[int, ...]:
    """Return the shape of each pose in an array [T, ...] or in a batch of 1; () if it is missing."""
    shape = content.shape(name)
    return shape[2:] if len(shape) == 4 and shape[0] == 1 else shape[1:]

"""EX-4D's `camera_*.npz`, as written by `CameraPath.to_ex4d_npz`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from ex4d_core.arrays import open_npz
from ex4d_core.cameras.files._value import WHAT, CameraFile, ReadOptions
from ex4d_core.types import CameraPath

ARRAYS = ("extrinsics", "intrinsics", "size", "clip_frames")


def content(path: Path) -> Mapping[str, np.ndarray]:
    """Return the arrays of an archive that make a path, those that are there.

    Raises:
        InputNotFound: it does not exist.
        InvalidInput: it cannot be read, or one of them is damaged.
    """
    arrays = open_npz(path, WHAT)
    return {name: arrays[name] for name in ARRAYS if name in arrays}


def read(arrays: Mapping[str, np.ndarray], reading: ReadOptions) -> CameraFile:
    """Return the poses of an archive, ours or the reference's.

    Raises:
        InvalidInput: it holds none.
    """
    cameras = CameraPath.from_ex4d_npz(arrays)
    return CameraFile(
        world_to_camera=cameras.world_to_camera.double().numpy(), intrinsics=cameras.intrinsics, frames=cameras.frames
    )


def write(file: CameraFile, path: Path, distance: float) -> None:
    """Write the archive; the reference keeps lenses as float32, ours are whole."""
    import torch

    assert file.intrinsics is not None  # the format says that it needs them
    cameras = CameraPath(
        world_to_camera=torch.from_numpy(file.world_to_camera).float(), intrinsics=file.intrinsics, frames=file.frames
    )
    with path.open("wb") as out:
        np.savez(out, **cameras.to_ex4d_npz(exact=True))  # type: ignore[arg-type]  # numpy types savez's arrays as its flags

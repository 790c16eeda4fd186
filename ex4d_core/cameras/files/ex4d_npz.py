"""The `camera_*.npz` of EX-4D, written by `CameraPath.to_ex4d_npz`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from ex4d_core.arrays import open_npz
from ex4d_core.cameras.files._value import WHAT, CameraFile, ReadOptions
from ex4d_core.types import CameraPath

ARRAYS = ("extrinsics", "intrinsics", "size", "clip_frames")


def content(path: Path) -> Mapping[str, np.ndarray]:
    """Load the arrays of a camera path from an archive.

    Raises:
        InputNotFound: it does not exist.
        InvalidInput: it cannot be read, or one of them is damaged.
    """
    arrays = open_npz(path, WHAT)
    return {name: arrays[name] for name in ARRAYS if name in arrays}


def read(arrays: Mapping[str, np.ndarray], reading: ReadOptions) -> CameraFile:
    """Read the poses of an archive of ex4d or EX-4D.

    Raises:
        InvalidInput: it contains no camera path.
    """
    cameras = CameraPath.from_ex4d_npz(arrays)
    return CameraFile(
        world_to_camera=cameras.world_to_camera.double().numpy(), intrinsics=cameras.intrinsics, frames=cameras.frames
    )


def write(file: CameraFile, path: Path, distance: float) -> None:
    """Write the archive, with intrinsics in float64, where EX-4D has float32."""
    import torch

    assert file.intrinsics is not None  # the format requires intrinsics
    cameras = CameraPath(
        world_to_camera=torch.from_numpy(file.world_to_camera).float(), intrinsics=file.intrinsics, frames=file.frames
    )
    with path.open("wb") as out:
        np.savez(out, **cameras.to_ex4d_npz(exact=True))  # type: ignore[arg-type]  # numpy types savez's arrays as its flags

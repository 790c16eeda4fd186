"""EX-4D's `camera_*.npz`: `CameraPath.to_ex4d_npz` says what is in it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ex4d_core.arrays import open_npz
from ex4d_core.camera_files._value import CameraFile, Reading
from ex4d_core.types import CameraPath


def read(path: Path, reading: Reading) -> CameraFile:
    """Return the poses of an archive, ours or the reference's.

    Raises:
        InvalidInput: it is none.
    """
    cameras = CameraPath.from_ex4d_npz(open_npz(path, "camera file"))
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
    arrays = cameras.to_ex4d_npz()
    matrices = np.stack([camera.matrix() for camera in file.intrinsics])
    arrays["intrinsics"] = matrices.reshape(arrays["intrinsics"].shape)
    with path.open("wb") as out:
        np.savez(out, **arrays)  # type: ignore[arg-type]  # numpy types savez's arrays as its flags

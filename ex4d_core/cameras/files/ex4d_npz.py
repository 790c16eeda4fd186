"""The `camera_*.npz` of EX-4D, written by `CameraPath.to_ex4d_npz`."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ex4d_core.cameras.files._format import Content, Format, Match, certain
from ex4d_core.cameras.files._value import CameraFile, ReadOptions
from ex4d_core.types import CameraPath
from ex4d_core.types.camera import RIGID_TOLERANCE

ARRAYS = ("extrinsics", "intrinsics", "size", "clip_frames")


def read(content: Content, reading: ReadOptions) -> CameraFile:
    """Read the poses of an archive of ex4d or EX-4D.

    Raises:
        InvalidInput: it contains no camera path.
    """
    cameras = CameraPath.from_ex4d_npz({name: content.value[name] for name in ARRAYS if name in content.value})
    return CameraFile(
        world_to_camera=cameras.world_to_camera.double().numpy(), intrinsics=cameras.intrinsics, frames=cameras.frames
    )


def _matches(content: Content) -> Match | None:
    """Match the additions of ex4d, or a first camera that looks along -z of its world, as all cameras of EX-4D."""
    if not content.has("extrinsics") or not (content.has("intrinsics") or content.has("size")):
        return None
    if content.has("size"):
        return certain("extrinsics and size")
    if len(content.shape("extrinsics")) != 3 or content.shape("extrinsics")[1:] != (4, 4):
        return None
    first = content.value["extrinsics"][:1]
    if first.dtype.kind == "f" and len(first) and np.abs(first[0] - np.diag([1, -1, -1, 1])).max() < RIGID_TOLERANCE:
        return certain("extrinsics that start with diag(1, -1, -1, 1)")
    return None


def write(file: CameraFile, path: Path, distance: float) -> None:
    """Write the archive, with intrinsics in float64, where EX-4D has float32."""
    import torch

    assert file.intrinsics is not None  # the format requires intrinsics
    cameras = CameraPath(
        world_to_camera=torch.from_numpy(file.world_to_camera).float(), intrinsics=file.intrinsics, frames=file.frames
    )
    with path.open("wb") as out:
        np.savez(out, **cameras.to_ex4d_npz(exact=True))  # type: ignore[arg-type]  # numpy types savez's arrays as its flags


FORMATS = (
    Format(
        name="ex4d",
        files="`camera_*.npz` of ex4d and EX-4D: `extrinsics`, `intrinsics`; ex4d adds `size` and `clip_frames`",
        kinds=("npz",),
        matches=_matches,
        read=read,
        convention="w2c-opengl",
        world="ex4d",
        lens="pixels, can change",
        suffix=".npz",
        capabilities=frozenset({"lens", "zoom", "time"}),
        write=write,
    ),
)

"""`custom_camera_trajectory.npz` of VerseCrafter (inference/blender_script): `extrinsics` of a Blender camera.

They are camera to world, with OpenGL axes, in a world with z up. The source camera looks along y. Intrinsics are in
`estimated_depth/depth_intrinsics.npz`, in sides of the image (rendering_4D_control_maps.py).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import attrs
import numpy as np

from ex4d_core.arrays import open_npz
from ex4d_core.bounds import numbers
from ex4d_core.cameras.files._arrays import read_arrays
from ex4d_core.cameras.files._format import Content, Format, Match, likely
from ex4d_core.cameras.files._value import WHAT, CameraFile, Pinhole, ReadOptions
from ex4d_core.types.camera import RIGID_TOLERANCE, Z_UP

FILE = "custom_camera_trajectory.npz"
LENS = Path("estimated_depth") / "depth_intrinsics.npz"
FORWARD = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, 1.0, 0.0]])
"""Rotation of a camera that looks along y, with z up."""


def read(content: Content, reading: ReadOptions) -> CameraFile:
    """Read the poses, and the intrinsics if they are next to the file.

    Raises:
        InvalidInput: it has no poses.
    """
    file = read_arrays(content, "extrinsics", "c2w-opengl", world=Z_UP)
    lens = content.path.parent / LENS
    if not lens.is_file():
        return file
    arrays: Any = open_npz(lens, WHAT)
    k = numbers(arrays["intrinsic"] if "intrinsic" in arrays else np.zeros(0), f"intrinsic in {LENS.name}")
    if k.size < 9 or k.shape[-2:] != (3, 3):
        return file
    k = k.reshape(-1, 3, 3)[0]
    hole = Pinhole(
        fx=float(k[0, 0]), fy=float(k[1, 1]), cx=float(k[0, 2]), cy=float(k[1, 2]), normalized=bool(k[0, 2] < 2)
    )
    return attrs.evolve(file, unsized=(hole,))


def _matches(content: Content) -> Match | None:
    shape = content.shape("extrinsics")
    if shape[1:] != (4, 4) or not shape[0] or content.has("intrinsics"):
        return None
    if content.path.name == FILE:
        return likely("the name of a file of VerseCrafter")
    first = np.asarray(content.value["extrinsics"][0])
    if first.dtype.kind in "if" and np.abs(first[:3, :3] - FORWARD).max() < RIGID_TOLERANCE:
        return likely("extrinsics whose first camera looks along y with z up")
    return None


FORMATS = (
    Format(
        name="versecrafter",
        files="`custom_camera_trajectory.npz` of VerseCrafter: `extrinsics`",
        kinds=("npz", "json"),
        matches=_matches,
        read=read,
        convention="c2w-opengl",
        world="z up",
        lens="`estimated_depth/depth_intrinsics.npz`",
    ),
)

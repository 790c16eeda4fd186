"""Archives with `cam_c2w`: Vista4D (utils/media.py) and MegaSaM (camera_tracking_scripts, cvd_opt/cvd_opt.py)."""

from __future__ import annotations

import numpy as np

from ex4d_core.arrays import read_npy
from ex4d_core.bounds import numbers
from ex4d_core.cameras.files._arrays import read_arrays
from ex4d_core.cameras.files._format import Content, Format, Match, certain, likely
from ex4d_core.cameras.files._poses import lens_fields, poses_of, rigid, rotations_of
from ex4d_core.cameras.files._value import WHAT, CameraFile, ReadOptions
from ex4d_core.errors import InvalidInput

LENSES = "intrinsics.npy"


def read_vista4d(content: Content, reading: ReadOptions) -> CameraFile:
    """Read `cam_c2w` and fx, fy, cx, cy in `intrinsics`.

    Raises:
        InvalidInput: it has no poses.
    """
    return read_arrays(content, "cam_c2w", "c2w-opencv", lens="intrinsics")


def read_megasam(content: Content, reading: ReadOptions) -> CameraFile:
    """Read an archive, or `poses.npy` and `intrinsics.npy` of the reconstructions, in the axes of DROID-SLAM.

    Raises:
        InvalidInput: it has no poses.
    """
    if content.kind != "npy":
        return read_arrays(content, "cam_c2w", "c2w-opencv", lens="intrinsic", images=("images", "depths"))
    table = numbers(content.value, "the poses")
    if table.ndim != 2 or table.shape[1] != 7:
        raise InvalidInput(f"it has the shape {list(table.shape)[:5]}; poses of MegaSaM are [T, 7]")
    poses = poses_of(rigid(rotations_of(table[:, 3:]), table[:, :3]), "the poses", "w2c-opencv")
    lens = content.path.parent / LENSES
    if not lens.is_file():
        return CameraFile(world_to_camera=poses)
    return CameraFile(world_to_camera=poses, **lens_fields(read_npy(lens, WHAT), None, len(poses), name=LENSES))


def _matches_vista4d(content: Content) -> Match | None:
    if content.has("cam_c2w", "intrinsics") or (content.has("cam_c2w") and not content.has("intrinsic")):
        return certain("cam_c2w")
    return None


def _matches_megasam(content: Content) -> Match | None:
    if content.kind != "npy":
        return certain("cam_c2w and intrinsic") if content.has("cam_c2w", "intrinsic") else None
    is_table = np.ndim(content.value) == 2 and np.shape(content.value)[1] == 7
    return likely(f"7 columns and {LENSES}") if is_table and (content.path.parent / LENSES).is_file() else None


FORMATS = (
    Format(
        name="vista4d",
        files="`cameras.npz` of Vista4D: `cam_c2w`, `intrinsics` with 4 numbers a pose",
        kinds=("npz", "json"),
        matches=_matches_vista4d,
        read=read_vista4d,
        convention="c2w-opencv",
        lens="pixels, can change",
    ),
    Format(
        name="megasam",
        files="`.npz` of MegaSaM: `cam_c2w`, `intrinsic`, `depths`; or `poses.npy` next to `intrinsics.npy`",
        kinds=("npz", "json", "npy"),
        matches=_matches_megasam,
        read=read_megasam,
        convention="c2w-opencv",
        lens="pixels of the images",
    ),
)

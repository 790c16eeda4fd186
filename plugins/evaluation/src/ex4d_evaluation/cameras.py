"""Errors of camera paths. There is no common definition, so each number is given with its own.

Paths are relative to their first camera, since an estimator chooses its own world.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ex4d_core.cameras.files import CameraFile, read_camera_path
from ex4d_core.errors import InvalidInput
from ex4d_core.types import Intrinsics
from ex4d_evaluation.metric import Column

Array = NDArray[np.float64]

STILL = 1e-6
"""Largest distance from the first camera, relative to that from the origin of the world, that is rounding."""
LEAST = 1e-9
"""The same in the unit of the poses, for cameras at the origin."""

COLUMNS = (
    Column(
        name="rot_sum",
        label="RotErr (CamI2V)",
        unit="rad",
        better="lower",
        definition="sum over frames of the angle between estimated and true rotation relative to the first frame, in "
        "radians (CamI2V, CameraCtrl); grows with the number of frames",
    ),
    Column(
        name="trans_rel",
        label="TransErr (CamI2V, rel.)",
        better="lower",
        definition="sum over frames of the distance between estimated and true camera centers relative to the first "
        "frame, each path divided by its own largest distance (CamI2V); invariant to the scale of translation",
    ),
    Column(
        name="cam_mc",
        label="CamMC",
        better="lower",
        definition="sum over frames of the Frobenius norm of the difference of the matrices [R|t] (camera-to-world, "
        "relative to the first frame), with t scaled as in TransErr (CamI2V)",
    ),
    Column(
        name="rot_mean",
        label="RotErr (ReDirector)",
        unit="deg",
        better="lower",
        definition="mean over all pairs of frames of the angle between the estimated and the true rotation from one to "
        "the other, in degrees (after ReDirector)",
    ),
    Column(
        name="trans_umeyama",
        label="TransErr (Umeyama)",
        better="lower",
        definition="mean distance of camera centers after alignment by a similarity (Umeyama 1991), divided by the "
        "largest distance of a true center from the first (after ReDirector); invariant to scale",
    ),
    Column(
        name="fov",
        label="FOV error",
        unit="deg",
        better="lower",
        definition="mean over frames of the absolute error of the horizontal field of view, in degrees",
    ),
)


def camera_errors(estimated: Path | CameraFile, true: Path | CameraFile) -> dict[str, float]:
    """Compare two camera paths; the keys are the names in `COLUMNS`.

    A number is absent if it is undefined: errors of translation if the true camera does not move or the estimated one
    never moves, the error of the field of view if a file has no intrinsics.

    Raises:
        InputNotFound: a file does not exist.
        InvalidInput: a file cannot be read, or the paths have different lengths.
    """
    ours, theirs = (read_camera_path(each) if isinstance(each, Path) else each for each in (estimated, true))
    if ours.num_poses != theirs.num_poses:
        raise InvalidInput(
            f"{_name(estimated)} has {ours.num_poses} poses but {_name(true)} has {theirs.num_poses}; "
            "estimate a pose for each frame"
        )
    made, truth = (_relative(file.world_to_camera) for file in (ours, theirs))
    found = {"rot_sum": float(_angles(made[:, :3, :3], truth[:, :3, :3]).sum()), **_pair_rotation(made, truth)}
    reach_made, reach_truth = (_reach(file.world_to_camera) for file in (ours, theirs))
    if reach_made > 0 and reach_truth > 0:
        scaled = [
            np.concatenate([path[:, :3, :3], path[:, :3, 3:] / reach], axis=2)
            for path, reach in ((made, reach_made), (truth, reach_truth))
        ]
        difference = scaled[0] - scaled[1]
        found["trans_rel"] = float(np.linalg.norm(difference[:, :, 3], axis=1).sum())
        found["cam_mc"] = float(np.linalg.norm(difference, axis=(1, 2)).sum())
        aligned = umeyama(made[:, :3, 3], truth[:, :3, 3])
        distances = np.linalg.norm(aligned - truth[:, :3, 3], axis=1)
        found["trans_umeyama"] = float(distances.mean() / reach_truth)
    if ours.intrinsics and theirs.intrinsics:
        found["fov"] = float(np.abs(_fov(ours) - _fov(theirs)).mean())
    return found


def umeyama(points: Array, onto: Array) -> Array:
    """Return points after the similarity that best aligns them with others (Umeyama 1991, eq. 40-42).

    Args:
        points: float64 [N, 3].
        onto: float64 [N, 3].
    """
    center, center_onto = points.mean(axis=0), onto.mean(axis=0)
    a, b = points - center, onto - center_onto
    left, sizes, right = np.linalg.svd(b.T @ a)
    signs = np.array([1.0, 1.0, np.sign(np.linalg.det(left @ right)) or 1.0])
    spread = float((a * a).sum())
    scale = float((sizes * signs).sum()) / spread if spread > 0 else 0.0
    turned: Array = scale * a @ (left @ np.diag(signs) @ right).T + center_onto
    return turned


def _relative(world_to_camera: Array) -> Array:
    """Return camera-to-world matrices [T, 4, 4] with the first camera as world."""
    relative: Array = world_to_camera[0] @ np.linalg.inv(world_to_camera)
    return relative


def _reach(world_to_camera: Array) -> float:
    """Return the largest distance of a camera center from the first; 0 if it is rounding only."""
    reach = float(np.linalg.norm(_relative(world_to_camera)[:, :3, 3], axis=1).max())
    offset = float(np.linalg.norm(world_to_camera[:, :3, 3], axis=1).max())
    return reach if reach > max(STILL * offset, LEAST) else 0.0


def _angles(one: Array, other: Array) -> Array:
    """Return the angles in radians between rotations [N, 3, 3], exact for small ones too."""
    # |R - S| = 2 sqrt(2) sin(angle / 2); the arc cosine of the trace loses half of the digits near 0.
    chord = np.linalg.norm(one - other, axis=(1, 2)) / (2 * np.sqrt(2))
    angles: Array = 2 * np.arcsin(np.clip(chord, 0, 1))
    return angles


def _pair_rotation(made: Array, truth: Array) -> dict[str, float]:
    if len(made) < 2:
        return {}
    first, second = np.triu_indices(len(made), k=1)
    turns = [path[first, :3, :3].transpose(0, 2, 1) @ path[second, :3, :3] for path in (made, truth)]
    return {"rot_mean": float(np.degrees(_angles(*turns)).mean())}


def _fov(file: CameraFile) -> Array:
    """Return the horizontal field of view in degrees, [T] or [1]."""
    lenses: tuple[Intrinsics, ...] = file.intrinsics or ()
    return np.array([np.degrees(2 * np.arctan(lens.width / (2 * lens.fx))) for lens in lenses])


def _name(path: Path | CameraFile) -> str:
    return str(path) if isinstance(path, Path) else "the camera path"

"""Trajectories of one line for each pose: time, position and quaternion.

TUM RGB-D (cvg.cit.tum.de/data/datasets/rgbd-dataset/file_formats), ORB-SLAM, evo and DROID-SLAM write qx qy qz qw.
MonST3R (dust3r/cloud_opt/base_opt.py) and the evaluation of CUT3R write qw qx qy qz. Both are unit quaternions, so the
order is recognized from a heading, the name of the file, times in seconds, which only the former have, or a first pose
without rotation.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from ex4d_core.bounds import numbers
from ex4d_core.cameras.files._format import Content, Format, Match, Text, certain, likely, possible
from ex4d_core.cameras.files._poses import lens_fields, order_of, positions_of, rigid, rotations_of, to_world_to_camera
from ex4d_core.cameras.files._value import CameraFile, ReadOptions, camera_to_world_of, text_of
from ex4d_core.errors import InvalidInput

COLUMNS = 8
UNIT = 0.02
"""Largest difference of the length of a quaternion from 1, which some tools write with two decimals."""

STILL = 1e-3
"""Largest difference of a quaternion from that of a pose without rotation."""

EXACT = 1e-6
"""Largest difference of a quaternion that was not estimated."""

LITTLE = 1 / 3
"""Largest roll, relative to the pitch, of a camera that is held upright."""

LENSES = "pred_intrinsics.txt"


def _text(content: Content) -> Text:
    """Return the text, with a first pose that follows a heading in the same line on a line of its own.

    Open3D writes no line break after its heading (cpp/open3d/io/file_format/FileTUM.cpp).
    """
    text: Text = content.value
    for comment in text.comments[:10]:
        words = comment.rpartition(">")[2].split() if ">" in comment else []
        if len(words) == COLUMNS and all(re.fullmatch(r"[-+.\deE]{1,40}", word) for word in words):
            return Text(f"{' '.join(words)}\n{text.text}")
    return text


def _read(content: Content, *, scalar_first: bool) -> CameraFile:
    text = _text(content)
    if text.table.shape[1:] != (COLUMNS,):
        raise InvalidInput("each line needs 8 numbers: time, position and quaternion")
    order = order_of(text.stamps)
    table = numbers(text.table[:, 1:], "the table")[order]
    to_world = rigid(rotations_of(table[:, 3:], scalar_first=scalar_first), table[:, :3])
    poses = to_world_to_camera(to_world, "c2w-opencv")
    lens = content.path.parent / LENSES
    fields = {}
    if scalar_first and lens.is_file():
        k = _lenses(text_of(lens))
        size = (round(2 * float(k[0, 0, 2])), round(2 * float(k[0, 1, 2])))
        fields = lens_fields(k, size, len(to_world), name=LENSES)
    return CameraFile(world_to_camera=poses, positions=positions_of(text.stamps[order]), **fields)


def _lenses(text: str) -> np.ndarray:
    try:
        values = np.array([float(word) for word in text.split()])
    except ValueError as error:
        raise InvalidInput(f"{LENSES} beside it contains a word that is not a number") from error
    if not values.size or values.size % 9:
        raise InvalidInput(f"{LENSES} beside it must have 9 numbers in each line")
    return values.reshape(-1, 3, 3)


def read_tum(content: Content, reading: ReadOptions) -> CameraFile:
    """Read quaternions qx qy qz qw.

    Raises:
        InvalidInput: a line is malformed.
    """
    return _read(content, scalar_first=False)


def read_monst3r(content: Content, reading: ReadOptions) -> CameraFile:
    """Read quaternions qw qx qy qz, and the intrinsics in `pred_intrinsics.txt` next to the file.

    Raises:
        InvalidInput: a line is malformed.
    """
    return _read(content, scalar_first=True)


def write_tum(file: CameraFile, path: Path, distance: float) -> None:
    """Write a line for each pose; times are the numbers of frames, as DROID-SLAM writes them."""
    from scipy.spatial.transform import Rotation

    to_world = camera_to_world_of(file)
    quaternions = Rotation.from_matrix(to_world[:, :3, :3]).as_quat()
    frames = range(file.num_poses) if file.positions is None else file.positions
    lines = [
        " ".join(map(repr, [frame, *shift.tolist(), *quaternion.tolist()]))
        for frame, shift, quaternion in zip(frames, to_world[:, :3, 3], quaternions, strict=True)
    ]
    path.write_text("\n".join(["# timestamp tx ty tz qx qy qz qw", *lines]) + "\n", encoding="utf-8")


def _order(heading: str) -> str:
    """Return the order of the quaternion in a heading, such as `qx qy qz qw` or `quat(xyzw)`; '' if it has none."""
    if found := re.search(r"(?<![a-z])(xyzw|wxyz)(?![a-z])", heading):
        return found[1]
    letters = re.findall(r"(?<![a-z])q(?:uat\w{0,10})?_?(?:[a-z]{1,3}_)?([wxyz])(?![a-z0-9])", heading)
    return "".join(letters[:4])


def _matches(content: Content, *, scalar_first: bool) -> Match | None:
    table = _text(content).table
    if table.shape[1:] != (COLUMNS,) or np.abs(np.linalg.norm(table[:, 4:], axis=1) - 1).max() > UNIT:
        return None
    heading = " ".join((*content.value.comments[:10], content.value.title)).lower()
    if order := _order(heading):
        wanted = "wxyz" if scalar_first else "xyzw"
        return certain("a heading with the order of the quaternion") if order == wanted else None
    if content.path.name == "pred_traj.txt" or (content.path.parent / LENSES).is_file():
        return certain(f"the name or the {LENSES} of MonST3R") if scalar_first else None
    table = table[np.argsort(table[:, 0])]
    first = _has_scalar_first(table)
    if first is None:
        return possible("a time, a position and a quaternion in each line")
    return likely("times or a first pose of this order of the quaternion") if first == scalar_first else None


def _has_scalar_first(table: np.ndarray) -> bool | None:
    """Return whether w is first in the quaternions of poses in order, or None if it may be first or last.

    1 0 0 0 is the identity with w first and half a turn about x with w last; 0 0 0 1 is half a turn about z, or the
    identity.
    """
    counted = (table[:, 0] == np.arange(len(table))).all()  # as MonST3R does
    x, y, z, w = np.ptp(table[:, 4:], axis=0)  # in the order of TUM
    if abs(table[0, 7] - 1) < STILL:
        return False if _is_still(table, 7) or _is_level(pitch=x, roll=z) else None
    if abs(table[0, 4] - 1) < STILL and counted:
        return True if _is_still(table, 4) or _is_level(pitch=y, roll=w) else None
    if abs(table[0, 4] - 1) < STILL:
        return False if np.abs(table[0, 1:4]).max() > STILL and y <= w + STILL else None
    return None if counted else False


def _is_still(table: np.ndarray, scalar: int) -> bool:
    """Return whether the first pose is near one without rotation, with w in a column, rather than half a turn.

    Paths relative to their first pose start at the origin. An estimated rotation is not exactly half a turn.
    """
    exact = np.abs(np.delete(table[0, 4:], scalar - 4)).max() < EXACT
    return bool(not exact or np.abs(table[0, 1:4]).max() < STILL)


def _is_level(pitch: float, roll: float) -> bool:
    """Return whether a camera is held upright; in the other order of a quaternion, roll and pitch are exchanged."""
    return bool(roll <= LITTLE * pitch + STILL)


FORMATS = (
    Format(
        name="tum",
        files="`.txt` of TUM, ORB-SLAM, evo, Open3D: time, position, qx qy qz qw in each line",
        kinds=("text",),
        matches=lambda content: _matches(content, scalar_first=False),
        read=read_tum,
        convention="c2w-opencv",
        suffix=".txt",
        write=write_tum,
    ),
    Format(
        name="monst3r",
        files="`pred_traj.txt` of MonST3R and CUT3R: time, position, qw qx qy qz in each line",
        kinds=("text",),
        matches=lambda content: _matches(content, scalar_first=True),
        read=read_monst3r,
        convention="c2w-opencv",
        lens="`pred_intrinsics.txt` next to it",
    ),
)

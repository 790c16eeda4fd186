"""Text of RealEstate10K (google.github.io/realestate10k/download.html), also of CameraCtrl, AC3D and ComfyUI.

A URL, then 19 numbers for each frame: microseconds, fx, fy, cx, cy in sides of the image, two unused numbers, and a
3x4 world-to-camera matrix. CameraCtrl counts frames in the first column (cameractrl/data/dataset.py).
"""

from __future__ import annotations

from ex4d_core.cameras.files._format import Content, Format, Match, certain, likely
from ex4d_core.cameras.files._poses import are_rigid, order_of, poses_of, positions_of
from ex4d_core.cameras.files._value import CameraFile, Pinhole, ReadOptions, one_or_each
from ex4d_core.errors import InvalidInput

COLUMNS = 19
FOCAL = (0.1, 10.0)
"""Range of focal lengths in sides of the image."""


def read(content: Content, reading: ReadOptions) -> CameraFile:
    """Read poses and intrinsics.

    Raises:
        InvalidInput: a line is malformed.
    """
    table = content.value.table
    if table.shape[1:] != (COLUMNS,):
        raise InvalidInput("each line needs 19 numbers: time, fx, fy, cx, cy, two unused, and a 3x4 matrix")
    order = order_of(content.value.stamps)
    table = table[order]
    poses = poses_of(table[:, 7:].reshape(-1, 3, 4), "the matrices", "w2c-opencv")
    lenses = [Pinhole(fx=fx, fy=fy, cx=cx, cy=cy, normalized=True) for fx, fy, cx, cy in table[:, 1:5].tolist()]
    return CameraFile(
        world_to_camera=poses,
        unsized=one_or_each(lenses, len(poses)),
        positions=positions_of(content.value.stamps[order]),
    )


def _matches(content: Content) -> Match | None:
    table = content.value.table
    if table.shape[1:] != (COLUMNS,) or not ((table[:, 1:3] > FOCAL[0]) & (table[:, 1:3] < FOCAL[1])).all():
        return None
    if not are_rigid(table[:, 7:].reshape(-1, 3, 4), tolerance=0.01):
        return None
    reason = "19 columns with intrinsics in sides of the image and a rotation"
    return certain(reason) if content.value.title else likely(reason)


FORMATS = (
    Format(
        name="realestate10k",
        files="`.txt` of RealEstate10K, CameraCtrl, AC3D, ComfyUI: a URL, then 19 numbers in each line",
        kinds=("text",),
        matches=_matches,
        read=read,
        convention="w2c-opencv",
        lens="in sides of the image, can change",
    ),
)

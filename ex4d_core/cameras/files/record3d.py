"""`metadata.json` of Record3D, or a `.r3d` capture (github.com/marek-simonik/record3d, issues 27 and 63).

Poses are qx qy qz qw tx ty tz, camera to world, with OpenGL axes, in a world with y up and in meters. K is by columns.
"""

from __future__ import annotations

from ex4d_core.bounds import numbers, whole
from ex4d_core.cameras.files._format import Content, Format, Match, certain
from ex4d_core.cameras.files._poses import Y_UP, lens_fields, poses_of, positions_of, rigid, rotations_of
from ex4d_core.cameras.files._value import CameraFile, ReadOptions
from ex4d_core.errors import InvalidInput
from ex4d_core.types.camera import LARGEST_SIDE

EACH, STAMPS = "perFrameIntrinsicCoeffs", "frameTimestamps"


def read(content: Content, reading: ReadOptions) -> CameraFile:
    """Read poses and intrinsics.

    Raises:
        InvalidInput: it has no poses, or no intrinsics.
    """
    facts = content.facts
    if missing := next((name for name in ("poses", "K", "w", "h") if name not in facts), None):
        raise InvalidInput(f"it has no {missing}")
    table = numbers(facts["poses"], "poses")
    if table.ndim != 2 or table.shape[1] != 7:
        raise InvalidInput("each pose must be 7 numbers: quaternion qx qy qz qw and position")
    poses = poses_of(rigid(rotations_of(table[:, :4]), table[:, 4:]), "poses", "c2w-opengl", world=Y_UP)
    size = (whole(facts["w"], "w", 1, LARGEST_SIDE), whole(facts["h"], "h", 1, LARGEST_SIDE))
    k = numbers(facts["K"], "K")
    if k.shape != (9,):
        raise InvalidInput("K must be 9 numbers")
    own = facts.get(EACH)
    lens = lens_fields(own, size, len(poses), name=EACH) if own else lens_fields(k.reshape(3, 3).T, size, len(poses))
    stamps = numbers(facts.get(STAMPS, []), STAMPS)
    return CameraFile(
        world_to_camera=poses, positions=positions_of(stamps) if stamps.shape == (len(poses),) else None, **lens
    )


def _matches(content: Content) -> Match | None:
    return certain("poses, K, w and h") if content.kind == "json" and content.has("poses", "K", "w", "h") else None


FORMATS = (
    Format(
        name="record3d",
        files="`metadata.json` or `.r3d` of Record3D",
        kinds=("json",),
        matches=_matches,
        read=read,
        convention="c2w-opengl",
        world="y up",
        lens="pixels, can change",
    ),
)

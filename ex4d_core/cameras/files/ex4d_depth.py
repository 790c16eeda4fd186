"""The source cameras in `depth.npz`, which `ex4d depth` and every run write."""

from __future__ import annotations

from ex4d_core.cameras.files._arrays import read_arrays
from ex4d_core.cameras.files._format import Content, Format, Match, certain
from ex4d_core.cameras.files._value import CameraFile, ReadOptions
from ex4d_core.errors import InvalidInput


def read(content: Content, reading: ReadOptions) -> CameraFile:
    """Read `world_to_camera` and `intrinsics`.

    Raises:
        InvalidInput: the depth has no poses.
    """
    if not content.has("world_to_camera"):
        raise InvalidInput(
            "it has no poses, because its source camera is static; if the depth estimator predicts poses, write them "
            "with ex4d depth --source-cameras estimated"
        )
    return read_arrays(content, "world_to_camera", "w2c-opencv", lens="intrinsics", images=("depth",))


def _matches(content: Content) -> Match | None:
    return certain("depth, kind and intrinsics") if content.has("depth", "kind", "intrinsics") else None


FORMATS = (
    Format(
        name="ex4d_depth",
        files="`depth.npz` of ex4d with a source camera that moves: `world_to_camera`, `intrinsics`, `depth`, `kind`",
        kinds=("npz",),
        matches=_matches,
        read=read,
        convention="w2c-opencv",
        world="ex4d",
        lens="pixels of the depth, can change",
    ),
)

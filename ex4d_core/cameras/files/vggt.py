"""`predictions.npz` of VGGT (demo_gradio.py) and of MapAnything (scripts/gradio_app.py), which share names only."""

from __future__ import annotations

from ex4d_core.cameras.files._arrays import pose_shape, read_arrays
from ex4d_core.cameras.files._format import Content, Format, Match, likely
from ex4d_core.cameras.files._value import CameraFile, ReadOptions

IMAGES = ("depth", "images")


def read_vggt(content: Content, reading: ReadOptions) -> CameraFile:
    """Read `extrinsic`, world to camera.

    Raises:
        InvalidInput: it has no poses.
    """
    return read_arrays(content, "extrinsic", "w2c-opencv", lens="intrinsic", images=IMAGES)


def read_mapanything(content: Content, reading: ReadOptions) -> CameraFile:
    """Read `extrinsic`, camera to world.

    Raises:
        InvalidInput: it has no poses.
    """
    return read_arrays(content, "extrinsic", "c2w-opencv", lens="intrinsic", images=IMAGES)


def _matches_vggt(content: Content) -> Match | None:
    if not content.has("extrinsic", "intrinsic") or pose_shape(content, "extrinsic") != (3, 4):
        return None
    return likely("extrinsic of 3x4 and intrinsic")


def _matches_mapanything(content: Content) -> Match | None:
    if not content.has("extrinsic", "intrinsic") or pose_shape(content, "extrinsic") != (4, 4):
        return None
    return likely("extrinsic of 4x4 and final_mask") if content.has("final_mask") else None


FORMATS = (
    Format(
        name="vggt",
        files="`predictions.npz` of VGGT: `extrinsic` 3x4, `intrinsic`, `depth`",
        kinds=("npz", "json"),
        matches=_matches_vggt,
        read=read_vggt,
        convention="w2c-opencv",
        lens="pixels of the depth, can change",
    ),
    Format(
        name="mapanything",
        files="`predictions.npz` of MapAnything: `extrinsic` 4x4, `intrinsic`, `final_mask`",
        kinds=("npz", "json"),
        matches=_matches_mapanything,
        read=read_mapanything,
        convention="c2w-opencv",
        lens="pixels of the depth, can change",
    ),
)

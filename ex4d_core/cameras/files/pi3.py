"""Archives of Pi3 and Pi3X (demo_gradio.py, example_mm.py)."""

from __future__ import annotations

from ex4d_core.cameras.files._arrays import read_arrays
from ex4d_core.cameras.files._format import Content, Format, Match, likely
from ex4d_core.cameras.files._value import CameraFile, ReadOptions


def read(content: Content, reading: ReadOptions) -> CameraFile:
    """Read `camera_poses`, or the conditions `poses`, `depths` and `intrinsics` of Pi3X.

    Raises:
        InvalidInput: it has no poses.
    """
    name = "camera_poses" if content.has("camera_poses") else "poses"
    return read_arrays(content, name, "c2w-opencv", lens="intrinsics", images=("depths", "images"))


def _matches(content: Content) -> Match | None:
    if content.has("camera_poses"):
        return likely("camera_poses")
    return likely("poses, depths and intrinsics") if content.has("poses", "depths", "intrinsics") else None


FORMATS = (
    Format(
        name="pi3",
        files="`predictions.npz` of Pi3: `camera_poses`; conditions of Pi3X: `poses`, `depths`, `intrinsics`",
        kinds=("npz", "json"),
        matches=_matches,
        read=read,
        convention="c2w-opencv",
        lens="pixels of the depth, can change",
    ),
)

"""Archives of GEN3C (diffusion/inference/data_loader_utils.py, gen3c_multiview.py)."""

from __future__ import annotations

from ex4d_core.cameras.files._arrays import read_arrays
from ex4d_core.cameras.files._format import Content, Format, Match, certain, content_of, likely
from ex4d_core.cameras.files._value import CameraFile, ReadOptions

FILE = "camera.npz"


def read(content: Content, reading: ReadOptions) -> CameraFile:
    """Read `w2cs_all` and `Ks_all`, or `w2c` and `intrinsics`.

    Raises:
        InvalidInput: it has no poses.
    """
    if content.kind == "folder":
        content = content_of(content.path / FILE)
    if content.has("w2cs_all"):
        return read_arrays(content, "w2cs_all", "w2c-opencv", lens="Ks_all")
    return read_arrays(content, "w2c", "w2c-opencv", lens="intrinsics")


def _matches(content: Content) -> Match | None:
    if content.kind == "folder":
        return certain(FILE) if FILE in content.value.names else None
    if content.has("w2cs_all"):
        return certain("w2cs_all")
    return likely("w2c and intrinsics") if content.has("w2c", "intrinsics") else None


FORMATS = (
    Format(
        name="gen3c",
        files="`camera.npz` of GEN3C: `w2c`, `intrinsics`; or `w2cs_all`, `Ks_all`",
        kinds=("npz", "json", "folder"),
        matches=_matches,
        read=read,
        convention="w2c-opencv",
        lens="pixels, can change",
    ),
)

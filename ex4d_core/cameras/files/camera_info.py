"""JSON with matrices of AC3D (data/metric_scale_camera), Uni3C (cam_render.py) and EgoX (README.md)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ex4d_core.bounds import shown, whole
from ex4d_core.cameras.files._format import Content, Format, Match, certain
from ex4d_core.cameras.files._poses import lens_fields, poses_of
from ex4d_core.cameras.files._value import CameraFile, ReadOptions
from ex4d_core.errors import InvalidInput
from ex4d_core.types.camera import LARGEST_SIDE


def _read(facts: Mapping[str, Any], poses: str, lens: str, size: tuple[str, str] | None) -> CameraFile:
    """Read world-to-camera matrices; `size` names width and height."""
    if missing := next((name for name in (poses, lens, *(size or ())) if name not in facts), None):
        raise InvalidInput(f"it has no {missing}")
    matrices = poses_of(facts[poses], poses, "w2c-opencv")
    sides = None if size is None else tuple(whole(facts[name], name, 1, LARGEST_SIDE) for name in size)
    pixels = None if sides is None else (sides[0], sides[1])
    return CameraFile(world_to_camera=matrices, **lens_fields(facts[lens], pixels, len(matrices), name=lens))


def read_ac3d(content: Content, reading: ReadOptions) -> CameraFile:
    """Read `w2c` and `intrinsics`.

    Raises:
        InvalidInput: they are missing or malformed.
    """
    return _read(content.facts, "w2c", "intrinsics", ("imW", "imH"))


def read_uni3c(content: Content, reading: ReadOptions) -> CameraFile:
    """Read `extrinsic` and `intrinsic`.

    Raises:
        InvalidInput: they are missing or malformed.
    """
    return _read(content.facts, "extrinsic", "intrinsic", ("width", "height"))


def read_egox(content: Content, reading: ReadOptions) -> CameraFile:
    """Read the egocentric path of a data set.

    Raises:
        InvalidInput: it is missing or malformed, or there are several.
    """
    sets = content.facts.get("test_datasets")
    if not isinstance(sets, list) or not all(isinstance(each, Mapping) for each in sets) or not sets:
        raise InvalidInput("test_datasets must be a list of data sets")
    chosen = reading.camera if reading.camera is not None else "0" if len(sets) == 1 else ""
    if not (chosen.isdecimal() and len(chosen) < 9 and int(chosen) < len(sets)):
        raise InvalidInput(
            f"it has {len(sets)} data sets; select one with {reading.file.name}:camera=0 to {len(sets) - 1}"
            + (f", not {shown(chosen)}" if chosen else "")
        )
    return _read(sets[int(chosen)], "ego_extrinsics", "ego_intrinsics", None)


def _has(*names: str) -> Any:
    def matches(content: Content) -> Match | None:
        return certain(" and ".join(names)) if content.kind == "json" and content.has(*names) else None

    return matches


FORMATS = (
    Format(
        name="ac3d",
        files="`*.camera_info.json` of AC3D: `w2c`, `intrinsics`, `imW`, `imH`",
        kinds=("json",),
        matches=_has("w2c", "imW"),
        read=read_ac3d,
        convention="w2c-opencv",
        lens="pixels, can change",
    ),
    Format(
        name="uni3c",
        files="`cam_info.json` of Uni3C: `extrinsic`, `intrinsic`, `width`, `height`",
        kinds=("json",),
        matches=lambda content: (
            None if content.has("class_name") else _has("extrinsic", "intrinsic", "height")(content)
        ),
        read=read_uni3c,
        convention="w2c-opencv",
        lens="pixels",
    ),
    Format(
        name="egox",
        files="`meta.json` of EgoX: `test_datasets` with `ego_extrinsics`",
        kinds=("json",),
        matches=_has("test_datasets"),
        read=read_egox,
        convention="w2c-opencv",
        lens="pixels",
    ),
)

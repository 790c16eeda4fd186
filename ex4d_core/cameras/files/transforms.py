"""`transforms.json` as written by nerfstudio and by Blender's NeRF exporters.

Both contain camera-to-world matrices with OpenGL camera axes, in a world with z up
(docs.nerf.studio, "Data conventions").
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ex4d_core.bounds import numbers, whole
from ex4d_core.cameras.files._value import (
    CameraFile,
    ReadOptions,
    camera_to_world_of,
    check_angle,
    check_rigid,
    frames_of,
    lens_of,
    natural_order,
    one_or_each,
)
from ex4d_core.errors import InvalidInput
from ex4d_core.types import Intrinsics
from ex4d_core.types.camera import LARGEST_SIDE, Z_UP, from_camera_axes, to_camera_axes

LENS = {"fl_x": "fx", "fl_y": "fy", "cx": "cx", "cy": "cy", "w": "width", "h": "height"}
"""Names of nerfstudio for the fields of `Intrinsics`; the principal point is also measured from the image corner."""
ANGLE = "camera_angle_x"
"""Horizontal field of view in radians."""
DISTORTION = ("k1", "k2", "k3", "k4", "p1", "p2")


def read(tree: Any, reading: ReadOptions) -> CameraFile:
    """Read the poses of the frames, ordered by file name.

    Raises:
        InvalidInput: it contains no poses.
    """
    frames = _frames_of(tree)
    matrices = numbers([frame["transform_matrix"] for frame in frames], "transform_matrix")
    check_rigid(matrices)
    each = [_lens_of({**tree, **frame}) for frame in frames]
    lenses = [camera for camera in each if camera is not None]
    lens = one_or_each(lenses, len(frames)) if len(lenses) == len(frames) else None
    angle = tree.get(ANGLE)
    shown = [frame["clip_frame"] for frame in frames if "clip_frame" in frame]
    distorted = [name for facts in (tree, *frames) for name in DISTORTION if facts.get(name)]
    return CameraFile(
        world_to_camera=np.linalg.inv(from_camera_axes(matrices, "opengl", world=Z_UP)),
        intrinsics=lens,
        fov_x=None if angle is None or lens is not None else check_angle(angle, ANGLE),
        frames=frames_of(shown, "clip_frame") if len(shown) == len(frames) else None,
        warnings=(f"has lens distortion ({distorted[0]}), which is ignored",) if distorted else (),
    )


def _frames_of(tree: Any) -> list[Mapping[str, Any]]:
    """Return the frames ordered by file name."""
    frames = tree.get("frames") if isinstance(tree, Mapping) else None
    if (
        not isinstance(frames, list)
        or not frames
        or not all(isinstance(frame, Mapping) and "transform_matrix" in frame for frame in frames)
    ):
        raise InvalidInput("it has no list of frames, each with a transform_matrix of 4x4")
    return [frames[at] for at in natural_order([str(frame.get("file_path", "")) for frame in frames])]


def write_nerfstudio(file: CameraFile, path: Path, distance: float) -> None:
    """Write the poses, with intrinsics in pixels."""
    cameras = file.intrinsics or ()
    facts: dict[str, Any] = {"camera_model": "PINHOLE"}
    if len(cameras) == 1:
        facts |= _lens_facts(cameras[0])
    frames = _frames(file)
    if len(cameras) > 1:
        frames = [frame | _lens_facts(camera) for frame, camera in zip(frames, cameras, strict=True)]
    path.write_text(json.dumps({**facts, "frames": frames}, indent=1) + "\n", encoding="utf-8")


def write_blender(file: CameraFile, path: Path, distance: float) -> None:
    """Write the poses, with intrinsics as `camera_angle_x` in radians.

    Raises:
        InvalidInput: a field of view does not describe the intrinsics.
    """
    facts: dict[str, Any] = {}
    if file.intrinsics is not None:
        camera = file.intrinsics[0]
        if (camera.cx, camera.cy, camera.fx) != (camera.width / 2, camera.height / 2, camera.fy):
            raise InvalidInput(
                "the blender format requires square pixels and a principal point in the middle of the image; "
                "use nerfstudio"
            )
        facts = {
            "camera_angle_x": 2 * math.atan(camera.width / (2 * camera.fx)),
            "w": camera.width,
            "h": camera.height,
        }
    path.write_text(json.dumps({**facts, "frames": _frames(file)}, indent=1) + "\n", encoding="utf-8")


def _frames(file: CameraFile) -> list[dict[str, Any]]:
    matrices = to_camera_axes(camera_to_world_of(file), "opengl", world=Z_UP)
    frames: list[dict[str, Any]] = [
        {"file_path": f"images/frame_{index:05d}.png", "transform_matrix": matrix.tolist()}
        for index, matrix in enumerate(matrices)
    ]
    if file.frames is None:
        return frames
    return [frame | {"clip_frame": shown} for frame, shown in zip(frames, file.frames, strict=True)]


def _lens_facts(camera: Intrinsics) -> dict[str, Any]:
    return {name: getattr(camera, ours) for name, ours in LENS.items()}


def _lens_of(facts: Mapping[str, Any]) -> Intrinsics | None:
    """Return the intrinsics of a frame, or None if the file has no image size."""
    angle = None if facts.get(ANGLE) is None else check_angle(facts[ANGLE], ANGLE)
    if not {"w", "h"} <= set(facts) or not {"fl_x", ANGLE} & set(facts):
        return None
    width, height = (whole(facts[name], name, 1, LARGEST_SIDE, unit="pixels") for name in ("w", "h"))
    fx = facts["fl_x"] if "fl_x" in facts else width / (2 * math.tan(check_angle(angle, ANGLE) / 2))
    values = {"fl_x": fx, "fl_y": fx, "cx": width / 2, "cy": height / 2, **facts, "w": width, "h": height}
    return lens_of({ours: values[name] for name, ours in LENS.items()}, {ours: name for name, ours in LENS.items()})

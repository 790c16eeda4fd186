"""`transforms.json` as nerfstudio has it, and as Blender's exporters for NeRF have it.

Both hold camera-to-world matrices with OpenGL's axes of the camera, in a world whose z is up
(docs.nerf.studio, "Data conventions").
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ex4d_core.camera_files._value import (
    CameraFile,
    Reading,
    camera_to_world_of,
    check_rigid,
    natural_order,
    numbers,
    one_or_each,
    read_json,
    whole_numbers,
)
from ex4d_core.errors import InvalidInput, describe
from ex4d_core.types import Intrinsics
from ex4d_core.types.camera import Z_UP, from_camera_axes, to_camera_axes

LENS = {"fl_x": "fx", "fl_y": "fy", "cx": "cx", "cy": "cy", "w": "width", "h": "height"}
"""nerfstudio's names and ours; its principal point counts from the corner of the image too."""
DISTORTION = ("k1", "k2", "k3", "k4", "p1", "p2")


def read(path: Path, reading: Reading) -> CameraFile:
    """Return the poses of the frames, in the order of their files' names.

    Raises:
        InvalidInput: it holds no poses.
    """
    tree = read_json(path)
    try:
        frames = [tree["frames"][at] for at in natural_order([str(f.get("file_path", "")) for f in tree["frames"]])]
        matrices = numbers([frame["transform_matrix"] for frame in frames], "transform_matrix")
        _check_angle(tree.get("camera_angle_x"), path)
        shown = [frame["clip_frame"] for frame in frames if "clip_frame" in frame]
    except InvalidInput:
        raise
    except (TypeError, KeyError, ValueError, AttributeError) as error:
        raise InvalidInput(f"{path} holds no frames with a transform_matrix of 4x4 each ({describe(error)})") from error
    check_rigid(matrices)
    try:
        lens, angle = _lens(tree, frames)
    except (TypeError, ValueError, OverflowError, ZeroDivisionError) as error:
        raise InvalidInput(
            f"{path} has fl_x, w, h and the like of which no lens can be made: {describe(error)}"
        ) from error
    bent = [name for facts in (tree, *frames) for name in DISTORTION if facts.get(name)]
    return CameraFile(
        world_to_camera=np.linalg.inv(from_camera_axes(matrices, "opengl", world=Z_UP)),
        intrinsics=lens,
        fov_x=angle if lens is None else None,
        frames=whole_numbers(shown, "clip_frame") if shown and len(shown) == len(frames) else None,
        doubts=(f"{path} has lens distortion ({bent[0]}), which is left out",) if bent else (),
    )


def write_nerfstudio(file: CameraFile, path: Path, distance: float) -> None:
    """Write the poses with the lens in pixels."""
    cameras = file.intrinsics or ()
    facts: dict[str, Any] = {"camera_model": "PINHOLE"}
    if len(cameras) == 1:
        facts |= _lens_facts(cameras[0])
    frames = _frames(file)
    if len(cameras) > 1:
        frames = [frame | _lens_facts(camera) for frame, camera in zip(frames, cameras, strict=True)]
    path.write_text(json.dumps({**facts, "frames": frames}, indent=1) + "\n", encoding="utf-8")


def write_blender(file: CameraFile, path: Path, distance: float) -> None:
    """Write the poses with the lens as `camera_angle_x`, radians.

    Raises:
        InvalidInput: one angle does not describe the lens.
    """
    facts: dict[str, Any] = {}
    if file.intrinsics is not None:
        camera = file.intrinsics[0]
        if (camera.cx, camera.cy, camera.fx) != (camera.width / 2, camera.height / 2, camera.fy):
            raise InvalidInput(
                "Blender's camera_angle_x describes a lens with square pixels and its principal point in the middle, "
                "which this is not; save it as nerfstudio"
            )
        facts = {
            "camera_angle_x": 2 * math.atan(camera.width / (2 * camera.fx)),
            "w": camera.width,
            "h": camera.height,
        }
    path.write_text(json.dumps({**facts, "frames": _frames(file)}, indent=1) + "\n", encoding="utf-8")


def _check_angle(angle: float | None, path: Path) -> None:
    if angle is not None and not 0 < angle < math.pi:
        raise InvalidInput(f"{path} has a camera_angle_x of {angle:g} radians, which no lens has; is it in degrees?")


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


def _lens(tree: Mapping[str, Any], frames: list[dict[str, Any]]) -> tuple[tuple[Intrinsics, ...] | None, float | None]:
    """Return the lenses in pixels, or the field of view along x where the file says no size."""
    each = [_lens_of({**tree, **frame}) for frame in frames]
    known = [camera for camera in each if camera is not None]
    angle = tree.get("camera_angle_x")
    return (one_or_each(known, len(frames)) if len(known) == len(each) else None), None if angle is None else float(
        angle
    )


def _lens_of(facts: Mapping[str, Any]) -> Intrinsics | None:
    if not {"w", "h"} <= set(facts) or not {"fl_x", "camera_angle_x"} & set(facts):
        return None
    width, height = int(facts["w"]), int(facts["h"])
    angle = facts.get("camera_angle_x")
    fx = float(facts["fl_x"]) if "fl_x" in facts else width / (2 * math.tan(float(angle or 0) / 2))
    return Intrinsics(
        fx=fx,
        fy=float(facts.get("fl_y", fx)),
        cx=float(facts.get("cx", width / 2)),
        cy=float(facts.get("cy", height / 2)),
        width=width,
        height=height,
    )

"""`transforms.json` as written by nerfstudio and by Blender's NeRF exporters.

Both contain camera-to-world matrices with OpenGL camera axes, in a world with z up
(docs.nerf.studio, "Data conventions").
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ex4d_core.bounds import number, shown, whole
from ex4d_core.cameras.files._format import Content, Format, Match, certain, possible
from ex4d_core.cameras.files._names import of_camera, order_of_names
from ex4d_core.cameras.files._poses import positions_of_names, square, to_world_to_camera
from ex4d_core.cameras.files._value import (
    CameraFile,
    ReadOptions,
    camera_to_world_of,
    check_angle,
    check_rigid,
    frames_of,
    lens_of,
    one_or_each,
)
from ex4d_core.errors import InvalidInput
from ex4d_core.types import Intrinsics
from ex4d_core.types.camera import LARGEST_SIDE, RIGID_TOLERANCE, Z_UP, to_camera_axes

LENS = {"fl_x": "fx", "fl_y": "fy", "cx": "cx", "cy": "cy", "w": "width", "h": "height"}
"""Names of nerfstudio for the fields of `Intrinsics`; the principal point is also measured from the image corner."""
ANGLE = "camera_angle_x"
"""Horizontal field of view in radians."""
SMALLEST_SCALE = 1e-9
DISTORTION = ("k1", "k2", "k3", "k4", "p1", "p2")


def read(content: Content, reading: ReadOptions) -> CameraFile:
    """Read the poses of the frames, ordered by file name.

    Raises:
        InvalidInput: it contains no poses.
    """
    tree = content.value
    frames = _frames_of(tree, reading)
    names = [str(frame.get("file_path", "")) for frame in frames]
    matrices, scale = _unscaled(square([frame["transform_matrix"] for frame in frames], "transform_matrix"))
    applied = number(tree.get("applied_scale", 1.0), "applied_scale", SMALLEST_SCALE, 1 / SMALLEST_SCALE)
    matrices = _without_scale(matrices, applied)
    each = [_lens_of({**tree, **frame}) for frame in frames]
    lenses = [camera for camera in each if camera is not None]
    lens = one_or_each(lenses, len(frames)) if len(lenses) == len(frames) else None
    angle = tree.get(ANGLE)
    world = _world(tree.get("applied_transform"))
    shown = [frame["clip_frame"] for frame in frames if "clip_frame" in frame]
    distorted = [name for facts in (tree, *frames) for name in DISTORTION if facts.get(name)]
    fisheye = str(tree.get("camera_model", "")).upper()
    return CameraFile(
        world_to_camera=to_world_to_camera(matrices, "c2w-opengl", world=world),
        intrinsics=lens,
        fov=None if angle is None or lens is not None else (check_angle(angle, ANGLE),),
        positions=positions_of_names(names),
        frames=frames_of(shown, "clip_frame") if len(shown) == len(frames) else None,
        warnings=(
            *([f"has lens distortion ({distorted[0]}), which is ignored"] if distorted else []),
            *([f"has a fisheye lens ({fisheye[:40]}), which is read as a pinhole"] if "FISHEYE" in fisheye else []),
            *([f"has cameras with a scale of {scale:g}, which is divided out"] if scale != 1 else []),
            *([f"has an applied_scale of {applied:g}, which is divided out"] if applied != 1 else []),
        ),
    )


def _unscaled(matrices: np.ndarray) -> tuple[np.ndarray, float]:
    """Return matrices without the scale of a scaled camera object of Blender, and the scale, 1 if there is none."""
    if matrices.ndim != 3 or matrices.shape[1:] != (4, 4):
        return matrices, 1.0
    lengths = np.linalg.norm(matrices[:, :3, :3], axis=1)
    scale = float(np.median(lengths)) if lengths.size else 1.0
    if not scale > RIGID_TOLERANCE or abs(scale - 1) < RIGID_TOLERANCE or np.ptp(lengths) > RIGID_TOLERANCE * scale:
        return matrices, 1.0
    return matrices / np.array([scale, scale, scale, 1.0]), scale


def _without_scale(matrices: np.ndarray, scale: float) -> np.ndarray:
    """Return matrices in the lengths before `ns-process-data` multiplied them."""
    if matrices.ndim != 3 or matrices.shape[1:] != (4, 4) or scale == 1:
        return matrices
    matrices = matrices.copy()
    matrices[:, :3, 3] /= scale
    return matrices


def _world(applied: Any) -> np.ndarray:
    """Return the rotation to the world of the file; nerfstudio names that of `ns-process-data`."""
    if applied is None:
        return Z_UP
    matrix = square([applied], "applied_transform")
    check_rigid(matrix)
    rotation: np.ndarray = matrix[0, :3, :3]
    return rotation


def _frames_of(tree: Any, reading: ReadOptions) -> list[Mapping[str, Any]]:
    """Return the frames of one camera, ordered by file name."""
    frames = tree.get("frames") if isinstance(tree, Mapping) else None
    if (
        not isinstance(frames, list)
        or not frames
        or not all(isinstance(frame, Mapping) and "transform_matrix" in frame for frame in frames)
    ):
        raise InvalidInput("it has no list of frames, each with a transform_matrix of 4x4")
    names = [str(frame.get("file_path", "")) for frame in frames]
    if again := next((name for name, count in Counter(names).items() if name and count > 1), None):
        raise InvalidInput(f"it has several frames of {shown(again)}; each image needs one pose")
    if all(names):
        lenses = [tuple(frame.get(name) for name in (*LENS, ANGLE)) for frame in frames]
        several = len(set(lenses)) > 1
        numbered = {lens: str(number) if several else "" for number, lens in enumerate(dict.fromkeys(lenses))}
        frames = [frames[at] for at in of_camera(names, [numbered[lens] for lens in lenses], reading)]
    return [frames[at] for at in order_of_names([str(frame.get("file_path", "")) for frame in frames])]


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


def _matches(name: str) -> Callable[[Content], Match | None]:
    def matches(content: Content) -> Match | None:
        if "frames" not in content.facts or ("fl_x" in content.facts) != (name == "nerfstudio"):
            return None
        frames = content.facts["frames"]
        has_poses = isinstance(frames, list) and frames and isinstance(frames[0], Mapping)
        if has_poses and "transform_matrix" in frames[0]:
            return certain("frames with transform_matrix")
        return possible("frames")

    return matches


FORMATS = (
    Format(
        name="nerfstudio",
        files="`transforms.json` of nerfstudio, instant-ngp, Polycam exports",
        kinds=("json",),
        matches=_matches("nerfstudio"),
        read=read,
        convention="c2w-opengl",
        world="z up",
        lens="`fl_x` ..., can change",
        suffix=".json",
        capabilities=frozenset({"lens", "zoom", "time"}),
        write=write_nerfstudio,
    ),
    Format(
        name="blender",
        files="`transforms_*.json` of NeRF exporters for Blender",
        kinds=("json",),
        matches=_matches("blender"),
        read=read,
        convention="c2w-opengl",
        world="z up",
        lens="`camera_angle_x`, radians",
        suffix=".json",
        capabilities=frozenset({"lens", "time"}),
        write=write_blender,
    ),
)

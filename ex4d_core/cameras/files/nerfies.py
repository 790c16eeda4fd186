"""Camera folders of Nerfies (camera.py) and DyCheck (geometry/camera.py): one JSON file for each image.

`orientation` is the world-to-camera rotation, `position` the center of the camera. DyCheck names files CAMERA_TIME.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ex4d_core.bounds import number, numbers, shown
from ex4d_core.cameras.files._format import Content, Format, Match, certain
from ex4d_core.cameras.files._poses import poses_of, positions_of_names, rigid
from ex4d_core.cameras.files._value import CameraFile, ReadOptions, json_of, lens_of, one_or_each
from ex4d_core.errors import InvalidInput
from ex4d_core.types import Intrinsics

FILES = r".*\.json"
NEEDED = ("orientation", "position", "focal_length", "principal_point", "image_size")
DISTORTION = ("radial_distortion", "tangential_distortion", "tangential")


def read(content: Content, reading: ReadOptions) -> CameraFile:
    """Read a folder of cameras, or one camera.

    Raises:
        InvalidInput: a file is malformed, or the folder has several cameras.
    """
    files = _chosen(content.value.matching(FILES), reading) if content.kind == "folder" else [content.path]
    cameras = [_checked(json_of(file), file.name) for file in files]
    rotation = numbers([camera["orientation"] for camera in cameras], "orientation")
    position = numbers([camera["position"] for camera in cameras], "position")
    if rotation.shape[1:] != (3, 3) or position.shape[1:] != (3,):
        raise InvalidInput("orientation must be a 3x3 matrix and position three numbers")
    shift = -np.einsum("tij,tj->ti", rotation, position)
    distorted = any(np.any(numbers(camera.get(name, 0), name)) for camera in cameras for name in DISTORTION)
    return CameraFile(
        world_to_camera=poses_of(rigid(rotation, shift), "orientation", "w2c-opencv"),
        intrinsics=one_or_each([_lens(camera) for camera in cameras], len(cameras)),
        positions=positions_of_names([file.name for file in files]),
        warnings=("has lens distortion, which is ignored",) if distorted else (),
    )


def _chosen(files: list[Path], reading: ReadOptions) -> list[Path]:
    """Return the files of the selected camera of DyCheck, or all of Nerfies."""
    named = {file: re.fullmatch("([0-9]{1,6})_[0-9]+", file.stem) for file in files}
    cameras = sorted({match[1] for match in named.values() if match})
    if not all(named.values()) or (len(cameras) == 1 and reading.camera is None):
        return files
    if reading.camera not in cameras:
        problem = f"has no camera {shown(reading.camera)}" if reading.camera else "has several cameras"
        raise InvalidInput(
            f"it {problem}; select one with {reading.file.name}:camera={cameras[0]}, out of {cameras[:10]}"
        )
    return [file for file, match in named.items() if match and match[1] == reading.camera]


def _checked(tree: Any, name: str) -> Mapping[str, Any]:
    if not isinstance(tree, Mapping) or (missing := next((key for key in NEEDED if key not in tree), None)):
        raise InvalidInput(f"{name} has no {missing}" if isinstance(tree, Mapping) else f"{name} is not a camera")
    return tree


def _lens(camera: Mapping[str, Any]) -> Intrinsics:
    point, size = (camera[name] for name in ("principal_point", "image_size"))
    if not all(isinstance(pair, list) and len(pair) == 2 for pair in (point, size)):
        raise InvalidInput("principal_point and image_size must be two numbers each")
    focal = number(camera["focal_length"], "focal_length")
    fy = focal * number(camera.get("pixel_aspect_ratio", 1.0), "pixel_aspect_ratio")
    return lens_of({"fx": focal, "fy": fy, "cx": point[0], "cy": point[1], "width": size[0], "height": size[1]})


def _matches(content: Content) -> Match | None:
    tree: Any = content.value
    if content.kind == "folder":
        files = content.value.matching(FILES)
        tree = json_of(files[0]) if files else {}
    found = isinstance(tree, Mapping) and {"orientation", "position"} <= set(tree)
    return certain("orientation and position") if found else None


FORMATS = (
    Format(
        name="nerfies",
        files="`camera` folder of Nerfies, DyCheck",
        kinds=("folder", "json"),
        matches=_matches,
        read=read,
        convention="w2c-opencv",
        lens="pixels, can change",
    ),
)

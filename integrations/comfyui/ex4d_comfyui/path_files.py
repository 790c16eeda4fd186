"""The nodes `EX4D Load Path` and `EX4D Save Path`."""

from __future__ import annotations

from itertools import count
from pathlib import Path
from typing import Any

import torch

from ex4d_core.cameras.files import FORMATS, content_hash, named_gaps, read_camera_path, write_camera_path
from ex4d_core.errors import InvalidInput
from ex4d_core.types import CameraPath, DepthVideo

from .host import NodeReporter, input_folder, output_folder

WRITTEN = ("ex4d", "json", "csv", "nerfstudio", "blender", "recammaster", "trajectorycrafter", "colmap", "tum")
"""Formats that are written."""


class LoadPathNode:
    """Reads a camera path with a pose for each frame."""

    CATEGORY = "ex4d"
    DESCRIPTION = "A camera file with a pose for each frame. For keyframes and resampling, name it in EX4D Camera Path."
    FUNCTION = "load"
    RETURN_TYPES = ("EX4D_PATH",)
    RETURN_NAMES = ("path",)

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:  # noqa: N802  # a name of ComfyUI
        """Return the inputs; names, order and defaults are frozen, since workflows store values by position."""
        return {
            "required": {
                "file": ("STRING", {"default": "camera.npz", "tooltip": "A file, or its name in the input folder."}),
            },
            "optional": {
                "depth": ("EX4D_DEPTH", {"tooltip": "Its intrinsics are used if the file has none."}),
            },
        }

    @classmethod
    def IS_CHANGED(cls, file: str, **_: Any) -> str:  # noqa: N802  # a name of ComfyUI
        """Return a hash of the content, by which ComfyUI decides whether to read it again."""
        return content_hash(input_folder() / file)

    def load(self, file: str, depth: DepthVideo | None = None) -> tuple[CameraPath]:
        """Return the path.

        Raises:
            InputNotFound: the file does not exist.
            InvalidInput: it does not contain a path with a pose for each frame, or intrinsics are missing.
        """
        content = read_camera_path(input_folder() / file)
        for warning in content.warnings:
            NodeReporter().warn(warning)
        if any(each is not None for each in (content.times, content.spread, content.fov, content.unsized)):
            raise InvalidInput(
                f"{file} has keyframes or a field of view, which need the clip; name it in `cam` of EX4D Camera Path"
            )
        if gaps := named_gaps(content):
            raise InvalidInput(
                f"{file} has no pose of {gaps}; name it in `cam` of EX4D Camera Path, with :fill=interpolate"
            )
        intrinsics = content.intrinsics or (None if depth is None else depth.intrinsics[:1])
        if intrinsics is None:
            raise InvalidInput(f"{file} has no intrinsics; connect the depth of the clip, which has them")
        poses = torch.from_numpy(content.world_to_camera).float()
        return (CameraPath(world_to_camera=poses, intrinsics=intrinsics, frames=content.frames),)


class SavePathNode:
    """Writes a camera path to the output folder."""

    CATEGORY = "ex4d"
    DESCRIPTION = "Writes a camera path to the output folder, in a format of ex4d or of another tool."
    FUNCTION = "save"
    RETURN_TYPES = ("STRING",)
    RETURN_NAMES = ("file",)
    OUTPUT_NODE = True

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:  # noqa: N802  # a name of ComfyUI
        """Return the inputs; names, order and defaults are frozen, since workflows store values by position."""
        return {
            "required": {
                "path": ("EX4D_PATH",),
                "filename_prefix": ("STRING", {"default": "ex4d/camera"}),
                "format": (list(WRITTEN), {"tooltip": "ex4d: .npz, as EX-4D; see the documentation for the others."}),
                "distance": (
                    "FLOAT",
                    {
                        "default": 1.0,
                        "min": 1e-6,
                        "max": 1e6,
                        "step": 0.01,
                        "tooltip": "Distance to the subject, the unit of length of trajectorycrafter.",
                    },
                ),
            }
        }

    def save(self, path: CameraPath, filename_prefix: str, format: str, distance: float) -> dict[str, Any]:
        """Write the path to a new file and return its name.

        Raises:
            InvalidInput: the format cannot store the path, or the file would be outside of the output folder.
            OutputFailed: the file cannot be written.
        """
        file = _new_file(filename_prefix, FORMATS[format].suffix)
        file.parent.mkdir(parents=True, exist_ok=True)
        write_camera_path(path, file, format=format, distance=distance)
        return {"ui": {"text": [str(file)]}, "result": (str(file),)}


def _new_file(prefix: str, suffix: str) -> Path:
    """Return the first unused name with a number below the output folder."""
    folder = output_folder().resolve()
    start = (folder / prefix).resolve()
    if folder not in start.parents:
        raise InvalidInput(f"filename_prefix {prefix!r} leads out of the output folder; use a name such as ex4d/camera")
    names = (start.with_name(f"{start.name}_{number:05}{suffix}") for number in count(1))
    return next(name for name in names if not name.exists())

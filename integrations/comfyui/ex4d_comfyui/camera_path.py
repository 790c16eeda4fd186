"""The node `EX4D Camera Path`."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
import numpy as np
from torch import Tensor

from ex4d_core.errors import InvalidInput
from ex4d_core.pipeline.session import Session
from ex4d_core.preview.pictures import with_holes
from ex4d_core.preview.sampling import sampled_scene, size_within
from ex4d_core.types import CameraPath, DepthVideo, Scene

from .host import NodeReporter, cancelable, device, input_folder
from .values import as_image, as_video

PREVIEW_FRAMES = 25
"""Largest number of frames of the preview."""

PREVIEW_SIDE = 320
"""Longer side of the preview in pixels."""

KEYS = ("yaw", "pitch", "zoom_in", "truck", "pedestal", "pan", "tilt", "roll")
"""Values of a keyframe, as of the move `keyframes`."""

SOURCE = "source camera"
"""The world of LOAD3D_CAMERA is the source camera of frame 0."""

FIRST = "first camera"
"""The first LOAD3D_CAMERA is the source camera, and its target the subject."""


class CameraPathNode:
    """Plans a camera path for a clip, and previews it."""

    CATEGORY = "ex4d"
    DESCRIPTION = (
        "A camera path from text, keyframes, a file or cameras of ComfyUI. The preview shows holes as a pattern."
    )
    FUNCTION = "plan"
    RETURN_TYPES = ("EX4D_PATH", "IMAGE")
    RETURN_NAMES = ("path", "preview")

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:  # noqa: N802  # a name of ComfyUI
        """Return the inputs; names, order and defaults are frozen, since workflows store values by position."""
        return {
            "required": {
                "images": ("IMAGE",),
                "depth": ("EX4D_DEPTH",),
                "cam": (
                    "STRING",
                    {
                        "default": "30",
                        "tooltip": "Angle to the right such as 30, a sweep -90..90, moves such as "
                        "'orbit:yaw=-40,ease=smooth then dolly', or a camera file in the input folder.",
                    },
                ),
                "keyframes": (
                    "STRING",
                    {
                        "default": "",
                        "multiline": True,
                        "tooltip": 'In place of cam: [{"at": 0, "yaw": 0}, {"at": 1, "yaw": 40, "zoom_in": 0.2}], with '
                        "`at` from 0 to 1. Or the content of a JSON camera file.",
                    },
                ),
                "frames": (
                    "INT",
                    {
                        "default": 0,
                        "min": 0,
                        "max": 10000,
                        "tooltip": "Frames of the path; 0: as many as images, 49 for a photo.",
                    },
                ),
                "look_at": (
                    "STRING",
                    {"default": "auto", "tooltip": "Subject: auto, a pixel x,y of frame 0, a distance, or nearest."},
                ),
                "relative_to": (
                    ["auto", "source", "world"],
                    {"tooltip": "Whether the path follows a moving source camera; auto: moves do, files do not."},
                ),
                "camera_info_world": (
                    [SOURCE, FIRST],
                    {
                        "tooltip": f"Meaning of camera_info. {SOURCE}: exact poses, with the source camera at the "
                        f"origin, looking along -z; {FIRST}: the first one is the source camera and its target "
                        "the subject, as for orbits around an object."
                    },
                ),
            },
            "optional": {
                "camera_info": (
                    "LOAD3D_CAMERA",
                    {"tooltip": "In place of cam: one camera for all frames, or a batch, spread over the frames."},
                ),
            },
        }

    @cancelable
    def plan(
        self,
        images: Tensor,
        depth: DepthVideo,
        cam: str,
        keyframes: str,
        frames: int,
        look_at: str,
        relative_to: str,
        camera_info_world: str,
        camera_info: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None = None,
    ) -> tuple[CameraPath, Tensor]:
        """Return the path and its preview.

        Raises:
            Ex4dError: the path cannot be parsed, or the inputs do not fit together.
        """
        if keyframes.strip() and camera_info is not None:
            raise InvalidInput("keyframes and camera_info are both given; clear keyframes or disconnect camera_info")
        with tempfile.TemporaryDirectory(prefix="ex4d-") as folder:
            text = cam
            if camera_info is not None:
                text = _cameras(camera_info, camera_info_world, Path(folder))
            elif keyframes.strip():
                text = _keyframes(keyframes, Path(folder))
            planner = Session(
                reporter=NodeReporter(),
                device=device(),
                cam_folder=str(input_folder() if text is cam else folder),
                path={"frames": frames or None, "relative_to": relative_to},
                trajectory={} if look_at.strip() in ("", "auto") else {"look_at": look_at.strip()},
            )
            clip = planner.open_clip(as_video(images), depth=depth)
            path = clip.along(text.strip()).path
        return path, preview(clip.estimated_scene, path)


def preview(scene: Scene, path: CameraPath) -> Tensor:
    """Return small views of some frames along a path as IMAGE, with a pattern in the holes."""
    picks = range(0, path.num_frames, -(-path.num_frames // PREVIEW_FRAMES))
    small = sampled_scene(scene, [path.frame_shown(pick) for pick in picks], side=PREVIEW_SIDE)
    poses = path.taken_at(picks)
    width, height = size_within((poses.intrinsics[0].width, poses.intrinsics[0].height), PREVIEW_SIDE)
    lenses = tuple(lens.scaled_to(width=width, height=height) for lens in poses.intrinsics)
    # The path is in the world, so the options of the node do not apply again.
    session = Session(reporter=NodeReporter(), device=device())
    clip = session.open_clip(small.video, depth=small.depth)
    guidance = clip.along(attrs.evolve(poses, intrinsics=lenses)).guidance
    return as_image(with_holes(guidance.color, guidance.mask))


def _keyframes(text: str, folder: Path) -> str:
    """Return the `--cam` text of keyframes in JSON.

    Raises:
        InvalidInput: the text is not JSON, or a keyframe is invalid.
    """
    try:
        value = json.loads(text)
    except ValueError as error:
        raise InvalidInput(f'keyframes is not JSON ({error}); write [{{"at": 0, "yaw": 0}}, ...]') from error
    if isinstance(value, dict):
        (folder / "keyframes.json").write_text(text, encoding="utf-8")
        return "./keyframes.json"
    known = {"at", *KEYS}
    if not isinstance(value, list) or len(value) < 2 or not all(isinstance(key, dict) for key in value):
        raise InvalidInput(
            'keyframes must be a list of at least two, as in [{"at": 0, "yaw": 0}, {"at": 1, "yaw": 40}]'
        )
    for index, key in enumerate(value):
        if unknown := sorted(key.keys() - known):
            raise InvalidInput(f"keyframe {index} has {unknown[0]!r}; known are {', '.join(('at', *KEYS))}")
        if wrong := [name for name, number in key.items() if type(number) not in (int, float)]:
            raise InvalidInput(f"{wrong[0]} of keyframe {index} must be a number, not {key[wrong[0]]!r}")
    if any("at" in key for key in value) and not all("at" in key for key in value):
        raise InvalidInput("either all keyframes have `at`, or none")
    used = [name for name in ("at", *KEYS) if any(name in key for key in value)]
    lists = [f"{name}=[{','.join(str(key.get(name, 0)) for key in value)}]" for name in used]
    return f"keyframes:{','.join(lists)}"


def _cameras(cameras: Mapping[str, Any] | Sequence[Mapping[str, Any]], world: str, folder: Path) -> str:
    """Return the `--cam` text of one or several LOAD3D_CAMERA.

    Raises:
        InvalidInput: it is not a LOAD3D_CAMERA, or the first one is at its target.
    """
    several = [cameras] if isinstance(cameras, Mapping) else list(cameras)
    if not several or not all(isinstance(camera, Mapping) and "position" in camera for camera in several):
        raise InvalidInput("camera_info must be a LOAD3D_CAMERA or a batch of them, with a position each")
    # A path has two ends.
    (folder / "cameras.json").write_text(json.dumps(several * 2 if len(several) == 1 else several), encoding="utf-8")
    options = "format=comfyui,resample,start=file"
    if world == FIRST:
        distance = _distance(several[0])
        options = f"format=comfyui,resample,start=source,unit=subject,scale={1 / distance!r},lens=clip"
    return f"./cameras.json:{options}"


def _distance(camera: Mapping[str, Any]) -> float:
    """Return the distance from a camera to its target, by default the origin."""
    target = camera.get("target") or {}
    try:
        difference = [float(camera["position"][axis]) - float(target.get(axis, 0)) for axis in "xyz"]
    except (KeyError, TypeError, ValueError) as error:
        raise InvalidInput("position and target of camera_info must have the numbers x, y and z") from error
    distance = float(np.linalg.norm(difference))
    if not distance > 0:
        raise InvalidInput("the first camera of camera_info is at its target; move it away, or use the other world")
    return distance

"""The node `EX4D Depth`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs
import numpy as np
import torch
from torch import Tensor

from ex4d_core.errors import InvalidInput
from ex4d_core.pictures.depth_video import depth_range
from ex4d_core.pipeline.session import Session
from ex4d_core.types import DepthVideo, Intrinsics, Video

from .host import cancelable, free_memory
from .sessions import KEEP_LOADED, SETTINGS, component_names, open_session
from .values import as_video

GRAY = 0.02
"""Largest difference between the channels of a gray depth image."""


class DepthNode:
    """Estimates the depth of each frame, or takes it from MoGe or from depth images."""

    CATEGORY = "ex4d"
    DESCRIPTION = (
        "Depth of each frame: estimated, or from MoGe geometry or depth images. The preview is white where near."
    )
    FUNCTION = "estimate"
    RETURN_TYPES = ("EX4D_DEPTH", "IMAGE")
    RETURN_NAMES = ("depth", "preview")

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:  # noqa: N802  # a name of ComfyUI
        """Return the inputs; names, order and defaults are frozen, since workflows store values by position."""
        fov = {"default": 0.0, "min": 0.0, "max": 170.0, "step": 0.1}
        return {
            "required": {
                "images": ("IMAGE",),
                "estimator": (component_names("depth"), {"tooltip": "auto: the best with weights on this machine."}),
                "fov": (
                    "FLOAT",
                    {**fov, "tooltip": "Field of view of the clip along its longer side in degrees; 0: as estimated."},
                ),
                "depth_images_are": (
                    ["inverse", "affine", "relative", "metric"],
                    {
                        "tooltip": "Meaning of depth_images. inverse: disparity, near is white, as of Depth Anything; "
                        "affine: depth, far is white; relative: depth up to scale; metric: meters."
                    },
                ),
                "settings": SETTINGS,
                "keep_loaded": KEEP_LOADED,
            },
            "optional": {
                "moge_geometry": ("MOGE_GEOMETRY", {"tooltip": "Depth and intrinsics of MoGe Inference."}),
                "depth_images": ("IMAGE", {"tooltip": "Gray depth images of these frames, of any size."}),
            },
        }

    @cancelable
    def estimate(
        self,
        images: Tensor,
        estimator: str,
        fov: float,
        depth_images_are: str,
        settings: str,
        keep_loaded: bool,
        moge_geometry: Mapping[str, Tensor] | None = None,
        depth_images: Tensor | None = None,
    ) -> tuple[DepthVideo, Tensor]:
        """Return the depth and its preview.

        Raises:
            Ex4dError: the inputs do not fit together, or there is no valid depth.
        """
        if moge_geometry is not None and depth_images is not None:
            raise InvalidInput("moge_geometry and depth_images are both connected; connect one of them")
        video, lens = as_video(images), {"lens": {"fov": fov}} if fov else {}
        with open_session(settings, keep=keep_loaded, depth={"name": estimator}, **lens) as session:
            if moge_geometry is not None:
                depth = _of_moge(session, video, moge_geometry, keep_lens=bool(fov))
            elif depth_images is not None:
                maps = _gray(depth_images)
                clip = session.open_clip(video, depth=maps, depth_kind=depth_images_are)
                depth = clip.estimated_scene.depth
            else:
                free_memory(session.choose("depth").offer.spec.gpu_memory)
                depth = session.open_clip(video).estimated_scene.depth
            del session  # lets it be freed
        return depth, preview(depth)


def preview(depth: DepthVideo) -> Tensor:
    """Return disparity over the range of the clip as IMAGE: white is near, black is far or unknown."""
    near, far = depth_range(depth)
    known = torch.stack([depth.valid_at(frame) for frame in range(depth.num_frames)])
    disparity = (1 / depth.depth.where(known, torch.tensor(far)) - 1 / far) / (1 / near - 1 / far)
    return disparity.clamp(0, 1)[..., None].expand(-1, -1, -1, 3).contiguous()


def _gray(images: Any) -> np.ndarray:
    """Return depth images as float32 [T, H, W].

    Raises:
        InvalidInput: they are colored.
    """
    if not isinstance(images, Tensor) or images.ndim != 4:
        raise InvalidInput("depth_images must be an IMAGE of shape [B, H, W, C]")
    pixels = images[..., :3].detach().cpu().float()
    if float((pixels.amax(dim=3) - pixels.amin(dim=3)).max()) > GRAY:
        raise InvalidInput(
            "depth_images are colored; connect gray depth, such as the output `depth` of MoGe Render, not false colors"
        )
    return np.asarray(pixels[..., 0].numpy())


def _of_moge(session: Session, video: Video, geometry: Mapping[str, Tensor], *, keep_lens: bool) -> DepthVideo:
    """Return the depth of MoGe with its intrinsics, the median over the frames, so that the lens does not flicker.

    Depth is infinite in masked regions, such as the sky; only models with normals know the scale of the scene.

    Raises:
        InvalidInput: the geometry is that of a panorama, or of other frames.
    """
    if not {"depth", "intrinsics"} <= geometry.keys():
        raise InvalidInput(
            "moge_geometry has no depth with intrinsics, as that of panoramas; connect the output of MoGe Inference"
        )
    kind = "metric" if "normal" in geometry else "relative"
    maps = geometry["depth"].detach().cpu().float().numpy()
    depth = session.open_clip(video, depth=maps, depth_kind=kind).estimated_scene.depth
    if keep_lens:
        return depth
    # In sides of the image.
    lens = geometry["intrinsics"].detach().cpu().double().reshape(-1, 3, 3).median(dim=0).values.numpy()
    width, height = video.width, video.height
    intrinsics = Intrinsics(
        fx=lens[0, 0] * width,
        fy=lens[1, 1] * height,
        cx=lens[0, 2] * width,
        cy=lens[1, 2] * height,
        width=width,
        height=height,
    )
    return attrs.evolve(depth, intrinsics=intrinsics)

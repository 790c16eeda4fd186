"""The depth estimator `depthcrafter`."""

from __future__ import annotations

from functools import cached_property

import torch
from torch import Tensor
from torch.nn import functional

from ex4d_core.errors import InvalidInput
from ex4d_core.geometry.inverse_depth import depth_from_relative, relative_inverse_depth
from ex4d_core.progress import Progress
from ex4d_core.types import DepthKind, DepthVideo, Intrinsics, Video
from ex4d_depth_depthcrafter.diffusion import DepthDiffusion
from ex4d_depth_depthcrafter.frames import resized, working_size
from ex4d_depth_depthcrafter.networks import load_networks
from ex4d_depth_depthcrafter.options import DepthCrafterOptions
from ex4d_depth_depthcrafter.weights import locate


class DepthCrafter:
    """Estimates depth for a whole clip; the networks are loaded for the first clip and reused."""

    def __init__(self, options: DepthCrafterOptions, *, device: torch.device) -> None:
        self._options = options
        self._device = device

    def estimate(self, video: Video, *, progress: Progress) -> DepthVideo:
        """Return affine-inverse depth for each frame, with intrinsics of the default field of view.

        Inverse depth is normalized to 0..1 over the whole clip (`rel`, 1 = nearest), resized to the clip's size and
        converted to `near / max(rel, near / far)`.

        Raises:
            InputNotFound: the weights are not on this machine.
            InvalidInput: the clip has no frames, the weights do not fit, the GPU has too little memory, or the
                result is not finite or constant.
        """
        if video.num_frames == 0:
            raise InvalidInput("the clip has no frames; use a clip with at least 1 frame")
        size = working_size(video.width, video.height, max_side=self._options.max_side)
        inverse = self._inverse_depth(resized(video.frames, size), progress)
        relative = relative_inverse_depth(inverse, percentile=self._options.percentile, source="DepthCrafter")
        relative = resize_maps(relative, width=video.width, height=video.height)
        return DepthVideo(
            depth=depth_from_relative(relative, near=self._options.near, far=self._options.far),
            kind=DepthKind.AFFINE_INVERSE,
            intrinsics=Intrinsics.from_fov(width=video.width, height=video.height),
        )

    def prepare(self) -> None:
        """Load the networks; see `ex4d_core.roles`."""
        _ = self.diffusion

    @cached_property
    def diffusion(self) -> DepthDiffusion:
        """The networks, loaded at first use."""
        dtype = _dtype(self._options, self._device)
        checkpoint = locate(self._options)
        networks = load_networks(checkpoint, device=self._device, dtype=dtype, offload=self._options.offload)
        return DepthDiffusion(networks, self._options)

    def _inverse_depth(self, frames: Tensor, progress: Progress) -> Tensor:
        count, height, width = frames.shape[:3]
        try:
            return self.diffusion.inverse_depth(frames, progress=progress)
        except torch.OutOfMemoryError as error:
            further = {"none": "--set depth.offload=model, and ", "model": "--set depth.offload=sequential, and "}
            raise InvalidInput(
                f"{self._device} has too little memory for {count} frames at {width}x{height} in windows of "
                f"{self._options.window}; try {further.get(self._options.offload, '')}smaller depth.max_side, "
                "depth.window and depth.decode_chunk"
            ) from error


def resize_maps(relative: Tensor, *, width: int, height: int) -> Tensor:
    """Resize maps [T, H, W] with bilinear interpolation."""
    if relative.shape[1:] == (height, width):
        return relative
    return torch.cat(
        [functional.interpolate(m[None, None], size=(height, width), mode="bilinear")[0] for m in relative]
    )


def _dtype(options: DepthCrafterOptions, device: torch.device) -> torch.dtype:
    name = options.dtype
    if name == "auto":
        name = "float32" if device.type == "cpu" else "float16"
    dtype: torch.dtype = getattr(torch, name)
    return dtype

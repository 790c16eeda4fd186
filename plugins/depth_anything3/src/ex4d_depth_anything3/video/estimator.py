"""The depth estimator `vda`."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from ex4d_core.errors import InvalidInput
from ex4d_core.geometry.inverse_depth import check_finite, depth_from_relative, relative_inverse_depth
from ex4d_core.progress import Progress
from ex4d_core.types import DepthKind, DepthVideo, Intrinsics, Video
from ex4d_depth_anything3.precision import autocast
from ex4d_depth_anything3.video.models import DEFAULT
from ex4d_depth_anything3.video.network import VideoDepthAnything, load_network
from ex4d_depth_anything3.video.options import VdaOptions
from ex4d_depth_anything3.video.preprocessing import input_size, pictures
from ex4d_depth_anything3.video.weights import locate
from ex4d_depth_anything3.video.windows import LENGTH, STEP, join, windows

NEAREST = 1e-4
"""Least metric depth in meters; the model predicts 0 for points that touch the camera."""


class VideoDepthAnythingEstimator:
    """Estimates depth that is steady over time; the model is loaded for the first clip and reused."""

    def __init__(self, options: VdaOptions, *, device: torch.device) -> None:
        self._options = options
        self._device = device

    def prepare(self) -> None:
        """Load the model; see `ex4d_core.roles`."""
        _ = self.network

    def estimate(self, video: Video, *, progress: Progress) -> DepthVideo:
        """Return the depth of each frame, with intrinsics of the default field of view.

        Metric models return meters. Inverse depth is normalized to 0..1 over the whole clip (`rel`, 1 = nearest) and
        converted to `near / max(rel, near / far)`.

        Raises:
            InputNotFound: the weights are not on this machine.
            InvalidInput: the clip has no frames, the weights do not fit, the GPU has too little memory, or the result
                is not finite or constant.
        """
        if video.num_frames == 0:
            raise InvalidInput("the clip has no frames; use a clip with at least 1 frame")
        options = self._options
        metric = options.is_metric(self._file)
        values = torch.empty(video.frames.shape[:3])
        done = 0
        for part in join(self._predictions(video, progress), aligned=not metric):
            here = values[done : done + len(part)]
            here.copy_(part[: len(here)])  # the end of the last part is padding
            done += len(here)
        if metric:
            check_finite(values, source=options.model)
            depth = values.clamp_(min=NEAREST)
        else:
            relative = relative_inverse_depth(values, percentile=options.percentile, source=options.model)
            depth = depth_from_relative(relative, near=options.near, far=options.far)
        return DepthVideo(
            depth=depth,
            kind=DepthKind.METRIC if metric else DepthKind.AFFINE_INVERSE,
            intrinsics=Intrinsics.from_fov(width=video.width, height=video.height),
        )

    @cached_property
    def _file(self) -> Path:
        return locate(self._options)

    @cached_property
    def network(self) -> VideoDepthAnything:
        """The model, loaded at first use."""
        network = load_network(self._file)
        if network.frames < LENGTH:
            raise InvalidInput(f"{self._file} is a model of {network.frames} frames; supported are models of {LENGTH}")
        try:
            return network.to(self._device)
        except torch.OutOfMemoryError as error:
            raise InvalidInput(
                f"{self._device} has too little memory for the weights of {self._options.model}; "
                f"try --set depth.model={DEFAULT} or --device cpu"
            ) from error

    def _predictions(self, video: Video, progress: Progress) -> Iterator[Tensor]:
        """Yield the prediction for each window at the size of the clip, float32 [LENGTH, H, W], on the CPU."""
        options = self._options
        progress(0, video.num_frames)
        prepared = windows(video.frames, lambda frames: pictures(frames, options.short_side))
        for number, window in enumerate(prepared):
            yield self._predicted(window, video)
            progress(min(number * STEP + LENGTH, video.num_frames), video.num_frames)

    def _predicted(self, window: Tensor, video: Video) -> Tensor:
        size = (video.height, video.width)
        try:
            with torch.inference_mode(), autocast(self._device, self._options.dtype, fast="float16"):
                maps = self.network(window.to(self._device))
                out: Tensor = functional.interpolate(maps[:, None], size=size, mode="bilinear", align_corners=True)
                return out[:, 0].float().cpu()
        except torch.OutOfMemoryError as error:
            height, width = input_size(video.height, video.width, short_side=self._options.short_side)
            raise InvalidInput(
                f"{self._device} has too little memory for {LENGTH} frames of {width}x{height} with "
                f"{self._options.model}; try --set depth.short_side={self._options.short_side // 2}, or a smaller "
                f"model, --set depth.model={DEFAULT}"
            ) from error

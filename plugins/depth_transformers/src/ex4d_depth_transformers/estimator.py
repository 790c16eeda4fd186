"""The depth estimator `transformers`."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import TypeVar

import attrs
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from ex4d_core.errors import InvalidInput
from ex4d_core.geometry.inverse_depth import check_finite, depth_from_relative, relative_inverse_depth
from ex4d_core.progress import Progress
from ex4d_core.types import DepthKind, DepthVideo, Intrinsics, Video
from ex4d_depth_transformers.depth_kind import OutputKind
from ex4d_depth_transformers.model_aliases import DEFAULT
from ex4d_depth_transformers.networks import Network, load_network
from ex4d_depth_transformers.options import TransformersOptions
from ex4d_depth_transformers.preprocessing import Preparation, preparation
from ex4d_depth_transformers.temporal_alignment import SIDE, Array, FrameAligner, slow_part

Frames = TypeVar("Frames", Tensor, Array)

NEAREST_INVERSE, FARTHEST_INVERSE = 1e4, 1e-4
"""Range to which Depth Pro's inverse depth is clamped, as by its authors."""


@attrs.frozen(eq=False, kw_only=True)
class _Predictions:
    """Predictions for a clip, before temporal alignment."""

    values: Tensor
    """float32 [T, H, W]: inverse depth, or log depth for other models."""
    fovs: Tensor | None
    """[T], horizontal field of view in degrees."""
    aligner: FrameAligner | None


class TransformersDepth:
    """Estimates depth frame by frame; the model is loaded for the first clip and reused."""

    def __init__(self, options: TransformersOptions, *, device: torch.device) -> None:
        self._options = options
        self._device = device

    def prepare(self) -> None:
        """Load the model; see `ex4d_core.roles`."""
        _ = self.network

    def estimate(self, video: Video, *, progress: Progress) -> DepthVideo:
        """Return the depth of each frame, of the clip's length and size.

        Metric models return meters. Inverse depth is normalized to 0..1 over each shot (`rel`, 1 = nearest) and
        converted to `near / max(rel, near / far)`. If the model predicts the field of view, its median over the clip
        sets the intrinsics and the scale.

        Raises:
            InputNotFound: the weights are not on this machine.
            InvalidInput: the clip has no frames, the weights do not fit, the GPU has too little memory, or the
                result is not finite or constant.
        """
        if video.num_frames == 0:
            raise InvalidInput("the clip has no frames; use a clip with at least 1 frame")
        how = preparation(
            self.network.processor,
            model_type=self.network.model_type,
            width=video.width,
            height=video.height,
            max_side=self._options.max_side,
        )
        predictions = self._predict_all(video, how, progress)
        check_finite(predictions.values, source=self._options.model)
        inverse = self.network.output_kind is OutputKind.INVERSE
        depth = self._from_inverse(predictions) if inverse else self._from_log_depth(predictions)
        intrinsics = Intrinsics.from_fov(width=video.width, height=video.height)
        if predictions.fovs is not None:
            focal = self._focal(predictions.fovs, video.width)
            intrinsics = Intrinsics.from_focal(focal, width=video.width, height=video.height)
            if self.network.output_kind is OutputKind.CANONICAL:
                depth *= focal / video.width
        return DepthVideo(depth=depth, kind=self._kind, intrinsics=intrinsics)

    @cached_property
    def network(self) -> Network:
        """The model, loaded at first use."""
        try:
            return load_network(self._options, device=self._device)
        except torch.OutOfMemoryError as error:
            raise InvalidInput(
                f"{self._device} has too little memory for the weights of {self._options.model}; "
                f"try --set depth.model={DEFAULT} or --device cpu"
            ) from error

    @property
    def _kind(self) -> DepthKind:
        kind = self.network.output_kind
        if kind is OutputKind.INVERSE:
            return DepthKind.AFFINE_INVERSE
        # Without a focal length, Depth Pro's output is known up to scale.
        lacks_focal = kind is OutputKind.CANONICAL and not self.network.gives_fov
        return DepthKind.RELATIVE if lacks_focal or kind is OutputKind.RELATIVE else DepthKind.METRIC

    def _predict_all(self, video: Video, how: Preparation, progress: Progress) -> _Predictions:
        options = self._options
        values = torch.empty(video.frames.shape[:3])
        fovs: list[Tensor] = []
        aligner = None
        if options.steady:
            fit_scale = self.network.output_kind is OutputKind.INVERSE
            aligner = FrameAligner(unchanged=options.unchanged, cut=options.cut, fit_scale=fit_scale)
        for first, frames in track_batches(video.frames, options.batch, progress):
            on_device = frames.to(self._device)
            maps, fov = self._predicted(on_device, how)
            values[first : first + len(frames)] = maps.cpu()
            if fov is not None:
                fovs.append(fov.float().cpu())
            if aligner is not None:
                for small, picture in zip(_small(maps[:, None]), _small(on_device.movedim(-1, 1)), strict=True):
                    aligner.add(small[0], np.moveaxis(picture, 0, -1))
        return _Predictions(values=values, fovs=torch.cat(fovs) if fovs else None, aligner=aligner)

    def _predicted(self, frames: Tensor, how: Preparation) -> tuple[Tensor, Tensor | None]:
        """Return inverse or log depth, float32 [N, H, W], and the fields of view [N] if the model predicts them."""
        try:
            output = self.network.predict(how.pictures(frames))
            maps = how.maps(output.maps, width=frames.shape[2], height=frames.shape[1])
        except torch.OutOfMemoryError as error:
            raise InvalidInput(self._too_small(len(frames), how)) from error
        kind = self.network.output_kind
        if kind is OutputKind.INVERSE:
            return maps, output.fov
        if self.network.model_type == "depth_pro":
            return -maps.clamp(FARTHEST_INVERSE, NEAREST_INVERSE).log(), output.fov
        return maps.clamp(min=1 / NEAREST_INVERSE).log(), output.fov

    def _too_small(self, count: int, how: Preparation) -> str:
        fits = ["--set depth.batch=1"] if count > 1 else []
        if self.network.model_type != "depth_pro":
            fits.append(f"--set depth.max_side={max(how.width, how.height) // 2}")
        fits.append(f"a smaller model, --set depth.model={DEFAULT}")
        return (
            f"{self._device} has too little memory for {count} frames of {how.width}x{how.height} with "
            f"{self._options.model}; try {', or '.join(fits)}"
        )

    def _from_inverse(self, predictions: _Predictions) -> Tensor:
        options, values = self._options, predictions.values
        starts = [0]
        if predictions.aligner is not None:
            for frame, (scale, shift) in enumerate(predictions.aligner.alignments):
                values[frame].mul_(scale).add_(shift)
            starts = predictions.aligner.starts
        shots = list(_shots(values, starts))
        flat = [bool(shot.amin() == shot.amax()) for shot in shots]
        for shot, is_flat in zip(shots, flat, strict=True):
            if is_flat and not all(flat):
                shot.fill_(options.far)  # such as black frames between two shots
                continue
            relative = relative_inverse_depth(shot, percentile=options.percentile, source=options.model)
            shot.copy_(depth_from_relative(relative, near=options.near, far=options.far))
        return values

    def _from_log_depth(self, predictions: _Predictions) -> Tensor:
        if predictions.aligner is not None:
            shifts = np.array([shift for _, shift in predictions.aligner.alignments])
            keeps_scale = self.network.output_kind is not OutputKind.RELATIVE
            for shot in _shots(shifts, predictions.aligner.starts):
                shot -= slow_part(shot) if keeps_scale else 0
            predictions.values.add_(torch.from_numpy(shifts).float()[:, None, None])
        return predictions.values.exp_()

    def _focal(self, fovs: Tensor, width: int) -> float:
        """Return the focal length in pixels of the median horizontal field of view."""
        fov = float(fovs.nanmedian())
        if not 1 < fov < 179:
            raise InvalidInput(
                f"{self._options.model} predicts an impossible field of view of {fov:g} degrees; check its weights"
            )
        return width / (2 * math.tan(math.radians(fov) / 2))


def track_batches(frames: Tensor, size: int, progress: Progress) -> Iterator[tuple[int, Tensor]]:
    """Yield the index of the first frame of each batch, and the batch; report progress in frames."""
    progress(0, len(frames))
    for first in range(0, len(frames), size):
        batch = frames[first : first + size]
        yield first, batch
        progress(first + len(batch), len(frames))


def _shots(values: Frames, starts: Sequence[int]) -> Iterator[Frames]:
    """Yield a view of the frames of each shot."""
    for first, stop in zip(starts, [*starts[1:], len(values)], strict=True):
        yield values[first:stop]


def _small(maps: Tensor) -> Array:
    """Downscale maps [N, C, H, W] to a longest side of SIDE by averaging, float64 on the CPU."""
    shrink = min(1.0, SIDE / max(maps.shape[2:]))
    height, width = (max(1, round(side * shrink)) for side in maps.shape[2:])
    small: Array = (
        functional.adaptive_avg_pool2d(maps.float(), (height, width)).cpu().double().numpy()
    )  # MPS has no float64
    return small

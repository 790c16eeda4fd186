"""The depth estimator `da3`."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from ex4d_core.errors import InvalidInput
from ex4d_core.geometry.inverse_depth import check_finite
from ex4d_core.progress import Progress
from ex4d_core.types import CameraPath, DepthKind, DepthVideo, Intrinsics, Video
from ex4d_depth_anything3.metric import SKY, Metric, without_sky
from ex4d_depth_anything3.models import DEFAULT, METRIC
from ex4d_depth_anything3.network import DepthAnything3, Views, load_network
from ex4d_depth_anything3.options import Da3Options
from ex4d_depth_anything3.pieces import Array, Piece, join, starts
from ex4d_depth_anything3.poses import frame_confidence, settled
from ex4d_depth_anything3.precision import autocast
from ex4d_depth_anything3.preprocessing import pictures
from ex4d_depth_anything3.weights import locate

ZOOM = 0.05
"""Relative deviation of the focal length from its median that counts as zoom, where 5 % of the frames exceed it."""

SINGLE_BATCH = 8
"""Frames in one pass of a model that predicts each frame on its own."""


class DepthAnything3Estimator:
    """Estimates depth, lens and poses; the models are loaded for the first clip and reused."""

    def __init__(self, options: Da3Options, *, device: torch.device) -> None:
        self._options = options
        self._device = device

    def prepare(self) -> None:
        """Load the models; see `ex4d_core.roles`."""
        _ = self.network, self.metric

    def estimate(self, video: Video, *, progress: Progress) -> DepthVideo:
        """Return the depth of each frame with the lens and the poses of the source camera.

        Depth and poses have the same unit: meters with `metric`, else arbitrary. Models without a camera head return
        depth only.

        Raises:
            InputNotFound: the weights are not on this machine.
            InvalidInput: the clip has no frames, the weights do not fit, the GPU has too little memory, or the result
                is not finite.
        """
        if video.num_frames == 0:
            raise InvalidInput("the clip has no frames; use a clip with at least 1 frame")
        if not self.network.multiview:
            if self._options.metric:
                raise InvalidInput(
                    f"{self._options.model} does not predict the lens that depth.metric depends on; use a model that "
                    f"does, such as {DEFAULT}, or omit depth.metric"
                )
            return self._frame_by_frame(video, progress)
        depth = torch.empty(video.frames.shape[:3])
        poses, tangents, meters, confidence = [], [], [], []
        progress(0, video.num_frames)
        for piece in join(self._pieces(video, progress)):
            depth[piece.start : piece.stop] = _enlarged(torch.from_numpy(piece.depth), video)
            poses.append(piece.world_to_camera)
            confidence.append(frame_confidence(piece.weight))
            tangents.append(piece.tangent)
            meters.append(piece.meters)
        unit = 1.0
        if self.metric is not None:
            known = [each for each in meters if each is not None]
            if not known:
                raise InvalidInput("the clip shows nothing but sky, so its scale is unknown; omit depth.metric")
            unit = float(np.median(known))
            depth *= unit
        check_finite(depth, source=self._options.model)
        lenses = self._lenses(np.concatenate(tangents), video)
        cameras = None
        if video.num_frames > 1:
            least = self._options.least_confidence
            steady = settled(np.concatenate(poses), np.concatenate(confidence), least=least)
            cameras = CameraPath(world_to_camera=_from_first(steady, unit), intrinsics=lenses)
        kind = DepthKind.RELATIVE if self.metric is None else DepthKind.METRIC
        return DepthVideo(depth=depth, kind=kind, intrinsics=lenses, cameras=cameras)

    @cached_property
    def network(self) -> DepthAnything3:
        """The model of depth, loaded at first use."""
        return self._loaded(self._options.model)

    @cached_property
    def metric(self) -> Metric | None:
        """The scale to meters, if it is asked for."""
        if not self._options.metric:
            return None
        network = self._loaded(self._options.metric_model)
        if network.multiview:
            raise InvalidInput(f"metric_model must be a model of metric depth, such as {METRIC}")
        return Metric(lambda prepared: self._run(network, prepared))

    def _loaded(self, model: str) -> DepthAnything3:
        folder = locate(self._options, model)
        try:
            return load_network(folder).to(self._device)
        except torch.OutOfMemoryError as error:
            raise InvalidInput(
                f"{self._device} has too little memory for the weights of {model}; "
                f"try --set depth.model={DEFAULT} or --device cpu"
            ) from error

    def _pieces(self, video: Video, progress: Progress) -> Iterator[Piece]:
        options = self._options
        for start in starts(video.num_frames, chunk=options.chunk, overlap=options.overlap):
            frames = video.frames[start : start + options.chunk]
            prepared = pictures(frames, options.max_side)
            views = self._run(self.network, prepared)
            piece = piece_of(views, start)
            if self.metric is not None:
                piece = self.metric.scaled(piece, prepared)
            yield piece
            progress(start + len(frames), video.num_frames)

    def _run(self, network: DepthAnything3, prepared: Tensor) -> Views:
        """Return the predictions for model input float32 [N, 3, h, w], on the CPU."""
        try:
            with torch.inference_mode(), autocast(self._device, self._options.dtype, fast="bfloat16"):
                views: Views = network(prepared.to(self._device))
        except torch.OutOfMemoryError as error:
            count, height, width = len(prepared), *prepared.shape[-2:]
            fits = [f"--set depth.chunk={count // 2} --set depth.overlap={count // 8}"] if count >= 16 else []
            fits.append(f"--set depth.max_side={self._options.max_side // 2}")
            raise InvalidInput(
                f"{self._device} has too little memory for {count} frames of {width}x{height}; try {', or '.join(fits)}"
            ) from error
        return views.on_cpu()

    def _frame_by_frame(self, video: Video, progress: Progress) -> DepthVideo:
        """Return the depth of a model without a camera head; with an unknown lens it is known up to scale."""
        depth = torch.empty(video.frames.shape[:3])
        sky = torch.zeros(depth.shape, dtype=torch.bool)
        progress(0, video.num_frames)
        for first in range(0, video.num_frames, SINGLE_BATCH):
            frames = video.frames[first : first + SINGLE_BATCH]
            views = self._run(self.network, pictures(frames, self._options.max_side))
            assert views.sky is not None
            here = slice(first, first + len(frames))
            depth[here], sky[here] = _enlarged(views.depth, video), _enlarged(views.sky, video) >= SKY
            progress(here.stop, video.num_frames)
        check_finite(depth, source=self._options.model)
        return DepthVideo(
            depth=without_sky(depth, sky),
            kind=DepthKind.RELATIVE,
            intrinsics=Intrinsics.from_fov(width=video.width, height=video.height),
        )

    def _lenses(self, tangents: Array, video: Video) -> tuple[Intrinsics, ...]:
        """Return one lens, or one for each frame, from tangents of half of the fields of view, [T, 2]."""
        if not (np.isfinite(tangents).all() and (tangents > 1e-4).all()):
            raise InvalidInput(f"{self._options.model} predicts an impossible field of view; check its weights")
        median = np.median(tangents, axis=0)
        zooms = np.quantile(np.abs(np.log(tangents / median)), 0.95) > ZOOM  # a few bad frames are not a zoom
        changes = self._options.lens == "changing" or (self._options.lens == "auto" and zooms)
        return tuple(
            Intrinsics(
                fx=video.width / 2 / across,
                fy=video.height / 2 / down,
                cx=video.width / 2,
                cy=video.height / 2,
                width=video.width,
                height=video.height,
            )
            for across, down in (tangents if changes and len(tangents) > 1 else median[None])
        )


def piece_of(views: Views, start: int) -> Piece:
    """Return the predictions of a multi-view model on the CPU, for the frames from `start` on."""
    assert views.confidence is not None
    assert views.world_to_camera is not None
    assert views.fov is not None
    return Piece(
        start=start,
        depth=views.depth.numpy(),
        weight=(views.confidence - 1).numpy(),
        world_to_camera=views.world_to_camera.double().numpy(),
        tangent=np.tan(views.fov.double().clamp(0, 3.1).numpy() / 2),
    )


def _enlarged(maps: Tensor, video: Video) -> Tensor:
    """Resize maps [n, h, w] to the clip."""
    size = (video.height, video.width)
    return functional.interpolate(maps[:, None], size=size, mode="bilinear", align_corners=False)[:, 0]


def _from_first(world_to_camera: Array, unit: float) -> Tensor:
    """Return poses float32 [T, 4, 4] in the world of the first camera, with lengths multiplied by `unit`."""
    poses = world_to_camera @ np.linalg.inv(world_to_camera[0])
    poses[:, :3, 3] *= unit
    return torch.from_numpy(poses).float()

"""Track points through a video."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Protocol

import attrs
import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ex4d_core.types import Video

Flow = NDArray[np.float32]
"""float32 [H, W, 2]: displacement (right, down) of each pixel to another frame, in pixels."""

SMALLEST_SIDE = 16
"""Smallest shorter side that the optical flow of OpenCV accepts, in pixels."""


@attrs.frozen(eq=False, kw_only=True)
class Tracks:
    """Positions of tracked points."""

    positions: Tensor
    """float32 [T, N, 2], (u, v) in pixels with (0, 0) at the upper left corner of the image; arbitrary where lost."""
    visible: Tensor
    """bool [T, N], True where the point is in the image, not occluded and not lost."""


class Tracker(Protocol):
    """Tracks points forwards and backwards from one frame."""

    def track(self, video: Video, points: Tensor, start: int) -> Tracks:
        """Track points of frame `start` into every frame; return tensors on the CPU.

        Args:
            video: the clip.
            points: float32 [N, 2], (u, v) in pixels with (0, 0) at the upper left corner of the image.
            start: index of the frame of the points; there, they are visible and have these positions.
        """
        ...


class FlowTracker:
    """Tracks points by optical flow between frames; a point is lost if forward and backward flow are inconsistent.

    The flow is the dense inverse search of OpenCV (Kroeger et al., ECCV 2016). The flow of the latest video is cached,
    so that it is computed once for points of several frames.
    """

    def __init__(self, *, tolerance: float = 1.0, working_side: int = 384) -> None:
        """Set the parameters.

        Args:
            tolerance: largest forward-backward error in pixels at the working size, in addition to a tenth of the
                displacement.
            working_side: longest side of frames for the flow; larger frames are downscaled.
        """
        self._tolerance = tolerance
        self._working_side = working_side
        self._latest: tuple[Tensor, list[Flow], list[Flow], NDArray[np.float32]] | None = None

    def track(self, video: Video, points: Tensor, start: int) -> Tracks:
        """Track points of frame `start` into every frame; see `Tracker`."""
        forwards, backwards, scale = self._flows(video)
        positions = np.empty((video.num_frames, len(points), 2), np.float32)
        visible = np.zeros((video.num_frames, len(points)), bool)
        first = (points.numpy().astype(np.float32) * scale, np.ones(len(points), bool))
        positions[start], visible[start] = first
        for frame in range(start, video.num_frames - 1):
            positions[frame + 1], visible[frame + 1] = self._step(
                positions[frame], visible[frame], forwards[frame], backwards[frame]
            )
        for frame in range(start, 0, -1):
            positions[frame - 1], visible[frame - 1] = self._step(
                positions[frame], visible[frame], backwards[frame - 1], forwards[frame - 1]
            )
        return Tracks(positions=torch.from_numpy(positions / scale), visible=torch.from_numpy(visible))

    def _flows(self, video: Video) -> tuple[list[Flow], list[Flow], NDArray[np.float32]]:
        """Return forward and backward flows between neighboring frames, and their size relative to the video."""
        if self._latest is None or self._latest[0] is not video.frames:
            gray, scale = _gray(video, self._working_side)
            pairs = list(itertools.pairwise(gray))
            forwards = [_flow(first, second) for first, second in pairs]
            backwards = [_flow(second, first) for first, second in pairs]
            self._latest = (video.frames, forwards, backwards, scale)
        return self._latest[1:]

    def _step(
        self, points: NDArray[np.float32], visible: NDArray[np.bool_], flow: Flow, back: Flow
    ) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Move points by a flow; return their positions, and which are visible and consistent with the flow `back`."""
        step = _sample(flow, points)
        moved = points + step
        error = np.linalg.norm(step + _sample(back, moved), axis=-1)
        height, width = flow.shape[:2]
        inside = ((moved >= 0) & (moved < (width, height))).all(axis=-1)
        return moved, visible & inside & (error <= self._tolerance + 0.1 * np.linalg.norm(step, axis=-1))


def _flow(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> Flow:
    """Return the flow from the first image to the second."""
    search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    return np.asarray(search.calc(first, second, None), np.float32)  # type: ignore[call-overload]  # None: no initial flow


def _gray(video: Video, working_side: int) -> tuple[Sequence[NDArray[np.uint8]], NDArray[np.float32]]:
    """Return gray frames at the working size, and its width and height relative to the video."""
    scale = min(1.0, working_side / max(video.width, video.height))
    scale = max(scale, SMALLEST_SIDE / min(video.width, video.height))
    size = round(video.width * scale), round(video.height * scale)
    interpolation = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    gray = [
        np.asarray(cv2.resize(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY), size, interpolation=interpolation), np.uint8)
        for frame in video.frames.numpy()
    ]
    return gray, np.array([size[0] / video.width, size[1] / video.height], np.float32)


def _sample(flow: Flow, points: NDArray[np.float32]) -> NDArray[np.float32]:
    """Sample the flow at points [N, 2] (corner origin), float32 [N, 2]; outside, the border value is used."""
    # Pixel (i, j) is at (j + 0.5, i + 0.5), and the origin of remap is a pixel center. It accepts at most 32767 points
    # per side, so they are arranged in a square.
    side = max(1, math.ceil(math.sqrt(len(points))))
    maps = np.zeros((2, side * side), np.float32)
    maps[:, : len(points)] = points.T - np.float32(0.5)
    x, y = maps.reshape(2, side, side)
    found = cv2.remap(flow, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(found, np.float32).reshape(-1, 2)[: len(points)]

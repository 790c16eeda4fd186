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
"""float32 [H, W, 2]: by how many pixels (right, down) what each pixel shows moves to another frame."""

SMALLEST_SIDE = 16
"""Pixels along the shorter side that OpenCV's flow needs."""


@attrs.frozen(eq=False, kw_only=True)
class Tracks:
    """Where points go."""

    positions: Tensor
    """float32 [T, N, 2], (u, v) in pixels with (0, 0) at the upper left corner of the picture; anything where lost."""
    visible: Tensor
    """bool [T, N], True where the point is in the picture, not covered and not lost."""


class Tracker(Protocol):
    """Follows points both ways from one frame."""

    def track(self, video: Video, points: Tensor, start: int) -> Tracks:
        """Return where points of frame `start` are in every frame, on the CPU.

        Args:
            video: what they are in.
            points: float32 [N, 2], (u, v) in pixels with (0, 0) at the upper left corner of the picture.
            start: the frame that they are given in; there they are visible and where they were given.
        """
        ...


class FlowTracker:
    """Follows points by optical flow from frame to frame; a point is lost where the flow back leads elsewhere.

    Flow is OpenCV's dense inverse search (Kroeger et al., ECCV 2016). The flow of the latest video is kept, so that
    points from several of its frames cost it once.
    """

    def __init__(self, *, tolerance: float = 1.0, working_side: int = 384) -> None:
        """Choose how strict it is.

        Args:
            tolerance: how far from where it was a point may come back, in pixels at the size that is worked at,
                and a tenth of its way on top.
            working_side: frames with a longer side are made smaller for the flow.
        """
        self._tolerance = tolerance
        self._working_side = working_side
        self._latest: tuple[Tensor, list[Flow], list[Flow], NDArray[np.float32]] | None = None

    def track(self, video: Video, points: Tensor, start: int) -> Tracks:
        """Return where points of frame `start` are in every frame; see `Tracker`."""
        onwards, backwards, scale = self._flows(video)
        positions = np.empty((video.num_frames, len(points), 2), np.float32)
        visible = np.zeros((video.num_frames, len(points)), bool)
        first = (points.numpy().astype(np.float32) * scale, np.ones(len(points), bool))
        positions[start], visible[start] = first
        for frame in range(start, video.num_frames - 1):
            positions[frame + 1], visible[frame + 1] = self._step(
                positions[frame], visible[frame], onwards[frame], backwards[frame]
            )
        for frame in range(start, 0, -1):
            positions[frame - 1], visible[frame - 1] = self._step(
                positions[frame], visible[frame], backwards[frame - 1], onwards[frame - 1]
            )
        return Tracks(positions=torch.from_numpy(positions / scale), visible=torch.from_numpy(visible))

    def _flows(self, video: Video) -> tuple[list[Flow], list[Flow], NDArray[np.float32]]:
        """Return the flows from each frame to the next, those back, and the size they are at over the video's."""
        if self._latest is None or self._latest[0] is not video.frames:
            gray, scale = _gray(video, self._working_side)
            pairs = list(itertools.pairwise(gray))
            onwards = [_flow(here, there) for here, there in pairs]
            backwards = [_flow(there, here) for here, there in pairs]
            self._latest = (video.frames, onwards, backwards, scale)
        return self._latest[1:]

    def _step(
        self, at: NDArray[np.float32], visible: NDArray[np.bool_], there: Flow, back: Flow
    ) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Return where points go by the flow `there`, and which are still seen: the flow `back` finds their origin."""
        way = _sample(there, at)
        arrived = at + way
        error = np.linalg.norm(way + _sample(back, arrived), axis=-1)
        height, width = there.shape[:2]
        inside = ((arrived >= 0) & (arrived < (width, height))).all(axis=-1)
        return arrived, visible & inside & (error <= self._tolerance + 0.1 * np.linalg.norm(way, axis=-1))


def _flow(here: NDArray[np.uint8], there: NDArray[np.uint8]) -> Flow:
    """Return the flow from one picture to another."""
    search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    return np.asarray(search.calc(here, there, None), np.float32)  # type: ignore[call-overload]  # None: nothing is known before


def _gray(video: Video, working_side: int) -> tuple[Sequence[NDArray[np.uint8]], NDArray[np.float32]]:
    """Return the frames in gray at the size that is worked at, and its width and height over the video's."""
    scale = min(1.0, working_side / max(video.width, video.height))
    scale = max(scale, SMALLEST_SIDE / min(video.width, video.height))
    size = round(video.width * scale), round(video.height * scale)
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    gray = [
        np.asarray(cv2.resize(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY), size, interpolation=how), np.uint8)
        for frame in video.frames.numpy()
    ]
    return gray, np.array([size[0] / video.width, size[1] / video.height], np.float32)


def _sample(flow: Flow, at: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the flow, float32 [N, 2], at points [N, 2] (corner origin), that of the border beyond it."""
    # Pixel (i, j) of a picture is at (j + 0.5, i + 0.5), and remap counts from pixel centers. It takes no more than
    # 32767 points along a side, so they go in as a square of sorts.
    side = max(1, math.ceil(math.sqrt(len(at))))
    maps = np.zeros((2, side * side), np.float32)
    maps[:, : len(at)] = at.T - np.float32(0.5)
    x, y = maps.reshape(2, side, side)
    found = cv2.remap(flow, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(found, np.float32).reshape(-1, 2)[: len(at)]

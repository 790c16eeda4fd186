"""The depth estimator."""

from __future__ import annotations

import numpy as np
import torch

from ex4d_core.errors import InvalidInput
from ex4d_core.progress import Progress, track
from ex4d_core.types import DepthKind, DepthVideo, Intrinsics, Video
from ex4d_depth_stereo.matching import Matcher
from ex4d_depth_stereo.options import StereoOptions
from ex4d_depth_stereo.right_eye import right_eye

LEAST_DISPARITY = 0.5
"""Lower bound of the disparity in pixels, which limits the depth of distant points."""


class StereoEstimator:
    """Measures depth from a second view, to the right of the first, of the same moment."""

    def __init__(self, options: StereoOptions, *, device: torch.device) -> None:
        self._options = options

    def estimate(self, video: Video, *, progress: Progress) -> DepthVideo:
        """Return depth = fx * baseline / disparity, valid where both directions agree.

        Raises:
            InputNotFound: the video of the right view does not exist.
            InvalidInput: the clip has no frames, or the right view has another number of frames.
        """
        if not video.num_frames:
            raise InvalidInput("the clip has no frames; use another clip")
        options, lens, eye = self._options, self._lens(video), right_eye(self._options, video)
        disparities = options.disparities or max(16, video.width // 8)
        matcher = Matcher(disparities=disparities, block=options.block, tolerance=options.tolerance)
        depth = np.zeros(video.frames.shape[:3], np.float32)
        for frame in track(range(video.num_frames), progress):
            picture, inside = eye.picture(frame)
            disparity, sure = matcher.disparity(video.frames[frame].numpy(), picture)
            far = lens.fx * (options.baseline or 1.0) / np.maximum(disparity, LEAST_DISPARITY)
            depth[frame] = np.where(sure & inside, far, 0)
        return DepthVideo(
            depth=torch.from_numpy(depth),
            valid=torch.from_numpy(depth > 0),
            kind=DepthKind.RELATIVE if options.baseline is None else DepthKind.METRIC,
            intrinsics=lens,
        )

    def _lens(self, video: Video) -> Intrinsics:
        """Return the intrinsics of the frames: those of the source, cropped and resized like the clip."""
        origin, focal = video.origin, self._options.focal
        width, height = (origin.source_width, origin.source_height) if origin else (video.width, video.height)
        filmed = (
            Intrinsics.from_fov(width=width, height=height)
            if focal is None
            else Intrinsics.from_focal(focal, width=width, height=height)
        )
        return origin.windowed(filmed, width=video.width, height=video.height) if origin else filmed

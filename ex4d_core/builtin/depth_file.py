"""The `file` depth estimator: precomputed depth from files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from ex4d_core.builtin.depth_file_options import DepthFileOptions
from ex4d_core.depth_io.read import MILLIMETRE, DepthFrames, open_depth
from ex4d_core.errors import InvalidInput
from ex4d_core.progress import Progress, track
from ex4d_core.types import CameraPath, DepthKind, DepthVideo, Intrinsics, Origin, Video
from ex4d_core.video_io.framing import frame_to, sample_nearest

SAME_ASPECT = 0.01
"""Relative difference up to which aspect ratios are equal: sizes are rounded to pixels, or to multiples of 8 or 14."""


class DepthFile:
    """Reads depth and fits it to the frames, crop and size of the video."""

    def __init__(self, options: DepthFileOptions, *, device: torch.device) -> None:
        self._options = options
        self._path = Path(options.path)

    def estimate(self, video: Video, *, progress: Progress) -> DepthVideo:
        """Return depth with the length and size of the video.

        If the file has as many maps as the source of the video, frame selection and crop of the video are applied to
        it. If it has as many maps as the video, they are used in order. Pixels are sampled by nearest neighbor, since
        averages of a near and a far surface belong to neither. Padding, NaN, infinity and, except for inverse depth,
        0 are not valid.

        Inverse depth is normalized to 0..1 over the whole file (`rel`, 1 = nearest) and converted to
        `near / max(rel, near / far)`.

        Raises:
            InputNotFound: the file does not exist.
            InvalidInput: its length, size or values do not fit.
        """
        frames = open_depth(self._path)
        indices = self._frame_indices(frames.count, video)
        origin = self._window(frames.size, video)
        is_inverse = self._is_inverse(frames)
        numbers, valid = self._sampled(frames, indices, origin, video, progress)
        if not valid.any():
            raise InvalidInput(
                f"{self._path} has no valid depth in the requested frames: all values are NaN, infinite or masked; "
                "use another file"
            )
        if is_inverse:
            depth, kind = self._from_inverse(numbers, frames), DepthKind.AFFINE_INVERSE
        else:
            depth, kind = self._from_depth(numbers, valid, frames)
            valid &= depth > 0
        if not valid.any():
            raise InvalidInput(
                f"{self._path} has no valid depth in the requested frames: all values are 0; use another file"
            )
        try:
            intrinsics = _intrinsics(frames, indices, origin, video)
            cameras = _cameras(frames, indices, intrinsics)
        except InvalidInput as error:
            raise InvalidInput(f"{self._path}: {error}") from error
        return DepthVideo(
            depth=torch.from_numpy(np.where(valid, depth, np.float32(0))),
            valid=torch.from_numpy(valid),
            kind=kind,
            intrinsics=intrinsics,
            cameras=cameras,
        )

    def _frame_indices(self, count: int, video: Video) -> Sequence[int]:
        """Return the index of the depth map of each frame of the video."""
        origin = video.origin
        if origin is not None:
            follows = count > max(origin.frame_indices) if origin.source_frames == 0 else count == origin.source_frames
            if follows:
                return origin.frame_indices
        if count == video.num_frames:
            return range(count)
        source = f", from a source of {origin.source_frames}" if origin is not None and origin.source_frames else ""
        raise InvalidInput(
            f"{self._path} has {count} depth maps but the video has {video.num_frames} frames{source}; "
            "pass one map for each frame of the video or of its source"
        )

    def _window(self, size: tuple[int, int], video: Video) -> Origin:
        """Return the window of the depth maps that corresponds to the video."""
        filmed, shown = video.origin, (video.width, video.height)
        # Maps with exactly the size of the frames belong to them, even if the source has a similar shape.
        if filmed and size != shown and _same_aspect(size, (filmed.source_width, filmed.source_height)):
            return filmed
        if _same_aspect(size, shown):
            return frame_to(shown, None).origin(tuple(range(video.num_frames)), video.num_frames)
        source = f" and its source {filmed.source_width}x{filmed.source_height}" if filmed else ""
        raise InvalidInput(
            f"{self._path} is {size[0]}x{size[1]} but the video is {shown[0]}x{shown[1]}{source}; "
            "depth must have the aspect ratio of the video or of its source"
        )

    def _is_inverse(self, frames: DepthFrames) -> bool:
        kind = self._options.kind
        if frames.is_inverse and kind not in ("auto", "inverse"):
            raise InvalidInput(f"{self._path} contains an array of inverse depth, so its kind cannot be {kind}")
        if frames.kind is not None and not frames.is_inverse and kind == "inverse":
            raise InvalidInput(
                f"{self._path} contains depth of kind {frames.kind.value}, so its kind cannot be inverse; omit the kind"
            )
        return frames.is_inverse or kind == "inverse"

    def _sampled(
        self, frames: DepthFrames, indices: Sequence[int], origin: Origin, video: Video, progress: Progress
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the values of the file, float32 [T, H, W], 0 where invalid, and their validity, bool [T, H, W]."""
        numbers = np.zeros(video.frames.shape[:3], np.float32)
        valid = np.zeros(numbers.shape, bool)
        maps = zip(indices, frames.read(indices), strict=True)
        for index, (source, values) in enumerate(track(maps, progress, total=len(indices))):
            sampled, inside = sample_nearest(values, origin, (video.width, video.height))
            with np.errstate(over="ignore"):  # values beyond float32 count as infinite
                sampled = sampled.astype(np.float32)
            valid[index] = inside & np.isfinite(sampled)
            if frames.valid_at is not None:
                valid[index] &= sample_nearest(frames.valid_at(source), origin, (video.width, video.height))[0]
            numbers[index] = np.where(valid[index], sampled, 0)
        return numbers, valid

    def _from_depth(self, numbers: np.ndarray, valid: np.ndarray, frames: DepthFrames) -> tuple[np.ndarray, DepthKind]:
        kind = self._options.kind
        known = numbers[valid]
        if (known < 0).any():
            raise InvalidInput(
                f"{self._path} has negative values, so it is not depth; set the depth kind to inverse for disparity"
            )
        found = frames.kind if kind == "auto" else DepthKind(kind)
        if found is None and frames.unit != "integer" and 0 < known.max() <= 1:
            raise InvalidInput(
                f"all values of {self._path} lie between 0 and 1, which may be meters or normalized depth; "
                "set the depth kind to metric, relative or inverse"
            )
        default = MILLIMETRE if frames.unit == "integer" else 1.0
        scale = next(unit for unit in (self._options.scale, frames.scale, default) if unit is not None)
        with np.errstate(over="ignore"):
            depth = numbers * np.float32(scale)
        return np.where(np.isfinite(depth), depth, 0), found or DepthKind.METRIC

    def _from_inverse(self, numbers: np.ndarray, frames: DepthFrames) -> np.ndarray:
        farthest, nearest = self._extremes(frames)
        near, far = self._options.near, self._options.far
        relative = (numbers - farthest) / (nearest - farthest)
        return (near / np.maximum(relative, near / far)).astype(np.float32)

    def _extremes(self, frames: DepthFrames) -> tuple[float, float]:
        """Return the smallest and the largest valid value of the whole file."""
        least, greatest = np.inf, -np.inf
        for index, values in enumerate(frames.read(range(frames.count))):
            with np.errstate(over="ignore"):
                known = np.isfinite(values.astype(np.float32))
            if frames.valid_at is not None:
                known &= frames.valid_at(index)
            if known.any():
                least = min(least, float(values[known].min()))
                greatest = max(greatest, float(values[known].max()))
        if not least < greatest:
            raise InvalidInput(f"all values of {self._path} are equal, so it cannot be inverse depth")
        return least, greatest


def _same_aspect(a: tuple[int, int], b: tuple[int, int]) -> bool:
    return abs(a[0] * b[1] / (a[1] * b[0]) - 1) <= SAME_ASPECT


def _intrinsics(frames: DepthFrames, indices: Sequence[int], origin: Origin, video: Video) -> tuple[Intrinsics, ...]:
    """Return the intrinsics of the file, adapted to the video, or the default field of view."""
    if frames.intrinsics is None:
        return (Intrinsics.from_fov(width=video.width, height=video.height),)
    width, height = frames.size
    matrices = frames.intrinsics if len(frames.intrinsics) == 1 else frames.intrinsics[list(indices)]
    filmed = (Intrinsics(fx=k[0, 0], fy=k[1, 1], cx=k[0, 2], cy=k[1, 2], width=width, height=height) for k in matrices)
    return tuple(origin.windowed(camera, width=video.width, height=video.height) for camera in filmed)


def _cameras(frames: DepthFrames, indices: Sequence[int], intrinsics: tuple[Intrinsics, ...]) -> CameraPath | None:
    """Return the source camera poses of the file for the frames of the video; the world is the first of them."""
    if frames.world_to_camera is None:
        return None
    poses = frames.world_to_camera[list(indices)]
    if indices[0] != 0:
        poses = poses @ np.linalg.inv(poses[0])
    return CameraPath(world_to_camera=torch.from_numpy(poses.astype(np.float32)), intrinsics=intrinsics)

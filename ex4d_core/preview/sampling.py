"""Subsample frames and pixels of a scene for quick previews."""

from __future__ import annotations

from collections.abc import Sequence

import attrs
import cv2
import torch
from torch import Tensor

from ex4d_core.types import DepthVideo, Scene, Video
from ex4d_core.video_io.framing import MIN_SIDE


def size_within(size: tuple[int, int], side: int) -> tuple[int, int]:
    """Return width and height with the same aspect ratio, the longer one at most `side`."""
    factor = min(1.0, side / max(size))
    return max(MIN_SIDE, round(size[0] * factor)), max(MIN_SIDE, round(size[1] * factor))


def sampled_scene(scene: Scene, frames: Sequence[int], *, side: int) -> Scene:
    """Return some frames of a scene, the longer side at most `side` pixels."""
    width, height = size_within((scene.video.width, scene.video.height), side)
    small = [
        torch.from_numpy(cv2.resize(scene.video.frames[frame].numpy(), (width, height), interpolation=cv2.INTER_AREA))
        for frame in frames
    ]
    video = Video(frames=torch.stack(small), fps=scene.video.fps)
    return Scene(video=video, depth=sampled_depth(scene.depth, frames, width=width, height=height))


def sampled_depth(depth: DepthVideo, frames: Sequence[int], *, width: int, height: int) -> DepthVideo:
    """Return the depth of some frames at another size, sampled at the nearest pixel."""

    def nearest(values: Tensor) -> Tensor:
        # An average of a near and a far surface would be a point between them.
        rows = ((torch.arange(height) + 0.5) * values.shape[1] / height).long()
        columns = ((torch.arange(width) + 0.5) * values.shape[2] / width).long()
        return torch.stack([values[frame][rows][:, columns] for frame in frames])

    lenses = depth.intrinsics if len(depth.intrinsics) == 1 else [depth.intrinsics[frame] for frame in frames]
    return attrs.evolve(
        depth,
        depth=nearest(depth.depth),
        valid=None if depth.valid is None else nearest(depth.valid),
        filled=None if depth.filled is None else nearest(depth.filled),
        intrinsics=tuple(lens.scaled_to(width=width, height=height) for lens in lenses),
        cameras=None if depth.cameras is None else depth.cameras.taken_at(frames),
    )

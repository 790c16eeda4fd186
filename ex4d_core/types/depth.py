"""Depth of a video, and the scene of a video with its depth."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

import attrs
import numpy as np

from ex4d_core.bounds import shown
from ex4d_core.errors import InvalidInput, nearest
from ex4d_core.field_help import with_fields
from ex4d_core.types._arrays import instance, optional_shaped, shaped
from ex4d_core.types.camera import CameraPath, Intrinsics, intrinsics_tuple
from ex4d_core.types.video import Video

if TYPE_CHECKING:  # torch takes seconds to import
    from torch import Tensor


class DepthKind(Enum):
    """The meaning of depth values: METRIC, in meters; RELATIVE, up to scale; AFFINE_INVERSE, in order only."""

    METRIC = "metric"
    """Meters."""

    RELATIVE = "relative"
    """Known up to one scale for the whole clip."""

    AFFINE_INVERSE = "affine-inverse"
    """Converted from disparity that is known up to scale and shift; only the order of near and far is valid."""


def _kind(value: DepthKind | str) -> DepthKind:
    try:
        return DepthKind(value)
    except ValueError as error:
        kinds = [kind.value for kind in DepthKind]
        guess = nearest(str(value), kinds, then=f"use one of {', '.join(kinds)}")
        raise InvalidInput(f"unknown depth kind {shown(value)}{guess}") from error


@with_fields
@attrs.frozen(eq=False, kw_only=True)
class DepthVideo:
    """Depth for each frame of a video."""

    depth: Tensor = shaped("T H W", "float32")
    """float32 [T, H, W] along +z of the source camera, > 0 where valid, in the unit given by `kind`."""

    kind: DepthKind = attrs.field(converter=_kind)
    """The meaning of the values."""

    intrinsics: tuple[Intrinsics, ...] = attrs.field(converter=intrinsics_tuple)
    """Of the source camera: one for the clip, or one for each frame."""

    valid: Tensor | None = optional_shaped("T H W", "bool")
    """bool [T, H, W], True where depth is known; None: wherever it is finite and positive."""

    filled: Tensor | None = optional_shaped("T H W", "bool")
    """bool [T, H, W], True where depth was unknown and was filled from its surroundings; None: nowhere."""

    cameras: CameraPath | None = instance(CameraPath, optional=True)
    """Poses of the source camera (world = camera of frame 0); None: a static camera."""

    def __attrs_post_init__(self) -> None:
        if len(self.intrinsics) not in (1, self.num_frames):
            raise InvalidInput(
                f"DepthVideo has {self.num_frames} frames and {len(self.intrinsics)} intrinsics; pass 1 or one each"
            )
        if self.valid is not None and self.valid.shape != self.depth.shape:
            raise InvalidInput(f"DepthVideo.valid is {list(self.valid.shape)} but depth is {list(self.depth.shape)}")
        if self.filled is not None and self.filled.shape != self.depth.shape:
            raise InvalidInput(f"DepthVideo.filled is {list(self.filled.shape)} but depth is {list(self.depth.shape)}")
        if self.cameras is not None and self.cameras.num_frames != self.num_frames:
            raise InvalidInput(f"DepthVideo has {self.num_frames} frames but {self.cameras.num_frames} source cameras")

    def numpy(self) -> np.ndarray:
        """Return the depth, float32 [T, H, W]."""
        return self.depth.numpy(force=True)

    @property
    def num_frames(self) -> int:
        """T."""
        return self.depth.shape[0]

    @property
    def has_static_camera(self) -> bool:
        """Whether the source camera neither moves nor zooms."""
        if any(lens != self.intrinsics[0] for lens in self.intrinsics):
            return False
        if self.cameras is None:
            return True
        poses = self.cameras.world_to_camera
        return bool((poses - poses[:1]).abs().max() < 1e-6)

    def source_to_world(self, frame: int) -> Tensor:
        """Return the pose of the source camera at a frame, float32 [4, 4], camera to world."""
        import torch

        if self.cameras is None:
            return torch.eye(4)
        pose: Tensor = torch.linalg.inv(self.cameras.world_to_camera[frame].double()).float()
        return pose

    def intrinsics_at(self, frame: int) -> Intrinsics:
        """Return the intrinsics of the source camera at a frame."""
        return self.intrinsics[frame if len(self.intrinsics) > 1 else 0]

    def valid_at(self, frame: int) -> Tensor:
        """Return where the depth of a frame is known, finite and positive, bool [H, W]."""
        depth = self.depth[frame]
        usable = depth.isfinite() & (depth > 0)
        return usable if self.valid is None else usable & self.valid[frame]


@with_fields
@attrs.frozen(eq=False, kw_only=True)
class Scene:
    """A clip and its depth, equal in length and size."""

    video: Video = instance(Video)
    """The frames."""

    depth: DepthVideo = instance(DepthVideo)
    """Their depth."""

    def __attrs_post_init__(self) -> None:
        frames, depth = tuple(self.video.frames.shape[:3]), tuple(self.depth.depth.shape)
        if frames != depth:
            raise InvalidInput(
                f"the video has {frames[0]} frames of {frames[2]}x{frames[1]} "
                f"but its depth has {depth[0]} of {depth[2]}x{depth[1]}; they must be equal"
            )

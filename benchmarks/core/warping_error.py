"""Temporal warping error of a fill along the true motion of a synthetic scene.

Each frame is compared with the previous one, warped to where its surfaces are now (Lai et al., Learning Blind Video
Temporal Consistency, ECCV 2018, section 4.1). The motion is not estimated: it follows from the true depth of the novel
views and from their cameras. Surfaces that move, and those that the previous true view does not show, do not count.
"""

from __future__ import annotations

from fractions import Fraction

import attrs
import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ex4d_core.geometry.projective import transform_points, unproject_depth
from ex4d_core.testing.scenes import SyntheticScene
from ex4d_core.types import CameraPath

SAME = 0.01
"""Relative difference of depths up to which two frames show the same point of a surface."""

COARSE = 4
"""Side in pixels of the boxes of the coarse error."""


@attrs.frozen(eq=False, kw_only=True)
class Motion:
    """Where each pixel of the frames of a path, from the second on, was in the frame before it."""

    places: NDArray[np.float32]
    """float32 [T - 1, H, W, 2]: column and row in the previous frame, as indices of pixels."""
    shared: NDArray[np.bool_]
    """bool [T - 1, H, W], where both frames show the same point of a static surface."""

    @classmethod
    def of(cls, scene: SyntheticScene, path: CameraPath, *, fps: Fraction) -> Motion:
        """Return the true motion along a camera path; frame n is at n / fps seconds."""
        static = _static_part(scene, seconds=path.num_frames / float(fps))
        times = [float(frame / fps) for frame in range(path.num_frames)]
        depths = [scene.view(time, *_camera(path, frame)).depth for frame, time in enumerate(times)]
        pairs = []
        for frame in range(1, path.num_frames):
            depth, (pose, lens) = depths[frame], _camera(path, frame)
            before, lens_before = _camera(path, frame - 1)
            relative = before.double() @ torch.linalg.inv(pose.double())
            points = transform_points(relative, unproject_depth(depth, lens).reshape(-1, 3)).numpy()
            x, y, z = np.moveaxis(points.reshape(*depth.shape, 3), -1, 0)
            columns = lens_before.fx * x / z + lens_before.cx - 0.5
            rows = lens_before.fy * y / z + lens_before.cy - 0.5
            # Inverse depth is linear on planes; outside of the previous frame it is 0.
            found = cv2.remap(1 / depths[frame - 1].numpy(), columns, rows, cv2.INTER_LINEAR, borderValue=0)
            still = (static.view(0.0, pose, lens).depth == depth).numpy()
            pairs.append((np.stack([columns, rows], axis=-1), still & (np.abs(found * z - 1) < SAME)))
        places, shared = zip(*pairs, strict=True)
        return cls(places=np.stack(places), shared=np.stack(shared))

    def differences(self, frames: Tensor, hidden: Tensor) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Return each frame minus the warped previous one, [T - 1, H, W, 3], and where that counts, [T - 1, H, W].

        Args:
            frames: uint8 [T, H, W, 3].
            hidden: bool [T, H, W], pixels that count, of both frames.
        """
        pictures, visible = frames.numpy().astype(np.float32), (~hidden).numpy().astype(np.float32)
        changes, counts = np.zeros((*self.shared.shape, 3), np.float32), self.shared & hidden[1:].numpy()
        for frame, places in enumerate(self.places):
            changes[frame] = pictures[frame + 1] - cv2.remap(pictures[frame], places, None, cv2.INTER_LINEAR)
            counts[frame] &= cv2.remap(visible[frame], places, None, cv2.INTER_LINEAR, borderValue=1) == 0
        return changes, counts


def warping_error(motion: Motion, frames: Tensor, hidden: Tensor) -> tuple[float, float]:
    """Return the mean absolute warping error in levels, and that of its means in boxes, which leave out texture.

    Args:
        motion: along the path of the frames.
        frames: uint8 [T, H, W, 3].
        hidden: bool [T, H, W], pixels that count.
    """
    changes, counts = motion.differences(frames, hidden)
    fine = np.abs(changes[counts]).mean()
    height, width = (size - size % COARSE for size in counts.shape[1:])
    boxes = (len(counts), height // COARSE, COARSE, width // COARSE, COARSE)
    total = np.where(counts[..., None], changes, 0)[:, :height, :width].reshape(*boxes, 3).sum(axis=(2, 4))
    coarse = np.abs(total).sum() / 3 / counts[:, :height, :width].sum()
    return float(fine), float(coarse)


def _camera(path: CameraPath, frame: int):
    return path.world_to_camera[frame], path.intrinsics_at(frame)


def _static_part(scene: SyntheticScene, *, seconds: float) -> SyntheticScene:
    """Return the solids that stay where they are, without those that move."""
    later = scene.objects(seconds)
    still = [solid for solid in scene.objects(0.0) if any(solid is other for other in later)]
    return SyntheticScene(objects=lambda _: still)

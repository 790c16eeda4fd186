"""Motion of the source camera: how large it is, whether its poses predict the frames, and whether it seems to move."""

from __future__ import annotations

import attrs
import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from ex4d_core.types import CameraPath, DepthVideo, Intrinsics, Scene, Video

SIDE = 128
"""Longest side of the frames that are compared."""

ANCHORS = 8
"""Frames that are predicted, each from a frame close to it and from one further away."""

BETTER = 0.9
"""Poses are trusted if they lower the change of color between frames to this fraction of that without them."""

_LEAST_SHARE = 0.1
"""Least visible fraction of a frame; poses that predict less of a consecutive one are not trusted."""

_HIDDEN = 1.1
"""A point is hidden if it is this many times as far as the surface that the other frame shows there."""

_FLOW_SIDE = 256
"""Longest side of the frames between which optical flow is computed."""

_LEAST_SIDE = 16
"""Least side of a reduced frame, for the patches of the search."""

_EDGE = 8.0
"""Least slope of brightness at an edge, in levels per pixel of the reduced frame."""

_LEAST_EDGES = 0.002
"""Fraction of pixels at edges below which a frame does not show whether the camera moves."""

_STANDING = 0.5
"""Optical flow in reduced pixels below which an edge has not moved."""

_LEAST_STANDING = 0.1
"""Fraction of standing edges below which the camera seems to move."""


@attrs.frozen(kw_only=True)
class SourceMotion:
    """Motion of the source camera over a clip, and the evidence for it."""

    travel: float
    """Largest distance from the first frame, divided by the median depth of the clip."""
    turn: float
    """Largest rotation from the first frame in degrees."""
    still_change: float
    """Mean change of color between frames at the same pixel, in levels of 255."""
    change: float
    """The same between pixels that show the same point according to depth, lens and poses; infinite if consecutive
    frames have none."""

    @property
    def is_trusted(self) -> bool:
        """Whether the poses predict the frames clearly better than a static camera."""
        return self.change < BETTER * self.still_change

    def __str__(self) -> str:
        motion = f"it moves {self.travel:.2g} times the median depth and turns {self.turn:.1f} degrees"
        if self.change == float("inf"):
            return f"{motion}; consecutive frames would show different places"
        return (
            f"{motion}; colors change by {self.change:.1f} of 255 levels between frames, by {self.still_change:.1f} "
            "with a static camera"
        )


def measure_source_motion(scene: Scene) -> SourceMotion:
    """Return the motion of the source camera of a scene, which has poses and at least two frames.

    Frames are predicted from others: each pixel is moved with its depth, the lens and the poses (inverse warping), and
    compared where the other frame shows the same surface. Changes of exposure do not count. Frames that show other
    places because the camera turned far are replaced by closer ones.
    """
    depth, cameras = scene.depth, scene.depth.cameras
    assert cameras is not None
    frames = depth.num_frames
    changes, still = [], []
    for anchor in np.unique(np.linspace(0, frames - 1, ANCHORS).round().astype(int)).tolist():
        for gap in {max(1, frames // 16), max(1, frames // 4)}:
            change, without = _changes_over(scene, cameras, anchor, gap)
            changes.append(change)
            still.append(without)
    pose = cameras.world_to_camera.double()
    centers = -(pose[:, :3, :3].mT @ pose[:, :3, 3:])[..., 0]
    turn = (pose[:, :3, :3] @ pose[0, :3, :3].mT).diagonal(dim1=1, dim2=2).sum(dim=1)
    return SourceMotion(
        travel=float((centers - centers[0]).norm(dim=1).max()) / _median_depth(depth),
        turn=float(torch.rad2deg(((turn - 1) / 2).clamp(-1, 1).acos()).max()),
        still_change=float(np.mean(still)),
        change=float(np.mean(changes)),
    )


def seems_to_move(video: Video) -> bool:
    """Return whether the source camera of a clip seems to move, judged without depth.

    If it stands still, some edges are at the same place a quarter of the clip later. Frames without edges do not count;
    without any others, the camera seems to stand still.
    """
    gap = max(1, video.num_frames // 4)
    search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    shares = []
    for frame in np.unique(np.linspace(0, max(0, video.num_frames - 1 - gap), ANCHORS).round().astype(int)).tolist():
        here, there = (_gray(video, number) for number in (frame, min(frame + gap, video.num_frames - 1)))
        slope = [cv2.Sobel(here, cv2.CV_32F, *axis) / 8 for axis in ((1, 0), (0, 1))]
        edges = np.hypot(*slope) > _EDGE
        if min(here.shape) >= _LEAST_SIDE and edges.mean() > _LEAST_EDGES:
            flow = search.calc(here, there, None)  # type: ignore[call-overload]  # its stub requires an array
            shares.append(float((np.linalg.norm(flow, axis=-1) < _STANDING)[edges].mean()))
    return bool(shares) and float(np.median(shares)) < _LEAST_STANDING


def _gray(video: Video, frame: int) -> NDArray[np.uint8]:
    """Return the brightness of a frame at the size of the search, uint8 [h, w]."""
    gray = cv2.cvtColor(video.frames[frame].numpy(force=True), cv2.COLOR_RGB2GRAY)
    shrink = min(1.0, _FLOW_SIDE / max(gray.shape))
    height, width = (max(1, round(side * shrink)) for side in gray.shape)
    return cv2.resize(gray, (width, height), interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)


def _changes_over(scene: Scene, cameras: CameraPath, anchor: int, gap: int) -> tuple[float, float]:
    """Return the changes to a frame `gap` frames away, or less far away if the poses show too little of it."""
    other = anchor + gap if anchor + gap < scene.depth.num_frames else anchor - gap
    change, still = _changes(scene, cameras, anchor, other)
    return _changes_over(scene, cameras, anchor, gap // 2) if change == float("inf") and gap > 1 else (change, still)


def _changes(scene: Scene, cameras: CameraPath, anchor: int, other: int) -> tuple[float, float]:
    """Return the mean change of color from a frame to another with the poses, and at the same pixels without them."""
    depth = scene.depth
    here, there = (_small(scene, frame) for frame in (anchor, other))
    pose = cameras.world_to_camera.double()
    relative = (pose[other] @ torch.linalg.inv(pose[anchor])).float()
    place, distance = places_in(here.depth, relative, depth.intrinsics_at(anchor), depth.intrinsics_at(other))
    surface, color = (
        functional.grid_sample(maps[None], place[None], mode=mode, align_corners=False)[0]
        for maps, mode in ((there.depth[None], "nearest"), (there.color, "bilinear"))
    )
    inside = (place.abs() < 1).all(dim=-1) & (distance > 0)
    seen = inside & here.known & (surface[0] > 0) & (distance < _HIDDEN * surface[0])
    if seen.float().mean() < _LEAST_SHARE:
        return float("inf"), _change(here.color, there.color, here.known)
    return _change(here.color, color, seen), _change(here.color, there.color, seen)


def _change(first: Tensor, second: Tensor, seen: Tensor) -> float:
    """Return the mean change of colors [3, h, w] in a region, without a change of exposure."""
    change = (second - first)[:, seen] if seen.any() else torch.zeros(3, 1)
    return float((change - change.median(dim=1, keepdim=True).values).abs().mean())


def places_in(depth: Tensor, relative: Tensor, lens: Intrinsics, other: Intrinsics) -> tuple[Tensor, Tensor]:
    """Return where the points of a depth map are in another frame, and their depth there.

    Args:
        depth: [h, w], of the whole frame at any size.
        relative: [4, 4], from the camera of the map to that of the other frame.
        lens: of the map's frame.
        other: of the other frame.

    Returns:
        Places float32 [h, w, 2], x and y from -1 to 1 across the frame as for `grid_sample`, and depth [h, w].
    """
    height, width = depth.shape
    across = (torch.arange(width) + 0.5) * lens.width / width
    down = (torch.arange(height) + 0.5) * lens.height / height
    rays = torch.ones(height, width, 3)
    rays[..., 0] = (across - lens.cx) / lens.fx
    rays[..., 1] = ((down - lens.cy) / lens.fy)[:, None]
    points = (depth[..., None] * rays) @ relative[:3, :3].T + relative[:3, 3]
    distance = points[..., 2]
    ahead = distance.clamp(min=1e-6)
    x = (points[..., 0] / ahead * other.fx + other.cx) / other.width
    y = (points[..., 1] / ahead * other.fy + other.cy) / other.height
    return 2 * torch.stack([x, y], dim=-1) - 1, distance


@attrs.frozen(eq=False)
class _Small:
    """A frame at the size of the comparison."""

    color: Tensor
    """float32 [3, h, w], levels."""
    depth: Tensor
    """float32 [h, w], 0 where unknown."""
    known: Tensor
    """bool [h, w]."""


def _small(scene: Scene, frame: int) -> _Small:
    color = scene.video.frames[frame].movedim(-1, 0).float()
    shrink = min(1.0, SIDE / max(color.shape[1:]))
    height, width = (max(1, round(side * shrink)) for side in color.shape[1:])
    rows = ((torch.arange(height) + 0.5) * color.shape[1] / height).long()
    columns = ((torch.arange(width) + 0.5) * color.shape[2] / width).long()
    # Colors are averaged; an average of a near and a far depth would be a point between them.
    known = scene.depth.valid_at(frame)[rows[:, None], columns]
    depth = torch.where(known, scene.depth.depth[frame][rows[:, None], columns], torch.zeros(()))
    return _Small(functional.adaptive_avg_pool2d(color, (height, width)), depth, known)


def _median_depth(depth: DepthVideo) -> float:
    middle = depth.num_frames // 2
    known = depth.depth[middle][depth.valid_at(middle)]
    return float(known.median()) if len(known) else 1.0

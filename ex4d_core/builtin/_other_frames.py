"""Collect what other frames of the clip show of the regions that are hidden in one frame.

A mesh of another time s, rendered from the camera of time t, offers a point X for a hidden pixel. Every source
camera u that has X in its picture then gives an opinion: its depth there ends beyond X, so it looked THROUGH X and
nothing stood there at time u; or it ends at X, so X was there; or it ends before X, and it cannot tell. A point that
time t itself looked through is refused, and so is one that moved: more looked through it than saw it.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import attrs
import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ex4d_core.builtin.render_options import RasterOptions
from ex4d_core.builtin.render_zbuffer import ZBufferRenderer
from ex4d_core.geometry.watertight import build_watertight
from ex4d_core.types import CameraPath, Intrinsics, Mesh, RenderedFrame, Scene

Floats = NDArray[np.float32]
Floats64 = NDArray[np.float64]

NEARNESS_FRAMES = 3.0
"""A frame that is this far away in time counts half."""

MOST_THROUGH = 0.34
"""Share of the opinions that may have looked through a point that stays; errors of depth cause some."""

_OUTLINE_JUMP = 1.15
"""Ratio of depths beside each other at which a thing ends."""

_BEHIND = 1.5
"""How far behind a thing, as a ratio of depths, what it hides is taken to be where nothing else is known."""


@attrs.frozen(eq=False, kw_only=True)
class Found:
    """Points of other frames for pixels of one frame."""

    pixels: NDArray[np.int64]
    """int64 [N], flat indices of the pixels."""
    color: Floats
    """float32 [N, 3], 0..255."""
    depth: Floats
    """float32 [N], along +z of the target camera."""


@attrs.frozen(eq=False, kw_only=True)
class _Source:
    """A frame of the clip, ready to be looked at and asked."""

    mesh: Mesh
    nearest: Floats
    """float32 [H, W], the smallest depth of 3x3 pixels; 0 where unknown."""
    outline: NDArray[np.bool_]
    """bool [H, W], True beside something much farther away."""
    intrinsics: Intrinsics
    world_to_source: NDArray[np.float64]


class OtherFrames:
    """Renders a clip's frames from cameras of other times and judges what they offer."""

    def __init__(self, scene: Scene, *, count: int, tolerance: float) -> None:
        """Prepare for one clip.

        Args:
            scene: the clip.
            count: how many other frames to ask for each frame.
            tolerance: how far two depths of one point may be apart, as a share of the depth.
        """
        self._scene = scene
        self._count = count
        self._tolerance = tolerance
        self._renderer = ZBufferRenderer(RasterOptions(), device=torch.device("cpu"))
        self._sources: OrderedDict[int, _Source] = OrderedDict()

    def view(self, frame: int, world_to_camera: Tensor, intrinsics: Intrinsics) -> RenderedFrame:
        """Return a frame of the clip as seen from a camera."""
        source = self._source(frame)
        pose = world_to_camera.double().numpy() @ np.linalg.inv(source.world_to_source)
        return self._renderer.render(source.mesh, torch.from_numpy(pose).float(), intrinsics)

    def find(self, frame: int, hidden: NDArray[np.bool_], path: CameraPath) -> Found:
        """Return what other frames know of the hidden pixels of one frame along a path.

        Args:
            frame: index of it.
            hidden: bool [H, W].
            path: the cameras of the target, one for each frame of the clip.
        """
        pose, intrinsics = path.world_to_camera[frame], path.intrinsics_at(frame)
        others = asked_frames(frame, self._scene.video.num_frames, self._count)
        views = [_offers(self.view(other, pose, intrinsics), hidden) for other in others]
        anywhere = (
            np.flatnonzero(hidden & np.any([seen for seen, _, _ in views], axis=0)) if views else np.zeros(0, int)
        )
        if not len(anywhere):
            return Found(pixels=anywhere, color=np.zeros((0, 3), np.float32), depth=np.zeros(0, np.float32))
        depth = np.stack([np.where(seen, z, np.inf).ravel()[anywhere] for seen, z, _ in views])
        color = np.stack([rgb.reshape(-1, 3)[anywhere] for _, _, rgb in views])
        for row in depth:
            self._refuse(row, anywhere, frame, others, pose, intrinsics)
        weight = np.array([1 / (1 + abs(other - frame) / NEARNESS_FRAMES) for other in others], np.float32)
        return _agreed(anywhere, depth, color, weight, self._tolerance)

    def limit(
        self, frame: int, depth: Floats, hidden: NDArray[np.bool_], world_to_camera: Tensor, intrinsics: Intrinsics
    ) -> Floats:
        """Return how far away what a frame hides must be at least, float32 [H, W], 0 where nothing is known of that.

        A hidden pixel shows an occluded face, up to which the source camera saw that nothing is there. Faces that
        go on from the edge of the source picture, or from pixels of unknown depth, say nothing: before them is what
        that camera did not see.

        Args:
            frame: index of the frame.
            depth: float32 [H, W] of its mesh from the target camera.
            hidden: bool [H, W].
            world_to_camera: float32 [4, 4], of the target camera.
            intrinsics: of the target camera.
        """
        pixels = np.flatnonzero(np.isfinite(depth) & (hidden | _largest_around(hidden, 5)))
        source = self._source(frame)
        z, column, row = _project(source, _to_world(pixels, depth.flat[pixels], world_to_camera, intrinsics))
        height, width = source.nearest.shape
        inside = (z > 0) & (column > 2) & (column < width - 2) & (row > 2) & (row < height - 2)
        inside[inside] = source.nearest[row[inside].astype(int), column[inside].astype(int)] > 0
        result = np.zeros_like(depth)
        result.flat[pixels[inside]] = depth.flat[pixels[inside]]
        result[~hidden] = 0
        # Beside the outline of a thing, what it hides is behind it wherever the mesh goes on there.
        outline = np.zeros_like(hidden)
        at = row[inside].astype(int), column[inside].astype(int)
        outline.flat[pixels[inside]] = source.outline[at]
        beside = hidden & (result == 0) & _largest_around(outline & ~hidden, 5)
        result[beside] = _BEHIND * np.where(beside, _largest_around(np.where(hidden, 0, depth), 5), 0)[beside]
        return result

    def _refuse(
        self,
        depth: Floats,
        pixels: NDArray[np.int64],
        frame: int,
        others: list[int],
        pose: Tensor,
        intrinsics: Intrinsics,
    ) -> None:
        """Set the depth of offered points [N] that do not stay where they are to inf."""
        offered = np.flatnonzero(np.isfinite(depth))
        world = _to_world(pixels[offered], depth[offered], pose, intrinsics)
        through_now = self._opinions(frame, world)[0]
        through = np.zeros(len(offered), np.float32)
        there = np.zeros(len(offered), np.float32)
        for other in others:
            looked_through, saw = self._opinions(other, world)
            through += looked_through
            there += saw
        moved = through > MOST_THROUGH * (through + there)
        depth[offered[through_now | moved]] = np.inf

    def _opinions(self, frame: int, world: NDArray[np.float64]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Return for points [N, 3] of the world whether a source camera looked through each, and whether it saw it."""
        source = self._source(frame)
        z, column, row = _project(source, world)
        height, width = source.nearest.shape
        inside = (z > 0) & (column >= 0) & (column < width) & (row >= 0) & (row < height)
        ends = np.zeros(len(world), np.float32)
        ends[inside] = source.nearest[row[inside].astype(int), column[inside].astype(int)]
        return ends > z * (1 + self._tolerance), (ends > 0) & (np.abs(ends - z) <= z * self._tolerance)

    def _source(self, frame: int) -> _Source:
        """Return a frame's mesh; the latest few are kept, so memory does not grow with the clip."""
        if frame not in self._sources:
            self._sources[frame] = self._prepare(frame)
            while len(self._sources) > 2 * self._count + 2:
                self._sources.popitem(last=False)
        self._sources.move_to_end(frame)
        return self._sources[frame]

    def _prepare(self, frame: int) -> _Source:
        scene = self._scene
        intrinsics, valid = scene.depth.intrinsics_at(frame), scene.depth.valid_at(frame)
        mesh = build_watertight(scene.video.frames[frame], scene.depth.depth[frame], intrinsics, valid=valid)
        known = torch.where(valid, scene.depth.depth[frame], 0).numpy()
        cameras = scene.depth.cameras
        pose = torch.eye(4) if cameras is None else cameras.world_to_camera[frame]
        return _Source(
            mesh=mesh,
            nearest=_smallest_around(known, 3),
            outline=_largest_around(known, 7) > _OUTLINE_JUMP * np.maximum(known, 1e-6),
            intrinsics=intrinsics,
            world_to_source=pose.double().numpy(),
        )


def asked_frames(frame: int, num_frames: int, count: int) -> list[int]:
    """Return up to `count` other frames to ask: a few near ones and ever fewer far ones, before and after.

    Those far away lie on a coarse grid, so that neighboring frames ask the same ones and agree.
    """
    sides = max(1, count // 2)
    reach = max(num_frames - 1, 1)
    asked: dict[int, None] = {}
    for k in range(sides):
        offset = max(k + 1, round(2 * (reach / 2) ** (k / max(sides - 1, 1))))
        grid = max(1, offset // 3)
        for signed in (-offset, offset):
            asked[min(max(round((frame + signed) / grid) * grid, 0), reach)] = None
    return [other for other in asked if other != frame and other < num_frames][:count]


def _project(source: _Source, world: NDArray[np.float64]) -> tuple[Floats64, Floats64, Floats64]:
    """Return depth, column and row of points [N, 3] of the world in a source picture, float64 [N] each."""
    points = world @ source.world_to_source[:3, :3].T + source.world_to_source[:3, 3]
    z = points[:, 2]
    scale = 1 / np.maximum(z, 1e-6)
    lens = source.intrinsics
    return z, points[:, 0] * scale * lens.fx + lens.cx, points[:, 1] * scale * lens.fy + lens.cy


def _largest_around(values: NDArray[Any], size: int) -> NDArray[Any]:
    """Return the largest of the size x size values around each."""
    plain = values.astype(np.uint8) if values.dtype == bool else values
    return np.asarray(cv2.dilate(plain, np.ones((size, size), np.uint8)), values.dtype)


def _smallest_around(values: Floats, size: int) -> Floats:
    """Return the smallest of the size x size values around each."""
    return np.asarray(cv2.erode(values, np.ones((size, size), np.uint8)), np.float32)


def _offers(view: RenderedFrame, hidden: NDArray[np.bool_]) -> tuple[NDArray[np.bool_], Floats, Floats]:
    """Return where a view offers something, its depth and colors; outlines mix two things and are left out."""
    seen = _smallest_around(view.mask.numpy().astype(np.float32), 3) > 0
    return seen & hidden, view.depth.numpy(), view.color.numpy().astype(np.float32)


def _to_world(
    pixels: NDArray[np.int64], depth: Floats, world_to_camera: Tensor, intrinsics: Intrinsics
) -> NDArray[np.float64]:
    row, column = np.divmod(pixels, intrinsics.width)
    x = (column + 0.5 - intrinsics.cx) / intrinsics.fx
    y = (row + 0.5 - intrinsics.cy) / intrinsics.fy
    camera = np.stack([x, y, np.ones_like(x)], axis=1) * depth[:, None]
    pose = world_to_camera.double().numpy()
    return np.asarray((camera - pose[:3, 3]) @ pose[:3, :3])


def _agreed(pixels: NDArray[np.int64], depth: Floats, color: Floats, weight: Floats, tolerance: float) -> Found:
    """Take the weighted median of the depths offered for each pixel, and the mean color of those that agree with it.

    Args:
        pixels: int64 [N].
        depth: float32 [K, N], inf where frame k offers nothing.
        color: float32 [K, N, 3].
        weight: float32 [K], of the frames.
        tolerance: how far depths that agree may be apart, as a share of the median.
    """
    offered = np.isfinite(depth)
    weights = np.where(offered, weight[:, None], 0)
    order = np.argsort(depth, axis=0, kind="stable")
    sums = np.cumsum(np.take_along_axis(weights, order, axis=0), axis=0)
    middle = (sums < sums[-1] / 2).sum(axis=0)
    median = np.take_along_axis(np.take_along_axis(depth, order, axis=0), np.minimum(middle, len(depth) - 1)[None], 0)[
        0
    ]
    some = offered.any(axis=0)
    median = np.where(some, median, 1).astype(np.float32)
    near = np.where(offered & (np.abs(np.where(offered, depth, 0) - median) <= tolerance * median), weights, 0)
    mean = np.einsum("kn,knc->nc", near, color) / np.maximum(near.sum(axis=0), 1e-6)[:, None]
    return Found(pixels=pixels[some], color=mean[some].astype(np.float32), depth=median[some])

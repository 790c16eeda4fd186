"""Fill hidden regions of a frame from other frames of the clip.

The mesh of another frame s, rendered from the target camera of frame t, yields a candidate point X for a hidden pixel.
Each source camera u that has X in its image votes: if its depth there is beyond X, X was empty space at time u;
if its depth is that of X, X was a surface; if its depth is less, X was occluded and there is no vote. A candidate is
rejected if it was empty space at time t, or if too many votes are for empty space, since it has moved then.
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
"""Distance in frames at which the weight of a frame is one half."""

MAX_EMPTY_VOTES = 0.34
"""Fraction of votes for empty space up to which a point is accepted; errors of depth cause some."""

_OUTLINE_JUMP = 1.15
"""Ratio of neighboring depths at an occlusion boundary."""

_HIDDEN_DEPTH_RATIO = 1.5
"""Assumed ratio of the depths of a hidden surface and its occluder, where nothing else is known."""


@attrs.frozen(eq=False, kw_only=True)
class Found:
    """Points of other frames at hidden pixels of one frame."""

    pixels: NDArray[np.int64]
    """int64 [N], flat indices of the pixels."""
    color: Floats
    """float32 [N, 3], 0..255."""
    depth: Floats
    """float32 [N], along +z of the target camera."""


@attrs.frozen(eq=False, kw_only=True)
class _SourceFrame:
    """Mesh and depth of a frame of the clip."""

    mesh: Mesh
    nearest: Floats
    """float32 [H, W], smallest depth of the 3 x 3 neighborhood; 0 where unknown."""
    outline: NDArray[np.bool_]
    """bool [H, W], True on the near side of occlusion boundaries."""
    intrinsics: Intrinsics
    world_to_source: NDArray[np.float64]


class OtherFrames:
    """Renders frames of a clip from target cameras of other frames, and checks the consistency of the points."""

    def __init__(self, scene: Scene, *, count: int, tolerance: float) -> None:
        """Set up for one clip.

        Args:
            scene: the clip.
            count: number of other frames to search for each frame.
            tolerance: relative depth difference up to which two points are the same.
        """
        self._scene = scene
        self._count = count
        self._tolerance = tolerance
        self._renderer = ZBufferRenderer(RasterOptions(), device=torch.device("cpu"))
        self._sources: OrderedDict[int, _SourceFrame] = OrderedDict()

    def view(self, frame: int, world_to_camera: Tensor, intrinsics: Intrinsics) -> RenderedFrame:
        """Return a frame of the clip as seen from a camera."""
        source = self._source(frame)
        pose = world_to_camera.double().numpy() @ np.linalg.inv(source.world_to_source)
        return self._renderer.render(source.mesh, torch.from_numpy(pose).float(), intrinsics)

    def find(self, frame: int, hidden: NDArray[np.bool_], path: CameraPath) -> Found:
        """Find points of other frames at the hidden pixels of one frame along a path.

        Args:
            frame: its index.
            hidden: bool [H, W].
            path: the target cameras, one for each frame of the clip.
        """
        pose, intrinsics = path.world_to_camera[frame], path.intrinsics_at(frame)
        others = candidate_frames(frame, self._scene.video.num_frames, self._count)
        views = [_candidates(self.view(other, pose, intrinsics), hidden) for other in others]
        pixels = np.flatnonzero(hidden & np.any([seen for seen, _, _ in views], axis=0)) if views else np.zeros(0, int)
        if not len(pixels):
            return Found(pixels=pixels, color=np.zeros((0, 3), np.float32), depth=np.zeros(0, np.float32))
        depth = np.stack([np.where(seen, z, np.inf).ravel()[pixels] for seen, z, _ in views])
        color = np.stack([rgb.reshape(-1, 3)[pixels] for _, _, rgb in views])
        for row in depth:
            self._reject(row, pixels, frame, others, pose, intrinsics)
        weight = np.array([1 / (1 + abs(other - frame) / NEARNESS_FRAMES) for other in others], np.float32)
        return _agreed(pixels, depth, color, weight, self._tolerance)

    def limit(
        self, frame: int, depth: Floats, hidden: NDArray[np.bool_], world_to_camera: Tensor, intrinsics: Intrinsics
    ) -> Floats:
        """Return the smallest possible depth of hidden surfaces, float32 [H, W], 0 where unrestricted.

        A hidden pixel shows an occluded face; the space between the source camera and that face is empty. Faces at
        the edge of the source image, or beside pixels of unknown depth, impose no restriction: the source camera
        did not see the space before them.

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
        # Beside an occlusion boundary, the hidden surface is behind the occluder.
        outline = np.zeros_like(hidden)
        at = row[inside].astype(int), column[inside].astype(int)
        outline.flat[pixels[inside]] = source.outline[at]
        beside = hidden & (result == 0) & _largest_around(outline & ~hidden, 5)
        result[beside] = (
            _HIDDEN_DEPTH_RATIO * np.where(beside, _largest_around(np.where(hidden, 0, depth), 5), 0)[beside]
        )
        return result

    def _reject(
        self,
        depth: Floats,
        pixels: NDArray[np.int64],
        frame: int,
        others: list[int],
        pose: Tensor,
        intrinsics: Intrinsics,
    ) -> None:
        """Set the depth of candidate points [N] that are inconsistent with source frames to inf."""
        found = np.flatnonzero(np.isfinite(depth))
        world = _to_world(pixels[found], depth[found], pose, intrinsics)
        empty_now = self._votes(frame, world)[0]
        empty = np.zeros(len(found), np.float32)
        surface = np.zeros(len(found), np.float32)
        for other in others:
            is_empty, is_surface = self._votes(other, world)
            empty += is_empty
            surface += is_surface
        moved = empty > MAX_EMPTY_VOTES * (empty + surface)
        depth[found[empty_now | moved]] = np.inf

    def _votes(self, frame: int, world: NDArray[np.float64]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Return for world points [N, 3] whether a source frame shows empty space, or a surface, at each."""
        source = self._source(frame)
        z, column, row = _project(source, world)
        height, width = source.nearest.shape
        inside = (z > 0) & (column >= 0) & (column < width) & (row >= 0) & (row < height)
        seen = np.zeros(len(world), np.float32)
        seen[inside] = source.nearest[row[inside].astype(int), column[inside].astype(int)]
        return seen > z * (1 + self._tolerance), (seen > 0) & (np.abs(seen - z) <= z * self._tolerance)

    def _source(self, frame: int) -> _SourceFrame:
        """Return a source frame; only the most recently used are cached, so that memory does not grow with the clip."""
        if frame not in self._sources:
            self._sources[frame] = self._prepare(frame)
            while len(self._sources) > 2 * self._count + 2:
                self._sources.popitem(last=False)
        self._sources.move_to_end(frame)
        return self._sources[frame]

    def _prepare(self, frame: int) -> _SourceFrame:
        scene = self._scene
        intrinsics, valid = scene.depth.intrinsics_at(frame), scene.depth.valid_at(frame)
        mesh = build_watertight(scene.video.frames[frame], scene.depth.depth[frame], intrinsics, valid=valid)
        known = torch.where(valid, scene.depth.depth[frame], 0).numpy()
        cameras = scene.depth.cameras
        pose = torch.eye(4) if cameras is None else cameras.world_to_camera[frame]
        return _SourceFrame(
            mesh=mesh,
            nearest=_smallest_around(known, 3),
            outline=_largest_around(known, 7) > _OUTLINE_JUMP * np.maximum(known, 1e-6),
            intrinsics=intrinsics,
            world_to_source=pose.double().numpy(),
        )


def candidate_frames(frame: int, num_frames: int, count: int) -> list[int]:
    """Return up to `count` other frames, before and after, with spacing that increases with distance.

    Distant ones lie on a coarse grid, so that neighboring frames use the same ones.
    """
    sides = max(1, count // 2)
    reach = max(num_frames - 1, 1)
    candidates: dict[int, None] = {}
    for k in range(sides):
        offset = max(k + 1, round(2 * (reach / 2) ** (k / max(sides - 1, 1))))
        grid = max(1, offset // 3)
        for signed in (-offset, offset):
            candidates[min(max(round((frame + signed) / grid) * grid, 0), reach)] = None
    return [other for other in candidates if other != frame and other < num_frames][:count]


def _project(source: _SourceFrame, world: NDArray[np.float64]) -> tuple[Floats64, Floats64, Floats64]:
    """Return depth, column and row of world points [N, 3] in a source image, float64 [N] each."""
    points = world @ source.world_to_source[:3, :3].T + source.world_to_source[:3, 3]
    z = points[:, 2]
    scale = 1 / np.maximum(z, 1e-6)
    lens = source.intrinsics
    return z, points[:, 0] * scale * lens.fx + lens.cx, points[:, 1] * scale * lens.fy + lens.cy


def _largest_around(values: NDArray[Any], size: int) -> NDArray[Any]:
    """Return the maximum of the size x size neighborhood of each value."""
    plain = values.astype(np.uint8) if values.dtype == bool else values
    return np.asarray(cv2.dilate(plain, np.ones((size, size), np.uint8)), values.dtype)


def _smallest_around(values: Floats, size: int) -> Floats:
    """Return the minimum of the size x size neighborhood of each value."""
    return np.asarray(cv2.erode(values, np.ones((size, size), np.uint8)), np.float32)


def _candidates(view: RenderedFrame, hidden: NDArray[np.bool_]) -> tuple[NDArray[np.bool_], Floats, Floats]:
    """Return where a view has candidates, its depth and colors. Outlines are excluded, since they mix two surfaces."""
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
    """Return the weighted median of the candidate depths of each pixel, and the mean color of those that agree with it.

    Args:
        pixels: int64 [N].
        depth: float32 [K, N], inf where frame k has no candidate.
        color: float32 [K, N, 3].
        weight: float32 [K], weights of the frames.
        tolerance: relative difference from the median up to which depths agree.
    """
    found = np.isfinite(depth)
    weights = np.where(found, weight[:, None], 0)
    order = np.argsort(depth, axis=0, kind="stable")
    sums = np.cumsum(np.take_along_axis(weights, order, axis=0), axis=0)
    middle = (sums < sums[-1] / 2).sum(axis=0)
    median = np.take_along_axis(np.take_along_axis(depth, order, axis=0), np.minimum(middle, len(depth) - 1)[None], 0)[
        0
    ]
    some = found.any(axis=0)
    median = np.where(some, median, 1).astype(np.float32)
    near = np.where(found & (np.abs(np.where(found, depth, 0) - median) <= tolerance * median), weights, 0)
    mean = np.einsum("kn,knc->nc", near, color) / np.maximum(near.sum(axis=0), 1e-6)[:, None]
    return Found(pixels=pixels[some], color=mean[some].astype(np.float32), depth=median[some])

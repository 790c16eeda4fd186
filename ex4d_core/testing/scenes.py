"""Dynamic scenes with analytic images and depth: independent ground truth for any camera and time.

scene = room_scene()
clip = scene.clip(num_frames=49, width=512, height=512)          # a Scene with exact depth
truth = scene.novel_views(path, fps=clip.video.fps)              # the true video along another path
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from functools import partial

import attrs
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ex4d_core.testing._room import FLOOR, objects_at
from ex4d_core.testing._solids import Array, Interior, Solid
from ex4d_core.types import CameraPath, DepthKind, DepthVideo, Intrinsics, RenderedFrame, Scene, Video

_TO_LIGHT = np.array([0.45, -0.80, -0.40]) / np.linalg.norm([0.45, -0.80, -0.40])
"""Unit vector towards the light, in world coordinates (y down)."""

_SUPERSAMPLING = 2
"""Color samples along each side of a pixel; depth is sampled once, at the center."""


@attrs.frozen(kw_only=True)
class SyntheticScene:
    """Solids that move; world = source camera at time 0 (x right, y down, z forward)."""

    objects: Callable[[float], Sequence[Solid]] = attrs.field(repr=False)
    """Returns all solids at a time in seconds."""

    def frozen_at(self, time: float) -> SyntheticScene:
        """Return the static scene of a time in seconds."""
        still = tuple(self.objects(time))
        return SyntheticScene(objects=lambda _: still)

    def view(self, time: float, world_to_camera: Tensor, intrinsics: Intrinsics) -> RenderedFrame:
        """Render the scene from a camera at a time.

        Args:
            time: seconds.
            world_to_camera: [4, 4], OpenCV axes.
            intrinsics: of the camera; pixel (row i, column j) is sampled at (j + 0.5, i + 0.5).
        """
        solids = tuple(self.objects(time))
        pose = world_to_camera.double().numpy()
        depth = _cast(solids, pose, intrinsics, samples=1).distance
        color = _shade(solids, _cast(solids, pose, intrinsics, samples=_SUPERSAMPLING))
        height, width = intrinsics.height, intrinsics.width
        mean = color.reshape(height, _SUPERSAMPLING, width, _SUPERSAMPLING, 3).mean(axis=(1, 3))
        seen = np.isfinite(depth).reshape(height, width)
        levels = np.where(seen[..., None], np.rint(np.clip(mean, 0, 1) * 255), 0).astype(np.uint8)
        return RenderedFrame(
            color=torch.from_numpy(levels),
            mask=torch.from_numpy(seen),
            depth=torch.from_numpy(depth.reshape(height, width).astype(np.float32)),
        )

    def clip(
        self,
        *,
        num_frames: int = 49,
        width: int = 512,
        height: int = 512,
        fps: Fraction | int = 24,
        cameras: CameraPath | None = None,
    ) -> Scene:
        """Return a video with its exact depth.

        Args:
            num_frames: length.
            width: of a frame in pixels.
            height: of a frame in pixels.
            fps: frames a second; frame n is at n / fps seconds.
            cameras: of the source, which then give length and size; None is a camera that stays at the world's origin.
        """
        path = cameras or _still_path(num_frames, Intrinsics.from_fov(width=width, height=height))
        views = list(self._views(path, Fraction(fps)))
        depth = torch.stack([view.depth for view in views])
        return Scene(
            video=Video(frames=torch.stack([view.color for view in views]), fps=Fraction(fps)),
            depth=DepthVideo(depth=depth, kind=DepthKind.METRIC, intrinsics=path.intrinsics, cameras=cameras),
        )

    def novel_views(self, path: CameraPath, *, fps: Fraction | int = 24) -> Video:
        """Return the true video along a camera path; frame n is at n / fps seconds."""
        frames = torch.stack([view.color for view in self._views(path, Fraction(fps))])
        return Video(frames=frames, fps=Fraction(fps))

    def _views(self, path: CameraPath, fps: Fraction) -> Iterator[RenderedFrame]:
        for frame, pose in enumerate(path.world_to_camera):
            yield self.view(float(frame / fps), pose, path.intrinsics_at(frame))


def room_scene(*, seed: int = 0) -> SyntheticScene:
    """Return a furnished room with a walking figure, a balloon and a bouncing ball, about 3.4 to 9 units away.

    Args:
        seed: another number changes clothes, books and paintings, and where the movers start.
    """
    return SyntheticScene(objects=partial(objects_at, seed))


@attrs.frozen(eq=False)
class _Hits:
    """For each ray: index of the solid that it hits (-1: none), depth along z, and ray direction."""

    solid: NDArray[np.int16]
    distance: Array
    origin: Array
    directions: Array


def _cast(solids: Sequence[Solid], pose: Array, intrinsics: Intrinsics, *, samples: int) -> _Hits:
    """Intersect samples x samples rays per pixel with the solids, in row order."""
    width, height = intrinsics.width * samples, intrinsics.height * samples
    x = ((np.arange(width) + 0.5) / samples - intrinsics.cx) / intrinsics.fx
    y = ((np.arange(height) + 0.5) / samples - intrinsics.cy) / intrinsics.fy
    in_camera = np.stack([*np.meshgrid(x, y), np.ones((height, width))], axis=-1)
    directions = in_camera @ pose[:3, :3]
    origin = -pose[:3, :3].T @ pose[:3, 3]
    nearest = np.full((height, width), np.inf)
    which = np.full((height, width), -1, np.int16)
    for index, solid in enumerate(solids):
        rows, columns = _window(solid, pose, x, y)
        if rows.start >= rows.stop or columns.start >= columns.stop:
            continue
        rays = directions[rows, columns]
        distance = solid.hit(origin, rays.reshape(-1, 3)).reshape(rays.shape[:2])
        closer = distance < nearest[rows, columns]
        nearest[rows, columns][closer] = distance[closer]
        which[rows, columns][closer] = index
    return _Hits(which.ravel(), nearest.ravel(), origin, directions.reshape(-1, 3))


def _window(solid: Solid, pose: Array, x: Array, y: Array) -> tuple[slice, slice]:
    """Return the rows and columns of rays that can hit a solid, from its bounding sphere."""
    middle = pose[:3, :3] @ solid.center + pose[:3, 3]
    near = middle[2] - solid.reach
    if not near > 0.05:
        return slice(0, len(y)), slice(0, len(x))
    far = middle[2] + solid.reach

    def limits(at: float, rays: Array) -> slice:
        low, high = at - solid.reach, at + solid.reach
        return slice(*np.searchsorted(rays, [min(low / near, low / far), max(high / near, high / far)]))

    return limits(middle[1], y), limits(middle[0], x)


def _shade(solids: Sequence[Solid], hits: _Hits) -> Array:
    """Return colors with diffuse lighting, float32 [N, 3], independent of the view."""
    color = np.zeros((len(hits.solid), 3), np.float32)
    for index, solid in enumerate(solids):
        rays = np.flatnonzero(hits.solid == index)
        if not len(rays):
            continue
        world = hits.origin + hits.distance[rays, None] * hits.directions[rays]
        points = solid.to_local(world - solid.center).astype(np.float32)
        normals = solid.normal_local(points)
        facing = (normals @ solid.rotation.T.astype(np.float32)) @ _TO_LIGHT.astype(np.float32)
        light = 0.72 + 0.28 * facing
        if isinstance(solid, Interior):
            light = (0.92 + 0.08 * facing) * _shadow(solids, world)
        color[rays] = solid.paint(points, normals) * light[:, None]
    return color


def _shadow(solids: Sequence[Solid], points: Array) -> Array:
    """Return the light in soft shadows of objects close to the floor, float32 [N]."""
    light = np.ones(len(points), np.float32)
    on_floor = np.flatnonzero(points[:, 1] > FLOOR - 1e-3)
    at = points[on_floor][:, [0, 2]].astype(np.float32)
    dark = np.zeros(len(at), np.float32)
    for solid in solids:
        if isinstance(solid, Interior):
            continue
        size = _half_extent(solid)
        height = max(0.0, FLOOR - solid.center[1] - size[1])
        spread = size[[0, 2]] + 0.08 + 0.35 * height
        away = (at - solid.center[[0, 2]].astype(np.float32)) / spread.astype(np.float32)
        # The minimum, so that shadows of the limbs of a figure do not add up.
        dark = np.maximum(dark, np.float32(0.5 / (1 + 1.5 * height)) * np.exp(-(away**2).sum(axis=1)))
    light[on_floor] = 1 - dark
    return light


def _half_extent(solid: Solid) -> Array:
    """Return half of the size of the axis-aligned bounding box of a solid."""
    own = getattr(solid, "half", None)
    own = getattr(solid, "radii", None) if own is None else own
    if own is None:
        own = np.array([solid.radius, solid.half_length + solid.radius, solid.radius])  # type: ignore[attr-defined]
    return np.asarray(np.abs(solid.rotation) @ own)


def _still_path(num_frames: int, intrinsics: Intrinsics) -> CameraPath:
    return CameraPath(world_to_camera=torch.eye(4).repeat(num_frames, 1, 1), intrinsics=intrinsics)

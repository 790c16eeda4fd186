"""Join predictions for overlapping pieces of a clip.

The model predicts a piece in a world and unit of its own. Two pieces share frames, whose points give the similarity
(scale, rotation, translation) between their worlds; it moves depth and poses of the later piece, and shared frames fade
from one to the other. Only one piece is in memory at a time. A similarity uses the points of all shared frames,
weighted by confidence and inverse depth, and robustly: points that disagree (such as sky) lose their weight.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import attrs
import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Maps = NDArray[np.float32]

SIDE = 32
"""Most points along a side of a map that is compared."""

_ROUNDS = 10


@attrs.frozen(eq=False, kw_only=True)
class Piece:
    """Predictions for consecutive frames of a clip."""

    start: int
    """Index of the first frame in the clip."""
    depth: Maps
    """[n, h, w], along +z."""
    weight: Maps
    """[n, h, w], 0 where depth must not be compared."""
    world_to_camera: Array
    """[n, 4, 4], OpenCV axes, in the unit of the depth."""
    tangent: Array
    """[n, 2], tangents of half of the fields of view along x and y."""
    meters: float | None = None
    """Meters in a unit of the depth, if known."""

    @property
    def stop(self) -> int:
        """Index after the last frame."""
        return self.start + len(self.depth)

    def frames(self, start: int, stop: int) -> Piece:
        """Return the frames of the clip from `start` to `stop`."""
        part = slice(start - self.start, stop - self.start)
        return attrs.evolve(
            self,
            start=start,
            depth=self.depth[part],
            weight=self.weight[part],
            world_to_camera=self.world_to_camera[part],
            tangent=self.tangent[part],
        )

    def moved(self, similarity: Similarity) -> Piece:
        """Return the piece in another world."""
        poses = self.world_to_camera.copy()
        poses[:, :3, :3] = poses[:, :3, :3] @ similarity.rotation.T
        poses[:, :3, 3] = similarity.scale * poses[:, :3, 3] - poses[:, :3, :3] @ similarity.shift
        return attrs.evolve(
            self,
            depth=self.depth * np.float32(similarity.scale),
            world_to_camera=poses,
            meters=None if self.meters is None else self.meters / similarity.scale,
        )


@attrs.frozen(eq=False, kw_only=True)
class Similarity:
    """The map `scale * rotation @ x + shift`."""

    scale: float
    rotation: Array
    """[3, 3]."""
    shift: Array
    """[3]."""


def starts(num_frames: int, *, chunk: int, overlap: int) -> list[int]:
    """Return the first frames of evenly spaced pieces of `chunk` frames that share at least `overlap`."""
    if num_frames <= chunk:
        return [0]
    count = -(-(num_frames - overlap) // (chunk - overlap))
    return [round(number * (num_frames - chunk) / (count - 1)) for number in range(count)]


def join(pieces: Iterable[Piece]) -> Iterator[Piece]:
    """Yield each frame once, in order, in the world and unit of the first piece.

    Args:
        pieces: in order; each but the first shares frames with the one before.
    """
    before: Piece | None = None
    done = 0
    for piece in pieces:
        if before is not None:
            old, new = before.frames(piece.start, before.stop), piece.frames(piece.start, before.stop)
            piece = piece.moved(similarity_of(points(new), points(old), _weights(new, old)))
            fresh = max(piece.start, done)  # a long overlap reaches into frames that were yielded
            yield before.frames(done, fresh)
            yield faded(before.frames(fresh, before.stop), piece.frames(fresh, before.stop))
            done = before.stop
        before = piece
    if before is not None:
        yield before.frames(done, before.stop)


def points(piece: Piece) -> Array:
    """Return points [n, h', w', 3] of a coarse grid in the world of a piece."""
    height, width = piece.depth.shape[1:]
    depth = _coarse(piece.depth)
    across, down = (2 * (_spread_over(side) + 0.5) / side - 1 for side in (width, height))
    rays = np.ones((*depth.shape, 3))
    rays[..., 0] = across * piece.tangent[:, 0, None, None]
    rays[..., 1] = down[:, None] * piece.tangent[:, 1, None, None]
    pose = piece.world_to_camera
    in_camera = depth[..., None] * rays - pose[:, None, None, :3, 3]
    world: Array = in_camera @ pose[:, None, :3, :3]
    return world


def similarity_of(source: Array, target: Array, weights: Array) -> Similarity:
    """Return the similarity that maps source points to target points.

    The scale is the ratio of the spreads (Horn, 1987), which is symmetric: least squares would shrink every piece by
    the noise of its points. Weights 1 / (1 + (r / m)^2) of residuals r with the weighted median m reject outliers.

    Args:
        source: [..., 3].
        target: [..., 3].
        weights: [...], 0 or more; also the inverse unit of residuals.
    """
    source, target, base = source.reshape(-1, 3), target.reshape(-1, 3), weights.ravel()
    usable = np.isfinite(source).all(axis=1) & np.isfinite(target).all(axis=1) & (base > 0)
    source, target, base = source[usable], target[usable], base[usable]
    if len(base) < 3:
        return Similarity(scale=1.0, rotation=np.eye(3), shift=np.zeros(3))
    weight = base
    for _ in range(_ROUNDS):
        found = _weighted_fit(source, target, weight)
        residual = np.linalg.norm(found.scale * source @ found.rotation.T + found.shift - target, axis=1) * base**0.5
        middle = max(float(np.median(residual)), 1e-9 * float(residual.max()), np.finfo(float).tiny)
        weight = base / (1 + (residual / middle) ** 2)
    return found


def faded(old: Piece, new: Piece) -> Piece:
    """Return the same frames of two pieces, from the old to the new one."""
    share = (np.arange(len(old.depth)) + 1.0) / (len(old.depth) + 1)
    per_map = share[:, None, None].astype(np.float32)
    first, second = old.world_to_camera, new.world_to_camera
    poses = np.tile(np.eye(4), (len(first), 1, 1))
    mixed = first[:, :3, :3] + share[:, None, None] * (second[:, :3, :3] - first[:, :3, :3])
    left, _, right = np.linalg.svd(mixed)
    poses[:, :3, :3] = left @ right
    eyes = centers(first) + share[:, None] * (centers(second) - centers(first))
    poses[:, :3, 3] = -np.einsum("nij,nj->ni", poses[:, :3, :3], eyes)
    return attrs.evolve(
        new,
        depth=np.exp(np.log(old.depth) * (1 - per_map) + np.log(new.depth) * per_map),
        weight=np.minimum(old.weight, new.weight),
        world_to_camera=poses,
        tangent=old.tangent + share[:, None] * (new.tangent - old.tangent),
    )


def _weights(new: Piece, old: Piece) -> Array:
    """Return confidence divided by squared depth, because errors of points grow with their depth."""
    confidence = np.minimum(_coarse(new.weight), _coarse(old.weight))
    depth = _coarse(new.depth)
    weights: Array = confidence * (np.median(depth) / depth) ** 2
    return weights


def _weighted_fit(source: Array, target: Array, weight: Array) -> Similarity:
    share = weight / weight.sum()
    from_source, from_target = source - share @ source, target - share @ target
    left, _, right = np.linalg.svd((from_target * share[:, None]).T @ from_source)
    turn = np.diag([1.0, 1.0, float(np.sign(np.linalg.det(left @ right)))])
    rotation: Array = left @ turn @ right
    spread = float(share @ (from_source**2).sum(axis=1)), float(share @ (from_target**2).sum(axis=1))
    scale = (spread[1] / spread[0]) ** 0.5 if min(spread) > 0 else 1.0
    return Similarity(scale=scale, rotation=rotation, shift=share @ target - scale * rotation @ (share @ source))


def centers(world_to_camera: Array) -> Array:
    """Return the places of cameras in the world, [n, 3], of poses [n, 4, 4]."""
    places: Array = -np.einsum("nji,nj->ni", world_to_camera[:, :3, :3], world_to_camera[:, :3, 3])
    return places


def _coarse(maps: Maps) -> Array:
    """Return the maps at a coarse grid of pixels."""
    rows, columns = (_spread_over(side) for side in maps.shape[1:])
    coarse: Array = maps[:, rows[:, None], columns].astype(np.float64)
    return coarse


def _spread_over(side: int) -> NDArray[np.int64]:
    """Return at most SIDE evenly spaced pixels of a row or column."""
    count = min(SIDE, side)
    return ((np.arange(count) + 0.5) * side / count).astype(np.int64)

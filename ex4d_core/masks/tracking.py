"""Simulate masks whose hidden regions move with the scene: chosen in a few frames, tracked into all others."""

from __future__ import annotations

import attrs
import cv2
import numpy as np
import torch
from torch import Tensor

from ex4d_core.masks.options import MaskOptions
from ex4d_core.masks.paths import draw, random_path, random_progress
from ex4d_core.masks.regions import covered, hiding_order
from ex4d_core.masks.trackers import Tracker, Tracks
from ex4d_core.pipeline.stages import WrongComponent
from ex4d_core.roles import MeshBuilder, Renderer
from ex4d_core.types import DepthVideo, Scene, Video

BLOBS, BLOBS_WITHOUT_DEPTH = 6, 3
"""Approximate number of random regions along the longer side, with and without depth."""

TILT_WITHOUT_DEPTH = 1.5
"""Horizontal trend of random regions without depth, in standard deviations: a camera that turns loses one side."""

LARGEST_STEP = 0.1
"""Largest change of the logarithm of the depth of a point from one frame to the next."""


def tracking_mask(
    scene: Scene | Video,
    options: MaskOptions,
    generator: torch.Generator,
    *,
    builder: MeshBuilder,
    renderer: Renderer,
    tracker: Tracker,
) -> Tensor:
    """Return a mask, bool [T, H, W], True where visible, with growing hidden regions that move with the scene.

    In each anchor frame, the grid points are chosen that a camera on a random path would not see, and those in random
    regions; without depth, only the latter. Each point hides its surroundings in all frames into which it is tracked.

    Raises:
        InvalidInput: frame 0 has no valid depth.
        WrongComponent: the result of the tracker has another size.
    """
    video = scene.video if isinstance(scene, Scene) else scene
    depth = scene.depth if isinstance(scene, Scene) else None
    progress = random_progress(video.num_frames, options, generator)
    path = None if depth is None else random_path(depth, progress, options, generator)
    grid = _grid(video, options.point_spacing)
    points = grid.flatten(0, 1)
    regions = _regions(points, video, progress, options, generator, has_depth=depth is not None)
    hidden = torch.zeros(video.frames.shape[:3], dtype=torch.bool)
    for anchor in _anchors(video.num_frames, options.anchors, generator):
        chosen = regions
        if depth is not None and path is not None:
            chosen = regions | covered(depth, anchor, path, points, builder, renderer)
        ever = chosen.any(dim=0)
        tracks = _followed(tracker, video, points[ever], anchor)
        tracks = tracks if depth is None else staying(tracks, depth, anchor)
        hidden |= _painted(tracks, chosen[:, ever], ever.view(grid.shape[:2]), video, options.point_spacing)
    return ~hidden


def _anchors(num_frames: int, count: int, generator: torch.Generator) -> list[int]:
    """Return random frames, one from each of `count` equal parts of the clip."""
    draws = torch.rand(count, generator=generator, dtype=torch.float64)
    picks = ((torch.arange(count) + draws) / count * num_frames).long().clamp(max=num_frames - 1)
    return sorted(set(picks.tolist()))


def _grid(video: Video, spacing: int) -> Tensor:
    """Return rows and columns of points on a grid, int64 [R, C, 2]."""
    first = spacing // 2
    rows, columns = (torch.arange(min(first, side - 1), side, spacing) for side in (video.height, video.width))
    return torch.stack(torch.meshgrid(rows, columns, indexing="ij"), dim=-1)


def _regions(
    points: Tensor,
    video: Video,
    progress: list[float],
    options: MaskOptions,
    generator: torch.Generator,
    *,
    has_depth: bool,
) -> Tensor:
    """Return which points random regions hide in each frame, bool [T, N]; they are larger without depth."""
    largest = draw(options.blob_area if has_depth else options.blob_area_without_depth, generator)
    order = hiding_order(
        video.height,
        video.width,
        generator,
        blobs=BLOBS if has_depth else BLOBS_WITHOUT_DEPTH,
        tilt=0 if has_depth else TILT_WITHOUT_DEPTH,
    )
    # A camera loses more of the image in its first degrees than in its last.
    areas = largest * torch.tensor(progress).abs().sqrt()
    return order[points[:, 0], points[:, 1]] < areas[:, None]


def _followed(tracker: Tracker, video: Video, points: Tensor, anchor: int) -> Tracks:
    tracks = tracker.track(video, points.flip(-1) + 0.5, anchor)
    expected = (video.num_frames, len(points))
    if tracks.positions.shape != (*expected, 2) or tracks.visible.shape != expected:
        raise WrongComponent(
            f"{type(tracker).__name__} returned positions of {list(tracks.positions.shape)} and visibility of "
            f"{list(tracks.visible.shape)} for {expected[1]} points in {expected[0]} frames; report this to its author"
        )
    return tracks


def staying(tracks: Tracks, depth: DepthVideo, start: int) -> Tracks:
    """Mark points as lost after a jump of their depth, at which they moved to another object.

    Args:
        tracks: tracks of points of frame `start`.
        depth: depth of the clip.
        start: index of that frame.
    """
    height, width = depth.depth.shape[1:]
    column, row = (tracks.positions[..., axis].long().clamp(0, side - 1) for axis, side in ((0, width), (1, height)))
    depths = depth.depth[torch.arange(depth.num_frames)[:, None], row, column]
    # Comparisons with unknown depth are False.
    jumps = (depths[1:] / depths[:-1]).log().abs() > LARGEST_STEP
    jumped = torch.zeros_like(tracks.visible)
    jumped[start + 1 :] = jumps[start:].cumsum(dim=0) > 0
    jumped[:start] = jumps[:start].flip(0).cumsum(dim=0).flip(0) > 0
    return attrs.evolve(tracks, visible=tracks.visible & ~jumped)


def _painted(tracks: Tracks, chosen: Tensor, at: Tensor, video: Video, spacing: int) -> Tensor:
    """Return the pixels that tracked points hide in each frame, bool [T, H, W].

    Args:
        tracks: tracks of the points.
        chosen: bool [T, N], the points that hide their surroundings.
        at: bool [R, C], their places in the grid.
        video: the clip.
        spacing: spacing of the grid.
    """
    positions = torch.zeros(video.num_frames, *at.shape, 2)
    drawn = torch.zeros(video.num_frames, *at.shape, dtype=torch.bool)
    positions[:, at], drawn[:, at] = tracks.positions, chosen & tracks.visible
    # Points move apart when their object comes nearer, so insert points between them.
    for axis in (1, 2):
        positions, drawn = _with_middles(positions, drawn, axis, reach=4 * spacing)
    pixels = positions.floor().long()
    drawn &= ((pixels >= 0) & (pixels < torch.tensor([video.width, video.height]))).all(dim=-1)
    painted = np.zeros((video.num_frames, video.height, video.width), np.uint8)
    grow, shrink = (
        cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side)) for side in (2 * spacing + 1, spacing + 1)
    )
    for frame in range(video.num_frames):
        column, row = pixels[frame, drawn[frame]].unbind(-1)
        painted[frame, row.numpy(), column.numpy()] = 1
        painted[frame] = cv2.erode(cv2.dilate(painted[frame], grow), shrink)
    return torch.from_numpy(painted.astype(bool))


def _with_middles(positions: Tensor, drawn: Tensor, axis: int, *, reach: float) -> tuple[Tensor, Tensor]:
    """Insert midpoints along an axis into a grid of points [T, R, C, 2] and their flags `drawn` [T, R, C].

    A midpoint is drawn if both its neighbors are drawn and at most `reach` pixels apart; beyond, they are on different
    objects.
    """
    size = drawn.shape[axis]
    first, second = positions.narrow(axis, 0, size - 1), positions.narrow(axis, 1, size - 1)
    near = (first - second).abs().amax(dim=-1) <= reach
    both = drawn.narrow(axis, 0, size - 1) & drawn.narrow(axis, 1, size - 1) & near
    return _alternating(positions, (first + second) / 2, axis), _alternating(drawn, both, axis)


def _alternating(ends: Tensor, middles: Tensor, axis: int) -> Tensor:
    """Interleave two tensors along an axis; the first has one element more."""
    last = ends.narrow(axis, ends.shape[axis] - 1, 1)
    pairs = torch.stack([ends.narrow(axis, 0, middles.shape[axis]), middles], dim=axis + 1)
    return torch.cat([pairs.flatten(axis, axis + 1), last], dim=axis)

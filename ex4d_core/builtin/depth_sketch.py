"""The `sketch` depth estimator: plausible depth without a network."""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

import attrs
import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from ex4d_core.builtin.depth_sketch_motion import (
    MOST_PRECISE,
    PRIOR_PRECISION,
    Array,
    Evidence,
    MotionField,
    Picture,
    joined,
)
from ex4d_core.builtin.depth_sketch_options import SketchOptions
from ex4d_core.errors import InvalidInput
from ex4d_core.progress import Progress
from ex4d_core.types import DepthKind, DepthVideo, Intrinsics, Video

SIDE = 304
"""Longer side in pixels at which motion is measured; smaller loses lamp posts, larger takes more time."""

FAR_END, NEAR_END = 0.1, 0.8
"""Inverse depth of the upper and lower edge of the picture before anything is measured; the rest of 0..1 is room for
what is nearer or farther, such as the sky."""

KEPT = 0.8
"""Fraction of the evidence of a frame that counts for the next one: steady over ten frames, yet follows changes."""

SHARE_MOVING = 0.35
"""Share of frames in which a pixel must move to be part of a thing that moves."""

SMALLEST, WIDEST = 0.002, 0.5
"""A thing that moves covers more of the picture than noise, and is narrower than moving ground, such as water."""

THROUGH_GROUND = 0.12
"""Inverse depth by which a point seems to be under the ground, so that it moves with the camera."""

SKY = 0.02
"""Inverse depth of the sky."""

SMALLEST_SKY = 0.02
"""A bright lamp or screen at the upper edge covers less of the picture."""

JUMP = 0.05
"""Difference of inverse depth that is an edge, not a slope."""

SHARPNESS = 0.03
"""Difference of color, 0 to 1, across which depth may jump."""


@attrs.frozen(eq=False)
class _Clip:
    """The frames at the size at which motion is measured."""

    pictures: list[Picture]
    grays: list[Picture]
    field: MotionField
    prior: Array


class SketchDepth:
    """Sketches depth from vertical position, parallax, motion and color.

    Focus is not used: sharpness follows texture, and what remains of it without texture says nothing of depth.
    """

    def __init__(self, options: SketchOptions, *, device: torch.device) -> None:
        self._options = options

    def estimate(self, video: Video, *, progress: Progress) -> DepthVideo:
        """Return the depth of each frame, of the clip's length and size.

        Raises:
            InvalidInput: the clip has no frames.
        """
        if video.num_frames == 0:
            raise InvalidInput("the clip has no frames; use a clip with at least 1 frame")
        steps = 2 * video.num_frames
        progress(0, steps)
        clip = _shrunk(video)
        evidence, sums = [], []
        for new, summed in _forward(clip):
            evidence.append(new)
            sums.append(summed)
            progress(len(sums), steps)
        depth = torch.empty(video.frames.shape[:3])
        nearest, farthest = 1 / self._options.near, 1 / self._options.far
        for frame, total in _backward(clip, evidence, sums):
            inverse = _aligned(clip, frame, total, video.frames[frame].numpy())
            depth[frame] = torch.from_numpy(1 / (farthest + (nearest - farthest) * inverse))
            progress(steps - frame, steps)
        intrinsics = Intrinsics.from_fov(width=video.width, height=video.height)
        return DepthVideo(depth=depth, kind=DepthKind.AFFINE_INVERSE, intrinsics=intrinsics)


def _shrunk(video: Video) -> _Clip:
    scale = min(1.0, SIDE / max(video.height, video.width))
    width, height = (max(1, round(side * scale)) for side in (video.width, video.height))
    pictures = [cv2.resize(frame.numpy(), (width, height), interpolation=cv2.INTER_AREA) for frame in video.frames]
    down = FAR_END + (NEAR_END - FAR_END) * (np.arange(height) + 0.5) / height
    prior = np.repeat(down[:, None], width, axis=1).astype(np.float32)
    grays = [cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY) for picture in pictures]
    return _Clip(pictures, grays, MotionField(height, width), prior)


def _forward(clip: _Clip) -> Iterator[tuple[Array, Array]]:
    """Yield the evidence of each frame alone, and its sum with that of the frames before, in half precision."""
    summed = np.zeros((*clip.prior.shape, 4), np.float32)
    for frame in range(len(clip.pictures)):
        before = _carried(clip, summed, frame - 1, frame) if frame else summed
        new = _measured(clip, frame, _without_drift(Evidence(before).fused(clip.prior), clip.prior))
        summed = before + new
        yield new.astype(np.float16), summed.astype(np.float16)


def _without_drift(inverse: Array, prior: Array) -> Array:
    """Return inverse depth with the mean and spread of the prior; parallax shows neither scale nor shift."""
    scale = prior.std() / max(float(inverse.std()), 1e-3)
    steady: Array = prior.mean() + (inverse - inverse.mean()) * min(1.0, scale)
    return steady


def _backward(clip: _Clip, evidence: list[Array], sums: list[Array]) -> Iterator[tuple[int, Evidence]]:
    """Yield the index of each frame and the evidence of all frames around it, the last frame first."""
    after = np.zeros(sums[0].shape, np.float32)
    for frame in reversed(range(len(sums))):
        if frame + 1 < len(sums):
            after = _carried(clip, after + evidence[frame + 1], frame + 1, frame)
        yield frame, Evidence(sums[frame] + after)


def _carried(clip: _Clip, maps: Array, start: int, to: int) -> Array:
    """Return evidence of a frame at the pixels of a neighboring one."""
    flow = clip.field.flow(clip.grays[to], clip.grays[start])
    same = clip.field.likeness(clip.pictures[to], clip.pictures[start], flow)
    return clip.field.at(maps, flow) * (KEPT * same)[..., None]


def _measured(clip: _Clip, frame: int, known: Array) -> Array:
    found = []
    for direction in (-1, 1):
        partner, flow = clip.field.to_partner(clip.grays, frame, direction)
        if partner != frame:
            found.append(clip.field.evidence(clip.pictures[frame], clip.pictures[partner], flow, known))
    if not found:
        return np.zeros((*known.shape, 4), np.float32)
    total = joined(found[0], found[-1]).maps
    measured = cast(Array, total[..., 0] / np.maximum(total[..., 1], 1e-6))
    through = _through_ground(measured, _ground(known))
    through &= total[..., 1] > PRIOR_PRECISION
    total[..., 2] = np.maximum(total[..., 2], total[..., 3] * through)
    total[..., :2] *= ~through[..., None]
    return total


def _through_ground(inverse: Array, ground: Array) -> NDArray[np.bool_]:
    """Return where a point seems to be under the ground that is on both sides of it: it moves along with the camera."""
    on_ground = (np.abs(inverse - ground) < THROUGH_GROUND / 2).astype(np.float32)
    reach = max(1, inverse.shape[1] // 4)
    sides = [
        cv2.boxFilter(on_ground, -1, (reach, 1), anchor=(end, 0), borderType=cv2.BORDER_REFLECT)
        for end in (0, reach - 1)
    ]
    through: NDArray[np.bool_] = (inverse < ground - THROUGH_GROUND) & (np.minimum(*sides) > 0.3)
    return through


def _aligned(clip: _Clip, frame: int, evidence: Evidence, full: Picture) -> Array:
    """Return inverse depth, 0 to 1, of the size of a full frame, with its edges at edges of color."""
    picture = clip.pictures[frame]
    inverse, weight = evidence.fused(clip.prior), PRIOR_PRECISION + evidence.precision
    sky = _sky(picture)
    inverse, weight = np.where(sky, SKY, inverse), np.where(sky, 10 * PRIOR_PRECISION, weight)
    standing = _standing(evidence.moving() > SHARE_MOVING, inverse)
    inverse, weight = standing, np.where(standing != inverse, MOST_PRECISE, weight)  # else its ground outweighs it
    # Flow is uncertain by the size of its patches; where depth jumps, colors decide.
    patch = np.ones((9, 9), np.uint8)
    jump = cv2.dilate(inverse, patch) - cv2.erode(inverse, patch)
    weight = weight / (1 + (jump / JUMP) ** 2)
    return _crisp(_guided(inverse, weight / weight.max(), picture, full)).clip(0, 1)


def _crisp(inverse: Array) -> Array:
    """Return inverse depth that jumps where it was steep; a gradual change between two things would tear as rubber."""
    window = np.ones((2 * max(1, max(inverse.shape) // 100) + 1,) * 2, np.uint8)
    low, high = cv2.erode(inverse, window), cv2.dilate(inverse, window)
    part = (inverse - low) / np.maximum(high - low, 1e-6)
    steep = np.clip((high - low) / JUMP - 1, 0, 1)
    crisp: Array = inverse + steep * (low + (high - low) * np.clip(4 * part - 1.5, 0, 1) - inverse)
    return crisp


def _sky(picture: Picture) -> NDArray[np.bool_]:
    """Return where the picture is smooth and bright blue or white from its upper, but not to its lower edge."""
    red, blue = picture[..., 0].astype(int), picture[..., 2].astype(int)
    bright = ((blue > 180) & (blue >= red + 8)) | ((blue > 215) & (blue >= red - 5))
    smooth = cv2.morphologyEx(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), cv2.MORPH_GRADIENT, np.ones((3, 3))) < 16
    labels = cv2.connectedComponents((bright & smooth).astype(np.uint8))[1]
    regions = set(labels[0]) - set(labels[-1]) - {0}
    sizes = np.bincount(labels.ravel())
    sky: NDArray[np.bool_] = np.isin(labels, [each for each in regions if sizes[each] > SMALLEST_SKY * labels.size])
    return sky


def _ground(inverse: Array) -> Array:
    """Return the inverse depth of the plane through the lower half of the picture: it is linear in the pixel."""
    height, width = inverse.shape
    rows, columns = np.mgrid[height // 2 : height : 4, 0:width:4].reshape(2, -1)
    design = np.stack([columns / width, rows / height, np.ones(len(rows))])
    values = inverse[rows, columns].astype(np.float64)
    weights = np.ones(len(rows))
    for _ in range(5):
        normal = (design * weights) @ design.T + 1e-6 * np.eye(3)
        plane = np.linalg.solve(normal, design @ (weights * values))
        weights = 1 / (1 + ((plane @ design - values) / 0.05) ** 2)
    across, down = np.arange(width) / width, np.arange(height)[:, None] / height
    ground: Array = (plane[0] * across + plane[1] * down + plane[2]).astype(np.float32)
    return ground


def _standing(moving: NDArray[np.bool_], still: Array) -> Array:
    """Stand what moves upright on the ground: each connected region gets the depth of the ground at its foot."""
    ground = _ground(still)
    inverse = still.copy()
    for region in _regions(moving):
        rows, columns = np.nonzero(region)
        behind = cv2.dilate(region, np.ones((9, 9), np.uint8)) > region
        foot = int(rows.max())
        depth = float(np.median(ground[foot, columns[rows >= foot - 2]]))
        inverse[region > 0] = max(depth, float(np.median(still[behind])) if behind.any() else 0)
    return inverse


def _regions(mask: NDArray[np.bool_]) -> Iterator[Picture]:
    """Yield connected regions as masks, with gaps and holes filled; wide rows are moving ground, such as water."""
    reach = max(1, max(mask.shape) // 80)
    tall = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 4 * reach + 1))
    narrow = mask & (mask.mean(axis=1, keepdims=True) < WIDEST)
    edge = 4 * reach  # else a gap to the border of the picture would be closed too
    closed = cv2.morphologyEx(np.pad(narrow.astype(np.uint8), edge), cv2.MORPH_CLOSE, tall)[edge:-edge, edge:-edge]
    closed = np.ascontiguousarray(closed)
    for outline in cv2.findContours(closed, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)[0]:
        if cv2.contourArea(outline) >= SMALLEST * mask.size:
            yield cast(Picture, cv2.drawContours(np.zeros_like(closed), [outline], -1, 1, cv2.FILLED))


def _guided(values: Array, weight: Array, picture: Picture, full: Picture) -> Array:
    """Return values at full size as a locally linear function of color (guided filter; K. He, J. Sun, X. Tang, 2010).

    The weighted regression runs at the small size, its coefficients are enlarged (fast guided filter; 2015).
    """
    side = 2 * max(1, max(values.shape) // 40) + 1

    def mean(*maps: Array) -> list[Array]:
        return [cast(Array, cv2.blur(each, (side, side), borderType=cv2.BORDER_REFLECT)) for each in maps]

    colors = cv2.split(picture.astype(np.float32) / 255)
    (total,) = mean(weight)
    means = [each / total for each in mean(*(weight * color for color in colors))]
    (level,) = (each / total for each in mean(weight * values))
    cross = [each / total for each in mean(*(weight * values * color for color in colors))]
    cross = [each - level * color for each, color in zip(cross, means, strict=True)]
    pairs = ((0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2))
    seconds = mean(*(weight * colors[i] * colors[j] for i, j in pairs))
    a, b, c, d, e, f = (
        second / total - means[i] * means[j] + (SHARPNESS**2 if i == j else 0)
        for second, (i, j) in zip(seconds, pairs, strict=True)
    )
    # Cramer's rule for the symmetric matrix [[a, b, c], [b, d, e], [c, e, f]].
    u, v, w, x, y, z = d * f - e * e, c * e - b * f, b * e - c * d, a * f - c * c, b * c - a * e, a * d - b * b
    determinant = a * u + b * v + c * w
    slopes = [
        (i * cross[0] + j * cross[1] + k * cross[2]) / determinant for i, j, k in ((u, v, w), (v, x, y), (w, y, z))
    ]
    offset = level - sum(slope * color for slope, color in zip(slopes, means, strict=True))
    blurred = mean(np.dstack([*slopes, offset]) * total[..., None])[0] / mean(total)[0][..., None]
    large = cv2.split(cv2.resize(blurred, full.shape[1::-1], interpolation=cv2.INTER_LINEAR))
    result = cast(Array, large[3])
    for slope, color in zip(large[:3], cv2.split(full), strict=True):
        result += slope * (color.astype(np.float32) / 255)
    return result

"""Refine depth by the colors of its frames: fill unknown depth, snap depth edges to color edges, remove specks.

Estimated depth is smooth across edges, and its edges are some pixels beside those of the picture. Each pixel near a
depth edge chooses one side of it by a vote of the pixels around it, weighted by similarity of color: pixels between
near and far are mixtures and get the depth of their side, pixels on the wrong side change sides, and all others keep
their depth. This is a bilateral filter (Tomasi and Manduchi, 1998) of a label with two values, so it blurs no depth.

Everything is computed in disparity, 1 / depth, which is linear along planes: a plane has no curvature and no edge.
Only pixels near edges are processed, and thin things where only the order of depth is known (`thin_depth.py`), each
frame by itself, with the same operations on every device.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from ex4d_core.geometry.refine_options import RefineOptions
from ex4d_core.geometry.thin_depth import even_out
from ex4d_core.geometry.windows import RING, likeness, neighbors, window
from ex4d_core.types.depth import DepthKind

FARTHEST = 1e8
"""Larger depth is unknown."""

JUMP = 0.15
"""Smallest difference of disparity between near and far at an edge, relative to near."""

CURVATURE = 0.5
"""Smallest curvature near an edge, relative to its jump; the shoulders of short ramps have it, planes do not."""

SLOPE = 0.3
"""Smallest difference of disparity beside a pixel on a slope, relative to that around it, which is twice as far."""

MIXED = 0.6
"""Pixels nearer to the middle of an edge than this, relative to half of the jump, are mixtures of near and far."""

MAJORITY = 0.65
"""Share of the votes for the other side above which a pixel that is not a mixture changes sides."""

ALIKE = 0.1
"""Largest difference of disparity between pixels of one surface, relative to it."""

BLURRED = 0.05
"""Relative difference of disparity from its side of an edge at which a pixel of that side is taken to be blurred."""

OUTLINE = 1.5
"""Ratio of disparities between a thing and what is behind its outline."""

SPECK = 2
"""Pixels with fewer of 8 neighbors at their depth are specks; thin things have two."""

FAR = [(2 * i, 2 * j) for i, j in RING] + [(4, 0), (-4, 0), (0, 4), (0, -4)]


def refine_depth(
    frames: Tensor,
    depth: Tensor,
    valid: Tensor | None,
    options: RefineOptions,
    *,
    kind: DepthKind = DepthKind.METRIC,
) -> tuple[Tensor, Tensor]:
    """Return refined depth float32 [T, H, W], NaN where unknown, and where it was filled, bool [T, H, W].

    Frames are independent of one another.

    Args:
        frames: uint8 [T, H, W, 3].
        depth: float32 [T, H, W] along +z; NaN, infinite, <= 0 and > `FARTHEST` count as unknown.
        valid: bool [T, H, W], True where depth is known; None leaves that to `depth`.
        options: the options.
        kind: if it is AFFINE_INVERSE, outlines and thin things (`ex4d_core.geometry.thin_depth`) are made even.
    """
    known = (depth > 0) & (depth <= FARTHEST)  # also False for NaN
    if valid is not None:
        known &= valid
    disparity = torch.where(known, 1 / depth, 0)
    is_complete = bool(known.all())
    pixels = _pixels(frames, disparity if is_complete else _filled(frames.float(), disparity, known))
    if options.radius:
        _settle(pixels, _snap(pixels, options.radius))
    if kind is DepthKind.AFFINE_INVERSE:
        if options.radius:
            _straighten(pixels)
        if options.even_thin:
            even_out(pixels)
    refined = 1 / pixels[..., 3]
    if is_complete:
        return refined, torch.zeros_like(known)
    usable = known.any(dim=2, keepdim=True).any(dim=1, keepdim=True) & options.fill
    shown = known | (usable & ~_bars(frames, known))
    return torch.where(shown, refined, torch.nan), shown & ~known


def _pixels(frames: Tensor, disparity: Tensor) -> Tensor:
    """Return colors and disparity side by side, float32 [T, H, W, 4], so that both of a neighbor are read at once."""
    pixels = disparity.new_empty(*disparity.shape, 4)
    pixels[..., :3] = frames
    pixels[..., 3] = disparity
    return pixels


def _bars(frames: Tensor, known: Tensor) -> Tensor:
    """Return the rows and columns that are black and without depth, bool [T, H, W]: bars around a padded picture."""
    empty = ~known & (frames.amax(dim=-1) == 0)
    return empty.all(dim=1, keepdim=True) | empty.all(dim=2, keepdim=True)


def _snap(pixels: Tensor, radius: int) -> Tensor:
    """Change the disparity of pixels near a depth edge to the side of it that their color suggests.

    Args:
        pixels: color and disparity, [T, H, W, 4]; changed in place.
        radius: distance to the edge in pixels.

    Returns:
        Flat indices of the pixels that changed, int64 [N].
    """
    disparity = pixels[..., 3].contiguous()
    low = window(disparity, radius, torch.minimum)
    high = window(disparity, radius, torch.maximum)
    jump = high - low
    near_edge = (jump > JUMP * high) & (
        window(_curvature(disparity, radius + 1), radius, torch.maximum) > CURVATURE * jump
    )
    index = near_edge.flatten().nonzero().squeeze(1)
    index = index[~_on_slope(disparity, index, radius)]
    middle, half = ((low + high) / 2).flatten()[index, None], (jump / 2).flatten()[index, None]
    flat = pixels.view(-1, 4)
    own, around = flat[index], flat[neighbors(index, _star(radius), disparity.shape)]
    values = around[..., 3]
    # From -1, far, to 1, near; mixtures, near 0, have no vote.
    sides = (values - middle) / half
    votes = likeness(own[:, None], around) * sides.square().square() + 1e-9
    for_near = votes * (sides > 0)
    for_far = votes - for_near
    share = for_near.sum(1) / votes.sum(1)
    side = (own[:, 3] - middle[:, 0]) / half[:, 0]
    decided = side.abs() > MIXED
    is_near = share > torch.where(decided, torch.where(side > 0, 1 - MAJORITY, MAJORITY), 0.5)
    votes = torch.where(is_near[:, None], for_near, for_far)
    snapped = (votes * values).sum(1) / votes.sum(1).clamp_min(1e-12)
    changes = ~decided | ((side > 0) != is_near) | ((own[:, 3] - snapped).abs() > BLURRED * snapped)
    index = index[changes]
    flat[:, 3].index_copy_(0, index, snapped[changes])
    return index


def _settle(pixels: Tensor, index: Tensor) -> None:
    """Remove specks and jitter of pixels with flat indices, int64 [N], next to depth edges; change [T, H, W, 4].

    Such a pixel gets the mean of the pixels around it at about its depth, weighted by similarity of color; if almost
    none of its neighbors are, the median of its neighbors.
    """
    flat = pixels.view(-1, 4)
    own, around = flat[index], flat[neighbors(index, RING + FAR, pixels.shape[:3])]
    values, alike = around[..., 3], (around[..., 3] - own[:, None, 3]).abs() <= ALIKE * own[:, None, 3]
    weights = likeness(own[:, None], around) * alike
    mean = (own[:, 3] + (weights * values).sum(1)) / (1 + weights.sum(1))
    speck = alike[:, : len(RING)].sum(1) < SPECK
    settled = torch.where(speck, values[:, : len(RING)].median(dim=1).values, mean)
    flat[:, 3].index_copy_(0, index, settled)


def _straighten(pixels: Tensor) -> None:
    """Give the last pixels before an outline the nearest depth beside them; change [T, H, W, 4].

    Estimators draw them a little towards what is behind, here more and there less: from the side, the outline would
    have teeth.
    """
    disparity = pixels[..., 3].contiguous()
    nearest, farthest = window(disparity, 1, torch.maximum), window(disparity, 1, torch.minimum)
    recedes = (nearest <= (1 + ALIKE) * disparity) & (OUTLINE * farthest < disparity)
    pixels[..., 3] = torch.where(recedes, nearest, disparity)


def _on_slope(disparity: Tensor, index: Tensor, radius: int) -> Tensor:
    """Return whether pixels with flat indices, int64 [N], lie on a slope that continues on both sides, bool [N].

    The pixels of a road beside an edge are neither near nor far.
    """
    steps = [radius * step for step in (-2, -1, 1, 2)]
    offsets = [(step, 0) for step in steps] + [(0, step) for step in steps]
    along = disparity.flatten()[neighbors(index, offsets, disparity.shape)].view(-1, 2, 4).diff(dim=2)
    before, here, after = (along * along[..., 1:2].sign()).unbind(dim=2)
    continues = torch.minimum(before, after) > SLOPE * here
    return torch.where(here[:, 0] > here[:, 1], continues[:, 0], continues[:, 1])


def _star(radius: int) -> list[tuple[int, int]]:
    """Return 13 offsets (row, column): the pixel, its surroundings at a distance, and half as far."""
    half = max(radius // 2, 1)
    outer = [(radius * i, radius * j) for i in (-1, 0, 1) for j in (-1, 0, 1)]
    return [*outer, *((half * i, half * j) for i in (-1, 1) for j in (-1, 1))]


def _curvature(disparity: Tensor, distance: int) -> Tensor:
    """Return the larger absolute second difference along rows and columns, at a distance in pixels, [T, H, W].

    It is 0 along a direction in which the image ends.
    """
    along = [torch.zeros_like(disparity), torch.zeros_like(disparity)]
    for dim, curvature in zip((1, 2), along, strict=True):
        size = disparity.shape[dim] - 2 * distance
        if size > 0:
            before, here, after = (disparity.narrow(dim, start * distance, size) for start in range(3))
            curvature.narrow(dim, distance, size).copy_((before + after).sub_(here, alpha=2).abs_())
    return torch.maximum(*along)


def _filled(colors: Tensor, disparity: Tensor, known: Tensor) -> Tensor:
    """Return disparity [T, H, W] without unknown pixels, if its frame has a known one.

    A pyramid of means of known disparity is filled from coarse to fine: an unknown cell is the mean of the 9 cells
    around it on the next coarser level, weighted by similarity of color (joint bilateral upsampling, Kopf et al.,
    2007).
    """
    levels = [torch.cat([colors.permute(0, 3, 1, 2), disparity[:, None], known[:, None].float()], dim=1)]
    while max(levels[-1].shape[2:]) > 1:
        levels.append(functional.avg_pool2d(levels[-1], 2, ceil_mode=True, count_include_pad=False))
    coarse: Tensor | None = None
    for level in reversed(levels):
        share = level[:, 4]
        value = level[:, 3] / share.clamp_min(1e-12)
        if coarse is not None:
            value = _value_from(coarse, level, value)
        coarse = torch.cat([level[:, :3], value[:, None], share[:, None]], dim=1)
    assert coarse is not None
    return coarse[:, 3].contiguous()


def _value_from(coarse: Tensor, level: Tensor, value: Tensor) -> Tensor:
    """Return the values [T, h, w] of a level with unknown ones filled from the next coarser level.

    Args:
        coarse: [T, 5, h', w'], color, value and known share of the coarser level.
        level: [T, 5, h, w], color, disparity and known share.
        value: [T, h, w], mean of the known disparity.
    """
    count, _, height, width = level.shape
    rows, columns = coarse.shape[2:]
    index = (level[:, 4] == 0).flatten().nonzero().squeeze(1)
    frame, row, column = index // (height * width), index // width % height, index % width
    parent = (frame * rows + row // 2) * columns + column // 2
    grid = [(i, j) for i in (-1, 0, 1) for j in (-1, 0, 1)]
    around = coarse.permute(0, 2, 3, 1).reshape(-1, 5)[neighbors(parent, grid, torch.Size((count, rows, columns)))]
    own = level[:, :3].permute(0, 2, 3, 1).reshape(-1, 3)[index]
    weights = (likeness(own[:, None], around) + 1e-4) * (0.1 + around[..., 4])
    filled = (weights * around[..., 3]).sum(1) / weights.sum(1)
    return value.flatten().index_copy(0, index, filled).view(value.shape)

"""Pieces of surface for thin things, which hide only what is behind them.

A surface that connects neighboring pixels joins a lamp post to the sky by faces as deep as the distance between them.
From the side, these faces hide a broad strip of sky that the source camera sees. But the depth of a thing is usually
about its width. So thin things are taken out of the surface, which continues behind them as an occluded one, and are
drawn in pieces before it, a closed one for each face. Pieces across a depth edge are at most that deep.

A thing is thin where a square does not fit into it: the closing of depth by the square (grayscale morphology) is
farther than the depth. A narrow gap in a near thing is not thin, since the closing preserves what is far.

On a GPU the number of pieces is fixed by the size of the image, so nothing waits; unused ones have no extent.
"""

from __future__ import annotations

from collections.abc import Callable

import attrs
import torch
from torch import Tensor
from torch.nn import functional

from ex4d_core.geometry.windows import window

BEHIND = 1.25
"""Smallest depth behind a thin thing, relative to that of the thing."""

PIECES = 8
"""Pieces of an image for each of its rows and columns: enough for a thing of 3 pixels that crosses it both ways."""

PULL = 1e-4
"""Relative distance of pieces before the surface that they touch."""

OVERLAP = 1 / 256
"""Growth of pieces at the outline of a thing, relative to their size, against cracks by rounding."""

FACES = ((0, 1, 2), (1, 0, 3), (2, 1, 3), (0, 2, 3))
"""Vertices of the faces of a piece: that of the surface, and three that close it behind."""


@attrs.frozen(eq=False, kw_only=True)
class Pieces:
    """C pieces of a frame: on a GPU as many as there can be, elsewhere those that have an extent."""

    vertices: Tensor
    """[4 C, 3]."""
    colors: Tensor
    """uint8 [4 C, 3]."""
    occluded: Tensor
    """bool [4 C], of the faces."""
    unseen: Tensor
    """bool [4 C], True for faces that are hidden from every camera."""


@attrs.frozen(eq=False, kw_only=True)
class Thin:
    """The thin things of a frame, [H, W], or of T frames, [T, H, W]."""

    pixels: Tensor
    """bool."""
    clear: Tensor
    """bool, thin pixels that are not mixtures of a thing and what is behind it."""
    behind: Tensor
    """The depth behind them."""


@attrs.frozen(eq=False, kw_only=True)
class Chosen:
    """The faces that have a piece."""

    corners: Tensor
    """int [3, C], pixels."""
    face: Tensor
    """int [C], index of the face in [2, H-1, W-1]."""
    place: tuple[Tensor, Tensor]
    """Row and column of its block, int [C]."""
    used: Tensor
    """bool [C]; other values are 0 where it is False."""
    pixels: Tensor
    """bool [H, W], thin pixels all of whose faces have a piece."""


def no_pieces(device: torch.device) -> Pieces:
    """Return the pieces of a frame without thin things."""
    none = torch.zeros(0, 3, dtype=torch.uint8, device=device)
    flags = torch.zeros(0, dtype=torch.bool, device=device)
    return Pieces(vertices=none.float(), colors=none, occluded=flags, unseen=flags)


def count(height: int, width: int) -> int:
    """Return the largest number of pieces of an image."""
    return PIECES * (height + width)


def piece_faces(number: int, first: int) -> Tensor:
    """Return the faces of a number of pieces, int32 [4 number, 3], whose vertices begin at index `first`."""
    starts = 4 * torch.arange(number, dtype=torch.int32)[:, None, None] + first
    return (starts + torch.tensor(FACES, dtype=torch.int32)).view(-1, 3)


def radius_of(width: float) -> int:
    """Return the radius, in cells of 2x2 pixels, of the square into which things up to a width in pixels do not fit."""
    return max(round((width / 2 - 1) / 2), 1)


def find(depth: Tensor, known: Tensor, radius: int) -> Thin:
    """Return the thin things of a frame, or of T frames.

    The closing has the resolution of cells of 2x2 pixels, and reaches a cell further than the square, so that bumps in
    the outline of a wide thing are not thin.

    Args:
        depth: [H, W] or [T, H, W].
        known: bool, of the same shape; nothing is thin because of unknown depth beside it, nor because the image ends.
        radius: see `radius_of`.
    """
    inner = functional.pad(known[..., 1:-1, 1:-1], (1, 1, 1, 1))
    near = torch.where(inner, depth, 0)
    farthest = window(_cells(near, torch.maximum), radius, torch.maximum)
    behind = _pixels(window(farthest, radius + 1, torch.minimum), depth.shape)
    thin = (behind > BEHIND * near) & inner
    nearest = window(_cells(torch.where(thin, 1 / near, 0), torch.maximum), 1, torch.maximum)
    clear = thin & (near * _pixels(nearest, depth.shape) <= BEHIND)
    return Thin(pixels=thin, clear=clear, behind=behind)


def _cells(values: Tensor, join: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """Return the values of cells of 2x2 pixels, [T, (H + 1) / 2, (W + 1) / 2]; pixels outside of the image are 0."""
    height, width = values.shape[-2:]
    padded = functional.pad(values.view(-1, height, width), (0, width % 2, 0, height % 2))
    rows = join(padded[:, ::2], padded[:, 1::2])
    return join(rows[..., ::2], rows[..., 1::2])


def _pixels(cells: Tensor, shape: torch.Size) -> Tensor:
    """Return the values of pixels, of a shape [H, W] or [T, H, W], from those of cells, [T, h, w]."""
    pixels = functional.interpolate(cells[None], scale_factor=2, mode="nearest")[0]
    return pixels[:, : shape[-2], : shape[-1]].reshape(shape)


def faces_of(pixels: Tensor) -> Tensor:
    """Return bool [2, H-1, W-1]: whether the upper left and the lower right face of a block has one of the pixels."""
    diagonal = pixels[1:, :-1] | pixels[:-1, 1:]
    return torch.stack([diagonal | pixels[:-1, :-1], diagonal | pixels[1:, 1:]])


def choose(clear: Tensor) -> Chosen:
    """Return the faces that have a piece: those of clear pixels, bool [H, W], row by row, as many as there can be."""
    height, width = clear.shape
    numbers = torch.arange(1, count(height, width) + 1, dtype=torch.int32, device=clear.device)
    ranks = faces_of(clear).transpose(0, 1).flatten().cumsum(dim=0, dtype=torch.int32)
    last = ranks[2 * width - 3 :: 2 * width - 2]
    fits = last <= count(height, width)
    most = (last * fits).amax()
    if clear.device.type == "cpu":  # elsewhere, reading it would wait for the device
        numbers = numbers[: int(most)]
    used = numbers <= most
    index = torch.where(used, torch.searchsorted(ranks, numbers), 0)
    row, kind, column = index // (2 * width - 2), index // (width - 1) % 2, index % (width - 1)
    offsets = torch.stack([torch.full_like(kind, width), kind, 1 + kind * width])
    return Chosen(
        corners=torch.where(used, row * width + column + offsets, 0),
        face=(kind * (height - 1) + row) * (width - 1) + column,
        place=(row, column),
        used=used,
        pixels=clear & functional.pad(fits, (0, 1))[:, None],
    )


def pieces(
    points: Tensor, frame: Tensor, chosen: Chosen, hidden: Tensor, unknown: Tensor, *, radius: int, pixel: Tensor
) -> Pieces:
    """Return the pieces of a frame.

    Args:
        points: [3, H, W], of all pixels.
        frame: uint8 [H, W, 3].
        chosen: the faces that have a piece.
        hidden: bool [2, H-1, W-1], occluded faces.
        unknown: bool [2, H-1, W-1], faces at unknown depth.
        radius: see `radius_of`.
        pixel: width of a pixel at depth 1, [].
    """
    corners, unused = chosen.corners, ~chosen.used
    occluded, unseen = hidden.flatten()[chosen.face] | unused, unknown.flatten()[chosen.face] | unused
    thickness = torch.where(occluded, _width(chosen, radius) * pixel, torch.inf)
    places = _shortened(points.view(3, -1)[:, corners], ~chosen.pixels.flatten()[corners], thickness)
    colors = frame.reshape(-1, 3)[corners]
    return Pieces(
        vertices=_closed(places).permute(2, 1, 0).reshape(-1, 3),
        colors=torch.cat([colors, colors[:1]]).transpose(0, 1).reshape(-1, 3),
        occluded=occluded[:, None].expand(-1, 4).flatten(),
        unseen=torch.stack([unseen, occluded, occluded, occluded], dim=1).flatten(),
    )


def _shortened(corners: Tensor, at_edge: Tensor, thickness: Tensor) -> Tensor:
    """Return corners of faces at most a thickness behind the nearest corner of their face.

    Args:
        corners: [3 axes, 3 corners, C].
        at_edge: bool [3, C], corners that are not thin.
        thickness: relative to depth, [C].
    """
    z = corners[2]
    ends = torch.minimum(z, z.amin(dim=0) * (1 + thickness))
    slopes = corners[:2] / z
    outward = slopes - slopes.mean(dim=1, keepdim=True)
    slopes = slopes + outward * (at_edge | (ends < z)) * OVERLAP
    return torch.cat([slopes * ends, ends[None]]) * (1 - PULL)


def _closed(corners: Tensor) -> Tensor:
    """Return corners [3, 3, C] and a fourth one right behind the middle of the face, [3, 4, C]."""
    middle = corners.mean(dim=1)
    depth = corners[2].amax(dim=0) * (1 + PULL)
    return torch.cat([corners, (middle / middle[2] * depth)[:, None]], dim=1)


def _width(chosen: Chosen, radius: int) -> Tensor:
    """Return the width of the thing at each face in pixels, [C]: its area in a square, by the side of the square."""
    areas = _cells(chosen.pixels.view(torch.uint8), torch.add)[0]
    height, width = areas.shape
    total = functional.pad(areas, (1, 0, 1, 0)).cumsum(dim=0, dtype=torch.int32).cumsum(dim=1, dtype=torch.int32)
    row, column = (each // 2 for each in chosen.place)
    top, bottom = (row - radius).clamp_min(0), (row + radius + 1).clamp_max(height)
    left, right = (column - radius).clamp_min(0), (column + radius + 1).clamp_max(width)
    area = total[bottom, right] - total[top, right] - total[bottom, left] + total[top, left]
    return (area / (4 * radius + 2)).clamp_min(1)


def without_mixtures(frame: Tensor, thin: Thin, chosen: Chosen) -> Tensor:
    """Return a frame, uint8 [H, W, 3], in which mixtures beside a thing have the color two pixels further outside."""
    corners, clear, is_thin = chosen.corners, thin.clear.flatten(), thin.pixels.flatten()
    inside = torch.where(clear[corners], corners, -1).amax(dim=0)
    outside = (3 * corners - 2 * inside).clamp(0, len(clear) - 1)
    outside = torch.where((is_thin & ~clear)[corners] & ~is_thin[outside], outside, corners)
    # A pixel is a corner of many faces: the last of its choices, so that the result is the same on every device.
    source = torch.zeros(len(clear), dtype=torch.long, device=clear.device)
    source.scatter_reduce_(0, corners.flatten(), outside.flatten(), "amax")
    colors = frame.reshape(-1, 3)
    return colors.index_put((corners,), colors[source[corners]]).view(frame.shape)

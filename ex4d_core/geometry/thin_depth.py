"""Even depth along thin things, where only the order of near and far is known.

Estimated depth of thin things wavers with their background, by a tenth and more: a lamp post would bend when it is seen
from the side. But what is thin in the picture is usually a rod, and most rods stand upright, at one depth. So the
disparity along a thin thing becomes that of a line fitted to it, along which it changes with the column only, such as
along a rail: moving least squares (Lancaster and Salkauskas, 1981). The weights are those of a random walk that starts
at a pixel and stays on its thing, between neighbors of about its depth, preferably of its color: they end where the
thing ends, become wide or passes another one, and follow its bends.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from ex4d_core.geometry import thin_things
from ex4d_core.geometry.windows import RING, likeness, neighbors

WIDTH = 0.02
"""Width of the widest thin thing, relative to the longer side; see `mesh.thin_width`."""

STEP = 1 / 256
"""Shortest step of the walk, relative to the longer side."""

STEPS = (1, 3, 9)
"""Lengths of its steps, in shortest steps."""

WALK = 48
"""Number of steps of the walk; along a straight thing it spreads by a tenth of the longer side."""

ALIKE = 0.2
"""Largest difference of disparity between two ends of a step, relative to the nearer."""

OTHER_COLOR = 0.1
"""Weight of a step between colors that have nothing in common, as at the shaded side of a post."""

STAY = 0.2
"""Weight of no step."""

LEVEL = 0.016
"""Extent in columns, relative to the longer side, from which a thing is sloped rather than even."""

AT_ONCE = 1 << 18
"""Number of pixels whose steps are computed at once, which bounds memory where nearly everything is thin."""


def even_out(pixels: Tensor) -> None:
    """Make the disparity of thin things even along them; change color and disparity, [T, H, W, 4], in place."""
    depth = 1 / pixels[..., 3]
    size = max(depth.shape[1:])
    everywhere = torch.ones_like(depth, dtype=torch.bool)
    thin = thin_things.find(depth, everywhere, thin_things.radius_of(WIDTH * size))
    index = thin.pixels.flatten().nonzero().squeeze(1)
    flat = pixels.view(-1, 4)
    places, weights = _walk(flat, index, depth.shape, max(round(STEP * size), 1))
    values, columns = flat[index, 3], index % depth.shape[2] / size
    moments = torch.stack([columns, values, columns * columns, columns * values], dim=1)
    for _ in range(WALK):
        moments = functional.embedding_bag(places, moments, per_sample_weights=weights, mode="sum")
    column, value, column2, product = moments.unbind(dim=1)
    slope = (product - column * value) / (column2 - column * column + LEVEL**2)
    flat[:, 3].index_copy_(0, index, value + slope * (columns - column))


def _walk(flat: Tensor, index: Tensor, shape: torch.Size, step: int) -> tuple[Tensor, Tensor]:
    """Return where a step from each of N pixels leads, as indices of them, int64 [N, K], and its probability [N, K].

    Args:
        flat: color and disparity of all pixels, [T * H * W, 4].
        index: flat indices of the pixels, int64 [N].
        shape: T, H, W.
        step: length of the shortest step in pixels.
    """
    offsets = [(step * k * i, step * k * j) for k in STEPS for i, j in RING]
    places = torch.full((len(flat),), -1, device=index.device)
    places[index] = torch.arange(len(index), device=index.device)
    stops = index.new_empty(len(index), len(offsets) + 1)
    weights = flat.new_empty(stops.shape)
    for start in range(0, len(index), AT_ONCE):
        part = slice(start, start + AT_ONCE)
        around = neighbors(index[part], offsets, shape)
        own, other, there = flat[index[part], None], flat[around], places[around]
        nearest = torch.maximum(own[..., 3], other[..., 3])
        leads = (there >= 0) & ((other[..., 3] - own[..., 3]).abs() < ALIKE * nearest)
        weights[part, :-1] = likeness(own, other).clamp_min(OTHER_COLOR) * leads
        stops[part, :-1] = there.clamp_min(0)
    weights[:, -1], stops[:, -1] = STAY, places[index]
    return stops, weights.div_(weights.sum(dim=1, keepdim=True))

"""Meters for the depth of a model that predicts it up to scale, as DA3NESTED does (`model/da3.py`).

The metric model predicts depth for a focal length of 300 pixels. One factor for a piece of a clip, by least squares,
maps depth to metric depth where confidence is at least the median and there is no sky.
"""

from __future__ import annotations

from collections.abc import Callable

import attrs
import numpy as np
import torch
from torch import Tensor

from ex4d_depth_anything3.network import Views
from ex4d_depth_anything3.pieces import Array, Piece

FOCAL = 300.0
"""Focal length in pixels of the model input for which the metric model predicts meters."""

SKY = 0.3
"""Least value of sky."""

FARTHEST_SKY = 200.0
"""Largest depth of sky in meters."""

_FEW = 10
_BATCH = 8


class Metric:
    """Scales pieces of a clip to meters."""

    def __init__(self, run: Callable[[Tensor], Views]) -> None:
        """Set the metric model, as a function of model input [N, 3, h, w]."""
        self._run = run

    def scaled(self, piece: Piece, prepared: Tensor) -> Piece:
        """Return a piece with its `meters` and with the depth of sky, unless there is too little else to see."""
        height, width = piece.depth.shape[1:]
        focal = focal_of(piece.tangent, width=width, height=height)
        views = [self._run(part) for part in torch.split(prepared, _BATCH)]
        metric = np.concatenate([view.depth.numpy() for view in views]) * (focal / FOCAL)[:, None, None]
        sky = np.concatenate([view.sky.numpy() for view in views if view.sky is not None]) >= SKY
        if (~sky).sum() <= _FEW:
            return piece
        usable = ~sky & (piece.weight >= np.median(piece.weight[~sky])) & (metric > 1e-2) & (piece.depth > 1e-3)
        if not usable.any():
            return piece
        ours, theirs = piece.depth[usable].astype(np.float64), metric[usable]
        meters = float(ours @ theirs / (ours @ ours))
        far = min(float(np.quantile(piece.depth[~sky], 0.99)), FARTHEST_SKY / meters)
        return attrs.evolve(
            piece,
            depth=np.where(sky, np.float32(far), piece.depth),
            weight=np.where(sky, np.float32(0), piece.weight),
            meters=meters,
        )


def focal_of(tangent: Array, *, width: int, height: int) -> Array:
    """Return the mean focal lengths in pixels, [n], of tangents of half of the fields of view [n, 2]."""
    focal: Array = (np.array([width, height]) / 2 / tangent).mean(axis=1)
    return focal


def without_sky(depth: Tensor, sky: Tensor) -> Tensor:
    """Return depth [N, h, w] with that of sky set to the 0.99 quantile of the rest, as the released code does."""
    if (~sky).sum() <= _FEW or sky.sum() <= _FEW:
        return depth
    far = float(np.quantile(depth[~sky].numpy(), 0.99))
    return torch.where(sky, torch.tensor(far), depth)

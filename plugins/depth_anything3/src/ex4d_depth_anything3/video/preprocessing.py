"""Prepare frames for the model, with the operations of the released code (`video_depth.py`, `util/transform.py`)."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from torch import Tensor

from ex4d_depth_anything3.backbone import PATCH
from ex4d_depth_anything3.preprocessing import normalized

_WIDE, _WIDEST = 1.777, 1.78
"""Aspect ratio whose pixels a longer clip gets, and the largest that is not reduced."""


def pictures(frames: Tensor, short_side: int) -> Tensor:
    """Convert frames uint8 [N, H, W, 3] to model input float32 [N, 3, h, w], resized by bicubic interpolation."""
    height, width = input_size(*frames.shape[1:3], short_side=short_side)
    prepared = [
        cv2.resize(frame.astype(np.float32) / 255, (width, height), interpolation=cv2.INTER_CUBIC)
        for frame in frames.numpy()
    ]
    return normalized(torch.from_numpy(np.stack(prepared)))


def input_size(height: int, width: int, *, short_side: int) -> tuple[int, int]:
    """Return height and width of the model input: multiples of `PATCH`, the shorter one `short_side` up to 16:9."""
    ratio = max(height, width) / min(height, width)
    short = short_side if ratio <= _WIDEST else int(short_side * _WIDE / ratio)
    short = _multiple(short)
    long = _multiple(short * ratio)
    return (short, long) if height <= width else (long, short)


def _multiple(side: float) -> int:
    return max(PATCH, round(side / PATCH) * PATCH)

"""Prepare frames for the model, with the operations of the released code (`utils/io/input_processor.py`)."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from torch import Tensor

from ex4d_depth_anything3.backbone import PATCH

_MEAN = torch.tensor([0.485, 0.456, 0.406])
_STD = torch.tensor([0.229, 0.224, 0.225])


def pictures(frames: Tensor, max_side: int) -> Tensor:
    """Convert frames uint8 [N, H, W, 3] to model input float32 [N, 3, h, w].

    The longer side is scaled to `max_side`, then both sides to the nearest multiple of the patch: by area when reduced,
    bicubic when enlarged, each time rounded to 8 bits.
    """
    prepared = np.stack([_resized(frame, max_side) for frame in frames.numpy()])
    return normalized(torch.from_numpy(prepared).float() / 255)


def normalized(colors: Tensor) -> Tensor:
    """Return model input [N, 3, h, w] of colors 0..1, [N, h, w, 3]."""
    return ((colors - _MEAN) / _STD).movedim(-1, 1)


def _resized(frame: np.ndarray, max_side: int) -> np.ndarray:
    height, width = frame.shape[:2]
    factor = max_side / max(width, height)
    fitted = _resize(
        frame, max(1, round(width * factor)), max(1, round(height * factor)), enlarges=max_side > max(width, height)
    )
    across, down = _multiple(fitted.shape[1]), _multiple(fitted.shape[0])
    return _resize(fitted, across, down, enlarges=across > fitted.shape[1] or down > fitted.shape[0])


def _resize(frame: np.ndarray, width: int, height: int, *, enlarges: bool) -> np.ndarray:
    if frame.shape[:2] == (height, width):
        return frame
    return cv2.resize(frame, (width, height), interpolation=cv2.INTER_CUBIC if enlarges else cv2.INTER_AREA)


def _multiple(side: int) -> int:
    """Return the multiple of the patch nearest to a side, the larger of two."""
    return max(PATCH, (2 * side + PATCH) // (2 * PATCH) * PATCH)

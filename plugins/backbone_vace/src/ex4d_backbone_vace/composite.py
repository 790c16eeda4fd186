"""Composite visible pixels of the guidance over a generated video, which has passed the VAE."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import torch

from ex4d_core.types import Guidance, Video

Array = np.ndarray[Any, Any]


def composited(video: Video, guidance: Guidance, *, margin: float, feather: float) -> Video:
    """Return the video with the visible pixels of the guidance.

    The weight of the guidance rises from 0 to 1 between `margin` and `margin + feather` pixels from the nearest hidden
    pixel.

    Args:
        video: of the size of the guidance.
        guidance: rendered color and mask.
        margin: width in pixels of the visible region's edge that was hidden from the model.
        feather: width of the transition in pixels.
    """
    frames = [
        _frame(made.numpy(), color.numpy(), mask.numpy(), margin, feather)
        for made, color, mask in zip(video.frames, guidance.color, guidance.mask, strict=True)
    ]
    return Video(frames=torch.from_numpy(np.stack(frames)), fps=video.fps)


def _frame(made: Array, color: Array, mask: Array, margin: float, feather: float) -> Array:
    if mask.all():
        return color
    distance = cv2.distanceTransform(mask.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    weight = np.clip((distance - margin) / (feather + 1), 0, 1)[..., None]
    mixed: Array = made + weight * (color.astype(np.float32) - made)
    return np.round(mixed).astype(np.uint8)

"""Prepare frames for a model and resize its output to the clip, in batches on the device.

The processors of transformers work image by image on the CPU or require torchvision. This module does the same
operations, configured by the same preprocessor_config.json.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, Literal

import attrs
import torch
from torch import Tensor
from torch.nn import functional

_HALF = (0.5, 0.5, 0.5)


@attrs.frozen(kw_only=True)
class Preparation:
    """Preprocessing parameters for frames of one size."""

    width: int
    """Of the model input, in pixels."""
    height: int
    mean: tuple[float, ...]
    """Of colors in [0, 1]."""
    std: tuple[float, ...]
    mode: Literal["bilinear", "bicubic"]
    antialias: bool
    corners: bool
    """Whether resizing aligns corners."""
    pad: tuple[int, int]
    """Columns and rows of reflection padding on each side, added first."""

    def pictures(self, frames: Tensor) -> Tensor:
        """Convert frames uint8 [N, H, W, 3] to model input float32 [N, 3, h, w]."""
        pictures = frames.movedim(-1, 1).float() / 255
        if any(self.pad):
            across, down = self.pad
            pictures = functional.pad(pictures, (across, across, down, down), mode="reflect")
        if pictures.shape[2:] != (self.height, self.width):
            pictures = functional.interpolate(
                pictures,
                size=(self.height, self.width),
                mode=self.mode,
                antialias=self.antialias,
                align_corners=True if self.corners else None,
            )
        if self.antialias:
            pictures = pictures.clamp(0, 1)  # bicubic overshoots; transformers rounds to 8 bits here
        mean, std = (torch.tensor(value, device=frames.device)[:, None, None] for value in (self.mean, self.std))
        return (pictures - mean) / std

    def maps(self, raw: Tensor, *, width: int, height: int) -> Tensor:
        """Resize the model output [N, h, w] to the clip, float32 [N, H, W], and remove the padding."""
        across, down = self.pad
        size = (height + 2 * down, width + 2 * across)
        maps = raw.float()[:, None]
        if maps.shape[2:] != size:
            maps = functional.interpolate(maps, size=size, mode="bilinear")
        return maps[:, 0, down : down + height, across : across + width]


def preparation(
    processor: Mapping[str, Any], *, model_type: str, width: int, height: int, max_side: int | None
) -> Preparation:
    """Return the preprocessing of frames of `width` x `height`.

    Args:
        processor: preprocessor_config.json; missing entries have the defaults of transformers.
        model_type: of the checkpoint, in the naming of transformers.
        width: of the clip in pixels.
        height: of the clip in pixels.
        max_side: longest side of the model input, or None for the size of its training.
    """
    pad = (0, 0)
    if model_type == "zoedepth" and processor.get("do_pad", True):
        pad = (int(3 * math.sqrt(width / 2)), int(3 * math.sqrt(height / 2)))
    across, down = _input_size(processor, model_type, width + 2 * pad[0], height + 2 * pad[1], max_side)
    normalize = processor.get("do_normalize", model_type != "glpn")
    bilinear = model_type in ("depth_pro", "zoedepth", "glpn")
    return Preparation(
        width=across,
        height=down,
        mean=tuple(processor.get("image_mean") or _HALF) if normalize else (0.0,) * 3,
        std=tuple(processor.get("image_std") or _HALF) if normalize else (1.0,) * 3,
        mode="bilinear" if processor.get("resample", 2 if bilinear else 3) == 2 else "bicubic",  # as PIL numbers them
        antialias=model_type not in ("depth_pro", "zoedepth"),
        corners=model_type == "zoedepth",
        pad=pad,
    )


def _input_size(
    processor: Mapping[str, Any], model_type: str, width: int, height: int, max_side: int | None
) -> tuple[int, int]:
    """Return the width and height of the model input."""
    if model_type == "depth_pro":
        return _size(processor, (1536, 1536))
    if model_type == "glpn" or not processor.get("do_resize", True):
        across, down = float(width), float(height)
        multiple = int(processor.get("size_divisor") or 32)
    else:
        default = (512, 384) if model_type == "zoedepth" else (384, 384)
        keep = processor.get("keep_aspect_ratio", model_type == "zoedepth")
        multiple = max(1, round(processor.get("ensure_multiple_of") or 1))
        across, down = _fitted(width, height, _size(processor, default), keep_aspect=keep)
    rounded: Callable[[float], int] = math.floor if model_type == "glpn" else round
    shrink = 1.0 if max_side is None else min(1.0, max_side / max(across, down))
    fitted = (max(multiple, rounded(side * shrink / multiple) * multiple) for side in (across, down))
    return tuple(fitted)  # type: ignore[return-value]  # it has two


def _fitted(width: int, height: int, size: tuple[int, int], *, keep_aspect: bool) -> tuple[float, float]:
    """Scale width and height to a size; with the aspect kept, by the factor that changes them least."""
    factors = size[0] / width, size[1] / height
    if keep_aspect:
        least = min(reversed(factors), key=lambda factor: abs(1 - factor))
        factors = least, least
    return factors[0] * width, factors[1] * height


def _size(processor: Mapping[str, Any], default: tuple[int, int]) -> tuple[int, int]:
    """Return the width and height of a processor; older ones have one number for both."""
    size = processor.get("size") or {}
    if isinstance(size, int):
        return size, size
    return int(size.get("width", default[0])), int(size.get("height", default[1]))

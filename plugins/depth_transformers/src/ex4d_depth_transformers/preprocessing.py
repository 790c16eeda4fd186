"""Frames as a model wants to see them, and its maps as the clip is, on the device and in batches.

The library's own processors work picture by picture on the CPU or need torchvision, and Depth Pro has no other. These
are the same operations, from the same preprocessor_config.json.
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
    """How frames of one size become pictures for a model."""

    width: int
    """Of what the model sees, in pixels."""
    height: int
    mean: tuple[float, ...]
    """Of colors in [0, 1]."""
    std: tuple[float, ...]
    mode: Literal["bilinear", "bicubic"]
    antialias: bool
    corners: bool
    """Whether corner pixels stay corner pixels when a picture is resized."""
    pad: tuple[int, int]
    """Columns and rows of reflection added on each side before all else."""

    def pictures(self, frames: Tensor) -> Tensor:
        """Return frames uint8 [N, H, W, 3] as pictures float32 [N, 3, h, w]."""
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
            pictures = pictures.clamp(0, 1)  # bicubic runs over, and what is in 8 bits in between does not
        mean, std = (torch.tensor(value, device=frames.device)[:, None, None] for value in (self.mean, self.std))
        return (pictures - mean) / std

    def maps(self, raw: Tensor, *, width: int, height: int) -> Tensor:
        """Return a model's maps [N, h, w] as float32 [N, H, W] in the size of the clip, without the padding."""
        across, down = self.pad
        size = (height + 2 * down, width + 2 * across)
        maps = raw.float()[:, None]
        if maps.shape[2:] != size:
            maps = functional.interpolate(maps, size=size, mode="bilinear")
        return maps[:, 0, down : down + height, across : across + width]


def preparation(
    processor: Mapping[str, Any], *, model_type: str, width: int, height: int, max_side: int | None
) -> Preparation:
    """Return how frames of `width` x `height` are prepared.

    Args:
        processor: what preprocessor_config.json says; what it leaves out is as in the library's class.
        model_type: of the checkpoint, as transformers names it.
        width: of the clip in pixels.
        height: of the clip in pixels.
        max_side: longest side that the model may see, or None for what it was made for.
    """
    pad = (0, 0)
    if model_type == "zoedepth" and processor.get("do_pad", True):
        pad = (int(3 * math.sqrt(width / 2)), int(3 * math.sqrt(height / 2)))
    across, down = _seen(processor, model_type, width + 2 * pad[0], height + 2 * pad[1], max_side)
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


def _seen(
    processor: Mapping[str, Any], model_type: str, width: int, height: int, max_side: int | None
) -> tuple[int, int]:
    """Return the width and height that the model sees."""
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
    """Return width and height brought to a size; with the aspect kept, by the one factor that changes them least."""
    factors = size[0] / width, size[1] / height
    if keep_aspect:
        least = min(reversed(factors), key=lambda factor: abs(1 - factor))
        factors = least, least
    return factors[0] * width, factors[1] * height


def _size(processor: Mapping[str, Any], default: tuple[int, int]) -> tuple[int, int]:
    """Return the width and height that a processor is set to; older ones have one number for both."""
    size = processor.get("size") or {}
    if isinstance(size, int):
        return size, size
    return int(size.get("width", default[0])), int(size.get("height", default[1]))

"""Convert between the values of ComfyUI and those of ex4d.

IMAGE is float [B, H, W, C] from 0 to 1. MASK is float [B, H, W], 1 where something is generated: the inverse of a mask
of ex4d, which is True where the source camera saw something.
"""

from __future__ import annotations

from typing import Any

import attrs
import torch
from torch import Tensor
from torch.nn.functional import max_pool2d

from ex4d_core.errors import InvalidInput
from ex4d_core.types import CameraPath, Guidance, Video

FPS = 30
"""Frame rate of an IMAGE, which has none; nothing here depends on it."""

HOLE_COLORS = {
    "grey": (0.5, 0.5, 0.5),  # VACE
    "black": (0.0, 0.0, 0.0),  # EX-4D
    "magenta": (1.0, 0.0, 1.0),  # CrossView Warp
    "green": (102 / 255, 1.0, 0.0),  # LTX in- and outpainting
    "pink": (1.0, 65 / 255, 174 / 255),  # Reshoot Anything
}
"""RGB of holes by name, as the models in the comments were trained with."""


def as_video(images: Any, name: str = "images") -> Video:
    """Return an IMAGE as video; a fourth channel is dropped.

    Args:
        images: float [B, H, W, C], C at least 3.
        name: of the input, for messages.

    Raises:
        InvalidInput: it is not an IMAGE.
    """
    if not isinstance(images, Tensor) or images.ndim != 4 or images.shape[3] < 3:
        raise InvalidInput(f"{name} must be an IMAGE of shape [B, H, W, 3], not {_shown(images)}")
    levels = images[..., :3].detach().cpu().float().nan_to_num().clamp(0, 1) * 255
    return Video(frames=levels.round().to(torch.uint8), fps=FPS)  # type: ignore[arg-type]  # converted


def as_image(frames: Tensor) -> Tensor:
    """Return frames, uint8 [T, H, W, 3], as IMAGE."""
    return frames.float() / 255


def holes_of(guidance: Guidance) -> Tensor:
    """Return the MASK of a guidance."""
    return (~guidance.mask).float()


def with_grown_holes(guidance: Guidance, pixels: int) -> Guidance:
    """Return a guidance whose holes reach some pixels further in each direction."""
    if not pixels:
        return guidance
    grown = max_pool2d(holes_of(guidance)[:, None], 2 * pixels + 1, stride=1, padding=pixels)
    known = grown[:, 0] == 0
    return attrs.evolve(guidance, color=guidance.color * known[..., None], mask=known)


def with_hole_color(guidance: Guidance, color: str) -> Tensor:
    """Return the IMAGE of a guidance, with a color of `HOLE_COLORS` in the holes."""
    return as_image(guidance.color).where(guidance.mask[..., None], torch.tensor(HOLE_COLORS[color]))


def as_guidance(images: Any, holes: Any, cameras: CameraPath | None) -> Guidance:
    """Return an IMAGE and the MASK of its holes as guidance; one mask stands for all frames.

    Args:
        images: float [B, H, W, 3]; colors in the holes are dropped.
        holes: float [B, H, W], [1, H, W] or [H, W]; above 0.5 is a hole.
        cameras: the path of the images, if known.

    Raises:
        InvalidInput: numbers of frames or sizes differ.
    """
    video = as_video(images)
    if not isinstance(holes, Tensor) or holes.ndim not in (2, 3):
        raise InvalidInput(f"holes must be a MASK of shape [B, H, W], not {_shown(holes)}")
    known = holes.detach().cpu().reshape(-1, *holes.shape[-2:]) <= 0.5
    frames, height, width = video.frames.shape[:3]
    if known.shape[1:] != (height, width) or known.shape[0] not in (1, frames):
        count, own_height, own_width = known.shape
        raise InvalidInput(
            f"holes has {count} frames of {own_width}x{own_height} but images has {frames} of {width}x{height}; "
            "connect the mask of these images"
        )
    known = known.expand(frames, -1, -1)
    return Guidance(color=video.frames * known[..., None], mask=known, fps=video.fps, cameras=cameras)


def _shown(value: Any) -> str:
    return str(list(value.shape)) if isinstance(value, Tensor) else type(value).__name__

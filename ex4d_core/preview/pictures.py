"""Draw guidance with holes as a pattern and the visible fraction of each frame."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import cv2
import numpy as np
import torch
from torch import Tensor

from ex4d_core.types import Guidance, Video

_CAPTION = 24
_GAP = 4
_PAPER = 235
_INK = (30, 30, 30)
_BAR = (70, 160, 90)
_LOW = (210, 80, 60)
_FONT = cv2.FONT_HERSHEY_SIMPLEX
_CELL = 6
"""Size of a square of the pattern in pixels."""


def visible_fractions(guidance: Guidance) -> Tensor:
    """Return the visible fraction of each frame, float64 [T]."""
    return guidance.mask.double().mean(dim=(1, 2))


def with_holes(color: Tensor, mask: Tensor) -> Tensor:
    """Return frames of guidance with holes drawn as a pattern of dark squares.

    Args:
        color: uint8 [..., H, W, 3], sRGB.
        mask: bool [..., H, W].
    """
    height, width = mask.shape[-2:]
    squares = (torch.arange(height)[:, None] // _CELL + torch.arange(width)[None] // _CELL) % 2
    pattern = (64 + 28 * squares).to(torch.uint8)[..., None]
    return color.where(mask[..., None], pattern)


def with_motion(frames: Tensor, moving: Tensor) -> Tensor:
    """Return frames with a red tint where something moves.

    Args:
        frames: uint8 [..., H, W, 3], sRGB.
        moving: bool [..., H, W].
    """
    tint = torch.tensor([255, 64, 64])
    return torch.where(moving[..., None], (frames.long() + tint) // 2, frames).to(torch.uint8)


def tiles(video: Video, paths: Mapping[str, Guidance]) -> Tensor:
    """Return an image for each frame with the input and the guidance of each path, uint8 [T, h, w, 3]."""
    columns = _with_captions(video.frames, "input", None)
    parts = [
        columns,
        *(_with_captions(with_holes(g.color, g.mask), cam, visible_fractions(g)) for cam, g in paths.items()),
    ]
    across = len(parts) if len(parts) <= 3 else math.ceil(math.sqrt(len(parts)))
    blank = torch.full_like(columns, _PAPER)
    parts += [blank] * (-len(parts) % across)
    rows = [_joined(parts[first : first + across], dim=2) for first in range(0, len(parts), across)]
    return _joined(rows, dim=1)


def sheet_rows(video: Video, paths: Mapping[str, Guidance]) -> dict[str, Tensor]:
    """Return the rows of a contact sheet by their labels."""
    rows = {"input": _with_captions(video.frames, "", None)}
    for cam, guidance in paths.items():
        rows[cam] = _with_captions(with_holes(guidance.color, guidance.mask), "", visible_fractions(guidance))
    return rows


def _with_captions(frames: Tensor, title: str, visible: Tensor | None) -> Tensor:
    """Return frames with a caption below them: the title, and the visible fraction as number and bar."""
    count, _, width = frames.shape[:3]
    lines = np.full((count, _CAPTION, width, 3), _PAPER, np.uint8)
    for index, line in enumerate(lines):
        text = title
        if visible is not None:
            fraction = float(visible[index])
            line[-4:, : round(width * fraction)] = _BAR if fraction >= 0.5 else _LOW
            text = f"{fraction:.0%} visible"
            left = width - cv2.getTextSize(text, _FONT, 0.42, 1)[0][0] - 4
            _write(line, _cut(title, left - 10), 4)
            _write(line, text, left)
        else:
            _write(line, _cut(text, width - 8), 4)
    return torch.cat([frames, torch.from_numpy(lines)], dim=1)


def _write(line: np.ndarray, text: str, left: int) -> None:
    cv2.putText(line, text, (left, 15), _FONT, 0.42, _INK, 1, cv2.LINE_AA)


def _cut(text: str, width: int) -> str:
    """Shorten a text to a width in pixels."""
    if cv2.getTextSize(text, _FONT, 0.42, 1)[0][0] <= width:
        return text
    while text and cv2.getTextSize(f"{text}..", _FONT, 0.42, 1)[0][0] > width:
        text = text[:-1]
    return f"{text}.." if text else ""


def _joined(parts: Sequence[Tensor], *, dim: int) -> Tensor:
    shape = list(parts[0].shape)
    shape[dim] = _GAP
    gap = torch.full(shape, _PAPER, dtype=torch.uint8)
    return torch.cat([part for one in parts for part in (gap, one)][1:], dim=dim)

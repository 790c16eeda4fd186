"""Draw guidance for people: holes as a pattern, visible coverage on each frame."""

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
"""Pixels of a square of the pattern."""


def known_shares(guidance: Guidance) -> Tensor:
    """Return the share of each frame that is known, float64 [T]."""
    return guidance.mask.double().mean(dim=(1, 2))


def with_holes(color: Tensor, mask: Tensor) -> Tensor:
    """Return frames of guidance with a pattern of dark squares where nothing is known.

    Args:
        color: uint8 [..., H, W, 3], sRGB.
        mask: bool [..., H, W].
    """
    height, width = mask.shape[-2:]
    squares = (torch.arange(height)[:, None] // _CELL + torch.arange(width)[None] // _CELL) % 2
    pattern = (64 + 28 * squares).to(torch.uint8)[..., None]
    return color.where(mask[..., None], pattern)


def tiles(video: Video, takes: Mapping[str, Guidance]) -> Tensor:
    """Return a picture for each frame: the input, and beside it what is known along each path, uint8 [T, h, w, 3]."""
    columns = _with_captions(video.frames, "input", None)
    parts = [columns, *(_with_captions(with_holes(g.color, g.mask), cam, known_shares(g)) for cam, g in takes.items())]
    across = len(parts) if len(parts) <= 3 else math.ceil(math.sqrt(len(parts)))
    blank = torch.full_like(columns, _PAPER)
    parts += [blank] * (-len(parts) % across)
    rows = [_joined(parts[first : first + across], dim=2) for first in range(0, len(parts), across)]
    return _joined(rows, dim=1)


def sheet_rows(video: Video, takes: Mapping[str, Guidance]) -> dict[str, Tensor]:
    """Return the rows of a contact sheet by their labels."""
    rows = {"input": _with_captions(video.frames, "", None)}
    for cam, guidance in takes.items():
        rows[cam] = _with_captions(with_holes(guidance.color, guidance.mask), "", known_shares(guidance))
    return rows


def _with_captions(frames: Tensor, title: str, known: Tensor | None) -> Tensor:
    """Return frames with a line below that names them and says how much is known, with a bar."""
    count, _, width = frames.shape[:3]
    lines = np.full((count, _CAPTION, width, 3), _PAPER, np.uint8)
    for index, line in enumerate(lines):
        text = title
        if known is not None:
            share = float(known[index])
            line[-4:, : round(width * share)] = _BAR if share >= 0.5 else _LOW
            text = f"{share:.0%} known"
            left = width - cv2.getTextSize(text, _FONT, 0.42, 1)[0][0] - 4
            _write(line, _cut(title, left - 10), 4)
            _write(line, text, left)
        else:
            _write(line, _cut(text, width - 8), 4)
    return torch.cat([frames, torch.from_numpy(lines)], dim=1)


def _write(line: np.ndarray, text: str, left: int) -> None:
    cv2.putText(line, text, (left, 15), _FONT, 0.42, _INK, 1, cv2.LINE_AA)


def _cut(text: str, width: int) -> str:
    """Return as much of a text as fits."""
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

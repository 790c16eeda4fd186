"""Draw a contact sheet of a run: input, guidance, mask and output at a few frames."""

from __future__ import annotations

from collections.abc import Mapping

import cv2
import numpy as np
import torch
from torch import Tensor

_LABEL_WIDTH = 96
_FONT, _SIZE = cv2.FONT_HERSHEY_SIMPLEX, 0.5
_GAP = 4
_BACKGROUND = 200  # distinct from black and white frames


def contact_sheet(rows: Mapping[str, Tensor], *, columns: int = 6, cell_width: int = 192) -> Tensor:
    """Draw rows of frames with labels; return uint8 [H, W, 3], sRGB.

    Args:
        rows: frames uint8 [T, H, W, 3] or a mask bool [T, H, W] for each label, of equal length and size.
        columns: number of frames, evenly spaced from the first to the last.
        cell_width: width of a frame in pixels.
    """
    num_frames, height, width = next(iter(rows.values())).shape[:3]
    picks = frames_on_sheet(num_frames, columns=columns)
    cell = (cell_width, max(1, round(cell_width * height / width)))
    margin = max(_LABEL_WIDTH, *(cv2.getTextSize(label, _FONT, _SIZE, 1)[0][0] + 12 for label in rows))
    strips = [_strip(label, frames[picks], cell, margin) for label, frames in rows.items()]
    gap = np.full((_GAP, strips[0].shape[1], 3), _BACKGROUND, np.uint8)
    stacked = [part for strip in strips for part in (strip, gap)][:-1]
    return torch.from_numpy(np.concatenate(stacked))


def frames_on_sheet(num_frames: int, *, columns: int = 6) -> Tensor:
    """Return the indices of the frames on a sheet, int64, to select them beforehand and save memory."""
    return torch.from_numpy(np.linspace(0, num_frames - 1, min(columns, num_frames)).round().astype(np.int64))


def _strip(label: str, frames: Tensor, cell: tuple[int, int], margin: int) -> np.ndarray:
    if frames.ndim == 3:
        frames = (frames.to(torch.uint8) * 255)[..., None].expand(-1, -1, -1, 3)
    title = np.full((cell[1], margin, 3), _BACKGROUND, np.uint8)
    cv2.putText(title, label, (6, cell[1] // 2 + 5), _FONT, _SIZE, (0, 0, 0), 1, cv2.LINE_AA)
    gap = np.full((cell[1], _GAP, 3), _BACKGROUND, np.uint8)
    parts = [title]
    for index, frame in enumerate(frames.numpy()):
        parts += [gap] * bool(index) + [cv2.resize(frame, cell, interpolation=cv2.INTER_AREA)]
    return np.concatenate(parts, axis=1)

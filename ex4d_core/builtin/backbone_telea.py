"""The `telea` backbone: a minimal preview that fills each frame with OpenCV. It is not a generative model."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from torch import Tensor

from ex4d_core.builtin.telea_options import TeleaOptions
from ex4d_core.errors import InvalidInput
from ex4d_core.progress import Progress, track
from ex4d_core.types import Guidance, Scene, Video
from ex4d_core.workspace import Workspace

RADIUS = 3.0
"""Radius in pixels of the neighborhood from which a pixel is filled."""

GRAY = 127


class TeleaBackbone:
    """Fills the holes of each frame from their borders inwards, with `cv2.inpaint` (Telea, 2004).

    Frames are independent of each other, so the fill flickers. Scene, prompt and seed are ignored.
    """

    def __init__(self, options: TeleaOptions, *, device: torch.device) -> None:
        pass

    def generate(
        self,
        guidance: Guidance,
        scene: Scene | None,
        *,
        prompt: str,
        seed: int,
        progress: Progress,
        workspace: Workspace,
    ) -> Video:
        """Return the guidance with its holes filled; the visible region is preserved exactly.

        Raises:
            InvalidInput: the guidance has no frames.
        """
        if not guidance.num_frames:
            raise InvalidInput("the guidance has no frames; render at least one")
        frames = torch.empty_like(guidance.color)
        for frame in track(range(guidance.num_frames), progress):
            frames[frame] = _filled(guidance.color[frame], guidance.mask[frame])
        return Video(frames=frames, fps=guidance.fps)


def _filled(color: Tensor, visible: Tensor) -> Tensor:
    if not visible.any():
        return torch.full_like(color, GRAY)
    holes = (~visible).numpy().astype(np.uint8)
    filled = cv2.inpaint(np.ascontiguousarray(color.numpy()), holes, RADIUS, cv2.INPAINT_TELEA)
    return torch.where(visible[..., None], color, torch.from_numpy(filled))

"""CoTracker3 as a tracker: handles occlusion better than optical flow, and needs a GPU.

It is not on PyPI and its code and weights are for non-commercial use (CC BY-NC 4.0):
`pip install git+https://github.com/facebookresearch/co-tracker`, and `scaled_offline.pth` from the hub's
`facebook/cotracker3`. Nothing of it is imported before a `CoTracker` is made.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ex4d_core.errors import ComponentNotFound, InputNotFound
from ex4d_core.masks.options import MaskOptions
from ex4d_core.masks.trackers import FlowTracker, Tracker, Tracks
from ex4d_core.types import Video

WINDOW = 60
"""Frames that the offline model was trained with; longer clips go through it whole all the same."""


def tracker_of(options: MaskOptions, *, device: torch.device) -> Tracker:
    """Return what follows points as the options say; keep it, for what it keeps.

    Raises:
        ComponentNotFound: CoTracker is not installed.
        InputNotFound: there is no such checkpoint.
    """
    return CoTracker(options.cotracker, device=device) if options.cotracker else FlowTracker()


class CoTracker:
    """Follows points by CoTracker3's offline model (Karaev et al., arXiv 2410.11831)."""

    def __init__(self, checkpoint: str | Path, *, device: torch.device, points_at_once: int = 4096) -> None:
        """Load the model.

        Args:
            checkpoint: the file `scaled_offline.pth` or `baseline_offline.pth`.
            device: where it computes.
            points_at_once: how many points are followed together, which bounds its memory.

        Raises:
            ComponentNotFound: CoTracker is not installed.
            InputNotFound: there is no such checkpoint.
        """
        try:
            module = importlib.import_module("cotracker.predictor")
        except ImportError as error:
            raise ComponentNotFound(
                "CoTracker is not installed, or lacks something that it needs "
                f"({error}); type: pip install git+https://github.com/facebookresearch/co-tracker"
            ) from error
        if not Path(checkpoint).is_file():
            raise InputNotFound(
                f"the CoTracker checkpoint {checkpoint} does not exist; "
                "type: hf download facebook/cotracker3 scaled_offline.pth"
            )
        model: Any = module.CoTrackerPredictor(checkpoint=str(checkpoint), offline=True, v2=False, window_len=WINDOW)
        self._model = model.to(device)
        self._device = device
        self._points_at_once = points_at_once

    def track(self, video: Video, points: Tensor, start: int) -> Tracks:
        """Return where points of frame `start` are in every frame; see `Tracker`."""
        frames = video.frames.movedim(-1, 1)[None].float().to(self._device)
        # It counts from the center of the first pixel, and takes each point with its frame.
        queries = torch.cat([torch.full((len(points), 1), float(start)), points - 0.5], dim=1)
        positions = torch.zeros(video.num_frames, len(points), 2)
        visible = torch.zeros(video.num_frames, len(points), dtype=torch.bool)
        for first in range(0, len(points), self._points_at_once):
            part = slice(first, first + self._points_at_once)
            found, seen = self._model(frames, queries=queries[None, part].to(self._device), backward_tracking=True)
            positions[:, part], visible[:, part] = found[0].cpu() + 0.5, seen[0].reshape(video.num_frames, -1).cpu()
        return Tracks(positions=positions, visible=visible)

"""CoTracker3 as a tracker: handles occlusion better than optical flow, and needs a GPU.

It is not on PyPI and its code and weights are for non-commercial use (CC BY-NC 4.0):
`pip install git+https://github.com/facebookresearch/co-tracker`, and `scaled_offline.pth` of
`facebook/cotracker3` on the hub. It is imported when a `CoTracker` is created.
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
"""Number of frames with which the offline model was trained; longer clips are processed as a whole too."""


def tracker_of(options: MaskOptions, *, device: torch.device) -> Tracker:
    """Return the tracker that the options select. Reuse it, since it caches its work.

    Raises:
        ComponentNotFound: CoTracker is not installed.
        InputNotFound: the checkpoint does not exist.
    """
    return CoTracker(options.cotracker, device=device) if options.cotracker else FlowTracker()


class CoTracker:
    """Tracks points with the offline model of CoTracker3 (Karaev et al., arXiv 2410.11831)."""

    def __init__(self, checkpoint: str | Path, *, device: torch.device, points_at_once: int = 4096) -> None:
        """Load the model.

        Args:
            checkpoint: the file `scaled_offline.pth` or `baseline_offline.pth`.
            device: device of the model.
            points_at_once: number of points tracked at once, which bounds memory.

        Raises:
            ComponentNotFound: CoTracker is not installed.
            InputNotFound: the checkpoint does not exist.
        """
        try:
            module = importlib.import_module("cotracker.predictor")
        except ImportError as error:
            raise ComponentNotFound(
                f"CoTracker or one of its requirements is not installed ({error}); "
                "run: pip install git+https://github.com/facebookresearch/co-tracker"
            ) from error
        if not Path(checkpoint).is_file():
            raise InputNotFound(
                f"the CoTracker checkpoint {checkpoint} does not exist; "
                "run: hf download facebook/cotracker3 scaled_offline.pth"
            )
        model: Any = module.CoTrackerPredictor(checkpoint=str(checkpoint), offline=True, v2=False, window_len=WINDOW)
        self._model = model.to(device)
        self._device = device
        self._points_at_once = points_at_once

    def track(self, video: Video, points: Tensor, start: int) -> Tracks:
        """Track points of frame `start` into every frame; see `Tracker`."""
        frames = video.frames.movedim(-1, 1)[None].float().to(self._device)
        # Its origin is the center of the first pixel; a query is a frame index and a point.
        queries = torch.cat([torch.full((len(points), 1), float(start)), points - 0.5], dim=1)
        positions = torch.zeros(video.num_frames, len(points), 2)
        visible = torch.zeros(video.num_frames, len(points), dtype=torch.bool)
        for first in range(0, len(points), self._points_at_once):
            part = slice(first, first + self._points_at_once)
            found, seen = self._model(frames, queries=queries[None, part].to(self._device), backward_tracking=True)
            positions[:, part], visible[:, part] = found[0].cpu() + 0.5, seen[0].reshape(video.num_frames, -1).cpu()
        return Tracks(positions=positions, visible=visible)

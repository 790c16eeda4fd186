"""Simulate masks for training without multi-view data.

guidance = simulate_masks(Scene(video=video, depth=depth), seed=7)      # video.frames is the target
print(measure(guidance.mask))                                     # hidden area, hole sizes, temporal stability
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ex4d_core.masks.cotracker import tracker_of
    from ex4d_core.masks.options import MaskOptions
    from ex4d_core.masks.simulate import kind_of, simulate_masks
    from ex4d_core.masks.statistics import MaskStatistics, measure
    from ex4d_core.masks.trackers import FlowTracker, Tracker, Tracks

__all__ = [
    "FlowTracker",
    "MaskOptions",
    "MaskStatistics",
    "Tracker",
    "Tracks",
    "kind_of",
    "measure",
    "simulate_masks",
    "tracker_of",
]

_HOMES = {
    "cotracker": ("tracker_of",),
    "options": ("MaskOptions",),
    "simulate": ("kind_of", "simulate_masks"),
    "statistics": ("MaskStatistics", "measure"),
    "trackers": ("FlowTracker", "Tracker", "Tracks"),
}


def __getattr__(name: str) -> Any:
    """Import a public name on first use: options and erosion do not need renderers and trackers."""
    for home, names in _HOMES.items():
        if name in names:
            return getattr(importlib.import_module(f"ex4d_core.masks.{home}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

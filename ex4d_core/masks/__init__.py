"""Simulate masks for training without multi-view data.

guidance = simulate_masks(Scene(video=video, depth=depth), seed=7)      # video.frames is the target
print(measure(guidance.mask))                                     # hidden area, hole sizes, temporal stability
"""

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

"""Masks for training without multi-view data.

guidance = simulate(Scene(video=video, depth=depth), seed=7)      # video.frames is what it should become
print(measure(guidance.mask))                                     # how much it hides, in what sizes, how steadily
"""

from ex4d_core.masking.cotracker import tracker_of
from ex4d_core.masking.options import MaskOptions
from ex4d_core.masking.simulate import kind_of, simulate
from ex4d_core.masking.statistics import MaskStatistics, measure
from ex4d_core.masking.trackers import FlowTracker, Tracker, Tracks

__all__ = [
    "FlowTracker",
    "MaskOptions",
    "MaskStatistics",
    "Tracker",
    "Tracks",
    "kind_of",
    "measure",
    "simulate",
    "tracker_of",
]

"""The static scene of a clip of any length: one backdrop, or several in turn where the source camera moves.

Where it moves and its poses are not known, frames cannot be combined: a backdrop shows one frame.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import pairwise
from threading import Lock

import attrs
import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ex4d_backbone_inpaint.backdrop import Backdrop
from ex4d_backbone_inpaint.backs import Backs
from ex4d_backbone_inpaint.options import InpaintOptions
from ex4d_backbone_inpaint.push_pull import Picture
from ex4d_backbone_inpaint.samples import SIDE, pose_of, shrunk, take_samples
from ex4d_core.geometry.dynamic_mask import dynamic_mask
from ex4d_core.types import Intrinsics, Scene

SPAN = 49
"""Frames between two backdrops of a clip with a moving source camera."""

SHORT_SPAN = 6
"""The same if its poses are not known."""

MOVING = 0.8
"""Fraction of a frame that moves from which the source camera must have moved."""

FRAMES_AT_ONCE = 8
"""Largest number of frames that are computed at the same time, which bounds memory."""

SUPERSAMPLING = 2
"""Size at which views are drawn, in those of the frame: one sample per pixel aliases texture and edges."""

LARGEST_VIEW = 512
"""Largest longer side in pixels at which views are drawn: the colors of backdrops are smooth."""

IN_FRONT = 0.99
"""Largest depth of what is in front of the static scene, in depths of the latter. The fronts that close the backs of
static things are also part of that scene: at equal depth, the view would alternate between both."""


@attrs.frozen(eq=False, kw_only=True)
class View:
    """A view of the scene around one frame."""

    background: Picture
    """float32 [H, W, 3], 0..255: the static scene."""

    backs: Picture
    """float32 [H, W, 3]: the backs of the things in the frame, moving ones included."""

    in_front: NDArray[np.bool_]
    """bool [H, W], where the backs are in front of the static scene."""


class ClipModel:
    """Renders the static scene of a clip, and the backs of things."""

    def __init__(self, scene: Scene, options: InpaintOptions) -> None:
        self._scene = scene
        self._options = options
        frames = scene.video.num_frames
        self._poses_unknown = scene.depth.has_static_camera and _camera_moves(scene)
        span = SHORT_SPAN if self._poses_unknown else frames if scene.depth.has_static_camera else SPAN
        number = max(1, round(frames / span))
        edges = np.linspace(0, frames, number + 1)
        self._centers = [int((start + stop) / 2) for start, stop in pairwise(edges)]
        # Each frame uses those of two neighbors.
        self._kept = lru_cache(maxsize=3 + FRAMES_AT_ONCE // SHORT_SPAN)(self._make_backdrop)
        self._locks = [Lock() for _ in self._centers]

    def view(self, frame: int, world_to_camera: Tensor, intrinsics: Intrinsics) -> View:
        """Return what a camera sees around a frame of the clip; see `SUPERSAMPLING` and `LARGEST_VIEW` for its size."""
        scale = min(SUPERSAMPLING, LARGEST_VIEW / max(intrinsics.width, intrinsics.height))
        width, height = max(1, round(intrinsics.width * scale)), max(1, round(intrinsics.height * scale))
        lens = intrinsics.scaled_to(width=width, height=height)
        pose = world_to_camera.double().numpy()
        position = float(np.interp(frame, self._centers, np.arange(len(self._centers))))
        first, rest = int(position), position % 1
        background, depth = self._backdrop(first).render(pose, lens)
        if rest:
            background = background + rest * (self._backdrop(first + 1).render(pose, lens)[0] - background)
        color, inverse = shrunk(self._scene, frame, SIDE)
        own = self._scene.depth.intrinsics_at(frame).scaled_to(width=inverse.shape[1], height=inverse.shape[0])
        relative = pose @ np.linalg.inv(pose_of(self._scene, frame))
        backs, their_depth = Backs.of(color, inverse, own).render(relative, lens)
        return View(background=background, backs=backs, in_front=their_depth < IN_FRONT * depth)

    def _backdrop(self, index: int) -> Backdrop:
        with self._locks[index]:  # several frames need it at once
            return self._kept(index)

    def _make_backdrop(self, index: int) -> Backdrop:
        center, last = self._centers[index], self._scene.video.num_frames - 1
        if self._poses_unknown:
            # In another frame, things in front of the background are elsewhere.
            samples = take_samples(self._scene, [center], center)
            return Backdrop.of(samples, self._options.tolerance, foreground=False)
        reach = last if len(self._centers) == 1 else SPAN
        first, end = max(0, center - reach), min(last, center + reach)
        frames = sorted({round(frame) for frame in np.linspace(first, end, self._options.scene_frames)})
        return Backdrop.of(take_samples(self._scene, frames, center), self._options.tolerance)


def _camera_moves(scene: Scene) -> bool:
    """Return whether nearly everything moves, against a depth that states that the source camera does not."""
    last = scene.video.num_frames - 1
    moving = dynamic_mask(scene, sorted({last // 4, last // 2, 3 * last // 4}))
    return bool(moving.float().mean(dim=(1, 2)).median() > MOVING)

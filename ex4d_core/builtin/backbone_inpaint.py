"""The `inpaint` backbone: a preview without weights. It is not a generative model."""

from __future__ import annotations

from collections import deque

import attrs
import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from ex4d_core.builtin._fill import fill_from_surroundings
from ex4d_core.builtin._other_frames import OtherFrames
from ex4d_core.builtin.inpaint_options import InpaintOptions
from ex4d_core.errors import InvalidInput
from ex4d_core.progress import Progress, track
from ex4d_core.types import CameraPath, Guidance, Scene, Video
from ex4d_core.workspace import Workspace

_EDGE_TRUST = np.float32(0.02)
"""How much pixels beside a hole count: their colors are already mixed with what is on its other side."""


class InpaintBackbone:
    """Fills what the mask hides from what other frames have seen, then from what surrounds it.

    This is a preview, not a generative model: what no frame has seen becomes a soft continuation of what is around
    it, nothing is invented, and the prompt is not read. Nothing is random either: every seed gives the same video.
    """

    def __init__(self, options: InpaintOptions, *, device: torch.device) -> None:
        self._options = options

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
        """Return the guidance with its holes filled; known pixels are kept exactly.

        Args:
            guidance: what is known. Without its cameras other frames cannot help.
            scene: what was filmed, or None: then holes are filled from their surroundings only.
            prompt: not used.
            seed: not used.
            progress: told after each frame.
            workspace: not used: a preview takes seconds.

        Raises:
            InvalidInput: the guidance has no frames, or another number of them than the scene.
        """
        _check(guidance, scene)
        path = _path_of(guidance)
        others = None
        if scene is not None and path is not None:
            others = OtherFrames(scene, count=self._options.other_frames, tolerance=self._options.tolerance)
        frames = torch.empty_like(guidance.color)
        spare = _mean_color(guidance)
        steady = _Steady(self._options.steadiness, frames)
        for frame in track(range(guidance.num_frames), progress):
            known = _known(guidance, frame)
            if others is not None and path is not None and not known.mask.all():
                known = _seen_elsewhere(known, frame, path, others, ask=self._options.other_frames > 0)
            steady.add(frame, known, _surroundings(known, spare))
        steady.finish()
        return Video(frames=frames, fps=guidance.fps)


@attrs.frozen(eq=False, kw_only=True)
class _Known:
    """What is known of a frame so far."""

    color: NDArray[np.float32]
    """float32 [H, W, 3], 0..255."""
    depth: NDArray[np.float32]
    """float32 [H, W]; 1 where it is not known."""
    limit: NDArray[np.float32]
    """float32 [H, W]; what is hidden is not nearer than this; 0 where it may be anywhere."""
    mask: NDArray[np.bool_]


class _Steady:
    """Smooths fills over time: each is averaged with its neighbors', where those had to be filled too.

    Nothing is smoothed that a frame knows, and a picture that does not change stays as it is.
    """

    def __init__(self, radius: int, frames: torch.Tensor) -> None:
        self._radius = radius
        self._frames = frames
        self._window: deque[tuple[int, _Known, NDArray[np.float32]]] = deque(maxlen=2 * radius + 1)
        self._next = 0

    def add(self, frame: int, known: _Known, filled: NDArray[np.float32]) -> None:
        """Take the next frame, and write the one whose neighbors are now all there."""
        self._window.append((frame, known, filled))
        if frame - self._next >= self._radius:
            self._write()

    def finish(self) -> None:
        """Write the frames that have no more neighbors to wait for."""
        while self._window and self._next <= self._window[-1][0]:
            self._write()

    def _write(self) -> None:
        now, known, filled = next(entry for entry in self._window if entry[0] == self._next)
        self._next += 1
        total, weights = filled.copy(), np.ones(known.mask.shape, np.float32)
        for frame, other, other_fill in self._window:
            if frame != now and abs(frame - now) <= self._radius:
                weight = np.exp(-2 * ((frame - now) / max(self._radius, 1)) ** 2) * ~other.mask
                # Differences, so that equal fills leave no rounding error behind.
                total += weight[..., None].astype(np.float32) * (other_fill - filled)
                weights += weight.astype(np.float32)
        smooth = filled + (total - filled) / weights[..., None]
        picture = np.where(known.mask[..., None], known.color, smooth)
        self._frames[now] = torch.from_numpy(np.clip(np.rint(picture), 0, 255).astype(np.uint8))


def _check(guidance: Guidance, scene: Scene | None) -> None:
    if guidance.num_frames == 0:
        raise InvalidInput("the guidance has no frames, so there is nothing to fill; render at least one")
    if scene is not None and scene.video.num_frames != guidance.num_frames:
        raise InvalidInput(
            f"the guidance has {guidance.num_frames} frames but the source video has {scene.video.num_frames}; "
            "give the video that the guidance was made from, or none"
        )


def _path_of(guidance: Guidance) -> CameraPath | None:
    """Return the cameras of the guidance for the size that its pictures have."""
    if guidance.cameras is None:
        return None
    height, width = guidance.mask.shape[1:]
    sized = tuple(lens.scaled_to(width=width, height=height) for lens in guidance.cameras.intrinsics)
    return attrs.evolve(guidance.cameras, intrinsics=sized)


def _known(guidance: Guidance, frame: int) -> _Known:
    mask = guidance.mask[frame].numpy()
    return _Known(
        color=guidance.color[frame].numpy().astype(np.float32),
        depth=np.ones(mask.shape, np.float32),
        limit=np.zeros(mask.shape, np.float32),
        mask=mask,
    )


def _seen_elsewhere(known: _Known, frame: int, path: CameraPath, others: OtherFrames, *, ask: bool) -> _Known:
    """Add the depth of what is known, and what other frames know of the rest."""
    pose, intrinsics = path.world_to_camera[frame], path.intrinsics_at(frame)
    own = others.view(frame, pose, intrinsics).depth.numpy()
    depth = np.where(np.isfinite(own), own, _far(own)).astype(np.float32)
    limit = others.limit(frame, own, ~known.mask, pose, intrinsics)
    if not ask:
        return attrs.evolve(known, depth=depth, limit=limit)
    found = others.find(frame, ~known.mask, path)
    color, mask = known.color.copy(), known.mask.copy()
    color.reshape(-1, 3)[found.pixels] = found.color
    for array, value in ((depth, found.depth), (limit, 0.0), (mask, True)):
        array.flat[found.pixels] = value
    return _Known(color=color, depth=depth, limit=limit, mask=mask)


def _far(depth: NDArray[np.float32]) -> float:
    finite = depth[np.isfinite(depth)]
    return float(finite.max()) if finite.size else 1.0


def _surroundings(known: _Known, spare: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the picture with its holes filled from around them; of one color where nothing is known."""
    if known.mask.all():
        return known.color
    if not known.mask.any():
        return np.broadcast_to(spare, known.color.shape).astype(np.float32)
    inner = cv2.erode(known.mask.astype(np.uint8), np.ones((5, 5), np.uint8))
    trust = np.where(inner > 0, 1, np.where(known.mask, _EDGE_TRUST, 0)).astype(np.float32)
    return fill_from_surroundings(known.color, known.depth, trust, known.limit)


def _mean_color(guidance: Guidance) -> NDArray[np.float32]:
    """Return the mean color of what is known at all, float32 [3]; gray if nothing is."""
    total, count = np.zeros(3), 0
    for color, mask in zip(guidance.color.numpy(), guidance.mask.numpy(), strict=True):
        total += color[mask].sum(axis=0, dtype=np.float64)
        count += int(mask.sum())
    return (total / count if count else np.full(3, 127.0)).astype(np.float32)

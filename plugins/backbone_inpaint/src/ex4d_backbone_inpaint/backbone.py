"""The `inpaint` backbone: a preview without weights. It is not a generative model."""

from __future__ import annotations

from collections import deque

import attrs
import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from ex4d_backbone_inpaint.multiview_fill import OtherFrames
from ex4d_backbone_inpaint.options import InpaintOptions
from ex4d_backbone_inpaint.push_pull import fill_from_surroundings
from ex4d_core.errors import InvalidInput
from ex4d_core.progress import Progress, track
from ex4d_core.types import CameraPath, Guidance, Scene, Video
from ex4d_core.workspace import Workspace

_EDGE_TRUST = np.float32(0.02)
"""Weight of pixels beside a hole: their colors are already mixed with the surface on its other side."""


class InpaintBackbone:
    """Fills hidden regions from other frames, then from their surroundings.

    This is a preview, not a generative model: a region that no frame shows becomes a smooth continuation of its
    surroundings. The result depends on neither the prompt nor the seed.
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
        """Return the guidance with its holes filled; the visible region is preserved exactly.

        Args:
            guidance: the rendered views. Without its cameras, other frames are not used.
            scene: the source video with depth; without it, holes are filled from their surroundings only.
            prompt: ignored.
            seed: ignored.
            progress: called after each frame.
            workspace: not used, since a preview takes seconds.

        Raises:
            InvalidInput: the guidance has no frames, or not as many as the scene.
        """
        _check(guidance, scene)
        path = _path_of(guidance)
        others = None
        if scene is not None and path is not None:
            others = OtherFrames(scene, count=self._options.other_frames, tolerance=self._options.tolerance)
        frames = torch.empty_like(guidance.color)
        mean_color = _mean_color(guidance)
        smoother = _TemporalSmoother(self._options.steadiness, frames)
        for frame in track(range(guidance.num_frames), progress):
            known = _known(guidance, frame)
            if others is not None and path is not None and not known.mask.all():
                known = _with_other_frames(known, frame, path, others, search=self._options.other_frames > 0)
            smoother.add(frame, known, _filled_from_surroundings(known, mean_color))
        smoother.finish()
        return Video(frames=frames, fps=guidance.fps)


@attrs.frozen(eq=False, kw_only=True)
class _Known:
    """A frame with the pixels that are known so far."""

    color: NDArray[np.float32]
    """float32 [H, W, 3], 0..255."""
    depth: NDArray[np.float32]
    """float32 [H, W]; 1 where unknown."""
    limit: NDArray[np.float32]
    """float32 [H, W], smallest possible depth of a hidden surface; 0 where unrestricted."""
    mask: NDArray[np.bool_]
    """bool [H, W], True where color is known."""


class _TemporalSmoother:
    """Averages each filled pixel with the fills of neighboring frames at the same place.

    Known pixels are neither changed nor averaged over, and a static video is not changed.
    """

    def __init__(self, radius: int, frames: torch.Tensor) -> None:
        self._radius = radius
        self._frames = frames
        self._window: deque[tuple[int, _Known, NDArray[np.float32]]] = deque(maxlen=2 * radius + 1)
        self._next = 0

    def add(self, frame: int, known: _Known, filled: NDArray[np.float32]) -> None:
        """Add the next frame, and write the frame whose neighbors are now complete."""
        self._window.append((frame, known, filled))
        if frame - self._next >= self._radius:
            self._write()

    def finish(self) -> None:
        """Write the remaining frames."""
        while self._window and self._next <= self._window[-1][0]:
            self._write()

    def _write(self) -> None:
        now, known, filled = next(entry for entry in self._window if entry[0] == self._next)
        self._next += 1
        total, weights = filled.copy(), np.ones(known.mask.shape, np.float32)
        for frame, other, other_fill in self._window:
            if frame != now and abs(frame - now) <= self._radius:
                weight = np.exp(-2 * ((frame - now) / max(self._radius, 1)) ** 2) * ~other.mask
                # Sum differences, so that equal fills cause no rounding error.
                total += weight[..., None].astype(np.float32) * (other_fill - filled)
                weights += weight.astype(np.float32)
        smooth = filled + (total - filled) / weights[..., None]
        picture = np.where(known.mask[..., None], known.color, smooth)
        self._frames[now] = torch.from_numpy(np.clip(np.rint(picture), 0, 255).astype(np.uint8))


def _check(guidance: Guidance, scene: Scene | None) -> None:
    if guidance.num_frames == 0:
        raise InvalidInput("the guidance has no frames; render at least one")
    if scene is not None and scene.video.num_frames != guidance.num_frames:
        raise InvalidInput(
            f"the guidance has {guidance.num_frames} frames but the source video has {scene.video.num_frames}; "
            "pass the video from which the guidance was rendered, or none"
        )


def _path_of(guidance: Guidance) -> CameraPath | None:
    """Return the cameras of the guidance, scaled to the size of its frames."""
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


def _with_other_frames(known: _Known, frame: int, path: CameraPath, others: OtherFrames, *, search: bool) -> _Known:
    """Add the depth of the frame and, where `search` is set, pixels of other frames."""
    pose, intrinsics = path.world_to_camera[frame], path.intrinsics_at(frame)
    own = others.view(frame, pose, intrinsics).depth.numpy()
    depth = np.where(np.isfinite(own), own, _far(own)).astype(np.float32)
    limit = others.limit(frame, own, ~known.mask, pose, intrinsics)
    if not search:
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


def _filled_from_surroundings(known: _Known, fallback: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the frame with its holes filled; a frame without known pixels gets the fallback color."""
    if known.mask.all():
        return known.color
    if not known.mask.any():
        return np.broadcast_to(fallback, known.color.shape).astype(np.float32)
    inner = cv2.erode(known.mask.astype(np.uint8), np.ones((5, 5), np.uint8))
    trust = np.where(inner > 0, 1, np.where(known.mask, _EDGE_TRUST, 0)).astype(np.float32)
    return fill_from_surroundings(known.color, known.depth, trust, known.limit)


def _mean_color(guidance: Guidance) -> NDArray[np.float32]:
    """Return the mean color of all visible pixels, float32 [3]; gray if there are none."""
    total, count = np.zeros(3), 0
    for color, mask in zip(guidance.color.numpy(), guidance.mask.numpy(), strict=True):
        total += color[mask].sum(axis=0, dtype=np.float64)
        count += int(mask.sum())
    return (total / count if count else np.full(3, 127.0)).astype(np.float32)

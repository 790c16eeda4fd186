"""The `inpaint` backbone: a preview without weights. It is not a generative model."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing

import attrs
import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from ex4d_backbone_inpaint.clip_model import FRAMES_AT_ONCE, ClipModel
from ex4d_backbone_inpaint.filters import fading
from ex4d_backbone_inpaint.options import InpaintOptions
from ex4d_backbone_inpaint.push_pull import Picture, push_pull
from ex4d_core.builtin.render_zbuffer import available_cores
from ex4d_core.errors import InvalidInput
from ex4d_core.progress import Progress, track
from ex4d_core.types import CameraPath, Guidance, Scene, Video
from ex4d_core.workspace import Workspace

_EDGE_TRUST = np.float32(0.02)
"""Weight of pixels beside a hole: their colors are already mixed with the surface on its other side."""

_SAME_SURFACE = 24.0
"""Difference in levels at which a known pixel and the model of the scene hardly show the same surface."""

_LEAST_SAME = 0.1
"""Smallest weight of pixels that are taken to show the same surface as the model."""

_EXPOSURE_REACH = 0.1
"""Distance, in longer sides of a view, in which the exposure of such pixels fades to that of the model."""

_EXPOSURE_SIDE = 16
"""Longer side in pixels of the grid on which the exposure of the model is matched to a frame."""

_PIXEL_FILTER = 0.5
"""Standard deviation in pixels of a frame of the filter of views, as in renderers (Pharr et al., Physically Based
Rendering, 2023, section 8.8): a box would pass texture that aliases when the camera moves."""


class InpaintBackbone:
    """Fills hidden regions from a model of the static scene, which is made once for the clip.

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
            guidance: the rendered views. Without its cameras, the scene is not used.
            scene: the source video with depth; without it, holes are filled from their surroundings in each frame.
            prompt: ignored.
            seed: ignored.
            progress: called after each frame.
            workspace: not used, since a preview takes seconds.

        Raises:
            InvalidInput: the guidance has no frames, or not as many as the scene.
        """
        _check(guidance, scene)
        path = _path_of(guidance)
        if scene is not None and path is not None and self._options.scene_frames:
            fills = _from_model(guidance, path, ClipModel(scene, self._options))
        else:
            fills = _from_surroundings(guidance, self._options.steadiness)
        frames = guidance.color.clone()
        with closing(fills):  # no thread outlives an error or a cancellation
            for frame in track(range(guidance.num_frames), progress):
                fill = torch.from_numpy(np.clip(np.rint(next(fills)), 0, 255).astype(np.uint8))
                frames[frame] = torch.where(guidance.mask[frame, ..., None], guidance.color[frame], fill)
        return Video(frames=frames, fps=guidance.fps)


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


def _from_model(guidance: Guidance, path: CameraPath, model: ClipModel) -> Generator[Picture, None, None]:
    """Yield the view of the model for each frame, with the exposure of the known pixels.

    Each core computes a frame, which takes less time than if all share the work of one.
    """
    at_once = min(available_cores(), FRAMES_AT_ONCE)
    pending: deque[Future[Picture]] = deque()
    pool = ThreadPoolExecutor(at_once, thread_name_prefix="inpaint")
    try:
        for frame in range(guidance.num_frames):
            pending.append(pool.submit(_filled, guidance, frame, path, model))
            if len(pending) > at_once:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def _filled(guidance: Guidance, frame: int, path: CameraPath, model: ClipModel) -> Picture:
    """Return the view of the model for a frame, float32 [H, W, 3]; only its unknown pixels count."""
    color, known = _picture(guidance, frame)
    if known.all():
        return color
    view = model.view(frame, path.world_to_camera[frame], path.intrinsics_at(frame))
    exposure = _exposure(color, _inner(known), view.background)
    fill = np.where(view.in_front[..., None], view.backs, view.background + exposure)
    return _filtered(fill, *known.shape[::-1])


def _filtered(view: Picture, width: int, height: int) -> Picture:
    """Return a view at the size of a frame, without details that the pixels of the frame cannot show."""
    smooth = cv2.GaussianBlur(view, (0, 0), _PIXEL_FILTER * view.shape[1] / width)
    return np.asarray(cv2.resize(smooth, (width, height), interpolation=cv2.INTER_LINEAR), np.float32)


def _exposure(color: Picture, known: NDArray[np.bool_], background: Picture) -> Picture:
    """Return the difference of exposure between a frame and the model in it, smooth, of the size of the model.

    Args:
        color: float32 [H, W, 3], the frame.
        known: bool [H, W], its pixels that count.
        background: float32 [H', W', 3], the view of the model.
    """
    # The model is less sharp than the frame, which half of its size hardly shows.
    height, width = ((size + 1) // 2 for size in min(background.shape[:2], color.shape[:2]))
    inner = _reduced(known.astype(np.float32), width, height) == 1
    difference = _reduced(color, width, height) - _reduced(background, width, height)
    # The same surface differs by exposure only; another surface says nothing about the hole.
    most = np.maximum.reduce([np.abs(difference[..., channel]) for channel in range(3)])
    same = np.where(inner, np.exp(-((most / _SAME_SURFACE) ** 2)), 0).astype(np.float32)
    # Differences of texture, which change from frame to frame, cancel in boxes.
    scale = min(1.0, _EXPOSURE_SIDE / max(height, width))
    coarse = max(1, round(width * scale)), max(1, round(height * scale))
    total, weight = _reduced(difference * same[..., None], *coarse), _reduced(same, *coarse)
    mean = np.asarray(total / np.maximum(weight, 1e-6)[..., None], np.float32)
    matched = cv2.resize(push_pull(mean, weight), (width, height), interpolation=cv2.INTER_LINEAR)
    fade = fading(same >= _LEAST_SAME, _EXPOSURE_REACH * max(height, width))
    exposure = np.asarray(fade[..., None] * matched, np.float32)
    return np.asarray(cv2.resize(exposure, background.shape[1::-1], interpolation=cv2.INTER_LINEAR), np.float32)


def _reduced(values: Picture, width: int, height: int) -> Picture:
    return np.asarray(cv2.resize(values, (width, height), interpolation=cv2.INTER_AREA), np.float32)


def _from_surroundings(guidance: Guidance, radius: int) -> Generator[Picture, None, None]:
    """Yield the fill of each frame from its surroundings, averaged with the fills of neighboring frames.

    Known pixels are neither changed nor averaged over, and a static video is not changed.
    """
    window: deque[tuple[int, NDArray[np.bool_], Picture]] = deque(maxlen=2 * radius + 1)
    fallback = _mean_color(guidance)
    ahead = 0
    for frame in range(guidance.num_frames):
        while ahead < min(frame + radius + 1, guidance.num_frames):
            color, known = _picture(guidance, ahead)
            trust = np.where(_inner(known), 1, _EDGE_TRUST * known).astype(np.float32)
            fill = push_pull(color, trust) if known.any() else np.broadcast_to(fallback, color.shape)
            window.append((ahead, known, fill))
            ahead += 1
        _, known, own = next(entry for entry in window if entry[0] == frame)
        total, weights = np.zeros_like(own), np.ones(known.shape, np.float32)
        for other, other_known, other_fill in window:
            if other != frame and abs(other - frame) <= radius:
                weight = (np.exp(-2 * ((other - frame) / radius) ** 2) * ~other_known).astype(np.float32)
                # Sum differences, so that equal fills cause no rounding error.
                total += weight[..., None] * (other_fill - own)
                weights += weight
        yield own + total / weights[..., None]


def _picture(guidance: Guidance, frame: int) -> tuple[Picture, NDArray[np.bool_]]:
    return guidance.color[frame].numpy().astype(np.float32), guidance.mask[frame].numpy()


def _inner(known: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the known pixels that are not beside a hole."""
    return cv2.erode(known.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0


def _mean_color(guidance: Guidance) -> Picture:
    """Return the mean color of all visible pixels, float32 [3]; gray if there are none."""
    total, count = np.zeros(3), 0
    for color, mask in zip(guidance.color.numpy(), guidance.mask.numpy(), strict=True):
        total += color[mask].sum(axis=0, dtype=np.float64)
        count += int(mask.sum())
    return (total / count if count else np.full(3, 127.0)).astype(np.float32)

"""Draw depth next to its source frame, in colors, with a legend."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import cv2
import numpy as np

from ex4d_core.errors import InvalidInput
from ex4d_core.progress import Progress, silent, track
from ex4d_core.types import DepthKind, DepthVideo, Scene
from ex4d_core.video_io import write_frames

UNKNOWN = np.uint8(128)
"""Gray, which is not in the color map."""

LONGEST = 1280
"""Longer side in pixels to which larger frames are reduced, so that all players support two of them."""

SHORTEST = 256
"""Longer side in pixels towards which smaller frames are enlarged by an integer factor."""

_BACKGROUND, _INK = 24, (235, 235, 235)
_GAP = 4
_MOST_TICKS = 7
_SAMPLES = 1_000_000
_FONT = cv2.FONT_HERSHEY_SIMPLEX


def write_preview(scene: Scene, path: str | os.PathLike[str], *, progress: Progress = silent) -> None:
    """Write a video of the frames, color-coded depth and a legend, frame by frame.

    Frame and depth are side by side, or above each other if the clip is wider than high.

    Args:
        scene: the clip and its depth.
        path: output file, as for `write_video`.
        progress: called after each frame.

    Raises:
        InvalidInput: there is no valid depth.
        OutputFailed: the file cannot be written.
    """
    near, far = depth_range(scene.depth)
    size = _shown_size(scene.video.width, scene.video.height)
    beside = 0 if size[0] > size[1] else 1
    height = max(size[1] if beside else 2 * size[1] + _GAP, 128)
    legend = draw_legend(scene.depth.kind, near, far, height=height, with_unknown=_has_unknown(scene.depth))

    def draw_frames() -> Iterator[np.ndarray]:
        for index in range(scene.video.num_frames):
            frame = scene.video.frames[index].numpy()
            colors = color_depth(scene.depth, index, near, far)
            pair = (_resized(frame, size, cv2.INTER_AREA), _resized(colors, size, cv2.INTER_NEAREST))
            yield np.concatenate([_padded(_joined(pair, axis=beside), height), legend], axis=1)

    write_frames(track(draw_frames(), progress, total=scene.video.num_frames), path, fps=scene.video.fps)


def depth_range(depth: DepthVideo) -> tuple[float, float]:
    """Return the depth range of the color map for the whole clip, nearest first.

    It spans the percentiles 99 to 1 of inverse depth, to ignore outliers. Constant depth gets a range around it.

    Raises:
        InvalidInput: there is no valid depth.
    """
    step = max(1, depth.depth.numel() // _SAMPLES)
    known = [depth.depth[frame][depth.valid_at(frame)][::step] for frame in range(depth.num_frames)]
    inverse = 1 / np.concatenate([values.double().numpy() for values in known])
    if not inverse.size:
        raise InvalidInput("the depth cannot be shown: no pixel is valid")
    low, high = np.percentile(inverse, (1, 99))
    if high - low < 1e-4 * high:
        low, high = low / 1.1, high * 1.1
    return float(1 / high), float(1 / low)


def color_depth(depth: DepthVideo, frame: int, near: float, far: float) -> np.ndarray:
    """Return color-coded depth of a frame, uint8 [H, W, 3] sRGB: uniform in inverse depth, from red (near) to blue."""
    valid = depth.valid_at(frame).numpy()
    position = _position(np.where(valid, depth.depth[frame].numpy(), near), near, far)
    colors = _turbo((position.clip(0, 1) * 255).round().astype(np.uint8))
    return np.where(valid[..., None], colors, UNKNOWN)


def draw_legend(kind: DepthKind, near: float, far: float, *, height: int, with_unknown: bool) -> np.ndarray:
    """Return a color bar with depth labels, uint8 [height, W, 3] sRGB; the text scales with the height."""
    scale = 0.45 * min(max(height / 400, 1), 2.5)
    line = 2 * _text_size("0", scale)[1]
    unit = "meters" if kind is DepthKind.METRIC else "relative"
    top, bottom = 2 * line, height - line * (3 if with_unknown else 1)
    ticks = tick_depths(near, far, most=min(_MOST_TICKS, max(2, (bottom - top) // line)))
    left, right, text = line // 2, line // 2 + line, 2 * line + line // 4
    beside = [f"{tick:g}" for tick in ticks] + ["unknown"] * with_unknown
    edges = [left + _text_size(unit, scale)[0], *(text + _text_size(word, scale)[0] for word in beside)]
    legend = np.full((height, max(edges) + line // 2, 3), _BACKGROUND, np.uint8)
    _write(legend, unit, left, line, scale)
    legend[top:bottom, left:right] = _turbo(np.linspace(255, 0, bottom - top).round().astype(np.uint8)[:, None])
    for tick in ticks:
        position = min(max(_position(tick, near, far), 0), 1)
        y = round(bottom - 1 - position * (bottom - 1 - top))
        legend[y, right : right + line // 3] = _INK
        _write(legend, f"{tick:g}", text, y, scale)
    if with_unknown:
        legend[height - 2 * line : height - line, left:right] = UNKNOWN
        _write(legend, "unknown", text, height - 3 * line // 2, scale)
    return legend


def _position(depth: Any, near: float, far: float) -> Any:
    """Return the position of depth in the color map, from 0 (far) to 1 (near), linear in inverse depth."""
    return (1 / depth - 1 / far) / (1 / near - 1 / far)


def tick_depths(near: float, far: float, *, most: int) -> list[float]:
    """Return up to `most` depths for labels, evenly spaced in inverse depth, rounded to few digits."""
    exact = 1 / np.linspace(1 / near, 1 / far, most)
    for digits in range(2, 8):
        rounded = list(dict.fromkeys(float(f"{value:.{digits}g}") for value in exact))
        if len(rounded) == most:
            break
    return rounded


def _has_unknown(depth: DepthVideo) -> bool:
    return not all(bool(depth.valid_at(frame).all()) for frame in range(depth.num_frames))


def _turbo(values: np.ndarray) -> np.ndarray:
    """Return colors of values 0..255, uint8 [h, w, 3] sRGB."""
    return cv2.applyColorMap(np.ascontiguousarray(values), cv2.COLORMAP_TURBO)[..., ::-1]


def _shown_size(width: int, height: int) -> tuple[int, int]:
    longer = max(width, height)
    factor = max(1, SHORTEST // longer) if longer <= LONGEST else LONGEST / longer
    return max(1, round(width * factor)), max(1, round(height * factor))


def _resized(image: np.ndarray, size: tuple[int, int], shrinking: int) -> np.ndarray:
    """Resize an image; enlarged images show their pixels."""
    if (image.shape[1], image.shape[0]) == size:
        return image
    return cv2.resize(image, size, interpolation=shrinking if size[0] < image.shape[1] else cv2.INTER_NEAREST)


def _joined(images: tuple[np.ndarray, ...], *, axis: int) -> np.ndarray:
    shape = list(images[0].shape)
    shape[axis] = _GAP
    gap = np.full(shape, _BACKGROUND, np.uint8)
    return np.concatenate([part for image in images for part in (gap, image)][1:], axis=axis)


def _padded(image: np.ndarray, height: int) -> np.ndarray:
    """Center an image vertically in a larger height."""
    missing = height - image.shape[0]
    return np.pad(image, ((missing // 2, missing - missing // 2), (0, 0), (0, 0)), constant_values=_BACKGROUND)


def _text_size(text: str, scale: float) -> tuple[int, int]:
    (width, height), _ = cv2.getTextSize(text, _FONT, scale, _thickness(scale))
    return width, height


def _write(image: np.ndarray, text: str, left: int, middle: int, scale: float) -> None:
    baseline = middle + _text_size(text, scale)[1] // 2
    cv2.putText(image, text, (left, baseline), _FONT, scale, _INK, _thickness(scale), cv2.LINE_AA)


def _thickness(scale: float) -> int:
    return max(1, round(scale * 1.6))

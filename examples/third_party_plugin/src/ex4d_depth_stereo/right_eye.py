"""The right view of the frames and the crop of a clip."""

from __future__ import annotations

import math
from itertools import pairwise

import attrs
import cv2
import numpy as np

from ex4d_core import read_video
from ex4d_core.errors import InvalidInput
from ex4d_core.types import Origin, Video
from ex4d_depth_stereo.options import Layout, StereoOptions


@attrs.frozen(eq=False, kw_only=True)
class RightEye:
    """The right view of each frame of a clip."""

    frames: np.ndarray
    """uint8 [T, h, w, 3], as in the file."""
    layout: Layout
    clip: Video

    def picture(self, frame: int) -> tuple[np.ndarray, np.ndarray]:
        """Return an image uint8 [H, W, 3] of the size of the clip, and bool [H, W], False in its padding."""
        whole = half(self.frames[frame], self.layout, right=True)
        size = self.clip.width, self.clip.height
        origin = self.clip.origin
        if origin is None:
            return _resized(whole, size), np.ones(size[::-1], bool)
        return _windowed(whole, origin, size)


def right_eye(options: StereoOptions, clip: Video) -> RightEye:
    """Read the right view of a clip.

    Raises:
        InputNotFound: the file does not exist.
        InvalidInput: it is not a video, or has another number of frames than the clip.
    """
    origin = clip.origin
    indices = tuple(range(clip.num_frames)) if origin is None else origin.frame_indices
    step = math.gcd(*(later - earlier for earlier, later in pairwise(indices))) or 1
    count = (indices[-1] - indices[0]) // step + 1
    video = read_video(options.right, start=indices[0], stride=step, num_frames=count)
    assert video.origin is not None
    found, expected = video.origin.source_frames, clip.num_frames if origin is None else origin.source_frames
    position = {index: at for at, index in enumerate(video.origin.frame_indices)}
    if (expected and found != expected) or not position.keys() >= set(indices):
        raise InvalidInput(
            f"{options.right} has {found} frames and the clip has {expected or len(indices)}; "
            "use the right view of the same recording"
        )
    frames = video.frames.numpy()[[position[index] for index in indices]]
    return RightEye(frames=frames, layout=options.layout, clip=clip)


def half(frame: np.ndarray, layout: Layout, *, right: bool) -> np.ndarray:
    """Return one view of a frame [h, w, 3]; the left view is on the left or on top."""
    height, width = frame.shape[:2]
    if layout == "side-by-side":
        return frame[:, width // 2 :][:, : width // 2] if right else frame[:, : width // 2]
    if layout == "top-bottom":
        return frame[height // 2 :][: height // 2] if right else frame[: height // 2]
    return frame


def _windowed(whole: np.ndarray, origin: Origin, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Crop and resize an image of the source like the clip; return it, and where it is not padding."""
    source = _resized(whole, (origin.source_width, origin.source_height))  # views may be squeezed into half a frame
    columns, to_columns = _part(origin.left, origin.width, origin.source_width, size[0])
    rows, to_rows = _part(origin.top, origin.height, origin.source_height, size[1])
    picture, inside = np.zeros((size[1], size[0], 3), np.uint8), np.zeros((size[1], size[0]), bool)
    to_size = to_columns.stop - to_columns.start, to_rows.stop - to_rows.start
    picture[to_rows, to_columns] = _resized(source[rows, columns], to_size)
    inside[to_rows, to_columns] = True
    return picture, inside


def _part(start: float, length: float, source: int, target: int) -> tuple[slice, slice]:
    """Return the part of a window within `source` pixels, and its place in `target` pixels."""
    first, last = max(start, 0.0), min(start + length, float(source))
    scale = target / length
    to = slice(round((first - start) * scale), round((last - start) * scale))
    return slice(round(first), round(last)), to


def _resized(picture: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resize an image to (width, height), as ex4d resizes clips."""
    if (picture.shape[1], picture.shape[0]) == size:
        return picture
    shrinks = size[0] * size[1] < picture.shape[0] * picture.shape[1]
    return cv2.resize(picture, size, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC)

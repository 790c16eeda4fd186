"""What the right eye saw in the same frames, and in the same window of them, as the clip shows of the left eye."""

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
    """The right eye's pictures for the frames of a clip."""

    frames: np.ndarray
    """uint8 [T, h, w, 3], as they are in the file."""
    layout: Layout
    clip: Video

    def picture(self, frame: int) -> tuple[np.ndarray, np.ndarray]:
        """Return a picture uint8 [H, W, 3] like the clip's, and bool [H, W]: where the clip is not padded."""
        whole = half(self.frames[frame], self.layout, right=True)
        size = self.clip.width, self.clip.height
        origin = self.clip.origin
        if origin is None:
            return _resized(whole, size), np.ones(size[::-1], bool)
        return _windowed(whole, origin, size)


def right_eye(options: StereoOptions, clip: Video) -> RightEye:
    """Read the right eye's pictures for a clip.

    Raises:
        InputNotFound: there is no such file.
        InvalidInput: it is no video, or was not filmed together with the clip: it has another number of frames.
    """
    origin = clip.origin
    wanted = tuple(range(clip.num_frames)) if origin is None else origin.frame_indices
    step = math.gcd(*(later - earlier for earlier, later in pairwise(wanted))) or 1
    count = (wanted[-1] - wanted[0]) // step + 1
    video = read_video(options.right, start=wanted[0], stride=step, num_frames=count)
    assert video.origin is not None
    there, expected = video.origin.source_frames, clip.num_frames if origin is None else origin.source_frames
    position = {index: at for at, index in enumerate(video.origin.frame_indices)}
    if (expected and there != expected) or not position.keys() >= set(wanted):
        raise InvalidInput(
            f"{options.right} has {there} frames and the clip has {expected or len(wanted)}; "
            "give the right eye's video of the very same moments"
        )
    frames = video.frames.numpy()[[position[index] for index in wanted]]
    return RightEye(frames=frames, layout=options.layout, clip=clip)


def half(frame: np.ndarray, layout: Layout, *, right: bool) -> np.ndarray:
    """Return one eye's part of a frame [h, w, 3]; the left eye's is on the left, or on top."""
    height, width = frame.shape[:2]
    if layout == "side-by-side":
        return frame[:, width // 2 :][:, : width // 2] if right else frame[:, : width // 2]
    if layout == "top-bottom":
        return frame[height // 2 :][: height // 2] if right else frame[: height // 2]
    return frame


def _windowed(whole: np.ndarray, origin: Origin, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Return what a clip's window shows of a picture as large as its source, and where it is not padding."""
    source = _resized(whole, (origin.source_width, origin.source_height))  # pictures may be squeezed into half a frame
    columns, to_columns = _part(origin.left, origin.width, origin.source_width, size[0])
    rows, to_rows = _part(origin.top, origin.height, origin.source_height, size[1])
    picture, inside = np.zeros((size[1], size[0], 3), np.uint8), np.zeros((size[1], size[0]), bool)
    to_size = to_columns.stop - to_columns.start, to_rows.stop - to_rows.start
    picture[to_rows, to_columns] = _resized(source[rows, columns], to_size)
    inside[to_rows, to_columns] = True
    return picture, inside


def _part(start: float, length: float, source: int, target: int) -> tuple[slice, slice]:
    """Return what a window from `start` takes of `source` pixels, and where that goes in `target` pixels."""
    first, last = max(start, 0.0), min(start + length, float(source))
    scale = target / length
    to = slice(round((first - start) * scale), round((last - start) * scale))
    return slice(round(first), round(last)), to


def _resized(picture: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Return a picture in another size (width, height), as ex4d resizes clips."""
    if (picture.shape[1], picture.shape[0]) == size:
        return picture
    shrinks = size[0] * size[1] < picture.shape[0] * picture.shape[1]
    return cv2.resize(picture, size, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC)

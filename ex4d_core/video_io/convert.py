"""Convert decoded frames to RGB: color tags, tone mapping, pixel aspect ratio, rotation."""

from __future__ import annotations

import os
from fractions import Fraction
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from ex4d_core.reading import reading
from ex4d_core.video_io.limits import check_pixels
from ex4d_core.video_io.linear import srgb_codes
from ex4d_core.video_io.tone_map import UNTAGGED, ToneMap, is_hdr, tone_map_of

if TYPE_CHECKING:
    import av

    from ex4d_core.video_io.packets import StreamFacts


class Converter:
    """Converts the frames of one clip; all get the size and the tone mapping of the first."""

    def __init__(self, facts: StreamFacts, path: str | os.PathLike[str]) -> None:
        from av.video.reformatter import VideoReformatter

        self._facts, self._path = facts, path
        self._reformatter = VideoReformatter()  # shared, since each allocates tables and threads
        self._size: tuple[int, int] | None = None
        self._tone_map: ToneMap | None = None

    def complete_tags(self, frame: av.VideoFrame) -> None:
        """Set the color tags that only the container states, as of ProRes."""
        for name, tag in self._facts.color_tags.items():
            if getattr(frame, name) == UNTAGGED and tag not in (0, UNTAGGED):
                setattr(frame, name, tag)

    def prepare(self, frame: av.VideoFrame) -> None:
        """Choose the size and the tone mapping by the first frame.

        Raises:
            InvalidInput: it has too many pixels.
        """
        if self._size is None:
            self._size = _square_pixels(frame, self._facts.aspect)
            self._tone_map = tone_map_of(frame)
        check_pixels(*self._size, self._path)

    def rgb(self, frame: av.VideoFrame) -> np.ndarray:
        """Return a frame as uint8 [H, W, 3], sRGB, with its rotation applied.

        Raises:
            InvalidInput: it does not fit into memory.
        """
        return oriented(self.stored_rgb(frame), frame)

    def stored_rgb(self, frame: av.VideoFrame) -> np.ndarray:
        """Return a frame as uint8 [H, W, 3], sRGB, without its rotation.

        Raises:
            InvalidInput: it does not fit into memory.
        """
        from av.video.reformatter import Colorspace, Interpolation

        assert self._size is not None, "prepare() comes first"
        # Players treat untagged video as BT.709 if it is larger than standard definition.
        untagged = frame.colorspace == UNTAGGED
        matrix = Colorspace.ITU709 if untagged and (frame.width > 1024 or frame.height > 576) else None
        if untagged and is_hdr(frame):
            matrix = Colorspace.BT2020
        layout = self._layout(frame)
        with reading(self._path, "clip"):
            converted = self._reformatter.reformat(
                frame,
                width=self._size[0],
                height=self._size[1],
                format=layout,
                src_colorspace=matrix,
                interpolation=Interpolation.BILINEAR | Interpolation.FULL_CHR_H_INT | Interpolation.ACCURATE_RND,
            ).to_ndarray()
            if layout == "gbrpf32le":
                converted = srgb_codes(converted)
            elif layout == "rgba":
                converted = over_black(converted)
            elif layout != "rgb24" and self._tone_map is not None:
                converted = self._tone_map.apply(converted)
            return converted

    def _layout(self, frame: av.VideoFrame) -> str:
        """Return the pixel format in which a frame is converted further."""
        if self._facts.is_image and "f32" in frame.format.name:  # Radiance HDR, whose light is linear
            return "gbrpf32le"
        if self._tone_map is not None:
            return "gbrp16le"  # swscale converts 10 bits to rgb48 with full chroma interpolation incorrectly
        # Images may be transparent; the alpha of videos is ignored.
        return "rgba" if self._facts.is_image and _has_alpha(frame) else "rgb24"


def _has_alpha(frame: av.VideoFrame) -> bool:
    return frame.format.name == "pal8" or any(part.is_alpha for part in frame.format.components)


def over_black(image: np.ndarray) -> np.ndarray:
    """Return an image uint8 [H, W, 4] with straight alpha over black, [H, W, 3]."""
    shown: np.ndarray = (image[..., :3].astype(np.uint16) * image[..., 3:] + 127) // 255
    return shown.astype(np.uint8)


def _square_pixels(frame: av.VideoFrame, aspect: Fraction) -> tuple[int, int]:
    """Return the size with square pixels, before rotation."""
    return (round(frame.width * aspect) if Fraction(1, 4) < aspect < 4 else frame.width), frame.height


def oriented(image: np.ndarray, frame: av.VideoFrame) -> np.ndarray:
    """Rotate and mirror an image [H, W, ...] by the display matrix of its frame.

    The matrix maps (x, y) to (a x + c y, b x + d y); see FFmpeg's libavutil/display.h.
    """
    if not has_known_matrix(frame):
        return np.ascontiguousarray(np.rot90(image, round(frame.rotation / 90)))
    side_data = frame.side_data.get("DISPLAYMATRIX")
    if side_data is None:
        return image
    a, b, _, c, d = np.frombuffer(cast(Any, side_data), np.int32)[:5].tolist()
    if abs(b) > abs(a):
        image = image.swapaxes(0, 1)
        a, d = c, b
    return np.ascontiguousarray(image[:: -1 if d < 0 else 1, :: -1 if a < 0 else 1])


def has_known_matrix(frame: av.VideoFrame) -> bool:
    """Return whether the display matrix of a frame can be read.

    PyAV fails if any side data is of an unknown kind, such as EXIF; its rotation is still known, but not its mirroring.
    """
    try:
        frame.side_data.get("DISPLAYMATRIX")
    except ValueError:
        return False
    return True

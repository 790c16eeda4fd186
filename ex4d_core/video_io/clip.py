"""Open a clip of any kind: a video, an animation, a photo, or a folder of images."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import attrs
import numpy as np

from ex4d_core.errors import InvalidInput
from ex4d_core.reading import check_file, read_bytes, reading
from ex4d_core.video_io.animation import animation_frames, animation_timing
from ex4d_core.video_io.convert import Converter, has_known_matrix
from ex4d_core.video_io.damage import Damage, decodable_frames
from ex4d_core.video_io.heif import is_heif, read_layout
from ex4d_core.video_io.images import is_image_folder, list_images, read_image
from ex4d_core.video_io.jpeg_xl import JPEG_XL
from ex4d_core.video_io.limits import MOST_BYTES, check_pixels, is_animated_webp, is_exr
from ex4d_core.video_io.packets import Plan, facts_of
from ex4d_core.video_io.source import first_frames, open_video, read_plan
from ex4d_core.video_io.timing import DEFAULT_FPS, Timing
from ex4d_core.video_io.tone_map import HLG, is_hdr

if TYPE_CHECKING:
    import av

Picture = Callable[[], np.ndarray]
"""Returns a frame as uint8 [H, W, 3], sRGB, with rotation applied."""

PHOTO_FPS = Fraction(25)
"""Rate of a photo, as of FFmpeg."""

_HEADER = 64
"""Bytes by which the kind of a file is recognized."""

_DOLBY_VISION = frozenset({"dvh1", "dvhe", "dav1"})
"""Codec tags of Dolby Vision without a base layer that other decoders can show."""


@attrs.frozen(kw_only=True)
class VideoInfo:
    """Properties of a video file."""

    width: int
    """In pixels, after rotation."""

    height: int
    """In pixels, after rotation."""

    fps: Fraction
    """Frames per second, as returned by `read_video`."""

    num_frames: int
    """Number of frames at that rate."""

    is_cut_off: bool = False
    """Whether the file ends before the number of frames in its header."""


@attrs.frozen(eq=False, kw_only=True)
class Clip:
    """The frames of a clip, decoded one after another."""

    timing: Timing

    pictures: Iterator[Picture]
    """One for each frame of the source."""

    problems: list[str] = attrs.field(factory=list)
    """Conversions and problems so far, a sentence each; filled while `pictures` is read."""

    damage: Damage = attrs.field(factory=Damage)
    """Damaged frames so far."""

    def messages(self, path: str | os.PathLike[str]) -> list[str]:
        """Return the conversions and problems so far, a sentence each."""
        damage = self.damage.message(path)
        return [*self.problems, *([damage] if damage else [])]


def probe_video(path: str | os.PathLike[str]) -> VideoInfo:
    """Return size, rate and length of a video file or image folder; decodes only the first frame.

    Raises:
        InputNotFound: the file does not exist.
        InvalidInput: it is not a video.
    """
    clip = open_clip(path)
    height, width = next_picture(clip.pictures, path)().shape[:2]
    timing = clip.timing
    return VideoInfo(
        width=width, height=height, fps=timing.fps, num_frames=timing.num_frames, is_cut_off=timing.is_cut_off
    )


def next_picture(pictures: Iterator[Picture], path: str | os.PathLike[str]) -> Picture:
    """Return the next picture.

    Raises:
        InvalidInput: there is none.
    """
    for picture in pictures:
        return picture
    raise InvalidInput(f"{path} has no frames that can be decoded; use a video with at least one")


def open_clip(path: str | os.PathLike[str], *, fps: Fraction | None = None) -> Clip:
    """Open a file or a folder of images.

    Args:
        path: the file or folder.
        fps: rate of a folder of images, 30 by default.

    Raises:
        InputNotFound: it does not exist.
        InvalidInput: it is not a clip, or `fps` is given for a file.
    """
    if is_image_folder(path):
        images = list_images(path)
        timing = Timing(fps=fps or DEFAULT_FPS, source_index=range(len(images)), source_frames=len(images))
        return Clip(timing=timing, pictures=(partial(read_image, image) for image in images))
    if fps is not None:
        raise InvalidInput(f"{path} has a frame rate; fps is for folders of images")
    check_file(path, "clip")
    with reading(path, "clip"), open(path, "rb") as file:
        start = file.read(_HEADER)
    if is_animated_webp(start):
        return Clip(timing=animation_timing(path), pictures=(partial(_same, image) for image in animation_frames(path)))
    if is_exr(start) or start.startswith(JPEG_XL):
        return _photo(partial(read_image, Path(path)))
    if is_heif(start):
        return _photo(partial(_heif_image, path))
    return _video(path)


def _same(image: np.ndarray) -> np.ndarray:
    return image


def _photo(picture: Picture) -> Clip:
    return Clip(timing=Timing(fps=PHOTO_FPS, source_index=range(1), source_frames=1), pictures=iter([picture]))


def _heif_image(path: str | os.PathLike[str]) -> np.ndarray:
    """Return a HEIF photo: its tiles put together, cropped and rotated."""
    layout = read_layout(read_bytes(path, "clip", most=MOST_BYTES), path)
    check_pixels(*layout.size, path)
    tiles = {}
    with open_video(path) as (container, stream):
        converter = Converter(facts_of(container, stream), path)
        for item, frame in first_frames(container, layout.tiles):
            converter.prepare(frame)
            tiles[item] = converter.stored_rgb(frame)
    if missing := set(layout.tiles) - tiles.keys():
        raise InvalidInput(
            f"{path}: {len(missing)} of its {len(layout.tiles)} tiles cannot be decoded; copy it again, or convert it "
            "to JPEG or PNG"
        )
    return layout.assembled(tiles)


def _video(path: str | os.PathLike[str]) -> Clip:
    plan = read_plan(path)
    problems: list[str] = []
    if plan.ends_early and not plan.timing.is_cut_off:
        problems.append(
            f"{path} is cut off: {plan.timing.source_frames} frames could be read, and later ones may be missing; "
            "copy it again"
        )
    damage = Damage(keys=plan.keys, num_frames=len(plan.places))
    pictures = _video_pictures(path, plan, problems, damage)
    return Clip(timing=plan.timing, pictures=_without_gaps(pictures, damage), problems=problems, damage=damage)


def _video_pictures(
    path: str | os.PathLike[str], plan: Plan, problems: list[str], damage: Damage
) -> Iterator[tuple[int, Picture]]:
    """Yield the index and the picture of each frame that can be decoded."""
    from ex4d_core.video_io.deinterlace import deinterlaced

    converter = Converter(plan.facts, path)
    ranks: deque[int] = deque()  # deinterlacing returns frames later, in the same order

    def frames() -> Iterator[av.VideoFrame]:
        for rank, frame in decodable_frames(partial(open_video, path), plan, damage):
            ranks.append(rank)
            converter.complete_tags(frame)
            yield frame

    def interlaced() -> None:
        problems.append(f"{path} is interlaced and was deinterlaced")

    def suspected() -> None:
        problems.append(
            f"{path} looks interlaced but is not flagged as such, so it was not deinterlaced; if moving edges have "
            "combs, deinterlace it with: ffmpeg -i INPUT -vf bwdif=mode=send_frame OUTPUT"
        )

    is_first = True
    for frame in frames() if plan.facts.is_image else deinterlaced(frames(), interlaced, suspected):
        if is_first:
            problems.extend(_color_problems(frame, plan, path))
            is_first = False
        converter.prepare(frame)
        is_photo = plan.facts.is_image and len(plan.places) == 1
        if is_photo and not has_known_matrix(frame):
            yield ranks.popleft(), partial(read_image, Path(path))  # OpenCV applies EXIF
        else:
            yield ranks.popleft(), partial(converter.rgb, frame)


def _color_problems(frame: av.VideoFrame, plan: Plan, path: str | os.PathLike[str]) -> Iterator[str]:
    if is_hdr(frame):
        yield f"{path} is HDR ({'HLG' if frame.color_trc == HLG else 'PQ'}) and was converted to SDR"
    elif plan.facts.codec_tag in _DOLBY_VISION:
        yield (
            f"{path} is Dolby Vision, whose colors are not supported and will be wrong; export it as SDR, HLG or HDR10"
        )


def _without_gaps(pictures: Iterator[tuple[int, Picture]], damage: Damage) -> Iterator[Picture]:
    """Yield a picture for each frame: a lost one repeats the one before, or at the start the one after."""
    rank, last = 0, None
    for found, picture in pictures:
        while rank < found:
            yield last or picture
            rank += 1
        yield picture
        rank, last = rank + 1, picture
    while last is not None and rank in damage.lost:
        yield last
        rank += 1

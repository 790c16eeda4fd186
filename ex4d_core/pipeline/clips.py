"""Read a clip as configured: content hash, frame size and frame rate."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from ex4d_core.bounds import frame_rate, parse_size
from ex4d_core.config.presets import ex4d_size
from ex4d_core.config.run_config import GuidanceOptions, Tree, VideoOptions
from ex4d_core.depth_io.falsecolor import is_gray
from ex4d_core.depth_io.fit import is_rounded, same_aspect
from ex4d_core.errors import InputNotFound, InvalidInput
from ex4d_core.files import files_hash, tree_hash
from ex4d_core.pipeline.store import content_key, tensor_hash
from ex4d_core.progress import Progress, silent
from ex4d_core.types import CameraPath, Video
from ex4d_core.video_io import VideoInfo, probe_video, read_video
from ex4d_core.video_io.framing import Framing, frame_to, selected
from ex4d_core.video_io.images import list_images
from ex4d_core.video_io.read import issue_warning, strided_rate

if TYPE_CHECKING:  # torch takes seconds to import
    from torch import Tensor

LARGEST_SIDE = 8192
"""Pixels; a larger size is more likely a typing error."""

_GRAY = 127
"""Largest value of a pixel of a mask that is not white."""

_CHECKED = 8
"""Number of frames of a mask whose colors are checked."""


def clip_hash(clip: Path) -> str:
    """Hash a video, or the images of a folder; other files in the folder are ignored.

    Raises:
        InputNotFound: the clip does not exist.
        InvalidInput: the clip cannot be read, or the folder has no images.
    """
    return files_hash(list_images(clip), "clip") if clip.is_dir() else tree_hash(clip, "clip")


def path_key(path: CameraPath) -> str:
    """Return a hash of the poses, intrinsics and frames of a path."""
    facts = {"poses": tensor_hash(path.world_to_camera), "lens": list(map(attrs.asdict, path.intrinsics))}
    return content_key(facts if path.frames is None else {**facts, "frames": path.frames})


def frame_size(options: VideoOptions, clip: Path) -> tuple[int, int] | None:
    """Return the working size in pixels, width and height, or None for the size of the clip.

    Raises:
        InvalidInput: the size is invalid.
    """
    if options.size is None:
        return None
    if options.size == "ex4d":
        info = probe_video(clip)
        return ex4d_size(info.width, info.height)
    size = parse_size(options.size)
    if size is None or not all(0 < side <= LARGEST_SIDE for side in size):
        raise InvalidInput(
            f"the size {options.size!r} must be WIDTHxHEIGHT in pixels, such as 512x512, each from 1 to {LARGEST_SIDE}"
        )
    return size


@attrs.frozen(kw_only=True)
class Selection:
    """The frames that options select from a clip: equal for options that select the same ones."""

    start: int
    stride: int
    num_frames: int | None
    """Number of selected frames; None if the clip is cut off, so that reading all of it is an error."""
    framing: Framing
    fps: Fraction = attrs.field(eq=False)
    """Rate of the selected frames."""

    @property
    def inputs(self) -> Tree:
        """Everything that determines the frames."""
        return attrs.asdict(self, filter=lambda field, _: field.name != "fps")


def select(clip: Path, options: VideoOptions, info: VideoInfo) -> Selection:
    """Return the selection of frames, without reading them.

    Raises:
        InvalidInput: the clip has no such frames, or a size is invalid.
    """
    try:
        ticks = selected(info.num_frames, num_frames=options.num_frames, start=options.start, stride=options.stride)
        fps = strided_rate(info.fps, options.stride, len(ticks))
    except InvalidInput as error:
        raise InvalidInput(f"{clip}: {error}") from error
    is_whole = options.num_frames is None or options.num_frames > len(ticks)
    return Selection(
        start=options.start,
        stride=options.stride,
        num_frames=None if info.is_cut_off and is_whole else len(ticks),
        framing=frame_to((info.width, info.height), frame_size(options, clip), options.fit),
        fps=fps if options.fps is None else frame_rate(options.fps),
    )


def read_clip(
    clip: Path,
    options: VideoOptions,
    *,
    progress: Progress = silent,
    warn: Callable[[str], None] = issue_warning,
) -> Video:
    """Read the frames of a video or a folder of images that the options select.

    `progress` is called after each frame, `warn` with each problem and conversion of the clip.

    Raises:
        InputNotFound: the clip does not exist.
        InvalidInput: the clip cannot be read, or has no such frames.
    """
    video = read_video(
        clip,
        start=options.start,
        stride=options.stride,
        num_frames=options.num_frames,
        size=frame_size(options, clip),
        fit=options.fit,
        progress=progress,
        warn=warn,
    )
    return video if options.fps is None else attrs.evolve(video, fps=frame_rate(options.fps))


def background_inputs(options: GuidanceOptions) -> Tree:
    """Return everything that determines the static background besides depth, mesh and renderer."""
    if options.background == "none":
        return {"background": "none"}
    with _naming_the_mask():
        mask = None if options.dynamic_mask is None else clip_hash(Path(options.dynamic_mask))
    return {"background": options.background, "dynamic_mask": mask}


@contextmanager
def _naming_the_mask() -> Iterator[None]:
    """Put the option before errors of the block, whose file is not the clip."""
    try:
        yield
    except (InputNotFound, InvalidInput) as error:
        raise type(error)(f"guidance.dynamic_mask: {error}") from error


def read_dynamic_mask(
    path: Path, options: VideoOptions, video: Video, *, warn: Callable[[str], None] = issue_warning
) -> Tensor:
    """Read a mask of what moves in a clip, white where something moves, with the same selection of frames and pixels.

    The options apply to a clip without an origin. Masks of another resolution are resized. `warn` is called if nothing
    is white.

    Returns:
        bool [T, H, W], as `video`.

    Raises:
        InputNotFound: the file does not exist.
        InvalidInput: it cannot be read, is in color, or has another number of frames or aspect ratio than the clip.
    """
    with _naming_the_mask():
        mask = read_clip(path, _as_selected(video, options), warn=warn)
        _check_mask(mask, video, path)
    largest = int(mask.frames.max())
    if largest <= _GRAY:
        warn(
            f"guidance.dynamic_mask: {path} has no white pixels (its largest value is {largest} of 255), so nothing "
            "moves; save 255 where something moves"
        )
    return mask.frames[..., 1] > _GRAY


def _as_selected(video: Video, options: VideoOptions) -> VideoOptions:
    """Return the options that select from another video what was selected from the source of a clip."""
    options, origin = attrs.evolve(options, size=f"{video.width}x{video.height}", fps=None), video.origin
    if origin is None:
        return options
    start, *rest = origin.frame_indices
    stride = max(1, rest[0] - start) if rest else 1
    if origin.frame_indices != tuple(range(start, start + stride * video.num_frames, stride)):
        return options  # a clip without a constant rate
    is_padded = origin.width > origin.source_width or origin.height > origin.source_height
    is_stretched = not same_aspect((video.width, video.height), (round(origin.width), round(origin.height)))
    return attrs.evolve(
        options,
        start=start,
        stride=stride,
        num_frames=video.num_frames,
        fit="pad" if is_padded else "stretch" if is_stretched else "crop",
    )


def _check_mask(mask: Video, video: Video, path: Path) -> None:
    size, source = (
        (each.width, each.height) if each.origin is None else (each.origin.source_width, each.origin.source_height)
        for each in (mask, video)
    )
    if not any(same_aspect(size, to) or is_rounded(size, to) for to in (source, (video.width, video.height))):
        raise InvalidInput(
            f"{path} is {size[0]}x{size[1]} but the clip is {source[0]}x{source[1]}; pass masks with its aspect ratio"
        )
    if mask.num_frames != video.num_frames:
        frames = f"{mask.num_frames} frame{'s' * (mask.num_frames != 1)}"
        raise InvalidInput(f"{path} has {frames} but the clip has {video.num_frames}; pass a mask for each frame")
    if not all(is_gray(frame.numpy()) for frame in mask.frames[:: max(1, mask.num_frames // _CHECKED)]):
        raise InvalidInput(f"{path} is in color; pass masks that are white where something moves, and black elsewhere")

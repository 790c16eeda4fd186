"""The `file` depth estimator: precomputed depth from files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch

from ex4d_core.builtin.depth_file_options import DepthFileOptions
from ex4d_core.depth_io.fit import fitted, same_aspect, through
from ex4d_core.depth_io.frames import MILLIMETRE, WHOLE, DepthFrames
from ex4d_core.depth_io.meaning import Evidence, direction, fills_range, is_normalized, reaches_zero
from ex4d_core.depth_io.read import open_depth
from ex4d_core.depth_io.sentinels import Separated, separate
from ex4d_core.errors import InvalidInput
from ex4d_core.geometry.watertight import FARTHEST
from ex4d_core.progress import Progress, track
from ex4d_core.types import CameraPath, DepthKind, DepthVideo, Intrinsics, Origin, Video
from ex4d_core.video_io.framing import frame_to, sample_nearest

_ASK = "set the depth kind to metric, relative or inverse (--depth-kind), or to affine for depth up to scale and shift"

_FEWEST_STEPS = 1000
"""Integers up to here are not millimeters: all depth would be within a meter."""

_MOST_MIDDLE = 1000
"""Median in meters above which the unit is probably another one."""

_MOST_MAPS = 8
"""Most maps whose values are compared with those of planes."""

_MISSING = -1
"""Index of the depth map of a frame that has none."""


class DepthFile:
    """Reads depth and fits it to the frames, crop and size of the video."""

    def __init__(self, options: DepthFileOptions, *, device: torch.device) -> None:
        self._options = options
        self._path = Path(options.path)
        self._notes: list[str] = []
        self._warnings: list[str] = []

    def notes(self) -> list[str]:
        """Return one line that states what the last file was taken for."""
        return list(self._notes)

    def warnings(self) -> list[str]:
        """Return the doubts about the last file."""
        return list(self._warnings)

    def estimate(self, video: Video, *, progress: Progress) -> DepthVideo:
        """Return depth with the length and size of the video.

        If the file has as many maps as the source of the video, frame selection and crop of the video are applied to
        it. If it has as many maps as the video, they are used in order. Pixels are sampled by nearest neighbor, since
        averages of a near and a far surface belong to neither. Padding, NaN and, except for inverse depth, 0 are not
        valid. Infinite depth is sky: valid, at the largest depth.

        Inverse depth is normalized to 0..1 over the whole file (`rel`, 1 = nearest) and converted to
        `near / max(rel, near / far)`.

        Raises:
            InputNotFound: the file does not exist.
            InvalidInput: its length, size or values do not fit, or its meaning cannot be decided.
        """
        self._notes, self._warnings = [], []
        frames = self._open()
        indices = self._frame_indices(frames, video)
        origin, place = self._window(frames, indices, video)
        looks_like = self._looks_like(frames, indices)
        is_inverse = self._is_inverse(frames, looks_like)
        numbers, inside = self._sampled(frames, indices, origin, video, progress)
        is_affine = self._options.kind == "affine"
        found = self._separated(numbers, inside, frames, is_inverse=is_inverse, is_affine=is_affine)
        flickers = self._may_flicker(numbers, found)
        if is_inverse:
            depth, kind, words = self._from_inverse(numbers, frames, found), DepthKind.AFFINE_INVERSE, "disparity"
        elif is_affine:
            depth, kind, words = self._from_affine(numbers, frames, found)
        else:
            depth, kind, words = self._from_depth(numbers, frames, found, looks_like)
        if flickers:
            self._warnings.append(f"each map of {self._path} is normalized on its own, so the depth may flicker")
        valid = found.known | found.sky
        depth[~valid] = 0
        intrinsics, cameras = self._cameras(frames, indices, origin, video)
        masked = (
            (f"unknown: {(~inside).mean():.1%} masked",) if frames.valid_at is not None and not inside.all() else ()
        )
        self._warnings += [f"{self._path} {text}" for text in frames.warnings]
        self._describe(frames, words, (*place, *found.notes, *masked))
        return DepthVideo(
            depth=torch.from_numpy(depth),
            valid=torch.from_numpy(valid),
            kind=kind,
            intrinsics=intrinsics,
            cameras=cameras,
        )

    def _open(self) -> DepthFrames:
        return open_depth(self._path, layer=self._options.layer, colormap=self._options.colormap)

    def _separated(
        self, numbers: np.ndarray, inside: np.ndarray, frames: DepthFrames, *, is_inverse: bool, is_affine: bool
    ) -> Separated:
        """Return where the sampled values are known, sky, or unknown.

        Raises:
            InvalidInput: none is known.
        """
        found = separate(
            numbers,
            inside,
            frames.unit,
            is_inverse=is_inverse,
            full_range=frames.scale is not None and not frames.tool,
            is_shifted=is_affine,
        )
        if not found.known.any():
            cause = "0" if (numbers[inside] == 0).any() else "NaN, infinite or masked"
            raise InvalidInput(
                f"{self._path} has no valid depth in the requested frames: all values are {cause}; use another file"
            )
        return found

    def _describe(self, frames: DepthFrames, words: str, details: Sequence[str]) -> None:
        """Keep the line that states what the file was taken for."""
        tool = f"{frames.tool}, " if frames.tool else ""
        size = f"{frames.size[0]}x{frames.size[1]}"
        self._notes = [f"{self._path}: {'; '.join((f'{tool}{words}, {size}', *details, *frames.notes))}"]

    def _frame_indices(self, frames: DepthFrames, video: Video) -> Sequence[int]:
        """Return the index of the depth map of each frame of the video."""
        origin, count = video.origin, frames.count
        if origin is not None:
            follows = count > max(origin.frame_indices) if origin.source_frames == 0 else count == origin.source_frames
            if follows:
                return origin.frame_indices
        if count == video.num_frames:
            return range(count)
        wanted = range(video.num_frames) if origin is None else origin.frame_indices
        if frames.numbers is not None and count < len(wanted) and max(frames.numbers) <= max(wanted):
            place = {number: index for index, number in enumerate(frames.numbers)}
            gaps = [number for number in wanted if number not in place]
            named = ", ".join(map(str, gaps[:5])) + (" ..." if len(gaps) > 5 else "")
            self._warnings.append(f"{self._path} has no depth for the frames {named}, which stay empty")
            return [place.get(number, _MISSING) for number in wanted]
        of_source = 0 if origin is None else origin.source_frames
        is_selection = of_source not in (0, video.num_frames)
        raise InvalidInput(
            f"{self._path} has {count} depth map{'s' * (count != 1)} but the video has {video.num_frames} "
            f"frame{'s' * (video.num_frames != 1)}{f', from a source of {of_source}' * is_selection}; pass one map for "
            f"each frame of the video{' or of its source' * is_selection}"
        )

    def _window(self, frames: DepthFrames, indices: Sequence[int], video: Video) -> tuple[Origin, tuple[str, ...]]:
        """Return the window of the depth maps that corresponds to the video, and its description."""
        size, filmed, shown = frames.size, video.origin, (video.width, video.height)
        own = frame_to(shown, None).origin(tuple(range(video.num_frames)), video.num_frames)
        source = (filmed.source_width, filmed.source_height) if filmed else shown
        if frames.covers != WHOLE and self._options.fit == "auto":
            left, top, right, bottom = frames.covers
            whole = (round(size[0] / (right - left)), round(size[1] / (bottom - top)))
            if same_aspect(whole, source):
                return through(filmed or own, frames.covers), (f"the upper left of pictures of {whole[0]}x{whole[1]}",)
        # Maps with exactly the size of the frames belong to them, even if the source has a similar shape.
        origins = [(own, shown)] if filmed is None or size == shown else [(filmed, source), (own, shown)]
        origins.sort(key=lambda pair: not same_aspect(size, pair[1]))
        for origin, picture in origins:
            present = sorted({index for index in indices if index != _MISSING})
            sample = [present[0], present[len(present) // 2], present[-1]]
            place = fitted(size, picture, self._options.fit, lambda sample=sample: list(frames.read(sample)))  # type: ignore[misc]
            if place is not None:
                return through(origin, place.covers), (place.note,) if place.note else ()
        of_source = f" and its source {source[0]}x{source[1]}" if filmed else ""
        raise InvalidInput(
            f"{self._path} is {size[0]}x{size[1]} but the video is {shown[0]}x{shown[1]}{of_source}; "
            "depth must have the aspect ratio of the video or of its source, or --set depth.fit=whole, crop or pad"
        )

    def _looks_like(self, frames: DepthFrames, indices: Sequence[int]) -> Evidence:
        """Return what the maps look like; in their own size, since sampled planes have steps."""
        present = sorted({index for index in indices if index != _MISSING})
        chosen = [present[at] for at in np.linspace(0, len(present) - 1, min(_MOST_MAPS, len(present))).astype(int)]
        with np.errstate(over="ignore"):
            maps = np.stack([values.astype(np.float32) for values in frames.read(chosen)])
        inside = np.ones(maps.shape, bool)
        if frames.valid_at is not None:
            inside = np.stack([frames.valid_at(index) for index in chosen])
        return direction(maps, separate(maps, inside, frames.unit, is_inverse=True).known)

    def _is_inverse(self, frames: DepthFrames, looks_like: Evidence) -> bool:
        kind = self._options.kind
        is_known = frames.tool and not frames.doubt and (frames.kind is not None or frames.scale is not None)
        is_named = frames.is_inverse and not is_known  # a folder may have any name
        if is_named and looks_like == "depth":
            if kind == "auto":
                raise InvalidInput(
                    f"{self._path} has a name that says disparity, but its values look like depth; {_ASK}"
                )
            return kind == "inverse"
        if is_named and kind not in ("auto", "inverse"):
            raise InvalidInput(
                f"{self._path} has a name of inverse depth, so its kind cannot be {kind}; omit the kind, or rename it"
            )
        if frames.kind is not None and not is_named and kind == "inverse":
            raise InvalidInput(
                f"{self._path} contains depth of kind {frames.kind.value}, so its kind cannot be inverse; omit the kind"
            )
        return is_named or kind == "inverse"

    def _sampled(
        self, frames: DepthFrames, indices: Sequence[int], origin: Origin, video: Video, progress: Progress
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the values of the file, float32 [T, H, W], and where there are any, bool [T, H, W]."""
        numbers = np.full(video.frames.shape[:3], np.nan, np.float32)
        inside = np.zeros(numbers.shape, bool)
        size = (video.width, video.height)
        present = [(place, index) for place, index in enumerate(indices) if index != _MISSING]
        maps = zip(present, frames.read([index for _, index in present]), strict=True)
        for (place, source), values in track(maps, progress, total=len(present)):
            sampled, inside[place] = sample_nearest(values, origin, size)
            with np.errstate(over="ignore"):  # values beyond float32 count as infinite
                numbers[place] = sampled.astype(np.float32)
            if frames.valid_at is not None:
                inside[place] &= sample_nearest(frames.valid_at(source), origin, size)[0]
        return numbers, inside

    def _from_depth(
        self, numbers: np.ndarray, frames: DepthFrames, found: Separated, looks_like: Evidence
    ) -> tuple[np.ndarray, DepthKind, str]:
        """Return depth in the unit of its kind, in the memory of the values; the kind; and words for it."""
        if ((numbers < 0) & found.known).any():
            raise InvalidInput(
                f"{self._path} has negative values, so it is not depth; set the depth kind to inverse for disparity "
                "(--depth-kind inverse)"
            )
        kind = self._kind_of(numbers, frames, found, looks_like)
        default = MILLIMETRE if frames.unit == "integer" else 1.0
        scale = next(unit for unit in (self._options.scale, frames.scale, default) if unit is not None)
        with np.errstate(over="ignore"):
            np.multiply(numbers, np.float32(scale), out=numbers)
            np.minimum(numbers, np.float32(FARTHEST), out=numbers)
        numbers[found.sky] = FARTHEST
        words = "depth up to scale" if kind is DepthKind.RELATIVE else f"depth in units of {scale:g} m"
        is_stated = self._options.kind != "auto" or frames.kind is not None
        words += "" if is_stated else " (not stated in the file; else --depth-kind or --set depth.scale)"
        return numbers, kind, words

    def _kind_of(self, numbers: np.ndarray, frames: DepthFrames, found: Separated, looks_like: Evidence) -> DepthKind:
        """Return the kind of depth that the options or the file state, or its values show."""
        if self._options.kind != "auto":
            return DepthKind(self._options.kind)
        if frames.kind is not None:
            return frames.kind
        most = _most(numbers, found)
        if frames.doubt and not (looks_like == "depth" and most > 1):
            like = ", and its values look like disparity" if looks_like == "inverse" else ""
            raise InvalidInput(f"{self._path}: {frames.doubt}{like}; {_ASK}")
        if frames.unit == "normalized":
            raise InvalidInput(f"the values of {self._path} have 8 bits and no unit; {_ASK}")
        if frames.unit == "float" and most <= 1:
            raise InvalidInput(
                f"all values of {self._path} lie between 0 and 1, which may be meters or normalized depth; {_ASK}"
            )
        if self._options.scale is None and frames.scale is None:
            self._check_range(numbers, frames, found, most)
        self._warn_of(looks_like, frames, near_zero=lambda: reaches_zero(numbers, found.known))
        return DepthKind.METRIC

    def _check_range(self, numbers: np.ndarray, frames: DepthFrames, found: Separated, most: float) -> None:
        """Refuse values that are not in a unit of length, and warn of those that are probably not meters."""
        if frames.unit == "integer" and most < _FEWEST_STEPS:
            raise InvalidInput(
                f"the integers of {self._path} reach only {most:.0f}, less than a meter in millimeters, and may be "
                f"disparity; {_ASK}"
            )
        in_every_frame = frames.unit == "integer" and fills_range(numbers, np.isfinite(numbers), 0, 65500)
        if in_every_frame or is_normalized(numbers, found.known):
            raise InvalidInput(
                f"the values of {self._path} reach from 0 to {most:.0f}, so they are probably "
                f"normalized, not a length; {_ASK}"
            )
        if frames.unit != "float" or most <= _MOST_MIDDLE:
            return
        below = numbers[found.known & (numbers < most)]  # many tools write one number for the sky
        middle = float(np.median(below)) if below.size else most
        if middle > _MOST_MIDDLE:
            self._warnings.append(
                f"{self._path} is read as meters, with a median of {middle:.0f} m; if its unit is a millimeter, use "
                "--set depth.scale=0.001"
            )

    def _warn_of(self, looks_like: Evidence, frames: DepthFrames, *, near_zero: Callable[[], bool]) -> None:
        if frames.doubt:
            self._warnings.append(f"{self._path} is read as meters, which its values look like: {frames.doubt}; {_ASK}")
        elif looks_like == "inverse" or (not looks_like and near_zero()):
            self._warnings.append(
                f"{self._path} is read as depth, but its values look like disparity, where near is large; if so, set "
                "the depth kind to inverse (--depth-kind inverse)"
            )

    def _may_flicker(self, numbers: np.ndarray, found: Separated) -> bool:
        is_normalized = _most(numbers, found) == 1
        return is_normalized and len(numbers) > 1 and fills_range(numbers, found.known, 0.1, 1)

    def _from_inverse(self, numbers: np.ndarray, frames: DepthFrames, found: Separated) -> np.ndarray:
        """Return depth, in the memory of the values."""
        farthest, nearest = self._extremes(frames, found, is_inverse=True)
        near, far = self._options.near, self._options.far
        with np.errstate(invalid="ignore", over="ignore"):
            np.subtract(numbers, farthest, out=numbers)
            np.divide(numbers, nearest - farthest, out=numbers)
            np.maximum(numbers, near / far, out=numbers)
            np.divide(near, numbers, out=numbers)
        return numbers

    def _from_affine(
        self, numbers: np.ndarray, frames: DepthFrames, found: Separated
    ) -> tuple[np.ndarray, DepthKind, str]:
        """Return depth whose scale and shift are those that place it between `near` and `far`, its kind, and words."""
        nearest, farthest = self._extremes(frames, found, is_inverse=False)
        near, far = self._options.near, self._options.far
        with np.errstate(invalid="ignore", over="ignore"):
            depth = (near + (numbers - nearest) / (farthest - nearest) * (far - near)).astype(np.float32)
        words = f"depth up to scale and shift, placed between {near:.4g} and {far:.4g} (--set depth.near and depth.far)"
        return np.where(found.sky, np.float32(FARTHEST), depth), DepthKind.RELATIVE, words

    def _extremes(self, frames: DepthFrames, found: Separated, *, is_inverse: bool) -> tuple[float, float]:
        """Return the smallest and the largest valid value of the whole file."""
        least, greatest = np.inf, -np.inf
        for index, values in enumerate(frames.read(range(frames.count))):
            with np.errstate(over="ignore"):
                numbers = values.astype(np.float32)
            inside = np.ones(numbers.shape, bool) if frames.valid_at is None else frames.valid_at(index)
            own = separate(numbers, inside, frames.unit, is_inverse=is_inverse, is_shifted=not is_inverse)
            known = own.known & (numbers != found.lone) & (numbers < found.marker)
            if known.any():
                least = min(least, float(numbers[known].min()))
                greatest = max(greatest, float(numbers[known].max()))
        if not least < greatest:
            raise InvalidInput(f"all values of {self._path} are equal, so it cannot be inverse depth or have a shift")
        return least, greatest

    def _cameras(
        self, frames: DepthFrames, indices: Sequence[int], origin: Origin, video: Video
    ) -> tuple[tuple[Intrinsics, ...], CameraPath | None]:
        """Return intrinsics and poses for the frames of the video; a frame without depth takes those before it."""
        present = next(index for index in indices if index != _MISSING)
        filled = [present := index if index != _MISSING else present for index in indices]
        try:
            intrinsics = _intrinsics(frames, filled, origin, video)
            return intrinsics, _poses(frames, filled, intrinsics)
        except InvalidInput as error:
            raise InvalidInput(f"{self._path}: {error}") from error


def _most(numbers: np.ndarray, found: Separated) -> float:
    """Return the largest distance or disparity."""
    return float(np.max(numbers, where=found.known, initial=-np.inf))


def _intrinsics(frames: DepthFrames, indices: Sequence[int], origin: Origin, video: Video) -> tuple[Intrinsics, ...]:
    """Return the intrinsics of the file, adapted to the video, or the default field of view."""
    if frames.intrinsics is None:
        return (Intrinsics.from_fov(width=video.width, height=video.height),)
    width, height = frames.size
    matrices = frames.intrinsics if len(frames.intrinsics) == 1 else frames.intrinsics[list(indices)]
    filmed = (Intrinsics(fx=k[0, 0], fy=k[1, 1], cx=k[0, 2], cy=k[1, 2], width=width, height=height) for k in matrices)
    return tuple(origin.windowed(camera, width=video.width, height=video.height) for camera in filmed)


def _poses(frames: DepthFrames, indices: Sequence[int], intrinsics: tuple[Intrinsics, ...]) -> CameraPath | None:
    """Return the source camera poses of the file for the frames of the video; the world is the first of them."""
    if frames.world_to_camera is None:
        return None
    poses = frames.world_to_camera[list(indices)]
    poses = poses @ np.linalg.inv(poses[0])
    return CameraPath(world_to_camera=torch.from_numpy(poses.astype(np.float32)), intrinsics=intrinsics)

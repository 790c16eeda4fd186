"""Clips, depth and camera paths that a caller passes as arrays, tensors or lists of images."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from fractions import Fraction
from numbers import Real
from pathlib import Path
from typing import Any, get_args

import attrs
import numpy as np
import torch

from ex4d_core.bounds import shown
from ex4d_core.builtin.depth_file import DepthFile
from ex4d_core.builtin.depth_file_options import DepthFileOptions, Kind
from ex4d_core.config.run_config import Tree, make_options
from ex4d_core.depth_io.containers.arrays import from_head
from ex4d_core.depth_io.frames import DepthFrames
from ex4d_core.errors import InvalidConfig, InvalidInput, nearest
from ex4d_core.pipeline.clips import path_key
from ex4d_core.pipeline.store import tensor_hash
from ex4d_core.progress import Progress
from ex4d_core.reading import as_path
from ex4d_core.roles import DepthEstimator
from ex4d_core.types import CameraPath, DepthKind, DepthVideo, Intrinsics, Video

RATE = Fraction(30)
"""Frame rate of frames without one, in Hz; that of folders of images."""


def as_clip(value: Any, *, fps: float | None = None) -> Video | Path:
    """Return a video or the path of a clip.

    Args:
        value: a `Video`, a path, or frames: uint8 [T, H, W, 3], floats from 0 to 1, or a list of images.
        fps: rate of frames that are not a `Video`; 30 by default.

    Raises:
        InvalidInput: the value is none of these.
    """
    if isinstance(value, Video):
        return value
    if isinstance(value, str | os.PathLike):
        return as_path(value, "clip")
    frames = _array(value, "frames of a clip", color=True)
    if frames is None:
        hint = "; make a list of it, as in list(frames)" if hasattr(value, "__next__") else ""
        raise InvalidInput(
            f"a clip is a Video, a path, an array [T, H, W, 3] or a list of images, not {_kind_of(value)}{hint}"
        )
    frames = _bytes(frames[None] if frames.ndim == 3 and frames.shape[2] == 3 else frames)
    return Video(frames=torch.from_numpy(np.array(frames)), fps=RATE if fps is None else fps)  # type: ignore[arg-type]  # converted


def _bytes(frames: np.ndarray) -> np.ndarray:
    """Return frames as uint8 [T, H, W, 3].

    Raises:
        InvalidInput: they have another shape or type, or are empty; the message states the call that converts them.
    """
    if frames.ndim != 4 or frames.shape[3] != 3:
        hints = {
            "make gray frames colored, as in np.repeat(frames[..., None], 3, axis=3)": frames.ndim == 3,
            "move the channels last, as in frames.permute(0, 2, 3, 1)": frames.ndim == 4 and frames.shape[1] == 3,
            "leave out alpha, as in frames[..., :3]": frames.ndim == 4 and frames.shape[3] == 4,
        }
        hint = next((f"; {text}" for text, fits in hints.items() if fits), "")
        raise InvalidInput(f"the frames of a clip must have the shape [T, H, W, 3], not {list(frames.shape)}{hint}")
    if not frames.size:
        raise InvalidInput(f"the clip has no frames or pixels: its shape is {list(frames.shape)}")
    if frames.dtype.kind == "f":
        if not (frames.min() >= 0 and frames.max() <= 1):  # False for NaN too
            raise InvalidInput("frames of floats must lie between 0 and 1; pass uint8 for 0 to 255")
        levels: np.ndarray = np.rint(frames * 255).astype(np.uint8)
        return levels
    if frames.dtype != np.uint8:
        hint = "; use frames / 65535 for 16 bits, or frames.astype(np.uint8) for 0 to 255" * (frames.dtype.kind in "ui")
        raise InvalidInput(f"the frames of a clip must be uint8, or floats from 0 to 1, not {frames.dtype}{hint}")
    return frames


@attrs.frozen(kw_only=True)
class GivenDepth:
    """Depth that replaces the depth estimator of a session."""

    inputs: Tree
    """Everything that determines it."""

    estimator: DepthEstimator
    """Returns it."""


def as_depth(value: Any, kind: str | DepthKind | None = None) -> GivenDepth | None:
    """Return depth that a caller passed.

    Args:
        value: a `DepthVideo`, an array or tensor [T, H, W], a list of maps, or None.
        kind: meaning of an array, as the option `kind` of the depth estimator `file`, or `DepthKind.METRIC` or
            `RELATIVE`; by default decided as by `file`.

    Raises:
        InvalidInput: the value is none of these.
        InvalidConfig: the kind is unknown, or given without an array.
    """
    if value is None or isinstance(value, DepthVideo):
        if kind is not None:
            why = "no depth is passed" if value is None else "a DepthVideo has its own kind"
            raise InvalidConfig(f"depth_kind states the meaning of an array of depth; {why}")
        return None if value is None else GivenDepth(inputs=_facts(value), estimator=_Fixed(value))
    array = _array(value, "depth")
    if array is None:
        raise InvalidInput(
            f"depth must be a DepthVideo or an array [T, H, W], not {shown(value)}; files are settings of the session: "
            'Session(depth={"name": "file", "path": ...})'
        )
    if array.dtype.kind not in "biuf":
        raise InvalidInput(f"depth must be an array of numbers, not of {array.dtype}")
    options = make_options(DepthFileOptions, {"path": _DepthArray.NAME, "kind": _kind(kind)}, "depth")
    key = tensor_hash(torch.from_numpy(np.ascontiguousarray(array).view(np.uint8)))
    inputs = {"array": key, "dtype": str(array.dtype), "kind": options.kind}
    return GivenDepth(inputs=inputs, estimator=_DepthArray(array, options))


def _kind(kind: str | DepthKind | None) -> str:
    """Return the option `kind` of the depth estimator `file`.

    Raises:
        InvalidConfig: the kind is unknown.
    """
    if kind is None:
        return "auto"
    name, known = kind.value if isinstance(kind, DepthKind) else kind, get_args(Kind)
    if isinstance(name, str) and name in known:
        return name
    guess = nearest(kind, known) if isinstance(kind, str) else ""
    raise InvalidConfig(f"depth_kind must be one of {', '.join(known)}, not {shown(kind)}{guess}")


def as_path_or_text(value: Any, lenses: Callable[[], tuple[Intrinsics, ...]]) -> str | CameraPath:
    """Return a camera path, or the text of one.

    Args:
        value: a `CameraPath`, a `--cam` text, an angle, or world-to-camera poses [T, 4, 4] or [T, 3, 4] (OpenCV axes).
        lenses: returns the intrinsics of the source camera, which poses take.

    Raises:
        InvalidInput: the poses have another shape, or are not rigid.
        InvalidConfig: the value is none of these.
    """
    if isinstance(value, str | CameraPath):
        return value
    if isinstance(value, os.PathLike) and isinstance(path := os.fspath(value), str):
        return path
    if isinstance(value, Real) and not isinstance(value, bool):
        if not math.isfinite(value):
            raise InvalidConfig(f"the angle of cam must be finite, not {value}")
        return f"{float(value):g}"
    poses = _array(value, "poses")
    if poses is None:
        hint = "; pass the name of the file" if hasattr(value, "world_to_camera") else ""
        raise InvalidConfig(
            f"cam must be a text such as '30', a CameraPath or poses [T, 4, 4], not {_kind_of(value)}{hint}"
        )
    if poses.ndim != 3 or poses.shape[1:] not in ((4, 4), (3, 4)) or poses.dtype.kind not in "fiu":
        given = f"{poses.dtype} {list(poses.shape)}"
        raise InvalidInput(f"poses must be numbers [T, 4, 4] or [T, 3, 4], world to camera, not {given}")
    whole = np.tile(np.eye(4, dtype=np.float32), (len(poses), 1, 1))
    whole[:, : poses.shape[1]] = poses
    own = lenses()
    return CameraPath(world_to_camera=torch.from_numpy(whole), intrinsics=own if len(own) == len(poses) else own[:1])


class _DepthArray(DepthFile):
    """Fits an array to the frames as the estimator `file` fits one from a file."""

    NAME = "the depth array"
    """Stands for the path in messages."""

    def __init__(self, array: np.ndarray, options: DepthFileOptions) -> None:
        super().__init__(options, device=torch.device("cpu"))
        self._array = array

    def _open(self) -> DepthFrames:
        return from_head(self._array.shape, self._array.dtype, lambda: self._array, self._path)


class _Fixed:
    """Returns the same depth for the clip that it belongs to."""

    def __init__(self, depth: DepthVideo) -> None:
        self._depth = depth

    def estimate(self, video: Video, *, progress: Progress) -> DepthVideo:
        own, shape = list(self._depth.depth.shape), list(video.frames.shape[:3])
        if own != shape:
            raise InvalidInput(f"the depth has the shape {own} but the frames have {shape}; pass depth for each pixel")
        return self._depth


def _facts(depth: DepthVideo) -> Tree:
    masks = {name: getattr(depth, name) for name in ("valid", "filled")}
    return {
        "depth": tensor_hash(depth.depth),
        "kind": depth.kind.value,
        "intrinsics": list(map(attrs.asdict, depth.intrinsics)),
        "cameras": depth.cameras and path_key(depth.cameras),
        **{name: None if mask is None else tensor_hash(mask) for name, mask in masks.items()},
    }


def _array(value: Any, what: str, *, color: bool = False) -> np.ndarray | None:
    """Return an array, a tensor, a PIL image, or a list of these or of numbers, as one array; None for another type.

    Args:
        value: the value.
        what: its name, for messages.
        color: whether PIL images become RGB, from gray, a palette, or colors with alpha.

    Raises:
        InvalidInput: the list is empty, its items are of several shapes, or a tensor has no values.
    """
    if isinstance(value, np.ndarray):
        return value
    if isinstance(value, torch.Tensor):
        try:
            whole = value.detach().cpu()
            return (whole.float() if whole.dtype == torch.bfloat16 else whole).numpy()
        except (RuntimeError, TypeError) as error:  # on the device `meta`, sparse, quantized
            raise InvalidInput(f"the {what} must be a dense tensor with values: {error}") from error
    if color and getattr(value, "mode", "I") not in ("I", "F", "I;16", "I;16B", "I;16L"):
        value = value.convert("RGB")
    if not isinstance(value, list | tuple):
        return np.asarray(value) if hasattr(value, "__array_interface__") else None
    items = [_array(item, what, color=color) for item in value]
    if any(item is None for item in items):
        return _numbers(value)
    shapes = {item.shape for item in items if item is not None}
    if len(shapes) != 1:
        raise InvalidInput(f"the {what} must have one shape, not {sorted(map(list, shapes)) or 'an empty list'}")
    return np.stack(items)  # type: ignore[arg-type]  # none is None


def _numbers(value: Sequence[Any]) -> np.ndarray | None:
    """Return lists of numbers as an array; None if they are of several lengths, or contain something else."""
    try:
        array = np.array(value)
    except ValueError:
        return None
    return array if array.dtype.kind in "iuf" else None


def _kind_of(value: Any) -> str:
    """Return the type of the items of a list, or a short representation of another value."""
    if not isinstance(value, list | tuple):
        return shown(value)
    return f"a list of {' and '.join(sorted({type(item).__name__ for item in value}))}"

"""Write depth files that other programs can edit and that `--depth-file` reads without further options.

All formats have the size of the video, with 0 for unknown depth. Kind, intrinsics and, if the source camera moves,
poses are arrays of the archive, or in `depth.json` in a folder.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from ex4d_core.bounds import require
from ex4d_core.depth_io.exr import write_exr
from ex4d_core.depth_io.facts import FACTS_FILE, POSES_NAME
from ex4d_core.depth_io.frames import MILLIMETRE
from ex4d_core.errors import InvalidInput
from ex4d_core.files import atomic_write
from ex4d_core.reading import as_path
from ex4d_core.types import DepthKind, DepthVideo
from ex4d_core.video_io.images import write_png

DepthFormat = Literal["npz", "png", "exr"]

LARGEST_VALUE = 65535
"""Largest value of a 16-bit PNG."""


def write_depth(depth: DepthVideo, path: str | os.PathLike[str], *, format: DepthFormat = "npz") -> None:
    """Write depth as an archive or as a folder with an image for each frame; replaces existing files.

    - `npz`: float32 `depth` [T, H, W], exact.
    - `exr`: float32 images `000000.exr`, ..., in the same unit, exact.
    - `png`: 16-bit images `000000.png`, ..., rounded to multiples of `png_step`.

    Raises:
        InvalidInput: the format is unknown, or there is no valid depth.
        OutputFailed: it cannot be written.
    """
    require(depth, DepthVideo, "write_depth")
    if format not in get_args(DepthFormat):
        raise InvalidInput(f"depth can be written as {', '.join(get_args(DepthFormat))}, not {format!r}")
    with atomic_write(as_path(path, "output file")) as temporary:
        if format == "npz":
            with temporary.open("wb") as file:  # savez adds .npz to other names
                np.savez(file, depth=np.stack(list(_valid_depth(depth))), **_facts(depth))  # type: ignore[arg-type]  # numpy types savez's arrays as its flags
        else:
            _write_folder(depth, temporary, format)


def png_step(depth: DepthVideo) -> float:
    """Return the depth of one step of the 16-bit PNG: a millimeter, or the largest depth / 65535.

    A millimeter is the convention for metric depth, used if all depth is at most 65.535 m. The error is at most half a
    step, so the relative error is largest at the nearest point.

    Raises:
        InvalidInput: there is no valid depth.
    """
    farthest = max(float(frame.max()) for frame in _valid_depth(depth))
    if farthest == 0:
        raise InvalidInput("the depth cannot be written: no pixel is valid")
    if depth.kind is DepthKind.METRIC and farthest <= LARGEST_VALUE * MILLIMETRE:
        return MILLIMETRE
    return farthest / LARGEST_VALUE


def png_error(depth: DepthVideo) -> float:
    """Return the largest relative error of the PNG: half a step divided by the nearest depth."""
    nearest = min(float(frame[frame > 0].min(initial=np.inf)) for frame in _valid_depth(depth))
    return png_step(depth) / 2 / nearest


def _valid_depth(depth: DepthVideo) -> Iterator[np.ndarray]:
    """Yield the depth of each frame, float32 [H, W], 0 where unknown."""
    for frame in range(depth.num_frames):
        yield np.where(depth.valid_at(frame).numpy(), depth.depth[frame].numpy(), np.float32(0))


def _facts(depth: DepthVideo) -> dict[str, np.ndarray]:
    """Return the metadata of the files."""
    facts = {
        "kind": np.array(depth.kind.value),
        "intrinsics": np.stack([camera.matrix() for camera in depth.intrinsics]),
    }
    if depth.cameras is not None:
        facts[POSES_NAME] = depth.cameras.world_to_camera.numpy()
    return facts


def _write_folder(depth: DepthVideo, folder: Path, format: DepthFormat) -> None:
    folder.mkdir()
    step = png_step(depth) if format == "png" else 1.0
    facts: dict[str, Any] = {"scale": step, **{name: array.tolist() for name, array in _facts(depth).items()}}
    for index, frame in enumerate(_valid_depth(depth)):
        file = folder / f"{index:06d}.{format}"
        if format == "exr":
            write_exr(file, frame)
        else:
            write_png(file, _steps(frame, step))
    (folder / FACTS_FILE).write_text(json.dumps(facts) + "\n", encoding="utf-8")


def _steps(frame: np.ndarray, step: float) -> np.ndarray:
    """Return depth in whole steps, uint16; known depth stays above 0."""
    rounded = np.rint(frame.astype(np.float64) / step).clip(1, LARGEST_VALUE)
    return np.where(frame > 0, rounded, 0).astype(np.uint16)

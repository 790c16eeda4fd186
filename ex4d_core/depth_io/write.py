"""Write depth files that other programs can edit and that `--depth-file` reads back without further flags.

All formats hold the depth at the size of the video with 0 where it is unknown, and say its kind, intrinsics and, where
the source camera moves, its poses: the archive in arrays of these names, the folders in a file `depth.json`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from ex4d_core.depth_io.exr import write_exr
from ex4d_core.depth_io.read import FACTS_FILE, MILLIMETRE, POSES_NAME
from ex4d_core.errors import InvalidInput
from ex4d_core.files import atomic_write
from ex4d_core.types import DepthKind, DepthVideo
from ex4d_core.video_io.images import write_png

DepthFormat = Literal["npz", "png", "exr"]

DEEPEST = 65535
"""Largest number of a 16-bit PNG."""


def write_depth(depth: DepthVideo, path: str | os.PathLike[str], *, format: DepthFormat = "npz") -> None:
    """Write depth as one archive, or as a folder with an image a frame; what was there is replaced.

    - `npz`: float32 `depth` [T, H, W], exact.
    - `exr`: float32 `000000.exr` and on, in the same unit, exact.
    - `png`: 16-bit `000000.png` and on, rounded to whole steps of `png_step`.

    Raises:
        InvalidInput: the format is none of these, or no depth is known.
        OutputFailed: it cannot be written.
    """
    if format not in get_args(DepthFormat):
        raise InvalidInput(f"depth can be written as {', '.join(get_args(DepthFormat))}, not {format!r}")
    with atomic_write(Path(path)) as temporary:
        if format == "npz":
            with temporary.open("wb") as file:  # to a name without .npz savez would add it
                np.savez(file, depth=np.stack(list(_known(depth))), **_facts(depth))  # type: ignore[arg-type]  # numpy types savez's arrays as its flags
        else:
            _write_folder(depth, temporary, format)


def png_step(depth: DepthVideo) -> float:
    """Return the depth of one step of the 16-bit PNG: a millimeter, or what brings the farthest point to 65535.

    A millimeter is what others expect of metric depth; it is taken where nothing metric is farther than 65.535 m. The
    error is at most half a step: relative to the depth it is largest at the nearest point.

    Raises:
        InvalidInput: no depth is known.
    """
    farthest = max(float(frame.max()) for frame in _known(depth))
    if farthest == 0:
        raise InvalidInput("the depth cannot be written: none is known")
    if depth.kind is DepthKind.METRIC and farthest <= DEEPEST * MILLIMETRE:
        return MILLIMETRE
    return farthest / DEEPEST


def png_error(depth: DepthVideo) -> float:
    """Return how far the PNG is off where that matters most: half a step, as a share of the nearest depth."""
    nearest = min(float(frame[frame > 0].min(initial=np.inf)) for frame in _known(depth))
    return png_step(depth) / 2 / nearest


def _known(depth: DepthVideo) -> Iterator[np.ndarray]:
    """Yield float32 [H, W] of each frame, 0 where the depth is unknown."""
    for frame in range(depth.num_frames):
        yield np.where(depth.valid_at(frame).numpy(), depth.depth[frame].numpy(), np.float32(0))


def _facts(depth: DepthVideo) -> dict[str, np.ndarray]:
    """Return what the files say beside the depth."""
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
    for index, frame in enumerate(_known(depth)):
        file = folder / f"{index:06d}.{format}"
        if format == "exr":
            write_exr(file, frame)
        else:
            write_png(file, _steps(frame, step))
    (folder / FACTS_FILE).write_text(json.dumps(facts) + "\n", encoding="utf-8")


def _steps(frame: np.ndarray, step: float) -> np.ndarray:
    """Return depth in whole steps, uint16; what is known stays above 0."""
    rounded = np.rint(frame.astype(np.float64) / step).clip(1, DEEPEST)
    return np.where(frame > 0, rounded, 0).astype(np.uint16)

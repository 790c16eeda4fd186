"""The source camera's intrinsics as the user gives them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ex4d_core.arrays import open_npz, read_npy
from ex4d_core.config import LensOptions
from ex4d_core.errors import InvalidInput, describe
from ex4d_core.reading import check_file, read_json, read_text
from ex4d_core.types import Intrinsics, Video

SHORTEST_FOCAL, LONGEST_FOCAL = 1.0, 1e6
"""Pixels: from a lens that is next to flat to a telescope."""


def given_intrinsics(options: LensOptions, video: Video) -> Intrinsics | None:
    """Return the intrinsics of the video's frames that the options describe, or None where they say nothing.

    With `of="input"` they describe the clip as filmed and follow the window that the frames were made from.

    Raises:
        InvalidInput: the numbers or the file make no camera.
        InputNotFound: there is no such file.
    """
    origin = video.origin if options.of == "input" else None
    width, height = (video.width, video.height) if origin is None else (origin.source_width, origin.source_height)
    if options.fov is not None:
        filmed = Intrinsics.from_fov(options.fov, width=width, height=height)
    elif options.focal_px is not None:
        if not SHORTEST_FOCAL <= options.focal_px <= LONGEST_FOCAL:
            raise InvalidInput(
                f"a focal length of {options.focal_px:g} pixels is not possible; "
                f"give {SHORTEST_FOCAL:g} to {LONGEST_FOCAL:g}"
            )
        filmed = Intrinsics.from_focal(options.focal_px, width=width, height=height)
    elif file := intrinsics_file(options):
        filmed = read_intrinsics(file, width=width, height=height)
    else:
        return None
    if origin is None:
        return filmed
    return origin.windowed(filmed, width=video.width, height=video.height)


def intrinsics_file(options: LensOptions) -> Path | None:
    """Return the file that the options name, if any.

    Raises:
        InputNotFound: there is no such file.
        InvalidInput: it cannot be read.
    """
    if options.intrinsics is None:
        return None
    path = Path(options.intrinsics)
    check_file(path, "intrinsics file")
    return path


def read_intrinsics(path: Path, *, width: int, height: int) -> Intrinsics:
    """Return the intrinsics in a file, for an image of `width` x `height` pixels.

    JSON holds `fx, fy, cx, cy` and may hold `width, height`, the size that they are for; `.npy`, `.npz` (`intrinsics`
    or `K`) and text hold a 3x3 matrix for the given size.

    Raises:
        InvalidInput: it holds no camera.
    """
    try:
        if path.suffix.lower() == ".json":
            facts = read_json(path, "intrinsics file")
            size = int(facts.get("width", width)), int(facts.get("height", height))
            fx, fy, cx, cy = (float(facts[name]) for name in ("fx", "fy", "cx", "cy"))
        else:
            matrix = _read_matrix(path)
            size = width, height
            fx, fy, cx, cy = (float(matrix[at]) for at in ((0, 0), (1, 1), (0, 2), (1, 2)))
        camera = Intrinsics(fx=fx, fy=fy, cx=cx, cy=cy, width=size[0], height=size[1])
        return camera.scaled_to(width=width, height=height)
    except (ValueError, LookupError, TypeError, AttributeError, ArithmeticError) as error:
        if isinstance(error, InvalidInput) and str(path) in str(error):
            raise
        raise InvalidInput(
            f"{path} has no usable intrinsics ({describe(error)}); give JSON with fx, fy, cx, cy in pixels, "
            "or a 3x3 matrix as .npy, .npz or text"
        ) from error


def _read_matrix(path: Path) -> np.ndarray:
    if path.suffix.lower() == ".npz":
        arrays = open_npz(path, "intrinsics file")
        matrix = arrays["intrinsics" if "intrinsics" in arrays else "K"]
    elif path.suffix.lower() == ".npy":
        matrix = read_npy(path, "intrinsics file")
    else:
        matrix = np.loadtxt(read_text(path, "intrinsics file").splitlines(), ndmin=2)
    if matrix.dtype.kind not in "uif":
        raise ValueError(f"it holds {matrix.dtype} values")
    first: np.ndarray = matrix.astype(np.float64).reshape(-1, 3, 3)[0]
    return first

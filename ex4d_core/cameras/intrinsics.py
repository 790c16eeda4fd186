"""Intrinsics of the source camera from the options of the user."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ex4d_core.arrays import open_npz, read_npy
from ex4d_core.bounds import number, numbers, shown, spelled, whole
from ex4d_core.config.run_config import LensOptions
from ex4d_core.errors import InvalidInput
from ex4d_core.reading import check_file, read_json, read_text
from ex4d_core.reading import reading as file_errors
from ex4d_core.types import Intrinsics, Origin

WHAT = "intrinsics file"
"""Name of the kind of file in errors."""

MOST_TEXT = 2**20
"""Largest size of a text file in bytes."""

SHORTEST_FOCAL, LONGEST_FOCAL = 1.0, 1e6
"""Range of focal lengths in pixels."""


def given_intrinsics(options: LensOptions, size: tuple[int, int], origin: Origin | None = None) -> Intrinsics | None:
    """Return the intrinsics in the options, or None.

    With `of="input"` the options describe the original clip, of which the frames may show a window.

    Args:
        options: of the user.
        size: width and height of the frames in pixels.
        origin: the window of the clip that the frames show, if any.

    Raises:
        InvalidInput: the numbers or the file are not valid intrinsics.
        InputNotFound: the file does not exist.
    """
    origin = origin if options.of == "input" else None
    width, height = size if origin is None else (origin.source_width, origin.source_height)
    if options.fov is not None:
        filmed = Intrinsics.from_fov(options.fov, width=width, height=height)
    elif options.focal_px is not None:
        if not SHORTEST_FOCAL <= options.focal_px <= LONGEST_FOCAL:
            raise InvalidInput(
                f"the focal length must be {SHORTEST_FOCAL:g} to {LONGEST_FOCAL:g} pixels, not {options.focal_px:g}"
            )
        filmed = Intrinsics.from_focal(options.focal_px, width=width, height=height)
    elif file := intrinsics_file(options):
        filmed = read_intrinsics(file, width=width, height=height)
    else:
        return None
    if origin is None:
        return filmed
    return origin.windowed(filmed, width=size[0], height=size[1])


def intrinsics_file(options: LensOptions) -> Path | None:
    """Return the intrinsics file in the options, if any.

    Raises:
        InputNotFound: the file does not exist.
        InvalidInput: it cannot be read.
    """
    if options.intrinsics is None:
        return None
    path = Path(options.intrinsics)
    check_file(path, WHAT)
    return path


def read_intrinsics(path: Path, *, width: int, height: int) -> Intrinsics:
    """Read the intrinsics in a file, for an image of `width` x `height` pixels.

    JSON has `fx, fy, cx, cy` and, optionally, the `width` and `height` that they describe; `.npy`, `.npz`
    (`intrinsics` or `K`) and text have a 3x3 matrix for the given size.

    Raises:
        InputNotFound: it does not exist.
        InvalidInput: it cannot be read, or is not valid.
    """
    content = _content(path)
    with file_errors(path, WHAT):
        try:
            read = _of_facts if path.suffix.lower() == ".json" else _of_matrix
            return read(content, width, height).scaled_to(width=width, height=height)
        except InvalidInput as error:
            raise InvalidInput(
                f"{path} has no usable intrinsics: {error}; give JSON with fx, fy, cx, cy in pixels, "
                "or a 3x3 matrix as .npy, .npz or text"
            ) from error


def _content(path: Path) -> Any:
    """Load the content of the file without interpreting it."""
    suffix = path.suffix.lower()
    if suffix == ".json":
        return read_json(path, WHAT)
    if suffix == ".npy":
        return read_npy(path, WHAT)
    if suffix == ".npz":
        arrays = open_npz(path, WHAT)
        name = next((name for name in ("intrinsics", "K") if name in arrays), None)
        if name is None:
            raise InvalidInput(f"{path} has no usable intrinsics: it needs an array intrinsics or K")
        return arrays[name]
    lines = (line.partition("#")[0].split() for line in read_text(path, WHAT, most=MOST_TEXT).splitlines())
    return [words for words in lines if words]


def _of_facts(facts: Any, width: int, height: int) -> Intrinsics:
    names = ("fx", "fy", "cx", "cy")
    if not isinstance(facts, dict) or (missing := [name for name in names if name not in facts]):
        raise InvalidInput(
            f"it has no {missing[0]}" if isinstance(facts, dict) else f"it must be an object, not {shown(facts)}"
        )
    fx, fy, cx, cy = (number(facts[name], name) for name in names)
    width, height = whole(facts.get("width", width), "width", 1), whole(facts.get("height", height), "height", 1)
    return Intrinsics(fx=fx, fy=fy, cx=cx, cy=cy, width=width, height=height)


def _of_matrix(content: Any, width: int, height: int) -> Intrinsics:
    """Return the intrinsics of a 3x3 matrix, or of the first of several."""
    if isinstance(content, list):
        content = [[spelled(word, "an entry of the matrix") for word in line] for line in content]
    matrix = numbers(content, "the matrix")
    if not matrix.size or matrix.size % 9:
        raise InvalidInput(f"it must be a 3x3 matrix, not an array of {list(matrix.shape)[:5]}")
    k: np.ndarray = matrix.reshape(-1, 3, 3)[0]
    return Intrinsics(fx=k[0, 0], fy=k[1, 1], cx=k[0, 2], cy=k[1, 2], width=width, height=height)

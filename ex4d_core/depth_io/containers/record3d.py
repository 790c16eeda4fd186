"""Recordings of Record3D: a zip of a JSON text and, for each frame, compressed depth.

Layout as in nerfstudio's record3d_utils.py and other public readers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ex4d_core.depth_io.containers.beside import record3d_cameras
from ex4d_core.depth_io.containers.zips import member_bytes, member_names
from ex4d_core.depth_io.frames import DepthFrames
from ex4d_core.errors import InvalidInput
from ex4d_core.reading import parse_json, reading
from ex4d_core.types import DepthKind
from ex4d_core.video_io.framing import MOST_PIXELS
from ex4d_core.video_io.limits import check_pixels

METADATA = "metadata"


def is_recording(names: Sequence[str]) -> bool:
    """Return whether an archive with these files is a recording."""
    return METADATA in names and any(name.startswith("rgbd/") and name.endswith(".depth") for name in names)


def open_recording(path: Path) -> DepthFrames:
    """Return the maps of a recording, with its intrinsics and poses.

    Raises:
        InvalidInput: it cannot be read, or the library for its compression is not installed.
    """
    with reading(path, "Record3D recording"):
        facts = parse_json(member_bytes(path, METADATA))
    if not isinstance(facts, dict):
        raise InvalidInput(f"{path} is not a Record3D recording that can be read: its metadata is not an object")
    names = [name for name in member_names(path) if name.startswith("rgbd/") and name.endswith(".depth")]
    names.sort(key=lambda name: (len(name), name))
    first = _unpacked(path, names[0])
    width, height = _size(facts, first, path)

    def read(indices: Sequence[int]) -> Iterator[np.ndarray]:
        for index in indices:
            values = _unpacked(path, names[index])
            if len(values) != len(first):
                raise InvalidInput(f"{path}: {names[index]} has another size than {names[0]}; record it again")
            yield _numbers(values, width * height, path).reshape(height, width)

    frames = DepthFrames(
        count=len(names),
        size=(width, height),
        read=read,
        unit="float",
        tool="Record3D",
        kind=DepthKind.METRIC,
        scale=1.0,
    )
    return record3d_cameras(frames, facts, path)


def _unpacked(path: Path, name: str) -> bytes:
    data = member_bytes(path, name)
    if not data.startswith(b"bvx"):
        return data
    try:
        import liblzfse  # type: ignore[import-not-found,unused-ignore]
    except ImportError as error:
        raise InvalidInput(
            f"{path} is a Record3D recording, compressed with LZFSE; install its reader with `pip install pyliblzfse`, "
            "or export EXR and RGB from the app"
        ) from error
    with reading(path, "Record3D recording"):
        # Each block starts with its magic and the size of its content (lzfse_internal.h).
        if int.from_bytes(data[4:8], "little") > 4 * MOST_PIXELS:
            raise MemoryError
        return bytes(liblzfse.decompress(data))


def _numbers(data: bytes, count: int, path: Path) -> np.ndarray:
    for dtype in (np.float32, np.float16):
        if len(data) == count * np.dtype(dtype).itemsize:
            return np.frombuffer(data, dtype)
    raise InvalidInput(f"{path} is not a Record3D recording that can be read: a depth map has {len(data)} bytes")


def _size(facts: dict[str, Any], first: bytes, path: Path) -> tuple[int, int]:
    """Return width and height of the maps; old recordings lack them, and the aspect of the picture gives them."""
    sides = [facts.get(name) for name in ("dw", "dh")]
    if not all(isinstance(side, int) and side > 0 for side in sides):
        known = (((192, 256), 4), ((480, 640), 4), ((192, 256), 2), ((480, 640), 2))
        found = next((size for size, depth in known if len(first) == size[0] * size[1] * depth), None)
        if found is None:
            raise InvalidInput(f"{path} does not state the size of its depth maps; export EXR and RGB from the app")
        is_wide = isinstance(facts.get("w"), int) and isinstance(facts.get("h"), int) and facts["w"] > facts["h"]
        sides = [max(found), min(found)] if is_wide else [min(found), max(found)]
    width, height = int(sides[0] or 0), int(sides[1] or 0)
    check_pixels(width, height, path)
    return width, height

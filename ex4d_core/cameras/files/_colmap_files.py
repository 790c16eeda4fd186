"""The files of a COLMAP model (src/colmap: scene/reconstruction_io_*.cc, sensor/models.h)."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import attrs

from ex4d_core.bounds import number, shown, spelled
from ex4d_core.cameras.files._value import WHAT, check_count, lens_of
from ex4d_core.errors import InvalidInput
from ex4d_core.reading import check_file
from ex4d_core.reading import reading as file_errors
from ex4d_core.types import Intrinsics

CAMERAS, IMAGES, RIGS = "cameras", "images", "rigs"
TEXT = tuple(f"{name}.txt" for name in (CAMERAS, IMAGES, "points3D"))
"""Files of a text model."""

MODELS = {
    "SIMPLE_PINHOLE": (1, 3),
    "PINHOLE": (2, 4),
    "SIMPLE_RADIAL": (1, 4),
    "RADIAL": (1, 5),
    "OPENCV": (2, 8),
    "OPENCV_FISHEYE": (2, 8),
    "FULL_OPENCV": (2, 12),
    "FOV": (2, 5),
    "SIMPLE_RADIAL_FISHEYE": (1, 4),
    "RADIAL_FISHEYE": (1, 5),
    "THIN_PRISM_FISHEYE": (2, 12),
    "RAD_TAN_THIN_PRISM_FISHEYE": (2, 16),
    "SIMPLE_DIVISION": (1, 4),
    "DIVISION": (2, 5),
    "SIMPLE_FISHEYE": (1, 3),
    "FISHEYE": (2, 4),
    "EUCM": (2, 6),
    "EQUIRECTANGULAR": (0, 2),
}
"""Number of focal lengths and of parameters of each model, by its number in binary files."""

MOST_BYTES = 8 * 2**30
"""Largest size of a file; most of it are points, which are skipped."""

MOST_LINE = 64 * 2**20
"""Largest length of a line; an image has a few thousand points of about 20 characters."""

MOST_NAME = 4096
"""Largest length of the name of an image in bytes."""

POSE = ("QW", "QX", "QY", "QZ", "TX", "TY", "TZ")


@attrs.frozen
class Lens:
    """A camera of a model."""

    model: str
    intrinsics: Intrinsics
    is_distorted: bool


@attrs.frozen
class Image:
    """An image with its pose."""

    name: str
    camera: str
    pose: tuple[float, ...]
    """qw qx qy qz tx ty tz, world to camera."""


def has_model(folder: Path, suffix: str) -> bool:
    """Return whether a folder has both files of a model, with the suffix ".bin" or ".txt"."""
    return all((folder / f"{name}{suffix}").exists() for name in (CAMERAS, IMAGES))


def read_model(folder: Path) -> tuple[dict[str, Lens], list[Image]]:
    """Read cameras by their number, and images.

    Raises:
        InvalidInput: a file is missing or malformed.
    """
    if has_model(folder, ".bin"):
        return _binary_cameras(folder / f"{CAMERAS}.bin"), _binary_images(folder / f"{IMAGES}.bin")
    for name in (CAMERAS, IMAGES):
        if not (folder / f"{name}.txt").exists():
            raise InvalidInput(f"{folder} is not a COLMAP model: it has no {name}.txt")
    lenses = {words[0]: _lens(words) for words in _words(folder / f"{CAMERAS}.txt", every=1, most=50)}
    return lenses, [_image(words) for words in _words(folder / f"{IMAGES}.txt", every=2, most=9)]


def has_rig(folder: Path) -> bool:
    """Return whether several cameras of a rig film at the same time.

    Raises:
        InvalidInput: a file is malformed.
    """
    if has_model(folder, ".bin"):
        path = folder / f"{RIGS}.bin"
        return path.exists() and _binary_rig(path)
    path = folder / f"{RIGS}.txt"
    return path.exists() and any(words.count("CAMERA") > 1 for words in _words(path, every=1, most=10_000))


def _lens(words: list[str]) -> Lens:
    model = words[1] if len(words) > 1 else ""
    values = [spelled(word, f"a number in {CAMERAS}.txt") for word in words[2:]] if model in MODELS else []
    return _checked(model, values, " ".join(words), f"{CAMERAS}.txt")


def _checked(model: str, values: list[float], text: str, file: str) -> Lens:
    """Return the camera of width, height and parameters."""
    if model not in MODELS or not MODELS[model][0]:
        known = ", ".join(name for name, (focals, _) in MODELS.items() if focals)
        raise InvalidInput(f"{file} has a camera of model {shown(model)}; it must be one of {known}")
    focals, _ = MODELS[model]
    if len(values) < focals + 4:
        raise InvalidInput(f"{file} has a camera {shown(text)}; {model} needs {focals + 4} numbers")
    width, height, *values = values
    cx, cy = values[focals : focals + 2]
    lens = lens_of({"fx": values[0], "fy": values[focals - 1], "cx": cx, "cy": cy, "width": width, "height": height})
    return Lens(model, lens, any(values[focals + 2 :]))


def _image(words: list[str]) -> Image:
    if len(words) < 10:
        raise InvalidInput(
            f"{IMAGES}.txt has an image {shown(' '.join(words))}; an image needs id, quaternion, translation, "
            "camera id and name"
        )
    pose = tuple(
        number(spelled(word, name), f"{name} in {IMAGES}.txt") for name, word in zip(POSE, words[1:8], strict=True)
    )
    return Image(words[9].rstrip(), words[8], pose)


def _words(path: Path, *, every: int, most: int) -> Iterator[list[str]]:
    """Yield the words of every n-th line that is not a comment; the line of points of an image may be empty."""
    if (size := check_file(path, WHAT).st_size) > MOST_BYTES:
        raise InvalidInput(f"the {WHAT} {path} has {size:,} bytes; at most {MOST_BYTES:,} are read")
    place = count = 0
    with file_errors(path, WHAT), path.open(encoding="utf-8-sig") as file:
        while line := file.readline(MOST_LINE):
            if len(line) == MOST_LINE:
                raise InvalidInput(f"the {WHAT} {path} has a line of {MOST_LINE:,} characters or more")
            if line.startswith("#"):
                continue
            if place % every == 0 and line.strip():
                count += 1
                check_count(count)
                yield line.split(maxsplit=most)
            elif place % every and len(line.split(maxsplit=10)) == 10:  # points have three numbers each
                raise InvalidInput(
                    f"{path.name} has two images without a line of points between them, which may be empty"
                )
            place += 1


def _binary_cameras(path: Path) -> dict[str, Lens]:
    lenses, names = {}, list(MODELS)
    with _opened(path) as file:
        for _ in range(_count(file, path)):
            key, model, width, height = _taken(file, "<IiQQ", path)
            if not 0 <= model < len(names):
                raise InvalidInput(f"{path.name} has a camera of model {model}, which is not a model of COLMAP")
            values = _taken(file, f"<{MODELS[names[model]][1]}d", path)
            lenses[str(key)] = _checked(names[model], [width, height, *values], "", path.name)
    return lenses


def _binary_images(path: Path) -> list[Image]:
    images = []
    with _opened(path) as file:
        for _ in range(_count(file, path)):
            _, *values, camera = _taken(file, "<I7dI", path)
            pose = tuple(number(value, f"{name} in {path.name}") for name, value in zip(POSE, values, strict=True))
            name = bytearray()
            while (byte := file.read(1)) not in (b"\0", b"") and len(name) < MOST_NAME:
                name += byte
            if byte != b"\0":
                raise InvalidInput(f"{path.name} is damaged: the name of an image has no end")
            images.append(Image(name.decode("utf-8", "replace"), str(camera), pose))
            (points,) = _taken(file, "<Q", path)
            if points > MOST_BYTES // 24:
                raise InvalidInput(f"{path.name} is damaged: an image has {points:,} points")
            file.seek(24 * points, 1)
    return images


def _binary_rig(path: Path) -> bool:
    with _opened(path) as file:
        for _ in range(_count(file, path)):
            _, sensors = _taken(file, "<II", path)
            check_count(sensors)
            cameras = 0
            for index in range(sensors):
                kind, _ = _taken(file, "<iI", path)
                cameras += kind == 0
                if index and _taken(file, "<B", path)[0]:
                    _taken(file, "<7d", path)
            if cameras > 1:
                return True
    return False


def _opened(path: Path) -> IO[bytes]:
    if (size := check_file(path, WHAT).st_size) > MOST_BYTES:
        raise InvalidInput(f"the {WHAT} {path} has {size:,} bytes; at most {MOST_BYTES:,} are read")
    return path.open("rb")


def _count(file: IO[bytes], path: Path) -> int:
    (count,) = _taken(file, "<Q", path)
    check_count(count)
    return int(count)


def _taken(file: IO[bytes], layout: str, path: Path) -> tuple[Any, ...]:
    data = file.read(struct.calcsize(layout))
    if len(data) < struct.calcsize(layout):
        raise InvalidInput(f"{path.name} is damaged: it ends too early")
    return struct.unpack(layout, data)

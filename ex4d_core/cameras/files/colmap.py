"""The text model of COLMAP: a folder with `cameras.txt` and `images.txt` (colmap.github.io/format.html).

World-to-camera as a quaternion and a translation, OpenCV axes, pixels from the corner of the image.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from ex4d_core.bounds import number, shown, spelled
from ex4d_core.cameras.files._value import (
    WHAT,
    CameraFile,
    ReadOptions,
    check_count,
    lens_of,
    natural_order,
    one_or_each,
)
from ex4d_core.errors import InvalidInput
from ex4d_core.reading import check_file
from ex4d_core.reading import reading as file_errors
from ex4d_core.types import Intrinsics

CAMERAS, IMAGES = "cameras.txt", "images.txt"
FILES = (CAMERAS, IMAGES, "points3D.txt")

MODELS = {"SIMPLE_PINHOLE": 1, "PINHOLE": 2, "SIMPLE_RADIAL": 1, "RADIAL": 1, "OPENCV": 2, "FULL_OPENCV": 2}
"""Number of focal lengths of each model; the principal point follows, then distortion."""

MOST_BYTES = 8 * 2**30
"""Largest size of a file; half of its lines are points, which are skipped."""

MOST_LINE = 64 * 2**20
"""Largest length of a line; an image has a few thousand points of about 20 characters."""

Model = tuple[list[str], list[str]]
"""Lines of cameras and of images."""


def content(path: Path) -> Model:
    """Load the lines of a model, without points.

    Raises:
        InvalidInput: a file is missing or cannot be read.
    """
    folder = path if path.is_dir() else path.parent
    for name in (CAMERAS, IMAGES):
        if not (folder / name).exists():
            binary = (folder / name).with_suffix(".bin").exists()
            how = "; convert the binary model with colmap model_converter --output_type TXT" if binary else ""
            raise InvalidInput(f"{folder} is not a COLMAP text model: it has no {name}{how}")
    return list(_lines(folder / CAMERAS, every=1)), list(_lines(folder / IMAGES, every=2))


def read(model: Model, reading: ReadOptions) -> CameraFile:
    """Read the poses of the images, ordered by name.

    Raises:
        InvalidInput: a line is malformed.
    """
    cameras, warnings = _cameras(model[0])
    images = [line.split(maxsplit=9) for line in model[1]]
    check_count(len(images))
    if not images:
        raise InvalidInput(f"{IMAGES} has no images")
    if short := next((words for words in images if len(words) < 10), None):
        raise InvalidInput(
            f"{IMAGES} has an image {shown(' '.join(short))}; an image needs id, quaternion, translation, "
            "camera id and name"
        )
    if unknown := next((words[8] for words in images if words[8] not in cameras), None):
        raise InvalidInput(f"{IMAGES} refers to camera {shown(unknown)}, which is not in {CAMERAS}")
    order = natural_order([words[9].rstrip() for words in images])
    return CameraFile(
        world_to_camera=np.stack([_matrix(images[at]) for at in order]),
        intrinsics=one_or_each([cameras[images[at][8]] for at in order], len(order)),
        warnings=warnings,
    )


def write(file: CameraFile, path: Path, distance: float) -> None:
    """Write the folder; `points3D.txt` is empty."""
    assert file.intrinsics is not None  # the format requires intrinsics
    path.mkdir()
    lenses = dict.fromkeys(file.intrinsics)
    numbers = {camera: number for number, camera in enumerate(lenses, 1)}
    cameras = [
        f"{number} PINHOLE {c.width} {c.height} {c.fx!r} {c.fy!r} {c.cx!r} {c.cy!r}" for c, number in numbers.items()
    ]
    images = []
    for index, matrix in enumerate(file.world_to_camera):
        quaternion = Rotation.from_matrix(matrix[:3, :3]).as_quat(scalar_first=True).tolist()
        camera = file.intrinsics[index if len(file.intrinsics) > 1 else 0]
        words = " ".join(map(repr, [*quaternion, *matrix[:3, 3].tolist()]))
        images += [f"{index + 1} {words} {numbers[camera]} frame_{index:05d}.png", ""]
    (path / CAMERAS).write_text("\n".join(["# CAMERA_ID MODEL WIDTH HEIGHT PARAMS", *cameras]) + "\n", encoding="utf-8")
    head = "# IMAGE_ID QW QX QY QZ TX TY TZ CAMERA_ID NAME, then a line of points"
    (path / IMAGES).write_text("\n".join([head, *images]) + "\n", encoding="utf-8")
    (path / "points3D.txt").write_text("# POINT3D_ID X Y Z R G B ERROR TRACK\n", encoding="utf-8")


def _matrix(words: list[str]) -> np.ndarray:
    """Return the world-to-camera matrix of an image."""
    names = ("QW", "QX", "QY", "QZ", "TX", "TY", "TZ")
    w, x, y, z, *shift = (
        number(spelled(word, name), f"{name} in {IMAGES}") for name, word in zip(names, words[1:8], strict=True)
    )
    if not np.linalg.norm([w, x, y, z]) > 1e-9:
        raise InvalidInput(f"{IMAGES} has an image whose quaternion is 0 0 0 0, which is not a rotation")
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_quat([w, x, y, z], scalar_first=True).as_matrix()
    matrix[:3, 3] = shift
    return matrix


def _cameras(lines: list[str]) -> tuple[dict[str, Intrinsics], tuple[str, ...]]:
    cameras, warnings = {}, []
    for line in lines:
        words = line.split(maxsplit=50)
        model = words[1] if len(words) > 1 else ""
        if model not in MODELS:
            raise InvalidInput(f"{CAMERAS} has a camera of model {shown(model)}; it must be one of {', '.join(MODELS)}")
        focals, values = MODELS[model], [spelled(word, f"a number in {CAMERAS}") for word in words[2:]]
        if len(values) < focals + 4:
            raise InvalidInput(f"{CAMERAS} has a camera {shown(line)}; {model} needs {focals + 4} numbers")
        width, height, *values = values
        if any(values[focals + 2 :]):
            warnings.append(f"has lens distortion ({model} in {CAMERAS}), which is ignored")
        cx, cy = values[focals : focals + 2]
        cameras[words[0]] = lens_of(
            {"fx": values[0], "fy": values[focals - 1], "cx": cx, "cy": cy, "width": width, "height": height}
        )
    return cameras, tuple(warnings)


def _lines(path: Path, *, every: int) -> Iterator[str]:
    """Yield every n-th line that is not a comment; the line of points of an image may be empty."""
    if (size := check_file(path, WHAT).st_size) > MOST_BYTES:
        raise InvalidInput(f"the {WHAT} {path} has {size:,} bytes; at most {MOST_BYTES:,} are read")
    place = 0
    with file_errors(path, WHAT), path.open(encoding="utf-8-sig") as file:
        while line := file.readline(MOST_LINE):
            if len(line) == MOST_LINE:
                raise InvalidInput(f"the {WHAT} {path} has a line of {MOST_LINE:,} characters or more")
            if line.startswith("#"):
                continue
            if place % every == 0 and line.strip():
                yield line
            place += 1

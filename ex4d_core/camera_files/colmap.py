"""COLMAP's text model: a folder with `cameras.txt` and `images.txt` (colmap.github.io/format.html).

World-to-camera as a quaternion and a translation, OpenCV's axes, pixels from the corner of the image.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ex4d_core.camera_files._value import CameraFile, Reading, natural_order, one_or_each
from ex4d_core.errors import InputNotFound, InvalidInput, describe
from ex4d_core.geometry.keyframes import quaternion_of, rotation_of
from ex4d_core.reading import read_text
from ex4d_core.types import Intrinsics

FILES = ("cameras.txt", "images.txt", "points3D.txt")

MODELS = {"SIMPLE_PINHOLE": 1, "PINHOLE": 2, "SIMPLE_RADIAL": 1, "RADIAL": 1, "OPENCV": 2, "FULL_OPENCV": 2}
"""For each model how many focal lengths it begins with; the principal point follows, then distortion."""


def read(path: Path, reading: Reading) -> CameraFile:
    """Return the poses of the images, in the order of their names.

    Raises:
        InvalidInput: a file is missing or cannot be read.
    """
    folder = path if path.is_dir() else path.parent
    try:
        cameras, doubts = _cameras(folder / "cameras.txt")
        names, matrices, lenses = [], [], []
        for line in _lines(folder / "images.txt", every=2):
            words = line.split(maxsplit=9)
            w, x, y, z, *shift = map(float, words[1:8])
            size = float(np.linalg.norm([w, x, y, z]))
            matrix = np.eye(4)
            matrix[:3, :3] = rotation_of((w / size, x / size, y / size, z / size))
            matrix[:3, 3] = shift
            names.append(words[9])
            matrices.append(matrix)
            lenses.append(cameras[words[8]])
    except InputNotFound as error:
        missing = next(name for name in ("cameras.txt", "images.txt") if not (folder / name).is_file())
        raise InvalidInput(f"{folder} is no COLMAP text model: it has no {missing}") from error
    except InvalidInput:
        raise
    except (ValueError, IndexError, KeyError, ArithmeticError) as error:
        raise InvalidInput(f"{folder} is no COLMAP text model ({describe(error)})") from error
    if not names:
        raise InvalidInput(f"{folder} is a COLMAP text model without images")
    order = natural_order(names)
    return CameraFile(
        world_to_camera=np.stack([matrices[at] for at in order]),
        intrinsics=one_or_each([lenses[at] for at in order], len(order)),
        doubts=doubts,
    )


def write(file: CameraFile, path: Path, distance: float) -> None:
    """Write the folder; `points3D.txt` is empty."""
    assert file.intrinsics is not None  # the format says that it needs them
    path.mkdir()
    lenses = dict.fromkeys(file.intrinsics)
    numbers = {camera: number for number, camera in enumerate(lenses, 1)}
    cameras = [
        f"{number} PINHOLE {c.width} {c.height} {c.fx!r} {c.fy!r} {c.cx!r} {c.cy!r}" for c, number in numbers.items()
    ]
    images = []
    for index, matrix in enumerate(file.world_to_camera):
        rows = matrix[:3, :3].tolist()
        quaternion = quaternion_of((tuple(rows[0]), tuple(rows[1]), tuple(rows[2])))
        camera = file.intrinsics[index if len(file.intrinsics) > 1 else 0]
        words = " ".join(map(repr, [*quaternion, *matrix[:3, 3].tolist()]))
        images += [f"{index + 1} {words} {numbers[camera]} frame_{index:05d}.png", ""]
    (path / "cameras.txt").write_text(
        "\n".join(["# CAMERA_ID MODEL WIDTH HEIGHT PARAMS", *cameras]) + "\n", encoding="utf-8"
    )
    head = "# IMAGE_ID QW QX QY QZ TX TY TZ CAMERA_ID NAME, then a line of points"
    (path / "images.txt").write_text("\n".join([head, *images]) + "\n", encoding="utf-8")
    (path / "points3D.txt").write_text("# POINT3D_ID X Y Z R G B ERROR TRACK\n", encoding="utf-8")


def _cameras(path: Path) -> tuple[dict[str, Intrinsics], tuple[str, ...]]:
    cameras, doubts = {}, []
    for line in _lines(path, every=1):
        number, model, width, height, *texts = line.split()
        if model not in MODELS:
            raise InvalidInput(f"{path} has a camera of model {model[:40]}; it must be one of {', '.join(MODELS)}")
        focals, values = MODELS[model], list(map(float, texts))
        if any(values[focals + 2 :]):
            doubts.append(f"{path} has lens distortion ({model}), which is left out")
        cx, cy = values[focals : focals + 2]
        cameras[number] = Intrinsics(
            fx=values[0], fy=values[focals - 1], cx=cx, cy=cy, width=int(width), height=int(height)
        )
    return cameras, tuple(doubts)


def _lines(path: Path, *, every: int) -> list[str]:
    """Return every n-th line that is no comment; a line of an image without points is empty."""
    lines = [line for line in read_text(path, "camera file").splitlines() if not line.startswith("#")]
    return [line for line in lines[::every] if line.strip()]

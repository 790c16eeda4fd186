"""Models of COLMAP: a folder with `cameras` and `images`, as text or binary (colmap.github.io/format.html).

World-to-camera as a quaternion and a translation, OpenCV axes, pixels from the corner of the image. Binary files are
used if both exist, as in COLMAP. Images contain the final poses, also in models with rigs of several cameras.
"""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path, PurePosixPath

import numpy as np
from scipy.spatial.transform import Rotation

from ex4d_core.bounds import shown
from ex4d_core.cameras.files._colmap_files import CAMERAS, IMAGES, TEXT, Image, Lens, has_model, has_rig, read_model
from ex4d_core.cameras.files._format import Content, Format, Match, certain
from ex4d_core.cameras.files._poses import positions_of_names, rigid, rotations_of, to_world_to_camera
from ex4d_core.cameras.files._value import CameraFile, ReadOptions, check_count, natural_order, one_or_each
from ex4d_core.errors import InvalidInput

PLACES = ("", "sparse/0", "sparse", "0", "colmap/sparse/0")
"""Folders of a project in which a model is looked for."""

FISHEYE = re.compile("FISHEYE|FOV|EUCM|DIVISION")
"""Models with a projection that differs from a pinhole even without distortion parameters."""


def read(content: Content, reading: ReadOptions) -> CameraFile:
    """Read the poses of the images of one camera, ordered by name.

    Raises:
        InvalidInput: a file is missing or malformed, or there are several cameras.
    """
    folder = _model(content.path) or content.path
    lenses, images = read_model(folder)
    check_count(len(images))
    if not images:
        raise InvalidInput(f"{IMAGES} has no images")
    if unknown := next((image.camera for image in images if image.camera not in lenses), None):
        raise InvalidInput(f"{IMAGES} refers to camera {shown(unknown)}, which is not in {CAMERAS}")
    images = _of_camera(images, reading, rig=has_rig(folder))
    images = [images[at] for at in natural_order([image.name for image in images])]
    table = np.array([image.pose for image in images])
    for index in np.flatnonzero(~(np.linalg.norm(table[:, :4], axis=1) > 1e-9))[:1]:
        raise InvalidInput(f"{images[index].name} has the quaternion 0 0 0 0, which is not a rotation")
    matrices = rigid(rotations_of(table[:, :4], scalar_first=True), table[:, 4:])
    return CameraFile(
        world_to_camera=to_world_to_camera(matrices, "w2c-opencv"),
        intrinsics=one_or_each([lenses[image.camera].intrinsics for image in images], len(images)),
        positions=positions_of_names([image.name for image in images]),
        warnings=_distortion([lenses[key] for key in dict.fromkeys(image.camera for image in images)]),
    )


def _model(path: Path) -> Path | None:
    """Return the folder of the model of a project."""
    folders = [path / place for place in PLACES]
    return next((each for each in folders if has_model(each, ".bin") or has_model(each, ".txt")), None)


def _distortion(lenses: list[Lens]) -> tuple[str, ...]:
    distorted = [lens.model for lens in lenses if lens.is_distorted or FISHEYE.search(lens.model)]
    if not distorted:
        return ()
    names, cameras = ", ".join(sorted(set(distorted))), "camera" if len(distorted) == 1 else "cameras"
    fisheye = any(FISHEYE.search(name) for name in distorted)
    how = "; its images must be undistorted for a pinhole camera, or use :lens=clip" if fisheye else ""
    return (f"has lens distortion ({names}, {len(distorted)} {cameras}), which is ignored{how}",)


def _of_camera(images: list[Image], reading: ReadOptions, *, rig: bool) -> list[Image]:
    """Return the images of the selected camera, or of the only one."""
    views = _views(images, rig=rig)
    if reading.camera is None and len(set(views)) == 1:
        return images
    chosen = [
        image for image, view in zip(images, views, strict=True) if reading.camera in (view, image.camera) and view
    ] or [image for image in images if image.camera == reading.camera]
    if chosen:
        return chosen
    problem = f"has no camera {shown(reading.camera)}" if reading.camera else "has images of several cameras"
    names = sorted({view or image.camera for image, view in zip(images, views, strict=True)})[:10]
    raise InvalidInput(f"it {problem}; select one with {reading.file.name}:camera=NAME, out of {', '.join(names)}")


def _views(images: list[Image], *, rig: bool) -> list[str]:
    """Return the camera that took each image: its folder, or the name without the last number, or its number."""
    paths = [PurePosixPath(image.name) for image in images]
    folders = [str(path.parent) for path in paths]
    if _several(folders):
        return folders
    parts = [re.fullmatch(r"(.*?)[^0-9]*([0-9]*)[^0-9]*", path.stem) for path in paths]
    prefixes, numbers = ([part[group] if part else "" for part in parts] for group in (1, 2))
    if _several(prefixes) and max(Counter(numbers).values()) > 1:
        return prefixes
    if rig and _several(cameras := [image.camera for image in images]):
        return cameras
    return [""] * len(images)


def _several(groups: list[str]) -> bool:
    """Return whether there are several groups of images, rather than an image in each."""
    return 1 < len(set(groups)) <= len(groups) // 2


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
    (path / TEXT[0]).write_text("\n".join(["# CAMERA_ID MODEL WIDTH HEIGHT PARAMS", *cameras]) + "\n", encoding="utf-8")
    head = "# IMAGE_ID QW QX QY QZ TX TY TZ CAMERA_ID NAME, then a line of points"
    (path / TEXT[1]).write_text("\n".join([head, *images]) + "\n", encoding="utf-8")
    (path / TEXT[2]).write_text("# POINT3D_ID X Y Z R G B ERROR TRACK\n", encoding="utf-8")


def _matches(content: Content) -> Match | None:
    if _model(content.path):
        return certain(f"{CAMERAS} and {IMAGES} of COLMAP")
    return certain(f"{CAMERAS} or {IMAGES} of COLMAP") if set(TEXT[:2]) & set(content.value.names) else None


FORMATS = (
    Format(
        name="colmap",
        files="folder of a COLMAP model, text or binary, or of its project with `sparse/0`",
        kinds=("folder",),
        matches=_matches,
        read=read,
        convention="w2c-opencv",
        lens="pixels, can change",
        capabilities=frozenset({"lens", "zoom"}),
        write=write,
    ),
)

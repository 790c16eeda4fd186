"""Models of COLMAP: a folder with `cameras` and `images`, as text or binary (colmap.github.io/format.html).

World-to-camera as a quaternion and a translation, OpenCV axes, pixels from the corner of the image. Binary files are
used if both exist, as in COLMAP. Images contain the final poses, also in models with rigs of several cameras.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from ex4d_core.bounds import shown
from ex4d_core.cameras.files._colmap_files import CAMERAS, IMAGES, TEXT, Lens, has_model, has_rig, read_model
from ex4d_core.cameras.files._format import Content, Format, Match, certain
from ex4d_core.cameras.files._names import of_camera, order_of_names
from ex4d_core.cameras.files._poses import positions_of_names, rigid, rotations_of, to_world_to_camera
from ex4d_core.cameras.files._value import CameraFile, ReadOptions, check_count, one_or_each
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
    names = [image.name for image in images]
    chosen = of_camera(names, [image.camera for image in images], reading, rig=has_rig(folder))
    images = [images[at] for at in chosen]
    images = [images[at] for at in order_of_names([image.name for image in images])]
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


def write(file: CameraFile, path: Path, distance: float) -> None:
    """Write the folder; `points3D.txt` is empty."""
    from scipy.spatial.transform import Rotation

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

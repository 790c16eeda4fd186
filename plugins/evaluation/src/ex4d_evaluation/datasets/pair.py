"""Two recordings of one scene with depth: `source/{rgb,depth}`, `target/rgb` and `cameras.npz`.

`cameras.npz` has K (principal point from the center of the first pixel), `source_camera_to_world` and
`target_camera_to_world` [T, 4, 4] in OpenCV axes, and `depth_scale`, the number of depth steps per unit of the poses.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ex4d_core.bounds import numbers
from ex4d_core.cameras.files import CameraFile, check_rigid, naming
from ex4d_core.errors import InvalidInput
from ex4d_core.reading import reading
from ex4d_core.types import Intrinsics
from ex4d_core.video_io import probe_video
from ex4d_evaluation.datasets._record import DataSet, Sampling, View, required

CENTER = 0.5
"""From the center of the first pixel to its corner, the origin in ex4d."""
NAMES = ("K", "source_camera_to_world", "target_camera_to_world", "depth_scale")


def _scenes(data: Path) -> list[Path]:
    def is_scene(path: Path) -> bool:
        return (path / "cameras.npz").is_file() and all((path / each / "rgb").is_dir() for each in ("source", "target"))

    return sorted(path for path in (data, *data.glob("*")) if is_scene(path))


def views(data: Path, staging: Path, sampling: Sampling) -> Iterator[View]:
    """Yield the pair of each scene.

    Raises:
        InputNotFound: a file is missing.
        InvalidInput: the cameras cannot be read.
    """
    for scene in _scenes(data):
        path = scene / "cameras.npz"
        with reading(path, "camera file"), np.load(path) as archive:
            if missing := [name for name in NAMES if name not in archive]:
                raise InvalidInput(f"{path} lacks {missing[0]}")
            matrix, source, target, scale = (numbers(archive[name], name) for name in NAMES)
        if matrix.shape != (3, 3) or scale.shape != () or not scale > 0:
            raise InvalidInput(f"{path} needs K of 3x3 and a positive depth_scale")
        for poses in (source, target):
            with naming(path):
                check_rigid(poses)
        rgb = scene / "source" / "rgb"
        size = probe_video(rgb)
        lens = Intrinsics(
            fx=matrix[0, 0],
            fy=matrix[1, 1],
            cx=matrix[0, 2] + CENTER,
            cy=matrix[1, 2] + CENTER,
            width=size.width,
            height=size.height,
        )
        cameras = [CameraFile(world_to_camera=np.linalg.inv(poses), intrinsics=(lens,)) for poses in (source, target)]
        depth = required(scene / "source" / "depth", "it is the depth of the source")
        yield View(
            clip=scene.name,
            camera="target",
            source=rgb,
            truth=scene / "target" / "rgb",
            source_cameras=cameras[0],
            target_cameras=cameras[1],
            depth={"name": "file", "path": str(depth), "kind": "metric", "scale": 1 / float(scale)},
        )


DATA_SET = DataSet(
    name="pair",
    layout="source/{rgb,depth}, target/rgb, cameras.npz",
    matches=lambda data: bool(_scenes(data)),
    views=views,
)

"""Vista4D-Eval-Data: clips with depth and poses, and target cameras without true views."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path

from ex4d_core.cameras.files import read_camera_path
from ex4d_core.errors import InvalidInput
from ex4d_core.reading import read_text
from ex4d_evaluation.datasets._record import DataSet, Sampling, View, required

METADATA, RECONSTRUCTIONS, CAMERAS = "metadata.csv", "recon_and_seg", "cameras"


def views(data: Path, staging: Path, sampling: Sampling) -> Iterator[View]:
    """Yield the pairs of clip and target camera in `metadata.csv`.

    Raises:
        InputNotFound: a file is missing.
        InvalidInput: the table or a camera file cannot be read.
    """
    path = data / METADATA
    for number, row in enumerate(csv.DictReader(io.StringIO(read_text(path, "table"))), start=2):
        video, camera = (row.get(name) or "" for name in ("video", "camera"))
        if not all(name and Path(name).name == name for name in (video, camera)):
            raise InvalidInput(f"line {number} of {path} needs names in the columns video and camera")
        folder, why = data / RECONSTRUCTIONS / video, f"line {number} of {path} names it"
        yield View(
            clip=video,
            camera=camera,
            source=required(folder / "video.mp4", why),
            truth=None,
            source_cameras=read_camera_path(required(folder / "cameras.npz", why)),
            target_cameras=read_camera_path(required(data / CAMERAS / video / f"{camera}.npz", why)),
            depth={"name": "file", "path": str(required(folder / "depths", why))},
            prompt=row.get("prompt") or "",
        )


DATA_SET = DataSet(
    name="vista4d",
    layout="metadata.csv, recon_and_seg/CLIP/{video.mp4, cameras.npz, depths/*.exr}, cameras/CLIP/CAMERA.npz",
    matches=lambda data: (data / METADATA).is_file() and (data / RECONSTRUCTIONS).is_dir(),
    views=views,
)

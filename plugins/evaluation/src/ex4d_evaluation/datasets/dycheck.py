"""Sequences of DyCheck's iPhone data: a moving camera 0 for training, still cameras for validation.

`camera/<camera>_<time>.json`, `rgb/<s>x/*.png`, `depth/<s>x/*.npy` (along +z), `covisible/<s>x/val/*.png`, and
`splits/{train,val}.json` with `frame_names`, `camera_ids` and `time_ids`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ex4d_core.bounds import whole
from ex4d_core.cameras.files import CameraFile, read_camera_path
from ex4d_core.errors import InvalidInput
from ex4d_core.names import natural_key, text_hash
from ex4d_core.reading import read_json, reading
from ex4d_evaluation.datasets._record import DataSet, Sampling, View, required

MOST_METERS = 50.0
"""Depth above it is in millimeters. The documentation of the data set states millimeters, its code reads depth in the
unit of the poses, meters, and cuts it at 3 m when it writes the files."""

SCALES = ("2x", "1x")
"""Folders of images; evaluation is at half size where it exists, since the co-visibility masks are."""


def _sequences(data: Path) -> list[Path]:
    found = [each for each in (data, *data.glob("*")) if (each / "splits" / "val.json").is_file()]
    return sorted(found, key=lambda path: natural_key(path.name))


def views(data: Path, staging: Path, sampling: Sampling) -> Iterator[View]:
    """Yield camera 0 to each validation camera, at the times that both have.

    Raises:
        InputNotFound: a file is missing.
        InvalidInput: a split or a camera cannot be read, or the cameras have no times in common.
    """
    for sequence in _sequences(data):
        train, val = (_split(sequence, name) for name in ("train", "val"))
        (source_camera,) = list(train)[:1] or [0]
        for camera, frames in val.items():
            times = sorted(set(frames) & set(train[source_camera]))
            if not times:
                raise InvalidInput(f"{sequence} has no time at which both camera {source_camera} and {camera} filmed")
            yield _view(sequence, staging, camera, [train[source_camera][t] for t in times], [frames[t] for t in times])


def _split(sequence: Path, name: str) -> dict[int, dict[int, str]]:
    """Return the frame name of each time of each camera."""
    path = sequence / "splits" / f"{name}.json"
    tree = read_json(path, "split")
    facts = tree if isinstance(tree, Mapping) else {}
    columns = [facts.get(key) for key in ("camera_ids", "time_ids", "frame_names")]
    lengths = {len(column) if isinstance(column, list) else 0 for column in columns}
    if len(lengths) > 1 or 0 in lengths:
        raise InvalidInput(f"{path} needs frame_names, camera_ids and time_ids of one length")
    found: dict[int, dict[int, str]] = {}
    for camera, time, frame in zip(*columns, strict=True):
        if not isinstance(frame, str) or Path(frame).name != frame:
            raise InvalidInput(f"{path} has the frame name {str(frame)[:80]!r}, which is not a file name")
        found.setdefault(whole(camera, "camera_ids"), {})[whole(time, "time_ids")] = frame
    return found


def _view(sequence: Path, staging: Path, camera: int, source: Sequence[str], target: Sequence[str]) -> View:
    scale = next((name for name in SCALES if (sequence / "rgb" / name).is_dir()), SCALES[-1])
    rgb, depth, masks = sequence / "rgb" / scale, sequence / "depth" / scale, sequence / "covisible" / scale / "val"
    # Cameras with the same times share the folder, and so the depth.
    part = staging / f"{sequence.name}-{text_hash(' '.join(source))[:8]}"
    inside = target if masks.is_dir() else ()
    return View(
        clip=sequence.name,
        camera=f"camera{camera}",
        source=_linked(part / "rgb", [rgb / f"{name}.png" for name in source]),
        truth=_linked(part / f"camera{camera}", [rgb / f"{name}.png" for name in target]),
        source_cameras=_cameras(sequence, source),
        target_cameras=_cameras(sequence, target),
        depth=_depth(_linked(part / "depth", [depth / f"{name}.npy" for name in source])) if depth.is_dir() else None,
        covisible=tuple(required(masks / f"{name}.png", "a split names it") for name in inside),
    )


def _depth(folder: Path) -> dict[str, Any]:
    """Return the options that read depth in the unit of the poses."""
    first = next(folder.iterdir())
    with reading(first, "depth map"):
        depth = np.load(first)
    known = depth[np.isfinite(depth) & (depth > 0)]
    in_millimeters = known.size > 0 and np.median(known) > MOST_METERS
    return {"name": "file", "path": str(folder), "kind": "metric", "scale": 0.001 if in_millimeters else 1.0}


def _linked(folder: Path, files: Sequence[Path]) -> Path:
    """Return a folder with links to files, numbered in order."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, file in enumerate(files):
        link = folder / f"{number:05d}{file.suffix}"
        if not link.exists():
            link.unlink(missing_ok=True)
            link.symlink_to(required(file, "a split names it").resolve())
    return folder


def _cameras(sequence: Path, names: Sequence[str]) -> CameraFile:
    files = [
        read_camera_path(required(sequence / "camera" / f"{name}.json", "a split names it"), format="nerfies")
        for name in names
    ]
    lenses = tuple(lens for file in files for lens in file.intrinsics or ())
    return CameraFile(
        world_to_camera=np.concatenate([file.world_to_camera for file in files]),
        intrinsics=lenses if len(set(lenses)) > 1 else lenses[:1],
    )


DATA_SET = DataSet(
    name="dycheck",
    layout="SEQUENCE/{camera/*.json, rgb/2x/*.png, splits/{train,val}.json}",
    matches=lambda data: bool(_sequences(data)),
    views=views,
)

"""MultiCamVideo of ReCamMaster: `scene1/videos/cam01..10.mp4` and `cameras/camera_extrinsics.json`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import attrs

from ex4d_core.cameras.files import CameraFile, ReadOptions, read_camera_path
from ex4d_core.errors import InvalidInput
from ex4d_core.files import atomic_write
from ex4d_core.names import natural_key, safe_name
from ex4d_core.reading import read_json
from ex4d_evaluation.datasets._record import DataSet, Sampling, View, required

CAMERAS = Path("cameras") / "camera_extrinsics.json"


def _scenes(data: Path) -> list[Path]:
    found = {path.parent.parent for path in data.glob(f"**/{CAMERAS}") if (path.parent.parent / "videos").is_dir()}
    return sorted(found, key=lambda path: natural_key(str(path)))


def views(data: Path, staging: Path, sampling: Sampling) -> Iterator[View]:
    """Yield the first camera of each scene to every other one.

    Raises:
        InputNotFound: a video is missing.
        InvalidInput: the camera file cannot be read, or a scene has a single camera.
    """
    for scene in _scenes(data):
        clip = safe_name("-".join(scene.relative_to(data).parts) or scene.name)
        tree = read_json(scene / CAMERAS, "camera file")
        frames = sorted(tree, key=natural_key) if isinstance(tree, Mapping) else []
        first_frame: Any = tree[frames[0]] if frames else None
        names = sorted(first_frame, key=natural_key) if isinstance(first_frame, Mapping) else []
        if len(names) < 2:
            raise InvalidInput(f"{scene / CAMERAS} must have frames of at least two cameras, as MultiCamVideo")
        first, *others = names
        for name in others:
            yield View(
                clip=clip,
                camera=f"{first}-{name}",
                source=required(scene / "videos" / f"{first}.mp4", f"{CAMERAS} has {first}"),
                truth=required(scene / "videos" / f"{name}.mp4", f"{CAMERAS} has {name}"),
                source_cameras=read_camera_path(scene / CAMERAS, ReadOptions(camera=first.removeprefix("cam"))),
                target_cameras=_relative(scene, tree, frames, first, name, staging / clip),
            )


def _relative(
    scene: Path, tree: Mapping[str, Any], frames: list[str], first: str, name: str, staging: Path
) -> CameraFile:
    """Return the path of a camera, relative to the first pose of another.

    A file is read relative to its first pose, so the pose of the other camera is put before those of this one.
    """
    if not all(isinstance(tree[frame], Mapping) and name in tree[frame] for frame in frames):
        raise InvalidInput(f"{scene / CAMERAS} has frames without {name}; the data set is incomplete")
    rows = [tree[frames[0]][first], *(tree[frame][name] for frame in frames)]
    path = staging / f"{first}-{name}.json"
    with atomic_write(path) as temporary:
        temporary.write_text(json.dumps({f"frame{number}": {"cam01": row} for number, row in enumerate(rows)}))
    joined = read_camera_path(path, ReadOptions(camera="1"))
    lens = read_camera_path(scene / CAMERAS, ReadOptions(camera=name.removeprefix("cam"))).intrinsics
    return attrs.evolve(joined, world_to_camera=joined.world_to_camera[1:], intrinsics=lens, positions=None)


DATA_SET = DataSet(
    name="multicamvideo",
    layout="f18_aperture10/scene1/{videos/cam01.mp4, cameras/camera_extrinsics.json}",
    matches=lambda data: bool(_scenes(data)),
    views=views,
)

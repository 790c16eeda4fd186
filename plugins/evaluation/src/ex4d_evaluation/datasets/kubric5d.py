"""Kubric-5D of AnyView: `scnNNNNN/rgb/camXX.mp4`, `lowdim/camXX.npz`, `metadata.json`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ex4d_core.cameras.files import ReadOptions, read_camera_path
from ex4d_core.errors import InvalidInput
from ex4d_core.names import natural_key
from ex4d_evaluation.datasets._record import DataSet, Sampling, View, required


def _scenes(data: Path) -> list[Path]:
    folders = [data, *data.glob("*")]
    found = [each for each in folders if (each / "lowdim").is_dir() and (each / "rgb").is_dir()]
    return sorted(found, key=lambda path: natural_key(path.name))


def views(data: Path, staging: Path, sampling: Sampling) -> Iterator[View]:
    """Yield the first camera of each scene to every other one.

    Raises:
        InputNotFound: a file is missing.
        InvalidInput: a camera file cannot be read, or a scene has a single camera.
    """
    for scene in _scenes(data):
        names = sorted((path.stem for path in (scene / "lowdim").glob("*.npz")), key=natural_key)
        if len(names) < 2:
            raise InvalidInput(f"{scene} has {len(names)} cameras; an evaluation needs at least two")
        files = {name: read_camera_path(scene, ReadOptions(camera=name), format="kubric5d") for name in names}
        videos = {name: required(scene / "rgb" / f"{name}.mp4", f"lowdim has {name}.npz") for name in names}
        first, *others = names
        for name in others:
            yield View(
                clip=scene.name,
                camera=f"{first}-{name}",
                source=videos[first],
                truth=videos[name],
                source_cameras=files[first],
                target_cameras=files[name],
            )


DATA_SET = DataSet(
    name="kubric5d",
    layout="scnNNNNN/{rgb/camXX.mp4, lowdim/camXX.npz}",
    matches=lambda data: bool(_scenes(data)),
    views=views,
)

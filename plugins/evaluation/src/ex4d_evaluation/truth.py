"""Prepare a view of a data set for a run: truth, masks, cameras and intrinsics of the frames that are used."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import attrs
import numpy as np
import torch

from ex4d_core.cameras.files import write_camera_path
from ex4d_core.config import Tree
from ex4d_core.errors import InvalidInput
from ex4d_core.files import atomic_write
from ex4d_core.types import CameraPath, Intrinsics, Video
from ex4d_core.video_io import probe_video, read_video, write_mask, write_video
from ex4d_evaluation.datasets._record import View, lenses_of

SAME_LENS = 1e-3
"""Relative change of the focal length up to which a lens is constant."""


@attrs.frozen(kw_only=True, eq=False)
class Prepared:
    """A view for the frames of a run."""

    target_cameras: Path
    """Camera file of the path; world = source camera of the first frame."""
    source_cameras: Path
    """For the option `path.source_cameras`."""
    lens: Tree
    """Table `lens` of the configuration."""


def prepare_view(view: View, source: Video, case: Path, options: object) -> Prepared:
    """Write truth, masks and cameras of a view into the folder of its case.

    Args:
        view: of the data set.
        source: the frames that are used, with their origin.
        case: folder of the case.
        options: `VideoOptions` of the run, which select and fit the frames of the truth too.

    Raises:
        InputNotFound: a file does not exist.
        InvalidInput: the views differ in length, or the cameras do not fit them.
    """
    origin = source.origin
    assert origin is not None, "the source is read from a file"
    size = (origin.source_width, origin.source_height)
    total = max(origin.source_frames, max(origin.frame_indices) + 1)
    for what, file in (("source", view.source_cameras), ("target", view.target_cameras)):
        if file.num_poses < total:
            raise InvalidInput(
                f"{view.clip} has {total} frames but {file.num_poses} poses of the {what} camera; the data set is "
                "incomplete, or its cameras belong to another clip"
            )
    used = list(origin.frame_indices)
    to_first = np.linalg.inv(view.source_cameras.world_to_camera[used[0]])
    target_size = _write_truth(view, source, case, options) or size
    lenses = lenses_of(view.target_cameras, target_size) or lenses_of(view.source_cameras, size)
    if lenses is None:
        raise InvalidInput(f"the cameras of {view.clip} have no intrinsics")
    framed = [origin.windowed(lens, width=source.width, height=source.height) for lens in _selected(lenses, used)]
    path = CameraPath(
        world_to_camera=_tensor(view.target_cameras.world_to_camera[used] @ to_first),
        intrinsics=tuple(framed) if len(set(framed)) > 1 else (framed[0],),
    )
    with _unchanged(case / "target_camera.npz") as target:
        write_camera_path(path, target)
    return Prepared(
        target_cameras=case / "target_camera.npz",
        source_cameras=_write_source(view, case, used, size),
        lens=_lens(view, case, used, size),
    )


@contextmanager
def _unchanged(file: Path) -> Iterator[Path]:
    """Yield a path to write to; `file` is replaced if its content differs.

    Jobs of `ex4d batch run` are done again if the time stamp of a file that they read has changed.
    """
    with tempfile.TemporaryDirectory() as folder:
        new = Path(folder) / file.name
        yield new
        if file.exists() and file.read_bytes() == new.read_bytes():
            return
        with atomic_write(file) as temporary:
            shutil.copyfile(new, temporary)


def _write_truth(view: View, source: Video, case: Path, options: object) -> tuple[int, int] | None:
    """Write truth and co-visibility mask in the frames and the framing of the source; return the size of the truth."""
    if view.truth is None:
        return None
    info, ours = probe_video(view.truth), probe_video(view.source)
    if info.num_frames != ours.num_frames:
        raise InvalidInput(
            f"{view.truth} has {info.num_frames} frames but its source {view.source} has {ours.num_frames}; "
            "the data set is incomplete"
        )
    truth = _read(view.truth, source, options)
    if not (case / "truth.mkv").exists():
        write_video(attrs.evolve(truth, fps=source.fps), case / "truth.mkv")
    if view.covisible and source.origin and not (case / "covisible.mkv").exists():
        masks = [_read(view.covisible[frame], source, options, one=True) for frame in source.origin.frame_indices]
        mask = torch.cat([each.frames[..., 0] > 127 for each in masks])
        write_mask(mask, case / "covisible.mkv", fps=source.fps)
    if view.edges is not None and not (case / "edges.mkv").exists():
        write_mask(_read(view.edges, source, options).frames[..., 0] > 127, case / "edges.mkv", fps=source.fps)
    return info.width, info.height


def _read(path: Path, source: Video, options: object, *, one: bool = False) -> Video:
    start, stride, count, fit = (getattr(options, name) for name in ("start", "stride", "num_frames", "fit"))
    selection = {} if one else {"start": start, "stride": stride, "num_frames": count}
    return read_video(path, size=(source.width, source.height), fit=fit, warn=lambda text: None, **selection)


def _write_source(view: View, case: Path, used: list[int], size: tuple[int, int]) -> Path:
    """Write the poses of the source camera, and return the file."""
    lenses = lenses_of(view.source_cameras, size) or (Intrinsics.from_fov(width=size[0], height=size[1]),)
    poses = view.source_cameras.world_to_camera[used]
    path = CameraPath(
        world_to_camera=_tensor(poses @ np.linalg.inv(poses[0])), intrinsics=tuple(_selected(lenses, used))
    )
    with _unchanged(case / "source_camera.npz") as file:
        write_camera_path(path, file)
    return case / "source_camera.npz"


def _lens(view: View, case: Path, used: list[int], size: tuple[int, int]) -> Tree:
    """Return the option of constant intrinsics; those that change are part of the depth of the data set."""
    lenses = lenses_of(view.source_cameras, size)
    if lenses is None:
        return {}
    first, *others = _selected(lenses, used)
    if view.depth is not None and any(abs(lens.fx / first.fx - 1) > SAME_LENS for lens in others):
        return {}
    with _unchanged(case / "source_lens.json") as file:
        file.write_text(json.dumps({name: getattr(first, name) for name in ("fx", "fy", "cx", "cy")}))
    return {"intrinsics": str(case / "source_lens.json"), "of": "input"}


def _selected(lenses: tuple[Intrinsics, ...], used: list[int]) -> list[Intrinsics]:
    return [lenses[frame] for frame in used] if len(lenses) > 1 else [lenses[0]]


def _tensor(poses: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(poses).float()

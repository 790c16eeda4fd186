"""Intrinsics and poses in files beside depth maps, in the layouts of other tools."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path, PurePath
from typing import Any

import attrs
import numpy as np

from ex4d_core.arrays import open_npz
from ex4d_core.depth_io.facts import checked_lens, checked_poses
from ex4d_core.depth_io.frames import DepthFrames
from ex4d_core.errors import InvalidInput
from ex4d_core.reading import read_json, read_text, reading
from ex4d_core.shell import quote
from ex4d_core.types import DepthKind
from ex4d_core.types.camera import CAMERA_AXES

_MOST_SECONDS = 0.05
"""Largest difference of the time stamps of a depth map and its pose."""

_MOST_FACTS = 2**20
"""Most numbers in a metadata array."""


def with_cameras_beside(frames: DepthFrames, path: Path, files: Sequence[PurePath]) -> DepthFrames:
    """Return maps with the intrinsics and poses beside them, where a known tool wrote them.

    Args:
        frames: the maps.
        path: the folder or archive of the maps.
        files: the files of the maps in order.

    Raises:
        InvalidInput: the files beside the maps cannot be read.
    """
    for layout in _LAYOUTS:
        found = layout(frames, path, files)
        if found is not None:
            return found
    return frames


Layout = Callable[[DepthFrames, Path, Sequence[PurePath]], DepthFrames | None]


def _cut3r(frames: DepthFrames, path: Path, files: Sequence[PurePath]) -> DepthFrames | None:
    """Read `camera/STEM.npz` (demo.py of CUT3R)."""
    cameras = [path.parent / "camera" / f"{file.stem}.npz" for file in files]
    missing = [camera.name for camera in cameras if not camera.is_file()]
    if len(missing) == len(cameras):
        return None
    if missing:
        return _ignoring(frames, "lens and poses", cameras[0].parent, f"{missing[0]} is missing")
    archives = [open_npz(camera, "camera file") for camera in cameras]
    if not all("pose" in archive and "intrinsics" in archive for archive in archives):
        return None
    poses, lens = (np.stack([_array(archive, name) for archive in archives]) for name in ("pose", "intrinsics"))
    return _with(frames, cameras[0].parent, tool="CUT3R", lens=lens, c2w=poses, kind=DepthKind.RELATIVE)


def _vipe(frames: DepthFrames, path: Path, files: Sequence[PurePath]) -> DepthFrames | None:
    """Read `pose/STEM.npz` and `intrinsics/STEM.npz` (vipe/utils/io.py): `data` and the frame numbers `inds`."""
    pose, lens = (path.parent.parent / name / f"{path.stem}.npz" for name in ("pose", "intrinsics"))
    if not (pose.is_file() and lens.is_file()) or frames.numbers is None:
        return None
    found: list[np.ndarray | None] = []
    for what, file in (("poses", pose), ("lens", lens)):
        rows, lost = _of_numbers(file, frames.numbers)
        found.append(rows)
        if lost:
            fill = (
                f"; --source-cameras {quote(f'{file}:fill=interpolate')} interpolates them" if what == "poses" else ""
            )
            frames = _ignoring(frames, what, file, f"{lost}{fill}")
    matrices, rows = found
    camera = path.parent.parent / "intrinsics" / f"{path.stem}_camera.txt"
    if camera.is_file() and "PANORAMA" in read_text(camera, "camera file"):
        raise InvalidInput(f"{path} is depth of a panorama, a distance from the camera; use a pinhole clip")
    rows = None if rows is None else rows[:, :4]
    return _with(frames, pose, tool="ViPE", lens=rows, c2w=matrices, kind=DepthKind.METRIC)


def _of_numbers(file: Path, numbers: Sequence[int]) -> tuple[np.ndarray | None, str]:
    """Return the rows of an archive that belong to the frame numbers, or None and why there are none."""
    archive = open_npz(file, "camera file")
    if "data" not in archive or "inds" not in archive:
        return None, "it lacks the arrays data and inds"
    data, indices = _array(archive, "data"), _array(archive, "inds").reshape(-1)
    if len(data) != len(indices):
        return None, f"it has {len(data)} rows for {len(indices)} frames"
    place = {int(number): row for row, number in enumerate(indices.tolist())}
    missing = [number for number in numbers if number not in place]
    if missing:
        return None, f"it lacks {len(missing)} of {len(numbers)} frames, such as frame {missing[0]}"
    return np.asarray(data[[place[number] for number in numbers]]), ""


def _vista4d(frames: DepthFrames, path: Path, files: Sequence[PurePath]) -> DepthFrames | None:
    """Read `cameras.npz` (utils/media.py of Vista4D)."""
    file = path.parent / "cameras.npz"
    if not file.is_file():
        return None
    archive = open_npz(file, "camera file")
    if "cam_c2w" not in archive:
        return None
    if (count := archive.head("cam_c2w")[0][:1]) != (frames.count,):
        return _ignoring(frames, "lens and poses", file, _counts(count[0] if count else 0, frames.count))
    lens = _array(archive, "intrinsics") if "intrinsics" in archive else None
    return _with(frames, file, tool="Vista4D", lens=lens, c2w=_array(archive, "cam_c2w"), kind=DepthKind.METRIC)


def _record3d(frames: DepthFrames, path: Path, files: Sequence[PurePath]) -> DepthFrames | None:
    """Read `metadata.json` or `metadata` of an export of Record3D."""
    file = next((path.parent / name for name in ("metadata.json", "metadata") if (path.parent / name).is_file()), None)
    if file is None:
        return None
    facts = read_json(file, "metadata of Record3D")
    if not isinstance(facts, dict) or not {"K", "poses"} <= facts.keys():
        return None
    return record3d_cameras(attrs.evolve(frames, tool="Record3D", kind=DepthKind.METRIC), facts, file)


def record3d_cameras(frames: DepthFrames, facts: dict[str, Any], path: Path) -> DepthFrames:
    """Return the frames with the intrinsics and poses of the metadata of Record3D.

    Poses are `qx qy qz qw tx ty tz`, camera-to-world with OpenGL axes. K is column-major, in pixels of the picture of
    w x h.

    Raises:
        InvalidInput: a value is not valid.
    """
    with reading(path, "metadata of Record3D"):
        poses = np.asarray(facts["poses"], np.float64).reshape(-1, 7) if "poses" in facts else None
        picture = np.asarray([facts.get("w", 0), facts.get("h", 0)], np.float64)
        rows = np.asarray(facts.get("perFrameIntrinsicCoeffs") or [], np.float64).reshape(-1, 4)
        single = np.asarray(facts["K"], np.float64).reshape(3, 3).T if "K" in facts else None
    if len(rows) != frames.count and single is not None:
        rows = np.array([[single[0, 0], single[1, 1], single[0, 2], single[1, 2]]])
    lens = None
    if len(rows) and (picture > 0).all():
        lens = rows * np.tile(np.array(frames.size) / picture, 2)
    c2w = None
    if poses is not None and len(poses) == frames.count:
        c2w = _from_quaternions(poses[:, [3, 0, 1, 2]], poses[:, 4:])
        c2w[:, :3, :3] = c2w[:, :3, :3] @ CAMERA_AXES["opengl"]
    return _with(frames, path, tool="Record3D", lens=lens, c2w=c2w, kind=DepthKind.METRIC)


def _monst3r(frames: DepthFrames, path: Path, files: Sequence[PurePath]) -> DepthFrames | None:
    """Read `pred_traj.txt`, t x y z qw qx qy qz, and `pred_intrinsics.txt` (dust3r/cloud_opt/base_opt.py)."""
    file, lens = path / "pred_traj.txt", path / "pred_intrinsics.txt"
    if not file.is_file():
        return None
    rows = _table(file)
    if rows.shape != (frames.count, 8):
        return _ignoring(frames, "lens and poses", file, _counts(len(rows), frames.count))
    found = _table(lens).reshape(-1, 3, 3) if lens.is_file() else None
    c2w = _from_quaternions(rows[:, 4:], rows[:, 1:4])
    return _with(frames, file, tool="MonST3R", lens=found, c2w=c2w, kind=DepthKind.RELATIVE)


def _da3_streaming(frames: DepthFrames, path: Path, files: Sequence[PurePath]) -> DepthFrames | None:
    """Read `camera_poses.txt`, 16 numbers of a camera-to-world matrix a line (da3_streaming/da3_streaming.py)."""
    file = path.parent / "camera_poses.txt"
    if not file.is_file():
        return None
    rows = _table(file)
    if rows.shape != (frames.count, 16):
        return _ignoring(frames, "poses", file, _counts(len(rows), frames.count))
    return _with(frames, file, tool=frames.tool, lens=None, c2w=rows.reshape(-1, 4, 4), kind=frames.kind)


def _scannet(frames: DepthFrames, path: Path, files: Sequence[PurePath]) -> DepthFrames | None:
    """Read `pose/STEM.txt` and `intrinsic/intrinsic_depth.txt` of exported ScanNet scenes."""
    poses = [path.parent / "pose" / f"{file.stem}.txt" for file in files]
    lens = path.parent / "intrinsic" / "intrinsic_depth.txt"
    missing = [pose.name for pose in poses if not pose.is_file()]
    if len(missing) == len(poses):
        return None
    if missing:
        return _ignoring(frames, "poses", poses[0].parent, f"{missing[0]} is missing")
    matrices = [_table(pose) for pose in poses]
    matrix = _table(lens) if lens.is_file() else np.zeros((0, 0))
    if any(one.shape != (4, 4) or not np.isfinite(one).all() for one in matrices):
        return _ignoring(attrs.evolve(frames, tool="ScanNet"), "poses", poses[0].parent, "some are lost")
    found = matrix[:3, :3] if matrix.shape in ((4, 4), (3, 3)) else None
    return _with(frames, poses[0].parent, tool="ScanNet", lens=found, c2w=np.stack(matrices), kind=DepthKind.METRIC)


def _tum(frames: DepthFrames, path: Path, files: Sequence[PurePath]) -> DepthFrames | None:
    """Read `groundtruth.txt`, t x y z qx qy qz qw by time; the names of the maps are times (TUM RGB-D, Bonn)."""
    if not (path.parent / "depth.txt").is_file():
        return None
    frames = attrs.evolve(frames, tool="TUM RGB-D", kind=DepthKind.METRIC, scale=1 / 5000)
    file = path.parent / "groundtruth.txt"
    if not file.is_file():
        return frames
    rows = _table(file)
    try:
        times = np.array([float(name.stem) for name in files])
    except ValueError:
        return _ignoring(frames, "poses", file, "the names of the maps are not times")
    if rows.ndim != 2 or rows.shape[1:] != (8,) or not len(rows):
        return _ignoring(frames, "poses", file, "its lines do not have 8 numbers")
    nearest = np.abs(rows[:, :1] - times).argmin(axis=0)
    if np.abs(rows[nearest, 0] - times).max() > _MOST_SECONDS:
        return _ignoring(frames, "poses", file, "their times are not those of the maps")
    chosen = rows[nearest]
    c2w = _from_quaternions(chosen[:, [7, 4, 5, 6]], chosen[:, 1:4])
    return _with(frames, file, tool="TUM RGB-D", lens=None, c2w=c2w, kind=DepthKind.METRIC)


def _kitti(frames: DepthFrames, path: Path, files: Sequence[PurePath]) -> DepthFrames | None:
    """Recognize KITTI by its folders; its depth is in 1/256 m (devkit of the depth benchmark)."""
    parts = path.absolute().parts[-3:]
    if frames.unit == "integer" and ("groundtruth" in parts or "velodyne_raw" in parts):
        return attrs.evolve(frames, tool="KITTI", kind=DepthKind.METRIC, scale=1 / 256)
    return None


def _middlebury(frames: DepthFrames, path: Path, files: Sequence[PurePath]) -> DepthFrames | None:
    """Read `cam0=[f 0 cx; 0 f cy; 0 0 1]` of `calib.txt` beside a disparity map (Middlebury stereo, 2014)."""
    file = path.parent / "calib.txt"
    if path.suffix.lower() != ".pfm" or not file.is_file():
        return None
    found = re.search(r"cam0\s*=\s*\[([^\]]*)\]", read_text(file, "camera file"))
    if found is None:
        return None
    with reading(file, "camera file"):
        lens = np.array([float(word) for word in found[1].replace(";", " ").split()]).reshape(3, 3)
    return _with(frames, file, tool=frames.tool, lens=lens, c2w=None, kind=frames.kind)


_LAYOUTS: tuple[Layout, ...] = (
    _middlebury,
    _cut3r,
    _vipe,
    _vista4d,
    _record3d,
    _monst3r,
    _da3_streaming,
    _scannet,
    _tum,
    _kitti,
)


def _with(
    frames: DepthFrames,
    path: Path,
    *,
    tool: str,
    lens: np.ndarray | None,
    c2w: np.ndarray | None,
    kind: DepthKind | None,
) -> DepthFrames:
    """Return the frames with intrinsics and camera-to-world poses of a tool."""
    found = [*(["lens"] if lens is not None else []), *(["poses"] if c2w is not None else [])]
    to_camera = None if c2w is None else np.linalg.inv(checked_poses(c2w, frames.count, path, "poses"))
    return attrs.evolve(
        frames,
        tool=tool,
        kind=kind,
        intrinsics=frames.intrinsics if lens is None else checked_lens(lens, frames, path),
        world_to_camera=to_camera,
        notes=(*frames.notes, f"{' and '.join(found)} of {path}") if found else frames.notes,
    )


def _ignoring(frames: DepthFrames, what: str, path: Path, why: str) -> DepthFrames:
    """Return the frames with a warning about intrinsics or poses beside them that are not used."""
    return attrs.evolve(frames, warnings=(*frames.warnings, f"ignores {what} in {path}: {why}"))


def _counts(found: int, wanted: int) -> str:
    return f"it has {found} poses for {wanted} maps"


def _array(archive: Any, name: str) -> np.ndarray:
    shape, dtype = archive.head(name)
    if np.prod(shape, dtype=np.float64) > _MOST_FACTS or dtype.kind not in "uif":
        raise InvalidInput(f"the array {name} beside the depth has the shape {list(shape)} of {dtype}; delete the file")
    return np.asarray(archive[name])


def _table(path: Path) -> np.ndarray:
    """Return the numbers of a text, [rows, columns]; lines that start with # are comments."""
    text = read_text(path, "camera file")
    lines = [line.split() for line in text.replace(",", " ").splitlines() if line.strip() and not line.startswith("#")]
    with reading(path, "camera file"):
        return np.array([[float(word) for word in line] for line in lines], np.float64)


def _from_quaternions(wxyz: np.ndarray, shift: np.ndarray) -> np.ndarray:
    """Return matrices [N, 4, 4] of quaternions w x y z and translations."""
    with np.errstate(all="ignore"):
        w, x, y, z = (wxyz / np.linalg.norm(wxyz, axis=1, keepdims=True)).T
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
        [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
        [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
    ]
    matrices = np.tile(np.eye(4), (len(wxyz), 1, 1))
    matrices[:, :3, :3] = np.moveaxis(np.array(rows), -1, 0)
    matrices[:, :3, 3] = shift
    return matrices

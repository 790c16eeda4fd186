"""Intrinsics and poses in archives of other tools."""

from __future__ import annotations

from pathlib import Path

import attrs
import numpy as np

from ex4d_core.arrays import Arrays
from ex4d_core.depth_io.containers.pose_direction import by_depth, by_world_points
from ex4d_core.depth_io.facts import checked_lens, checked_poses, lens_of_another_size
from ex4d_core.depth_io.frames import DepthFrames
from ex4d_core.depth_io.tools import GENERIC_LENS, GENERIC_POSES, Direction, Tool
from ex4d_core.errors import InvalidInput


def with_tool_facts(frames: DepthFrames, arrays: Arrays, key: str, tool: Tool | None, path: Path) -> DepthFrames:
    """Return the frames with the intrinsics and poses of an archive; notes state what was used.

    Raises:
        InvalidInput: they are not valid.
    """
    frames = _with_lens(frames, arrays, tool, path)
    name = tool.poses if tool else next((name for name in GENERIC_POSES if name in arrays), "")
    if name and name in arrays:
        frames = _with_poses(frames, arrays, name, tool.direction if tool else GENERIC_POSES[name], path)
    if tool and tool.world_points:
        frames = _depth_of_world_points(frames, arrays, key)
    frames = _with_ignored(frames, arrays)
    if frames.intrinsics is None and (key == "point_map" or (tool and tool.world_points)):
        frames = _with_lens_of_points(frames, arrays, key)
    return frames


def _with_ignored(frames: DepthFrames, arrays: Arrays) -> DepthFrames:
    """Return the frames with a warning about arrays that may be poses or intrinsics and are not used."""
    if frames.world_to_camera is not None and frames.intrinsics is not None:
        return frames
    shapes = {name: tuple(side for side in arrays.head(name)[0] if side != 1) for name in arrays}
    per_frame = () if frames.count == 1 else (frames.count,)
    wanted: set[tuple[int, ...]] = set()
    if frames.world_to_camera is None:
        wanted |= {(*per_frame, 4, 4), (*per_frame, 3, 4)} | ({(frames.count, 7)} if per_frame else set())
    if frames.intrinsics is None:
        wanted |= {(*per_frame, 3, 3), (3, 3)}
    ignored = [name for name, shape in shapes.items() if shape in wanted]
    if not ignored:
        return frames
    text = (
        f"ignores {', '.join(ignored[:4])}, whose meaning its name does not state; name poses world_to_camera or "
        "cam_c2w and the lens intrinsics"
    )
    return attrs.evolve(frames, warnings=(*frames.warnings, text))


def _with_lens(frames: DepthFrames, arrays: Arrays, tool: Tool | None, path: Path) -> DepthFrames:
    name = tool.lens if tool else next((name for name in GENERIC_LENS if name in arrays), "")
    if not name or name not in arrays:
        return frames
    value = arrays[name]
    if name in ("fov", "focallength_px"):
        matrices = _lens_of_one_number(value, name, frames.size, path)
    else:
        matrices = checked_lens(value, frames, path)
    width, height = frames.size
    if tool and tool.crops:  # K belongs to the whole picture, of which the maps are the upper left part
        whole = np.round(2 * matrices[0, (0, 1), 2])
        right, bottom = min(1.0, width / whole[0]), min(1.0, height / whole[1])
        if min(right, bottom) > 0.8:
            frames = attrs.evolve(frames, covers=(0.0, 0.0, float(right), float(bottom)))
    notes = (*frames.notes, f"lens of {name}")
    if other := lens_of_another_size(matrices, frames.size):
        matrices = np.array([[width / other[0]], [height / other[1]], [1.0]]) * matrices
        notes = (*frames.notes, f"lens of {name}, which is for pictures of {other[0]}x{other[1]}")
    return attrs.evolve(frames, intrinsics=matrices, notes=notes)


def _lens_of_one_number(value: np.ndarray, name: str, size: tuple[int, int], path: Path) -> np.ndarray:
    """Return K of a horizontal field of view in degrees, or of a focal length in pixels."""
    numbers = np.asarray(value).reshape(-1)
    if numbers.dtype.kind not in "uif" or not len(numbers) or not np.isfinite(numbers).all():
        raise InvalidInput(f"{path}: {name} must be a number")
    number = float(np.median(numbers))
    if not 1 < number < (179 if name == "fov" else 1e8):
        raise InvalidInput(
            f"{path}: {name} is {number:g}, which is not a {'field of view' if name == 'fov' else 'focal length'}"
        )
    focal = size[0] / 2 / np.tan(np.radians(number) / 2) if name == "fov" else number
    return np.array([[[focal, 0, size[0] / 2], [0, focal, size[1] / 2], [0, 0, 1]]])


def _with_poses(frames: DepthFrames, arrays: Arrays, name: str, direction: Direction, path: Path) -> DepthFrames:
    poses = checked_poses(arrays[name], frames.count, path, name)
    how = direction
    if direction in ("either", "unknown"):
        found = by_world_points(frames, arrays, poses) or by_depth(frames, poses)
        if found is None and direction == "unknown":
            return frames  # with_ignored names them
        how = found or "w2c"
    else:
        frames = with_doubt(frames, poses, name, direction)
    to_camera = np.linalg.inv(poses) if how == "c2w" else poses
    words = "camera-to-world" if how == "c2w" else "world-to-camera"
    return attrs.evolve(frames, world_to_camera=to_camera, notes=(*frames.notes, f"poses of {name} ({words})"))


def with_doubt(frames: DepthFrames, poses: np.ndarray, name: str, direction: Direction) -> DepthFrames:
    """Return the frames with a warning if their depth shows that the poses have the other direction."""
    if by_depth(frames, poses) in (None, direction):
        return frames
    other = "world-to-camera" if direction == "c2w" else "camera-to-world"
    text = f"has poses {name} with which its depth disagrees; they may be {other}"
    return attrs.evolve(frames, warnings=(*frames.warnings, text))


def _depth_of_world_points(frames: DepthFrames, arrays: Arrays, key: str) -> DepthFrames:
    """Return the depth of points in the world of the poses."""
    poses = np.linalg.inv(arrays["camera_poses"].reshape(-1, 4, 4).astype(np.float64))
    return attrs.evolve(
        frames,
        read=lambda indices: (arrays[key][index] @ poses[index, 2, :3] + poses[index, 2, 3] for index in indices),
    )


def _with_lens_of_points(frames: DepthFrames, arrays: Arrays, key: str) -> DepthFrames:
    """Return K fitted to points: x/z is linear in the column, and y/z in the row."""
    points = arrays[key][0].astype(np.float64)
    if frames.tool == "Pi3":
        pose = np.linalg.inv(arrays["camera_poses"].reshape(-1, 4, 4)[0].astype(np.float64))
        points = points @ pose[:3, :3].T + pose[:3, 3]
    valid = np.isfinite(points).all(axis=-1) & (points[..., 2] > 0)
    if frames.valid_at is not None:
        valid &= frames.valid_at(0)
    rows, columns = np.nonzero(valid)
    if len(rows) < 100:
        return frames
    x, y, z = points[valid].T
    with np.errstate(all="ignore"):
        (slope_x, shift_x), (slope_y, shift_y) = np.polyfit(columns + 0.5, x / z, 1), np.polyfit(rows + 0.5, y / z, 1)
    if not (slope_x > 1e-6 and slope_y > 1e-6):
        return frames
    matrix = np.array([[1 / slope_x, 0, -shift_x / slope_x], [0, 1 / slope_y, -shift_y / slope_y], [0, 0, 1]])
    return attrs.evolve(frames, intrinsics=matrix[None], notes=(*frames.notes, "lens of the points"))

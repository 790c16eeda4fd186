"""Check a camera path in a scene: it may intersect geometry, have low visible coverage, or jump.

All functions are pure and run on the CPU.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import attrs
import torch
from torch import Tensor

from ex4d_core.geometry.projective import transform_points, unproject_depth
from ex4d_core.geometry.subject import subject_distance
from ex4d_core.preview.pictures import visible_fractions
from ex4d_core.preview.sampling import sampled_depth, size_within
from ex4d_core.types import CameraPath, DepthVideo, Guidance

CHECKED_SIDE = 320
"""Longer side in pixels at which the depth of a run is checked."""

MIN_CLEARANCE = 0.02
"""Smallest distance of the camera to the geometry, as a fraction of the distance to the subject."""

MIN_VISIBLE = 0.5
"""Smallest visible fraction of a frame."""

JUMP = 6.0
"""Largest ratio of a step to the typical step of the path."""

SMALLEST_TURN = 1.0
"""Rotation between frames, in degrees, that is never a jump."""

SMALLEST_STEP = 0.01
"""Translation between frames, as a fraction of the distance to the subject, that is never a jump."""

_NEIGHBORS = 3
"""Steps on each side that a step is compared with, so that a fast part of the path is not a jump."""

_SAMPLES = 16
"""Number of tested points between two poses."""

Kind = Literal["geometry", "holes", "jump"]


@attrs.frozen(kw_only=True)
class PathWarning:
    """A warning about a camera path."""

    kind: Kind
    frames: tuple[int, ...]
    """Affected frames of the path, counted from 0."""
    sentence: str


def eyes_of(path: CameraPath) -> Tensor:
    """Return the camera centers, float64 [T, 3] in world coordinates."""
    pose = path.world_to_camera.double()
    return -(pose[:, :3, :3].mT @ pose[:, :3, 3:])[..., 0]


def geometry_distances(path: CameraPath, depth: DepthVideo) -> Tensor:
    """Return the distance of each camera center to the nearest point of the shown frame, float64 [T].

    0 if the path to the next camera center crosses the surface; inf if the frame has no valid depth.

    Args:
        path: T poses.
        depth: of the clip.
    """
    eyes = eyes_of(path)
    distances = torch.full((path.num_frames,), torch.inf, dtype=torch.float64)
    for index in range(path.num_frames):
        frame = path.frame_shown(index)
        points = scene_points(depth, frame)
        if len(points):
            distances[index] = torch.linalg.vector_norm(points.double() - eyes[index], dim=1).amin()
        if index + 1 < path.num_frames and _crosses(eyes[index], eyes[index + 1], depth, frame):
            distances[index] = 0
    return distances


def scene_points(depth: DepthVideo, frame: int) -> Tensor:
    """Return the points with valid depth of a frame, float32 [N, 3] in world coordinates."""
    points = unproject_depth(depth.depth[frame], depth.intrinsics_at(frame))[depth.valid_at(frame)]
    return transform_points(depth.source_to_world(frame), points)


def _crosses(start: Tensor, stop: Tensor, depth: DepthVideo, frame: int) -> bool:
    """Return whether a straight line crosses the surface from front to back.

    Near the crossing, the line must be close to the surface on both sides. A line that passes behind the edge of an
    object is far from the surface instead.
    """
    t = torch.linspace(0, 1, _SAMPLES, dtype=torch.float64)[:, None]
    world = (start + t * (stop - start)).float()
    step = float(torch.linalg.vector_norm(stop - start)) / (_SAMPLES - 1)
    here = transform_points(torch.linalg.inv(depth.source_to_world(frame)), world)
    lens, valid = depth.intrinsics_at(frame), depth.valid_at(frame)
    z = here[:, 2].clamp(min=1e-6)
    columns = (lens.fx * here[:, 0] / z + lens.cx).floor().long()
    rows = (lens.fy * here[:, 1] / z + lens.cy).floor().long()
    height, width = valid.shape
    inside = (here[:, 2] > 0) & (columns >= 0) & (columns < width) & (rows >= 0) & (rows < height)
    columns, rows = columns.clamp(0, width - 1), rows.clamp(0, height - 1)
    inside &= valid[rows, columns]
    behind = here[:, 2] - depth.depth[frame][rows, columns]
    both, close = inside[:-1] & inside[1:], behind.abs() <= 3 * step
    through = both & (behind[:-1] < 0) & (behind[1:] >= 0) & close[:-1] & close[1:]
    return bool(through.any())


def position_steps(path: CameraPath) -> Tensor:
    """Return the distance between the camera centers of consecutive frames, float64 [T - 1]."""
    steps: Tensor = torch.linalg.vector_norm(eyes_of(path).diff(dim=0), dim=1)
    return steps


def turn_steps(path: CameraPath) -> Tensor:
    """Return the rotation angle between consecutive frames in degrees, float64 [T - 1].

    The angle of a rotation R is acos((trace(R) - 1) / 2).
    """
    rotation = path.world_to_camera[:, :3, :3].double()
    trace = (rotation[1:] * rotation[:-1]).sum(dim=(1, 2))
    return torch.rad2deg(torch.acos(((trace - 1) / 2).clamp(-1, 1)))


def jumps(steps: Tensor, smallest: float) -> list[int]:
    """Return the indices of steps that are far larger than the medians of all steps and of their neighbors."""
    found = []
    for index, step in enumerate(steps.tolist()):
        first = max(0, index - _NEIGHBORS)
        near = torch.cat([steps[first:index], steps[index + 1 : index + 1 + _NEIGHBORS]])
        others = torch.cat([steps[:index], steps[index + 1 :]])
        usual = max(float(part.quantile(0.5)) for part in (near, others)) if len(others) else math.inf
        if step > max(JUMP * usual, smallest):
            found.append(index)
    return found


def check_geometry(distances: Tensor, subject: float) -> list[PathWarning]:
    """Warn if the camera is in or too close to the geometry; `subject` is the distance to the subject."""
    frames = [index for index, distance in enumerate(distances.tolist()) if distance < MIN_CLEARANCE * subject]
    if not frames:
        return []
    sentence = f"it intersects the scene at {_named(frames)}; use a smaller angle or distance"
    return [PathWarning(kind="geometry", frames=tuple(frames), sentence=sentence)]


def check_coverage(visible: Tensor, frames: Sequence[int] | None = None) -> list[PathWarning]:
    """Warn if less than half of a frame is visible.

    Args:
        visible: visible fraction of N frames, [N].
        frames: numbers of these frames in the path; all by default.
    """
    names = range(len(visible)) if frames is None else frames
    poor = [index for index, fraction in enumerate(visible.tolist()) if fraction < MIN_VISIBLE]
    if not poor:
        return []
    worst = int(visible.argmin())
    sentence = (
        f"{len(poor)} of {len(visible)} tested frames are mostly holes, from frame {names[poor[0]]}; "
        f"only {float(visible[worst]):.0%} of frame {names[worst]} is visible, the rest would be generated"
    )
    return [PathWarning(kind="holes", frames=tuple(names[index] for index in poor), sentence=sentence)]


def check_jumps(path: CameraPath, subject: float) -> list[PathWarning]:
    """Warn if position or direction of the camera jump; `subject` is the distance to the subject."""
    moved = jumps(position_steps(path), SMALLEST_STEP * subject)
    turned = jumps(turn_steps(path), SMALLEST_TURN)
    frames = sorted(index + 1 for index in {*moved, *turned})
    if not frames:
        return []
    how = " and ".join(word for word, found in (("position", moved), ("direction", turned)) if found)
    sentence = f"it jumps in {how} at {_named(frames)}; the other steps are far smaller"
    return [PathWarning(kind="jump", frames=tuple(frames), sentence=sentence)]


def check_path(
    path: CameraPath, depth: DepthVideo, visible: Tensor, frames: Sequence[int] | None = None
) -> list[PathWarning]:
    """Return all warnings about a path.

    Args:
        path: the poses.
        depth: of the clip, at any resolution.
        visible: visible fraction of N frames of the path, [N].
        frames: numbers of these frames in the path; all by default.
    """
    subject = subject_distance(depth)
    return [
        *check_geometry(geometry_distances(path, depth), subject),
        *check_coverage(visible, frames),
        *check_jumps(path, subject),
    ]


def check_guidance(guidance: Guidance, depth: DepthVideo) -> list[PathWarning]:
    """Return all warnings about the path of guidance, which must have cameras, from depth that is reduced in size."""
    assert guidance.cameras is not None, "the path of guidance is checked"
    _, full_height, full_width = depth.depth.shape
    width, height = size_within((full_width, full_height), CHECKED_SIDE)
    small = sampled_depth(depth, range(depth.num_frames), width=width, height=height)
    return check_path(guidance.cameras, small, visible_fractions(guidance))


def _named(frames: Sequence[int]) -> str:
    """Return frame numbers as text, with consecutive ones as ranges."""
    runs: list[list[int]] = []
    for frame in frames:
        if runs and frame == runs[-1][-1] + 1:
            runs[-1] = [runs[-1][0], frame]
        else:
            runs.append([frame])
    word = "frame" if len(frames) == 1 else "frames"
    return f"{word} {', '.join(f'{run[0]}' if len(run) == 1 else f'{run[0]} to {run[-1]}' for run in runs)}"

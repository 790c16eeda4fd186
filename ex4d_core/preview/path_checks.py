"""Check a camera path in a scene: it may intersect geometry, have low visible coverage, or jump.

All are pure functions of poses, depth and masks on the CPU.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import attrs
import torch
from torch import Tensor

from ex4d_core.geometry.projective import transform_points, unproject_depth
from ex4d_core.pipeline.stages import source_to_world
from ex4d_core.types import CameraPath, DepthVideo, Scene

TOO_NEAR = 0.02
"""Distance of an eye to what was filmed, as a share of the distance to the subject, below which it is in it."""

MOSTLY_HOLES = 0.5
"""Share of a frame that must be known."""

JUMP = 6.0
"""Times the usual step of the path that a step may be."""

SMALLEST_TURN = 1.0
"""Degrees from one frame to the next that nobody sees as a jump."""

SMALLEST_STEP = 0.01
"""Steps that nobody sees as a jump, as a share of the distance to the subject."""

_NEIGHBOURS = 3
"""Steps on each side that a step is compared with, so that a part of the path that is fast counts as none."""

_SAMPLES = 16
"""Places between two poses at which it is looked whether a surface lies between them."""

Kind = Literal["geometry", "holes", "jump"]


@attrs.frozen(kw_only=True)
class PathWarning:
    """Something that a person should know of a path."""

    kind: Kind
    frames: tuple[int, ...]
    """Where on the path, counted from 0."""
    sentence: str


def eyes_of(path: CameraPath) -> Tensor:
    """Return where the camera stands, float64 [T, 3] in world coordinates."""
    pose = path.world_to_camera.double()
    return -(pose[:, :3, :3].mT @ pose[:, :3, 3:])[..., 0]


def geometry_distances(path: CameraPath, scene: Scene) -> Tensor:
    """Return how far each eye is from the nearest point that the source camera saw then, float64 [T].

    0 where the way to the next eye leads through the surface; inf where nothing is known at that time.

    Args:
        path: T poses, which say which frame of the scene they show.
        scene: what was filmed.
    """
    eyes = eyes_of(path)
    distances = torch.full((path.num_frames,), torch.inf, dtype=torch.float64)
    for index in range(path.num_frames):
        frame = path.frame_shown(index)
        points = scene_points(scene.depth, frame)
        if len(points):
            distances[index] = torch.linalg.vector_norm(points.double() - eyes[index], dim=1).amin()
        if index + 1 < path.num_frames and _crosses(eyes[index], eyes[index + 1], scene.depth, frame):
            distances[index] = 0
    return distances


def scene_points(depth: DepthVideo, frame: int) -> Tensor:
    """Return what is known at a frame as points, float32 [N, 3] in world coordinates."""
    points = unproject_depth(depth.depth[frame], depth.intrinsics_at(frame))[depth.valid_at(frame)]
    return transform_points(source_to_world(depth, frame), points)


def _crosses(start: Tensor, stop: Tensor, depth: DepthVideo, frame: int) -> bool:
    """Return whether a straight way leads from the front of the surface through it.

    An eye that passes behind the edge of something jumps from far in front of what is seen there to far behind it;
    one that goes through a surface is close to it on both sides.
    """
    share = torch.linspace(0, 1, _SAMPLES, dtype=torch.float64)[:, None]
    world = (start + share * (stop - start)).float()
    step = float(torch.linalg.vector_norm(stop - start)) / (_SAMPLES - 1)
    here = transform_points(torch.linalg.inv(source_to_world(depth, frame)), world)
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
    """Return how far the eye goes from each frame to the next, float64 [T - 1]."""
    steps: Tensor = torch.linalg.vector_norm(eyes_of(path).diff(dim=0), dim=1)
    return steps


def turn_steps(path: CameraPath) -> Tensor:
    """Return how far the camera turns from each frame to the next in degrees, float64 [T - 1].

    The angle of a rotation R is acos((trace(R) - 1) / 2).
    """
    rotation = path.world_to_camera[:, :3, :3].double()
    trace = (rotation[1:] * rotation[:-1]).sum(dim=(1, 2))
    return torch.rad2deg(torch.acos(((trace - 1) / 2).clamp(-1, 1)))


def jumps(steps: Tensor, smallest: float) -> list[int]:
    """Return which steps [N] are far larger than the path's own median and than their neighbors'."""
    found = []
    for index, step in enumerate(steps.tolist()):
        first = max(0, index - _NEIGHBOURS)
        near = torch.cat([steps[first:index], steps[index + 1 : index + 1 + _NEIGHBOURS]])
        others = torch.cat([steps[:index], steps[index + 1 :]])
        usual = max(float(part.quantile(0.5)) for part in (near, others)) if len(others) else math.inf
        if step > max(JUMP * usual, smallest):
            found.append(index)
    return found


def check_geometry(distances: Tensor, subject: float) -> list[PathWarning]:
    """Warn where an eye is in or nearly in what was filmed; `subject` is the distance to it from the source camera."""
    frames = [index for index, distance in enumerate(distances.tolist()) if distance < TOO_NEAR * subject]
    if not frames:
        return []
    sentence = f"it goes through the scene at {_named(frames)}; keep it farther away or turn it less"
    return [PathWarning(kind="geometry", frames=tuple(frames), sentence=sentence)]


def check_known(known: Tensor, at: Sequence[int] | None = None) -> list[PathWarning]:
    """Warn where most of a frame is not known.

    Args:
        known: share of each frame that was looked at, [N].
        at: which frames of the path these are; all of them from 0 unless given.
    """
    names = range(len(known)) if at is None else at
    poor = [index for index, share in enumerate(known.tolist()) if share < MOSTLY_HOLES]
    if not poor:
        return []
    worst = int(known.argmin())
    sentence = (
        f"it sees mostly holes in {len(poor)} of the {len(known)} frames looked at, from frame {names[poor[0]]}: "
        f"{float(known[worst]):.0%} of frame {names[worst]} is known, the rest would be invented"
    )
    return [PathWarning(kind="holes", frames=tuple(names[index] for index in poor), sentence=sentence)]


def check_jumps(path: CameraPath, subject: float) -> list[PathWarning]:
    """Warn where the camera jumps or turns at once; `subject` is the distance to the scene's subject."""
    moved = jumps(position_steps(path), SMALLEST_STEP * subject)
    turned = jumps(turn_steps(path), SMALLEST_TURN)
    frames = sorted(index + 1 for index in {*moved, *turned})
    if not frames:
        return []
    how = " and ".join(word for word, found in (("position", moved), ("direction", turned)) if found)
    sentence = f"it jumps in {how} at {_named(frames)}; the other steps are far smaller"
    return [PathWarning(kind="jump", frames=tuple(frames), sentence=sentence)]


def _named(frames: Sequence[int]) -> str:
    """Return frames in words, each run of them as its ends."""
    runs: list[list[int]] = []
    for frame in frames:
        if runs and frame == runs[-1][-1] + 1:
            runs[-1] = [runs[-1][0], frame]
        else:
            runs.append([frame])
    word = "frame" if len(frames) == 1 else "frames"
    return f"{word} {', '.join(f'{run[0]}' if len(run) == 1 else f'{run[0]} to {run[-1]}' for run in runs)}"

"""The synthetic rooms of ex4d: exact depth, and true views at 30, 60 and 90 degrees."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from torch import Tensor
from torch.nn import functional

from ex4d_core.cameras.files import CameraFile
from ex4d_core.cameras.generators import path_of_eyes
from ex4d_core.files import atomic_write
from ex4d_core.geometry.paths import arc_eye, normalized_times
from ex4d_core.geometry.subject import subject_distance
from ex4d_core.testing.scenes import room_scene
from ex4d_core.types import CameraPath
from ex4d_core.video_io import write_mask, write_video
from ex4d_evaluation.datasets._record import DataSet, Sampling, View

SEEDS = range(4)
ANGLES = (30, 60, 90)
FPS = 24
JUMP, REACH = 0.1, 2
"""Smallest relative change of depth between neighbors at an edge, and pixels around it that count."""


def views(data: Path, staging: Path, sampling: Sampling) -> Iterator[View]:
    """Yield each room along the arc to each angle; clips and true views are rendered once."""
    width, height = sampling.size
    for seed in SEEDS:
        name = f"room{seed}"
        folder = staging / f"{name}-{sampling.num_frames}x{width}x{height}"
        world = room_scene(seed=seed)
        scene = world.clip(num_frames=sampling.num_frames, width=width, height=height, fps=FPS)
        lens = scene.depth.intrinsics
        if not (folder / "depth.npz").exists():
            write_video(scene.video, folder / "clip.mkv")
            with atomic_write(folder / "depth.npz") as temporary:
                np.savez(temporary.with_suffix(".npz"), depth=scene.depth.depth.numpy())
                temporary.with_suffix(".npz").rename(temporary)
        still = np.tile(np.eye(4), (sampling.num_frames, 1, 1))
        distance = subject_distance(scene.depth)
        for angle in ANGLES:
            eyes = [arc_eye(share * angle, distance) for share in normalized_times(sampling.num_frames)]
            path: CameraPath = path_of_eyes(eyes, center=(0.0, 0.0, distance), intrinsics=lens[0])
            truth, edges = folder / f"truth{angle}.mkv", folder / f"edges{angle}.mkv"
            if not edges.exists():
                seen = world.clip(fps=FPS, cameras=path)
                write_video(seen.video, truth)
                write_mask(depth_edges(seen.depth.depth), edges, fps=seen.video.fps)
            yield View(
                clip=name,
                camera=str(angle),
                source=folder / "clip.mkv",
                truth=truth,
                edges=edges,
                source_cameras=CameraFile(world_to_camera=still, intrinsics=lens),
                target_cameras=CameraFile(
                    world_to_camera=path.world_to_camera.double().numpy(), intrinsics=path.intrinsics
                ),
                depth={"name": "file", "path": str(folder / "depth.npz"), "kind": "metric"},
            )


def depth_edges(depth: Tensor) -> Tensor:
    """Return pixels within `REACH` pixels of an edge of depth, bool [T, H, W].

    Args:
        depth: float32 [T, H, W].
    """
    near, far = (functional.max_pool2d(sign * depth[:, None], 3, stride=1, padding=1) for sign in (-1, 1))
    edges = (far + near > JUMP * -near).float()
    return functional.max_pool2d(edges, 2 * REACH + 1, stride=1, padding=REACH)[:, 0] > 0


DATA_SET = DataSet(name="synthetic", layout="none, pass its name", matches=lambda data: False, views=views)

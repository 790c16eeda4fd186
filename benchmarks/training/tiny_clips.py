"""Small videos of synthetic scenes: clips with simulated masks for training, true new views for evaluation."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import attrs
import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.training.random_scenes import random_cameras, random_scene
from ex4d_backbone_inpaint.backbone import InpaintBackbone
from ex4d_backbone_inpaint.options import InpaintOptions
from ex4d_core.builtin.mesh_watertight import WatertightMesh
from ex4d_core.builtin.render_options import RasterOptions
from ex4d_core.builtin.render_zbuffer import ZBufferRenderer
from ex4d_core.cameras.generators import path_of_eyes
from ex4d_core.geometry.paths import arc_eye, normalized_times
from ex4d_core.geometry.subject import subject_distance
from ex4d_core.geometry.watertight_options import WatertightOptions
from ex4d_core.masks import MaskOptions, simulate_masks
from ex4d_core.pipeline.stages import generate_video, render_guidance
from ex4d_core.types import Guidance, Intrinsics, Scene

FPS = 8
HELD_OUT = 1_000_000
"""First seed of held-out scenes."""

Bytes = NDArray[np.uint8]
Made = TypeVar("Made")


@attrs.frozen
class Size:
    """Number of frames of a clip."""

    frames: int
    side: int
    """Height and width in pixels."""

    @property
    def lens(self) -> Intrinsics:
        return Intrinsics.from_fov(width=self.side, height=self.side)


def ordinary_clip(size: Size, masks: int, seed: int) -> tuple[Bytes, NDArray[np.bool_]]:
    """Return frames [T, H, W, 3] of a clip, and simulated masks [masks, T, H, W]."""
    cameras = random_cameras(seed=seed, num_frames=size.frames, intrinsics=size.lens)
    scene = random_scene(seed=seed).clip(fps=FPS, cameras=cameras)
    # Simulated masks do not depend on the motion of the camera: depth per frame suffices.
    still = attrs.evolve(scene, depth=attrs.evolve(scene.depth, cameras=None))
    options = MaskOptions(erosion=None, point_spacing=2)
    made = [simulate_masks(still, options=options, seed=masks * seed + number).mask for number in range(masks)]
    return scene.video.frames.numpy(), torch.stack(made).numpy()


@attrs.frozen(kw_only=True)
class View:
    """A held-out scene from a new camera."""

    color: Bytes
    """[T, H, W, 3], rendered color, 0 in hidden regions."""
    mask: NDArray[np.bool_]
    """[T, H, W], True where visible."""
    truth: Bytes
    """[T, H, W, 3]."""
    inpainted: Bytes
    """[T, H, W, 3], result of the backbone `inpaint`."""


def new_view(size: Size, case: tuple[int, float]) -> View:
    """Return one held-out scene, filmed by a camera that stands still, along the arc to an angle in degrees.

    The path is EX-4D's `--cam 30 | 60 | 90`, the guidance what a run makes from exact depth.
    """
    number, angle = case
    world = random_scene(seed=HELD_OUT + number)
    scene = world.clip(num_frames=size.frames, width=size.side, height=size.side, fps=FPS)
    path = path_of_eyes(
        [arc_eye(share * angle, subject_distance(scene.depth)) for share in normalized_times(size.frames)],
        center=(0.0, 0.0, subject_distance(scene.depth)),
        intrinsics=size.lens,
    )
    mesh = WatertightMesh(WatertightOptions(), device=torch.device("cpu"))
    renderer = ZBufferRenderer(RasterOptions(), device=torch.device("cpu"))
    guidance: Guidance = render_guidance(scene, path, mesh, renderer)
    return View(
        color=guidance.color.numpy(),
        mask=guidance.mask.numpy(),
        truth=world.novel_views(path, fps=FPS).frames.numpy(),
        inpainted=_inpainted(guidance, scene),
    )


def _inpainted(guidance: Guidance, scene: Scene) -> Bytes:
    backbone = InpaintBackbone(InpaintOptions(), device=torch.device("cpu"))
    return generate_video(guidance, scene, backbone).frames.numpy()


def ordinary_clips(size: Size, *, count: int, masks: int, workers: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return uint8 [N, T, H, W, 3] and bool [N, masks, T, H, W]."""
    made = _mapped(partial(ordinary_clip, size, masks), range(count), workers)
    frames, known = zip(*made, strict=True)
    return torch.from_numpy(np.stack(frames)), torch.from_numpy(np.stack(known))


def new_views(size: Size, *, scenes: int, angles: Sequence[float], workers: int) -> dict[float, list[View]]:
    """Return the held-out views by their angle."""
    cases = [(scene, angle) for angle in angles for scene in range(scenes)]
    made = _mapped(partial(new_view, size), cases, workers)
    return {angle: made[n * scenes : (n + 1) * scenes] for n, angle in enumerate(angles)}


def _mapped(work: Callable[[Any], Made], cases: Sequence[Any], workers: int) -> list[Made]:
    if workers == 1:
        return [work(case) for case in cases]
    with multiprocessing.get_context("spawn").Pool(workers, _one_thread) as pool:
        return pool.map(work, cases, chunksize=max(1, min(16, len(cases) // (4 * workers))))


def _one_thread() -> None:
    torch.set_num_threads(1)
    os.environ["NUMBA_NUM_THREADS"] = "1"


def kept(path: Path | None, make: Callable[[], dict[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
    """Return tensors from a file, which is created if it does not exist."""
    from safetensors.torch import load_file, save_file

    if path is not None and path.exists():
        return load_file(path)
    made = make()
    if path is not None:
        save_file(made, path)
    return made

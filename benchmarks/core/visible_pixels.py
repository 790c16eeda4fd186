"""PSNR of the visible region of guidance, against true novel views of random scenes with exact depth.

    python -m benchmarks.core.visible_pixels [--scenes 12] [--yaw 30] [--size 256] [--num-frames 9]

The source camera is static; the target camera orbits the middle of the room. Each scene has one PSNR, over the visible
pixels of all frames.
"""

from __future__ import annotations

import argparse
from fractions import Fraction

import numpy as np
import torch

from benchmarks.core.inpaint import psnr
from benchmarks.training.random_scenes import random_scene
from ex4d_core.builtin.mesh_watertight import WatertightMesh
from ex4d_core.builtin.render_options import RasterOptions
from ex4d_core.builtin.render_zbuffer import ZBufferRenderer
from ex4d_core.cameras.generators import path_of_eyes
from ex4d_core.geometry.paths import orbit_eye
from ex4d_core.geometry.refine_options import RefineOptions
from ex4d_core.geometry.watertight_options import WatertightOptions
from ex4d_core.pipeline.stages import refine_scene, render_guidance

CPU = torch.device("cpu")
MIDDLE = 3.4
"""Distance of the middle of the room."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenes", type=int, default=12)
    parser.add_argument("--yaw", type=float, default=30)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--num-frames", type=int, default=9)
    arguments = parser.parse_args()
    values = [measure(seed, arguments) for seed in range(arguments.scenes)]
    psnrs, shares = zip(*values, strict=True)
    print(f"PSNR dB: mean {np.mean(psnrs):.1f}, lowest {min(psnrs):.1f}; visible {100 * np.mean(shares):.1f} %")


def measure(seed: int, arguments: argparse.Namespace) -> tuple[float, float]:
    """Return the PSNR of the visible pixels of a scene, and their share."""
    scene, last = random_scene(seed=seed), max(arguments.num_frames - 1, 1)
    fps = Fraction(last, 2)  # two seconds
    clip = scene.clip(num_frames=arguments.num_frames, width=arguments.size, height=arguments.size, fps=fps)
    eyes = [orbit_eye(arguments.yaw * n / last, 0.0, MIDDLE) for n in range(arguments.num_frames)]
    path = path_of_eyes(eyes, center=(0.0, 0.0, MIDDLE), intrinsics=clip.depth.intrinsics_at(0))
    builder, renderer = WatertightMesh(WatertightOptions(), device=CPU), ZBufferRenderer(RasterOptions(), device=CPU)
    guidance = render_guidance(refine_scene(clip, RefineOptions()), path, builder, renderer)
    truth = scene.novel_views(path, fps=fps).frames
    return psnr(guidance.color, truth, guidance.mask), float(guidance.mask.float().mean())


if __name__ == "__main__":
    main()

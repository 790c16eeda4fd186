"""Compare whole results with true views: the clip of `kitchen.py` along the path of the second camera.

    python -m benchmarks.core.kitchen_run FOLDER [--every 7]

Holes are filled by OpenCV (`telea`) or by the `inpaint` backbone, without and with the static background that other
frames saw. PSNR over all pixels and over visible ones, with the best gain for each frame and channel.
"""

from __future__ import annotations

import argparse
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import torch

from benchmarks.core.kitchen import CORNER_ORIGIN, CPU, Shot, _shifted, psnr, read_shots
from ex4d_backbone_inpaint.backbone import InpaintBackbone
from ex4d_backbone_inpaint.options import InpaintOptions
from ex4d_core.builtin.mesh_watertight import WatertightMesh
from ex4d_core.builtin.render_options import RasterOptions
from ex4d_core.builtin.render_zbuffer import ZBufferRenderer
from ex4d_core.geometry.refine_options import RefineOptions
from ex4d_core.geometry.watertight_options import WatertightOptions
from ex4d_core.pipeline.background import make_plates
from ex4d_core.pipeline.stages import generate_video, refine_scene, render_guidance
from ex4d_core.types import CameraPath, DepthVideo, Guidance, Scene, Video


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--every", type=int, default=7, help="frames between two that are compared")
    arguments = parser.parse_args()
    shots = read_shots(arguments.folder, 49)
    picks = range(0, len(shots), arguments.every)
    as_filmed, path = read_scene(shots, arguments.folder, picks)
    scene, renderer = refine_scene(as_filmed, RefineOptions()), ZBufferRenderer(RasterOptions(), device=CPU)
    builder = WatertightMesh(WatertightOptions(), device=CPU)
    as_ex4d = WatertightMesh(WatertightOptions(max_stretch=0.0), device=CPU)
    plates = make_plates(scene, builder, renderer, device=CPU)
    views = {
        "masks of EX-4D": render_guidance(as_filmed, path, as_ex4d, renderer),
        "mesh": render_guidance(scene, path, builder, renderer),
        "mesh and background": render_guidance(scene, path, builder, renderer, plates=plates),
    }
    truth = [shots[pick].truth for pick in picks]
    print("view, fill | visible, PSNR there, PSNR of all pixels")
    for name, guidance in views.items():
        inpainted = generate_video(guidance, scene, InpaintBackbone(InpaintOptions(), device=CPU)).frames.numpy()
        print(f"{name}, telea | {report(telea(guidance), guidance, truth)}")
        print(f"{name}, inpaint | {report(list(inpainted), guidance, truth)}", flush=True)


def read_scene(shots: list[Shot], folder: Path, picks: range) -> tuple[Scene, CameraPath]:
    """Return the clip and the path of the second camera at some frames; the world is the first source camera."""
    cameras = np.load(folder / "cameras.npz")
    first = cameras["source_camera_to_world"][0].astype(float)
    source, target = (
        torch.from_numpy(np.linalg.inv(cameras[f"{name}_camera_to_world"].astype(float)) @ first).float()
        for name in ("source", "target")
    )
    lens = _shifted(shots[0].intrinsics, CORNER_ORIGIN)
    depth = DepthVideo(
        depth=torch.stack([shot.depth for shot in shots]),
        kind="metric",
        intrinsics=lens,
        cameras=CameraPath(world_to_camera=source[: len(shots)], intrinsics=lens),
    )
    video = Video(frames=torch.stack([shot.color for shot in shots]), fps=Fraction(30))
    path = CameraPath(world_to_camera=target[list(picks)], intrinsics=lens, frames=tuple(picks))
    return Scene(video=video, depth=depth), path


def telea(guidance: Guidance) -> list[np.ndarray]:
    """Return the frames with holes filled from their surroundings."""
    return [
        cv2.inpaint(color, np.where(mask, 0, 255).astype(np.uint8), 3, cv2.INPAINT_TELEA)
        for color, mask in zip(*guidance.numpy(), strict=True)
    ]


def report(frames: list[np.ndarray], guidance: Guidance, truth: list[np.ndarray]) -> str:
    """Return the visible share in % and the mean PSNRs in dB."""
    masks = list(guidance.mask.numpy())
    there = np.mean([psnr(*each, gain=True) for each in zip(frames, truth, masks, strict=True)])
    whole = np.mean([psnr(a, b, np.ones_like(m), gain=True) for a, b, m in zip(frames, truth, masks, strict=True)])
    return f"{100 * np.mean(masks):.1f} %, {there:.2f}, {whole:.2f}"


if __name__ == "__main__":
    main()

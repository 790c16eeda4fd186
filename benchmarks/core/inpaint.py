"""PSNR of the `inpaint` backbone on hidden pixels, against true novel views of the synthetic room.

    python -m benchmarks.core.inpaint [--size 256] [--num-frames 49] [--yaw 30 60 90] [--sheet FOLDER] [--thin-width 2]

`black` leaves holes black, `around` fills them from their surroundings, and `model` from the model of the static scene,
as in a run. `whole` is the PSNR of whole frames with that, and `visible` that of the visible region. The source camera
is static (`still`) or moves, and then sees behind objects. `change` is the mean absolute difference of consecutive
frames, in levels, on pixels hidden in both. `flicker` is the same at the same points of the scene, which move through
the picture, and `boxes` that of means in boxes of 4 x 4 pixels; see `warping_error.py`.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import cv2
import torch

from benchmarks.core.warping_error import Motion, warping_error
from ex4d_backbone_inpaint.backbone import InpaintBackbone
from ex4d_backbone_inpaint.options import InpaintOptions
from ex4d_core.builtin.mesh_watertight import WatertightMesh
from ex4d_core.builtin.render_options import RasterOptions
from ex4d_core.builtin.render_zbuffer import ZBufferRenderer
from ex4d_core.cameras.generators import path_of_eyes
from ex4d_core.geometry.paths import orbit_eye
from ex4d_core.geometry.watertight_options import WatertightOptions
from ex4d_core.pictures.contact_sheet import contact_sheet
from ex4d_core.pipeline.stages import generate_video, render_guidance
from ex4d_core.testing.scenes import room_scene
from ex4d_core.types import CameraPath, Guidance, Intrinsics, Scene, Video

CPU = torch.device("cpu")
SUBJECT = 4.4


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--num-frames", type=int, default=49)
    parser.add_argument("--yaw", type=float, nargs="+", default=[30, 60, 90])
    parser.add_argument("--source", nargs="+", default=["still", "moving"], choices=["still", "moving"])
    parser.add_argument("--thin-width", type=float, default=WatertightOptions().thin_width, help="option of the mesh")
    parser.add_argument("--sheet", type=Path, help="folder for contact sheets")
    arguments = parser.parse_args()
    print(
        "source  yaw  hidden | PSNR dB: black around model, whole visible | CPU seconds: around model | "
        "change: around model truth | flicker: around model truth | boxes: around model truth"
    )
    for source in arguments.source:
        scene = make_clip(source, arguments.size, arguments.num_frames)
        for yaw in arguments.yaw:
            measure(scene, source, yaw, arguments.sheet, WatertightOptions(thin_width=arguments.thin_width))


def make_clip(source: str, size: int, num_frames: int) -> Scene:
    intrinsics = Intrinsics.from_fov(width=size, height=size)
    cameras = None
    if source == "moving":
        eyes = [(-0.9 * n / max(num_frames - 1, 1), 0.0, 0.0) for n in range(num_frames)]
        cameras = path_of_eyes(eyes, center=(0.0, 0.0, SUBJECT), intrinsics=intrinsics)
    return room_scene().clip(num_frames=num_frames, width=size, height=size, cameras=cameras)


def orbit(scene: Scene, yaw: float) -> CameraPath:
    last = max(scene.video.num_frames - 1, 1)
    eyes = [orbit_eye(yaw * n / last, 0.0, SUBJECT) for n in range(scene.video.num_frames)]
    return path_of_eyes(eyes, center=(0.0, 0.0, SUBJECT), intrinsics=scene.depth.intrinsics_at(0))


def measure(scene: Scene, source: str, yaw: float, sheets: Path | None, options: WatertightOptions):
    path = orbit(scene, yaw)
    truth = room_scene().novel_views(path, fps=scene.video.fps)
    builder, renderer = WatertightMesh(options, device=CPU), ZBufferRenderer(RasterOptions(), device=CPU)
    guidance = render_guidance(scene, path, builder, renderer)
    around, around_seconds = fill(guidance, scene, InpaintOptions(scene_frames=0))
    model, model_seconds = fill(guidance, scene, InpaintOptions())
    filled = (around.frames, model.frames)
    psnrs = [psnr(frames, truth.frames, ~guidance.mask) for frames in (guidance.color, *filled)]
    psnrs += [psnr(model.frames, truth.frames, torch.ones_like(guidance.mask))]
    psnrs += [psnr(guidance.color, truth.frames, guidance.mask)]
    changes = [change(frames, guidance) for frames in (*filled, truth.frames)]
    motion = Motion.of(room_scene(), path, fps=scene.video.fps)
    flicker = zip(*(warping_error(motion, frames, ~guidance.mask) for frames in (*filled, truth.frames)), strict=True)
    print(
        f"{source:7} {yaw:3.0f} {100 * (~guidance.mask).float().mean():5.1f} % |         "
        + " ".join(f"{value:6.2f} " for value in psnrs)
        + f"| {around_seconds:5.1f} {model_seconds:5.1f} |      "
        + " ".join(f"{value:6.2f}" for value in changes)
        + "".join(" |      " + " ".join(f"{value:6.2f}" for value in errors) for errors in flicker),
        flush=True,
    )
    if sheets:
        rows = {"input": scene.video.frames, "guidance": guidance.color, "around": around.frames, "model": model.frames}
        sheet = contact_sheet({**rows, "truth": truth.frames}, columns=5, cell_width=256)
        sheets.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(sheets / f"{source}_{yaw:g}.png"), sheet.numpy()[..., ::-1])


def fill(guidance: Guidance, scene: Scene, options: InpaintOptions) -> tuple[Video, float]:
    start = time.process_time()
    video = generate_video(guidance, scene, InpaintBackbone(options, device=CPU))
    return video, time.process_time() - start


def psnr(frames: torch.Tensor, truth: torch.Tensor, where: torch.Tensor) -> float:
    error = (frames[where].float() - truth[where].float()).square().mean()
    return float(10 * torch.log10(255**2 / error))


def change(frames: torch.Tensor, guidance: Guidance) -> float:
    """Return the mean difference of consecutive frames on pixels hidden in both."""
    hidden = ~(guidance.mask[1:] | guidance.mask[:-1])
    return float(frames.float().diff(dim=0).abs().mean(dim=-1)[hidden].mean())


if __name__ == "__main__":
    main()

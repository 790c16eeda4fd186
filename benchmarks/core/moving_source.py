"""Error of a run whose source camera moves, without and with its poses and lens.

    python -m benchmarks.core.moving_source [--size 256] [--num-frames 25]

The synthetic room, filmed by a camera that orbits, walks or is held in the hand, with a field of view of 64 degrees
and exact depth. A run estimates nothing (static camera, 54.2 degrees), or is given the true lens, or the true lens and
poses. Camera paths are relative to the world. PSNR is that of the guidance to the true video along the path, over
pixels that are visible in the guidance. Jitter is the mean change of color between consecutive frames of these pixels
where the true video does not change, in levels of 255. Deterministic.
"""

from __future__ import annotations

import argparse

import attrs
import torch

from ex4d_core.pipeline.session import Session
from ex4d_core.testing.filming import FILMING, filmed
from ex4d_core.testing.scenes import SyntheticScene, room_scene
from ex4d_core.types import DepthVideo, Guidance, Intrinsics, Scene, Video

CAMS = ("static", "30")
FOV = 64.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--num-frames", type=int, default=25)
    arguments = parser.parse_args()
    lens = Intrinsics.from_fov(FOV, width=arguments.size, height=arguments.size * 3 // 4)
    print("source camera | path   | run given        |  PSNR jitter")
    for filming in FILMING:
        room = room_scene()
        scene = room.clip(cameras=filmed(filming, num_frames=arguments.num_frames, intrinsics=lens))
        for cam in CAMS:
            for given, depth in runs(scene).items():
                psnr, jitter = error(room, scene, depth, cam)
                print(f"{filming:13} | {cam:6} | {given:16} | {psnr:5.1f} {jitter:6.2f}", flush=True)


def runs(scene: Scene) -> dict[str, DepthVideo]:
    """Return the depth that each kind of run gets."""
    still = attrs.evolve(scene.depth, cameras=None)
    lens = Intrinsics.from_fov(width=scene.video.width, height=scene.video.height)
    return {
        "nothing": attrs.evolve(still, intrinsics=lens),
        "the lens": still,
        "lens and poses": scene.depth,
    }


def error(room: SyntheticScene, scene: Scene, depth: DepthVideo, cam: str) -> tuple[float, float]:
    """Return PSNR and jitter of the guidance along a path."""
    session = Session(path={"relative_to": "world"})
    path = session.open_clip(scene.video, depth=scene.depth).along(cam).path
    truth = room.novel_views(path, fps=scene.video.fps)
    guidance = session.open_clip(scene.video, depth=depth).along(cam).guidance
    return compared(guidance, truth)


def compared(guidance: Guidance, truth: Video) -> tuple[float, float]:
    """Return PSNR and jitter of the visible pixels."""
    seen, color, true = guidance.mask, guidance.color.float(), truth.frames.float()
    psnr = 10 * torch.log10(255**2 / (color - true)[seen].square().mean())
    constant = (true.diff(dim=0).abs().amax(dim=-1) < 1) & seen[1:] & seen[:-1]
    jitter = color.diff(dim=0)[constant].abs().mean()
    return float(psnr), float(jitter)


if __name__ == "__main__":
    main()

"""Error of a run whose source camera moves, without and with its poses and lens.

    python -m benchmarks.core.moving_source [--size 256] [--num-frames 25] [--shaky]

The synthetic room, filmed by a camera that orbits, walks or is held in the hand, with a field of view of 64 degrees
and exact depth. A run estimates nothing (static camera, 54.2 degrees), or is given the true lens, or the true lens and
poses. Camera paths are relative to the world. PSNR is that of the guidance to the true video along the path, over
pixels that are visible in the guidance. Jitter is the mean change of color between consecutive frames of these pixels
where the true video does not change, in levels of 255. `--shaky` measures only the hand-held clip, from a still camera,
with true poses and with poses of which every sixth is wrong: as they are, smoothed throughout, and smoothed as far as
the confidence asks, which is 0 for the wrong ones, as `da3` does it. Deterministic.
"""

from __future__ import annotations

import argparse

import attrs
import numpy as np
import torch
from scipy.spatial.transform import Rotation

from ex4d_core.pipeline.session import Session
from ex4d_core.testing.filming import FILMING, filmed
from ex4d_core.testing.scenes import SyntheticScene, room_scene
from ex4d_core.types import CameraPath, DepthVideo, Guidance, Intrinsics, Scene, Video
from ex4d_depth_anything3.poses import settled

CAMS = ("static", "30")
FOV = 64.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--num-frames", type=int, default=25)
    parser.add_argument("--shaky", action="store_true")
    arguments = parser.parse_args()
    lens = Intrinsics.from_fov(FOV, width=arguments.size, height=arguments.size * 3 // 4)
    if arguments.shaky:
        return shaky(lens, arguments.num_frames)
    print("source camera | path   | run given        |  PSNR jitter")
    for filming in FILMING:
        room = room_scene()
        scene = room.clip(cameras=filmed(filming, num_frames=arguments.num_frames, intrinsics=lens))
        for cam in CAMS:
            for given, depth in runs(scene).items():
                psnr, jitter = error(room, scene, depth, cam)
                print(f"{filming:13} | {cam:6} | {given:16} | {psnr:5.1f} {jitter:6.2f}", flush=True)


def shaky(lens: Intrinsics, num_frames: int) -> None:
    room = room_scene()
    scene = room.clip(cameras=filmed("hand-held", num_frames=num_frames, intrinsics=lens))
    print("a hand-held clip, from a still camera              |  PSNR jitter")
    for given, depth in shaky_runs(scene).items():
        psnr, jitter = error(room, scene, depth, "static")
        print(f"{given:50} | {psnr:5.1f} {jitter:6.2f}", flush=True)


def shaky_runs(scene: Scene) -> dict[str, DepthVideo]:
    """Return the depth with the poses that each run gets."""
    true = scene.depth.cameras.world_to_camera.double().numpy()
    rng = np.random.default_rng(0)
    wrong = np.arange(3, len(true) - 1, 6)
    noisy = true.copy()
    noisy[wrong, :3, :3] = Rotation.from_rotvec(rng.normal(0, 0.02, (len(wrong), 3))).as_matrix() @ true[wrong, :3, :3]
    noisy[wrong, :3, 3] += rng.normal(0, 0.1, (len(wrong), 3))
    confidence = np.ones(len(true))
    confidence[wrong] = 0
    smooth = noisy.copy()
    smooth[:, :3, :3] = Rotation.concatenate([_mean_turn(noisy, at) for at in range(len(noisy))]).as_matrix()
    smooth[:, :3, 3] = [noisy[_around(at), :3, 3].mean(axis=0) for at in range(len(noisy))]
    poses = {
        "true poses": true,
        "every sixth pose wrong": noisy,
        "the same, smoothed over 5 frames": smooth,
        "the same, smoothed as far as the confidence asks": settled(noisy, confidence, least=0.5),
    }
    with_poses = {given: with_cameras(scene.depth, matrices) for given, matrices in poses.items()}
    return {"as filmed (no poses)": attrs.evolve(scene.depth, cameras=None), **with_poses}


def with_cameras(depth: DepthVideo, world_to_camera: np.ndarray) -> DepthVideo:
    from_first = torch.from_numpy(world_to_camera @ np.linalg.inv(world_to_camera[0])).float()
    return attrs.evolve(depth, cameras=CameraPath(world_to_camera=from_first, intrinsics=depth.intrinsics))


def _mean_turn(poses: np.ndarray, at: int) -> Rotation:
    return Rotation.from_matrix(poses[_around(at), :3, :3]).mean()


def _around(at: int) -> slice:
    return slice(max(0, at - 2), at + 3)


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

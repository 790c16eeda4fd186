"""Tiny data sets in their real layouts, all of one synthetic room filmed by two moving cameras."""

import csv
import json
from fractions import Fraction
from functools import cache
from pathlib import Path

import attrs
import cv2
import numpy as np
import torch
from scipy.spatial.transform import Rotation

from ex4d_core.cameras.files import write_camera_path
from ex4d_core.testing.scenes import room_scene
from ex4d_core.types import CameraPath, Intrinsics, Scene
from ex4d_core.video_io import write_video

FPS, FRAMES, SIZE = 24, 3, (64, 48)


@attrs.frozen(eq=False)
class Footage:
    """What two cameras saw; poses are camera-to-world [T, 4, 4]."""

    source: Scene
    truth: np.ndarray
    source_poses: np.ndarray
    target_poses: np.ndarray
    lens: Intrinsics


@cache
def footage() -> Footage:
    lens = Intrinsics.from_fov(60, width=SIZE[0], height=SIZE[1])
    source, target = np.tile(np.eye(4), (2, FRAMES, 1, 1))
    steps = np.arange(FRAMES)
    source[:, 0, 3], target[:, 0, 3], target[:, 1, 3] = 0.1 * steps, 0.5 - 0.05 * steps, -0.2
    source[:, :3, :3] = Rotation.from_euler("y", 2.0 * steps[:, None], degrees=True).as_matrix()
    target[:, :3, :3] = Rotation.from_euler("y", -8 + steps[:, None], degrees=True).as_matrix()
    world = np.eye(4)  # a data set has a world of its own
    world[:3, :3], world[:3, 3] = Rotation.from_euler("xyz", [0.3, -0.5, 0.2]).as_matrix(), [1, 2, 3]
    path, novel = (
        CameraPath(world_to_camera=torch.from_numpy(np.linalg.inv(each)).float(), intrinsics=lens)
        for each in (source, target)
    )
    room = room_scene()
    return Footage(
        source=room.clip(fps=FPS, cameras=path),
        truth=room.novel_views(novel, fps=FPS).frames.numpy(),
        source_poses=world @ source,
        target_poses=world @ target,
        lens=lens,
    )


def save_video(frames, path: Path) -> None:
    from ex4d_core.types import Video

    write_video(Video(frames=torch.as_tensor(frames), fps=Fraction(FPS)), path, crf=1)


def save_image(image: np.ndarray, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), image[..., ::-1] if image.ndim == 3 else image)


def save_json(tree: object, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(tree))


def save_npz(path: Path, **arrays: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, **arrays)


def write_kubric5d(folder: Path) -> None:
    made = footage()
    scene = folder / "scn00001"
    poses = {"cam00": made.source_poses, "cam01": made.target_poses}
    for name, frames in {"cam00": made.source.video.frames, "cam01": made.truth}.items():
        save_video(frames, scene / "rgb" / f"{name}.mp4")
        lenses = np.tile(made.lens.matrix(), (FRAMES, 1, 1))
        save_npz(
            scene / "lowdim" / f"{name}.npz", extrinsics=poses[name], intrinsics=lenses, timestep=np.arange(FRAMES)
        )
    save_json({"resolution": [SIZE[1], SIZE[0]]}, scene / "metadata.json")


def write_dycheck(folder: Path) -> None:
    made = footage()
    lists = {name: {"frame_names": [], "camera_ids": [], "time_ids": []} for name in ("train", "val")}
    for camera, split, poses in ((0, "train", made.source_poses), (1, "val", made.target_poses)):
        frames = made.source.video.frames.numpy() if camera == 0 else made.truth
        for time in range(FRAMES):
            name = f"{camera}_{time:05d}"
            lists[split]["frame_names"].append(name)
            lists[split]["camera_ids"].append(camera)
            lists[split]["time_ids"].append(time)
            save_image(frames[time], folder / "spin" / "rgb" / "2x" / f"{name}.png")
            camera_to_world = poses[time]
            facts = {
                "orientation": camera_to_world[:3, :3].T.tolist(),
                "position": camera_to_world[:3, 3].tolist(),
                "focal_length": 2 * made.lens.fx,
                "principal_point": [2 * made.lens.cx, 2 * made.lens.cy],
                "image_size": [2 * SIZE[0], 2 * SIZE[1]],
            }
            save_json(facts, folder / "spin" / "camera" / f"{name}.json")
            depth = folder / "spin" / "depth" / "2x" / f"{name}.npy"
            depth.parent.mkdir(parents=True, exist_ok=True)
            if camera == 0:
                np.save(depth, made.source.depth.depth[time].numpy()[..., None])
            else:
                mask = np.zeros(SIZE[::-1], np.uint8)
                mask[:, : SIZE[0] // 2] = 255
                save_image(mask, folder / "spin" / "covisible" / "2x" / "val" / f"{name}.png")
    for name, columns in lists.items():
        save_json(columns, folder / "spin" / "splits" / f"{name}.json")


def write_multicam(folder: Path) -> None:
    made = footage()
    scene = folder / "train" / "f20_aperture10" / "scene1"
    save_video(made.source.video.frames, scene / "videos" / "cam01.mp4")
    save_video(made.truth, scene / "videos" / "cam02.mp4")
    joined = np.linalg.inv(made.source_poses[0]) @ np.concatenate([made.source_poses, made.target_poses])
    path = CameraPath(world_to_camera=torch.from_numpy(np.linalg.inv(joined)).float(), intrinsics=made.lens)
    file = scene / "cameras" / "camera_extrinsics.json"
    write_camera_path(path, file, format="recammaster")
    rows = [row["cam01"] for row in json.loads(file.read_text()).values()]
    pairs = zip(rows[:FRAMES], rows[FRAMES:], strict=True)
    save_json({f"frame{n}": {"cam01": one, "cam02": two} for n, (one, two) in enumerate(pairs)}, file)


def write_vista4d(folder: Path) -> None:
    made = footage()
    clip = folder / "recon_and_seg" / "room"
    save_video(made.source.video.frames, clip / "video.mp4")
    lens = made.lens
    four = np.tile([lens.fx, lens.fy, lens.cx, lens.cy], (FRAMES, 1))
    save_npz(clip / "cameras.npz", cam_c2w=made.source_poses, intrinsics=four)
    save_npz(folder / "cameras" / "room" / "left.npz", cam_c2w=made.target_poses, intrinsics=four)
    from ex4d_core.depth_io.write import write_depth

    write_depth(made.source.depth, clip / "depths", format="exr")
    with (folder / "metadata.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, ["name", "video", "camera", "seed", "prompt"])
        writer.writeheader()
        writer.writerow({"name": "room-left", "video": "room", "camera": "left", "seed": 1, "prompt": "a room"})


def write_pair(folder: Path) -> None:
    made = footage()
    for time in range(FRAMES):
        name = f"{time:06d}"
        save_image(made.source.video.frames[time].numpy(), folder / "source" / "rgb" / f"{name}.png")
        save_image(made.truth[time], folder / "target" / "rgb" / f"{name}.png")
        depth = (made.source.depth.depth[time].numpy() * 1000).round().astype(np.uint16)
        save_image(depth, folder / "source" / "depth" / f"{name}.png")
    matrix = made.lens.matrix() - [[0, 0, 0.5], [0, 0, 0.5], [0, 0, 0]]
    save_npz(
        folder / "cameras.npz",
        K=matrix,
        source_camera_to_world=made.source_poses,
        target_camera_to_world=made.target_poses,
        depth_scale=1000,
    )


LAYOUTS = {
    "kubric5d": write_kubric5d,
    "dycheck": write_dycheck,
    "multicamvideo": write_multicam,
    "vista4d": write_vista4d,
    "pair": write_pair,
}

"""Camera files as other tools write them, all of one path of six poses."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import numpy as np
from scipy.spatial.transform import Rotation

FRAMES = 6
WIDTH, HEIGHT = 640, 360
FX, FY, CX, CY = 510.0, 490.0, 311.0, 187.0
K = np.array([[FX, 0, CX], [0, FY, CY], [0, 0, 1]])
KS = np.repeat(K[None], FRAMES, 0)
GL = np.diag([1.0, -1.0, -1.0, 1.0])
Z_UP = np.array([[1.0, 0, 0, 0], [0, 0, 1, 0], [0, -1, 0, 0], [0, 0, 0, 1]])
FOV_Y = float(np.degrees(2 * np.arctan(HEIGHT / 2 / FX)))
NAMES = [f"frame_{index + 1:05d}.png" for index in range(FRAMES)]


def _pose(angles: list[float], position: list[float]) -> np.ndarray:
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_euler("xyz", angles, degrees=True).as_matrix()
    matrix[:3, 3] = position
    return matrix


FROM_FIRST = np.stack(
    [_pose([9 * np.sin(3 * u), 25 * u, 6 * u * u], [0.8 * u, -0.3 * u, u * u / 2]) for u in np.linspace(0, 1, FRAMES)]
)
"""World to camera, OpenCV axes, of a path that starts at the origin."""

ELSEWHERE = FROM_FIRST @ np.linalg.inv(_pose([20, -35, 10], [1.5, -0.7, 2.2]))
"""The same path in another world."""

C2W = np.linalg.inv(ELSEWHERE)


@attrs.frozen
class Sample:
    """A file of another tool and what it means."""

    write: Callable[[Path], str]
    """Writes into a folder and returns the name of what to read."""
    format: str
    options: dict[str, Any]
    """Options to read it."""
    world: np.ndarray
    """Expected world-to-camera matrices."""
    lens: str
    """"sized", "unsized", "normalized" or ""."""
    missing: tuple[int, ...]


SAMPLES: dict[str, Sample] = {}


def sample(
    kind: str,
    /,
    *,
    lens: str = "",
    world: np.ndarray = ELSEWHERE,
    missing: tuple[int, ...] = (),
    name: str = "",
    **options: Any,
) -> Callable[[Callable[[Path], str]], Callable[[Path], str]]:
    """Register a writer of a sample."""

    def added(write: Callable[[Path], str]) -> Callable[[Path], str]:
        SAMPLES[name or write.__name__] = Sample(write, kind, options, world, lens, missing)
        return write

    return added


def _json(path: Path, tree: Any) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(tree))
    return path.name


def _npz(path: Path, **arrays: Any) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, **arrays)
    return path.name


def _lines(path: Path, rows: Any, title: str = "") -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(title + "\n".join(" ".join(f"{value:.10g}" for value in row) for row in rows) + "\n")
    return path.name


def _quaternions(matrices: np.ndarray, *, scalar_first: bool = False) -> np.ndarray:
    return Rotation.from_matrix(matrices[:, :3, :3]).as_quat(scalar_first=scalar_first)


def _blender(to_world: np.ndarray = C2W) -> np.ndarray:
    return Z_UP @ to_world @ GL


KEEP = (0, 1, 3, 5)


def colmap_model(
    folder: Path, images: list[tuple[np.ndarray, int, str]], cameras: dict[int, tuple[int, list[float]]]
) -> None:
    """Write a binary model: images of pose, camera and name; cameras of a model number and parameters."""
    folder.mkdir(parents=True, exist_ok=True)
    data = struct.pack("<Q", len(cameras))
    for key, (model, values) in cameras.items():
        data += struct.pack(f"<IiQQ{len(values)}d", key, model, WIDTH, HEIGHT, *values)
    (folder / "cameras.bin").write_bytes(data)
    data = struct.pack("<Q", len(images))
    for index, (pose, camera, name) in enumerate(images):
        quaternion = _quaternions(pose[None], scalar_first=True)[0]
        data += struct.pack("<I7dI", index + 1, *quaternion, *pose[:3, 3], camera) + name.encode() + b"\0"
        data += struct.pack("<Qddq", 1, 1.0, 2.0, -1)
    (folder / "images.bin").write_bytes(data)


@sample("colmap", lens="sized")
def colmap_project(folder: Path) -> str:
    images = [(pose, 1, name) for pose, name in zip(ELSEWHERE, NAMES, strict=True)][::-1]
    colmap_model(folder / "p" / "sparse" / "0", images, {1: (1, [FX, FY, CX, CY])})
    return "p"


@sample("colmap", lens="sized", world=ELSEWHERE[list(KEEP)], missing=(2, 4))
def colmap_unregistered(folder: Path) -> str:
    colmap_model(folder / "p", [(ELSEWHERE[at], 1, NAMES[at]) for at in KEEP], {1: (4, [FX, FY, CX, CY, 0.1, 0, 0, 0])})
    return "p"


@sample("colmap", lens="sized", camera="left")
def colmap_stereo(folder: Path) -> str:
    images = [(pose, 1, f"left/{at}.png") for at, pose in enumerate(ELSEWHERE)]
    images += [(FROM_FIRST[at], 2, f"right/{at}.png") for at in range(FRAMES)]
    colmap_model(folder / "p", images, {1: (1, [FX, FY, CX, CY]), 2: (0, [500.0, 320.0, 180.0])})
    return "p"


@sample("nerfstudio", lens="sized")
def nerfstudio_3x4(folder: Path) -> str:
    frames = [{"file_path": n, "transform_matrix": m[:3].tolist()} for n, m in zip(NAMES, _blender(), strict=True)]
    lens = {"fl_x": FX, "fl_y": FY, "cx": CX, "cy": CY, "w": WIDTH, "h": HEIGHT}
    return _json(folder / "transforms.json", {**lens, "frames": frames[::-1]})


@sample("blender")
def blender_scaled(folder: Path) -> str:
    scaled = _blender() @ np.diag([2.0, 2.0, 2.0, 1.0])
    frames = [{"file_path": n, "transform_matrix": m.tolist()} for n, m in zip(NAMES, scaled, strict=True)]
    return _json(folder / "transforms.json", {"camera_angle_x": 1.0, "frames": frames})


@sample("nerfstudio-path")
def nerfstudio_viewer(folder: Path) -> str:
    poses = [{"camera_to_world": m.ravel().tolist(), "fov": FOV_Y, "aspect": 1} for m in _blender()]
    keys = [{"matrix": str(m.T.ravel().tolist()), "fov": FOV_Y} for m in _blender()]
    tree = {"keyframes": keys, "camera_path": poses, "render_width": WIDTH, "render_height": HEIGHT}
    return _json(folder / "camera_path.json", tree)


@sample("nerfstudio-path")
def nerfstudio_keyframes(folder: Path) -> str:
    keys = [{"matrix": str(m.T.ravel().tolist()), "fov": FOV_Y} for m in _blender()]
    return _json(folder / "path.json", {"keyframes": keys, "render_width": WIDTH, "render_height": HEIGHT})


@sample("ns-export", world=ELSEWHERE[list(KEEP)], missing=(2, 4))
def ns_export(folder: Path) -> str:
    frames = [{"file_path": NAMES[at], "transform": _blender()[at, :3].tolist()} for at in KEEP]
    return _json(folder / "transforms_train.json", frames[::-1])


@sample("chan")
def chan(folder: Path) -> str:
    matrices = GL @ C2W @ GL
    angles = Rotation.from_matrix(matrices[:, :3, :3]).as_euler("xyz", degrees=True)
    rows = np.c_[np.arange(1, FRAMES + 1), matrices[:, :3, 3], angles, np.full(FRAMES, FOV_Y)]
    return _lines(folder / "camera.chan", rows)


@sample("blender-animation")
def blender_animation(folder: Path) -> str:
    angles = Rotation.from_matrix(_blender()[:, :3, :3]).as_euler("xyz")
    frames = [
        {"frame": at, "location": m[:3, 3].tolist(), "rotation_euler": angle.tolist(), "fov_degrees": 60}
        for at, (m, angle) in enumerate(zip(_blender(), angles, strict=True))
    ]
    return _json(folder / "camera.json", {"camera_animation": frames})


@sample("blender-animation")
def blender_oscurart(folder: Path) -> str:
    angles = Rotation.from_matrix(_blender()[:, :3, :3]).as_euler("xyz", degrees=True)
    location = {str(at): [at, m[:3, 3].tolist()] for at, m in enumerate(_blender())}
    turns = {str(at): [at, angle.tolist()] for at, angle in enumerate(angles)}
    return _json(folder / "c.json", {"lens": 35, "sensor_width": 36, "location": location, "rotation_euler": turns})


@sample("polycam", lens="sized")
def polycam(folder: Path) -> str:
    lens = {"fx": FX, "fy": FY, "cx": CX, "cy": CY, "width": WIDTH, "height": HEIGHT}
    for at, matrix in enumerate(GL @ C2W @ GL):
        entries = {f"t_{row}{column}": float(matrix[row, column]) for row in range(3) for column in range(4)}
        _json(folder / "cameras" / f"{1000 + 33 * at}.json", {**entries, **lens})
    return "cameras"


@sample("record3d", lens="sized")
def record3d(folder: Path) -> str:
    matrices = GL @ C2W @ GL
    poses = np.c_[_quaternions(matrices), matrices[:, :3, 3]].tolist()
    return _json(folder / "metadata", {"w": WIDTH, "h": HEIGHT, "K": K.T.ravel().tolist(), "fps": 60, "poses": poses})


def _pinhole(matrix: np.ndarray) -> dict[str, Any]:
    lens = {"width": WIDTH, "height": HEIGHT, "intrinsic_matrix": K.T.ravel().tolist()}
    return {"class_name": "PinholeCameraParameters", "extrinsic": matrix.T.ravel().tolist(), "intrinsic": lens}


@sample("open3d", lens="sized")
def open3d(folder: Path) -> str:
    tree = {"class_name": "PinholeCameraTrajectory", "parameters": [_pinhole(matrix) for matrix in ELSEWHERE]}
    return _json(folder / "camera_trajectory.json", tree)


@sample("open3d", lens="sized")
def open3d_folder(folder: Path) -> str:
    for at, matrix in enumerate(ELSEWHERE):
        _json(folder / "views" / f"{at}.json", _pinhole(matrix))
    return "views"


@sample("open3d-log")
def open3d_log(folder: Path) -> str:
    rows = [row for at, matrix in enumerate(C2W) for row in ([at, at, at + 1], *matrix.tolist())]
    return _lines(folder / "trajectory.log", rows)


def _tum(poses: np.ndarray, times: Any, *, scalar_first: bool = False) -> np.ndarray:
    to_world = np.linalg.inv(poses)
    return np.c_[times, to_world[:, :3, 3], _quaternions(to_world, scalar_first=scalar_first)]


TIMES = 1e3 + np.arange(FRAMES) / 30


@sample("tum", world=ELSEWHERE[list(KEEP)], missing=(2, 4))
def tum(folder: Path) -> str:
    return _lines(folder / "a.txt", _tum(ELSEWHERE, TIMES)[list(KEEP)], "# timestamp tx ty tz qx qy qz qw\n")


@sample("tum", world=FROM_FIRST)
def tum_no_heading(folder: Path) -> str:
    return _lines(folder / "a.txt", _tum(FROM_FIRST, TIMES))


@sample("tum")
def tum_of_open3d(folder: Path) -> str:
    heading = "# TUM trajectory, format: <t> <x> <y> <z> <qx> <qy> <qz> <qw>"
    return _lines(folder / "a.txt", _tum(ELSEWHERE, range(FRAMES)), heading)


@sample("tum", format="tum")
def tum_as_asked(folder: Path) -> str:
    return _lines(folder / "a.txt", _tum(ELSEWHERE, range(FRAMES)))


@sample("monst3r", world=FROM_FIRST)
def monst3r_still_first(folder: Path) -> str:
    return _lines(folder / "a.txt", _tum(FROM_FIRST, range(FRAMES), scalar_first=True))


@sample("monst3r")
def monst3r(folder: Path) -> str:
    lens = np.tile([[500.0, 0, 256, 0, 500, 144, 0, 0, 1]], (FRAMES, 1))
    _lines(folder / "pred_intrinsics.txt", lens)
    return _lines(folder / "pred_traj.txt", _tum(ELSEWHERE, range(FRAMES), scalar_first=True))


def _realestate(first: Any) -> np.ndarray:
    lens = np.tile([FX / WIDTH, FY / HEIGHT, CX / WIDTH, CY / HEIGHT, 0, 0], (FRAMES, 1))
    return np.c_[first, lens, ELSEWHERE[:, :3].reshape(-1, 12)]


@sample("realestate10k", lens="normalized")
def realestate10k(folder: Path) -> str:
    return _lines(folder / "a.txt", _realestate(np.arange(FRAMES) * 33367), "https://example.com/watch\n")


@sample("realestate10k", lens="normalized")
def cameractrl(folder: Path) -> str:
    return _lines(folder / "a.txt", _realestate(np.arange(FRAMES)))


@sample("kitti", world=FROM_FIRST)
def kitti(folder: Path) -> str:
    return _lines(folder / "a.txt", np.linalg.inv(FROM_FIRST)[:, :3].reshape(-1, 12))


@sample("kitti")
def kitti_indexed(folder: Path) -> str:
    return _lines(folder / "a.txt", np.c_[np.arange(FRAMES), C2W[:, :3].reshape(-1, 12)])


@sample("matrices", convention="w2c-opencv")
def rows_of_12(folder: Path) -> str:
    return _lines(folder / "a.txt", ELSEWHERE[:, :3].reshape(-1, 12))


@sample("da3-streaming", lens="unsized")
def da3_streaming(folder: Path) -> str:
    _lines(folder / "intrinsic.txt", np.tile([[FX, FY, CX, CY]], (FRAMES, 1)))
    return _lines(folder / "camera_poses.txt", C2W.reshape(-1, 16))


@sample("mvsnet", lens="unsized")
def mvsnet(folder: Path) -> str:
    for at, pose in enumerate(ELSEWHERE):
        text = "\n".join(" ".join(map(repr, row)) for row in pose.tolist())
        lens = "\n".join(" ".join(map(repr, row)) for row in K.tolist())
        (folder / "cams").mkdir(exist_ok=True)
        (folder / "cams" / f"{at:08d}_cam.txt").write_text(f"extrinsic\n{text}\n\nintrinsic\n{lens}\n\n425 2.5\n")
    return "cams"


@sample("bundler", world=ELSEWHERE[list(KEEP)], missing=(2, 4))
def bundler(folder: Path) -> str:
    rows: list[list[float]] = [[FRAMES, 0]]
    for at, pose in enumerate(GL @ ELSEWHERE):
        rows += [[500.0, 0, 0], *pose[:3, :3].tolist(), pose[:3, 3].tolist()] if at in KEEP else [[0.0] * 3] * 5
    return _lines(folder / "bundle.out", rows, "# Bundle file v0.3\n")


@sample("llff")
def llff(folder: Path) -> str:
    x, y, z, position = (C2W[:, :3, column] for column in range(4))
    size = np.tile([HEIGHT, WIDTH, 500.0], (FRAMES, 1))
    table = np.stack([y, x, -z, position, size], axis=2).reshape(FRAMES, 15)
    np.save(folder / "poses_bounds.npy", np.c_[table, np.ones(FRAMES), np.full(FRAMES, 9.0)])
    return "poses_bounds.npy"

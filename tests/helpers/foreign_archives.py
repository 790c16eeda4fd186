"""Further files of other tools, of the same path: archives of arrays and JSON of matrices."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from .foreign_cameras import (
    C2W,
    CX,
    CY,
    ELSEWHERE,
    FOV_Y,
    FRAMES,
    FROM_FIRST,
    FX,
    FY,
    GL,
    HEIGHT,
    KEEP,
    KS,
    SAMPLES,
    WIDTH,
    Z_UP,
    K,
    _blender,
    _json,
    _npz,
    _quaternions,
    sample,
)

__all__ = ["SAMPLES"]

SMALL = np.zeros((FRAMES, HEIGHT // 40, WIDTH // 40), np.float32)
SMALL_K = KS / np.array([[40.0], [40.0], [1.0]])
FOUR = np.tile([FX, FY, CX, CY], (FRAMES, 1))


@sample("gen3c", lens="unsized")
def gen3c(folder: Path) -> str:
    return _npz(folder / "camera.npz", w2c=ELSEWHERE, intrinsics=KS)


@sample("gen3c", lens="unsized")
def gen3c_all(folder: Path) -> str:
    return _npz(folder / "a.npz", w2cs_all=ELSEWHERE, Ks_all=KS, w2cs_key_frames=ELSEWHERE[:2])


@sample("vista4d", lens="unsized")
def vista4d(folder: Path) -> str:
    return _npz(folder / "cameras.npz", cam_c2w=C2W, intrinsics=FOUR, cam_c2w_fsff=C2W[::-1])


@sample("megasam", lens="small")
def megasam(folder: Path) -> str:
    images = np.zeros((*SMALL.shape, 3), np.uint8)
    return _npz(folder / "a_sgd_cvd_hr.npz", images=images, depths=SMALL, intrinsic=SMALL_K[0], cam_c2w=C2W)


@sample("megasam", lens="unsized")
def megasam_reconstruction(folder: Path) -> str:
    np.save(folder / "intrinsics.npy", FOUR)
    np.save(folder / "poses.npy", np.c_[ELSEWHERE[:, :3, 3], _quaternions(ELSEWHERE)])
    return "poses.npy"


@sample("versecrafter", world=FROM_FIRST)
def versecrafter(folder: Path) -> str:
    return _npz(folder / "a.npz", extrinsics=_blender(np.linalg.inv(FROM_FIRST)).astype(np.float32))


@sample("versecrafter", format="versecrafter")
def versecrafter_as_asked(folder: Path) -> str:
    return _npz(folder / "a.npz", extrinsics=_blender())


@sample("vipe", lens="unsized", world=ELSEWHERE[list(KEEP)], missing=(2, 4))
def vipe(folder: Path) -> str:
    _npz(folder / "intrinsics" / "clip.npz", data=FOUR, inds=np.arange(FRAMES))
    _npz(folder / "pose" / "clip.npz", data=C2W[list(KEEP)], inds=np.array(KEEP))
    return "pose/clip.npz"


@sample("da3", lens="small")
def da3(folder: Path) -> str:
    return _npz(folder / "results.npz", depth=SMALL, conf=SMALL, extrinsics=ELSEWHERE[:, :3], intrinsics=SMALL_K)


@sample("da3", lens="unsized")
def da3_json(folder: Path) -> str:
    return _json(folder / "a.json", {"extrinsics": ELSEWHERE[:, :3].tolist(), "intrinsics": KS.tolist()})


@sample("vggt", lens="small")
def vggt(folder: Path) -> str:
    return _npz(folder / "predictions.npz", depth=SMALL[..., None], extrinsic=ELSEWHERE[:, :3], intrinsic=SMALL_K)


@sample("ex4d_depth", lens="small")
def ex4d_depth(folder: Path) -> str:
    facts = {"kind": np.array("relative"), "intrinsics": SMALL_K, "world_to_camera": ELSEWHERE}
    return _npz(folder / "depth.npz", depth=SMALL, **facts)


@sample("mapanything", lens="small")
def mapanything(folder: Path) -> str:
    arrays = {"depth": SMALL[..., None], "final_mask": SMALL > 0, "extrinsic": C2W, "intrinsic": SMALL_K}
    return _npz(folder / "predictions.npz", **arrays)


@sample("pi3")
def pi3(folder: Path) -> str:
    return _npz(folder / "predictions.npz", camera_poses=C2W, conf=SMALL)


@sample("pi3", lens="small")
def pi3x(folder: Path) -> str:
    return _npz(folder / "a.npz", poses=C2W, depths=SMALL, intrinsics=SMALL_K)


@sample("cut3r")
def cut3r(folder: Path) -> str:
    lens = np.array([[500.0, 0, 256], [0, 500, 144], [0, 0, 1]])
    for at, pose in enumerate(C2W):
        _npz(folder / "camera" / f"{at:06d}.npz", pose=pose, intrinsics=lens)
    return "camera"


def _kubric(folder: Path, transform: str, matrices: np.ndarray) -> str:
    facts = {"resolution": [HEIGHT, WIDTH], "extrinsics": {"transform": transform}}
    _json(folder / "scene" / "metadata.json", facts)
    for name, each in (("cam00", matrices), ("cam01", matrices[::-1])):
        path = folder / "scene" / "lowdim" / f"{name}.npz"
        _npz(path, extrinsics=each, intrinsics=KS, timestep=np.arange(FRAMES), camera=np.zeros(FRAMES))
    return "scene"


@sample("kubric5d", lens="sized", camera="cam00")
def kubric5d(folder: Path) -> str:
    return _kubric(folder, "cam2world", C2W)


@sample("kubric5d", lens="sized", camera="cam00")
def kubric5d_world_to_camera(folder: Path) -> str:
    return _kubric(folder, "world2cam", ELSEWHERE)


@sample("matrices", convention="c2w-opengl")
def bare_array(folder: Path) -> str:
    np.save(folder / "poses.npy", C2W @ GL)
    return "poses.npy"


@sample("matrices", lens="unsized", convention="w2c-opencv")
def bare_extrinsics(folder: Path) -> str:
    return _npz(folder / "a.npz", extrinsics=ELSEWHERE, intrinsics=KS)


@sample("matrices", lens="unsized", convention="c2w-opencv")
def bare_named(folder: Path) -> str:
    return _npz(folder / "a.npz", c2w=C2W, K=K)


@sample("matrices", convention="w2c-opencv")
def bare_rows(folder: Path) -> str:
    return _json(folder / "a.json", ELSEWHERE[:, :3].reshape(-1, 12).tolist())


@sample("matrices", convention="c2w-opencv")
def bare_objects(folder: Path) -> str:
    return _json(folder / "a.json", [{"frame": at, "pose": pose.tolist()} for at, pose in enumerate(C2W)])


@sample("ac3d", lens="sized")
def ac3d(folder: Path) -> str:
    tree = {"imW": WIDTH, "imH": HEIGHT, "intrinsics": KS.tolist(), "w2c": ELSEWHERE[:, :3].tolist()}
    return _json(folder / "a.camera_info.json", tree)


@sample("uni3c", lens="sized")
def uni3c(folder: Path) -> str:
    tree = {"intrinsic": K.tolist(), "extrinsic": ELSEWHERE.tolist(), "height": HEIGHT, "width": WIDTH}
    return _json(folder / "cam_info.json", tree)


@sample("egox", lens="unsized")
def egox(folder: Path) -> str:
    inner = {"ego_extrinsics": ELSEWHERE[:, :3].tolist(), "ego_intrinsics": K.tolist(), "camera_extrinsics": 0}
    return _json(folder / "meta.json", {"test_datasets": [inner]})


@sample("nerfies", lens="sized", camera="0")
def dycheck(folder: Path) -> str:
    for at, pose in enumerate(ELSEWHERE):
        facts = {
            **{"orientation": pose[:3, :3].tolist(), "position": C2W[at, :3, 3].tolist(), "focal_length": FX},
            **{"principal_point": [CX, CY], "pixel_aspect_ratio": FY / FX, "image_size": [WIDTH, HEIGHT]},
        }
        for camera in "01":
            _json(folder / "camera" / f"{camera}_{at:05d}.json", facts)
    return "camera"


def _xyz(values: Any) -> dict[str, float]:
    return dict(zip("xyz", np.asarray(values).tolist(), strict=True))


@sample("comfyui")
def comfyui(folder: Path) -> str:
    cameras = [
        {
            **{"position": _xyz(matrix[:3, 3]), "target": {"x": 0, "y": 0, "z": 0}, "fov": FOV_Y},
            "quaternion": dict(zip("xyzw", _quaternions(matrix[None])[0].tolist(), strict=True)),
        }
        for matrix in GL @ C2W @ GL
    ]
    return _json(folder / "camera_infos.json", cameras)


@sample("nerfstudio")
def nerfstudio_applied(folder: Path) -> str:
    """A world that `applied_transform` names, here that of COLMAP."""
    frames = [{"file_path": f"{at}.png", "transform_matrix": (m @ GL).tolist()} for at, m in enumerate(C2W)]
    tree = {"fl_x": FX, "w": WIDTH, "h": HEIGHT, "applied_transform": np.eye(4)[:3].tolist(), "frames": frames}
    return _json(folder / "transforms.json", tree)


assert Z_UP.shape == (4, 4)

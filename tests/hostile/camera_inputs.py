"""Hostile camera files of each format, and files of a lens."""

from __future__ import annotations

import json
import os
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ex4d_core.types import CameraPath, Intrinsics

from .clip_inputs import FRAMES, SIDE
from .depth_inputs import npy_header
from .places import make_places

EYE = np.eye(4).tolist()
LENS = {"fx": 80.0, "fy": 80.0, "cx": 48.0, "cy": 48.0, "width": SIDE, "height": SIDE}
LENSES = {"fl_x": 80.0, "fl_y": 80.0, "cx": 48.0, "cy": 48.0, "w": SIDE, "h": SIDE}
DIGITS = "9" * 5000
DEEP = "[" * 5000 + "]" * 5000


def moved(by: float = 0.05) -> list[list[list[float]]]:
    """Return poses that go aside."""
    return [[[1, 0, 0, by * n], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]] for n in range(FRAMES)]


def make_cameras(folder: Path) -> None:
    """Make camera files that hold no path, or an odd one, one folder for all formats; good ones are named `good`."""
    folder.mkdir()
    make_places(folder / "places", ".json")
    make_places(folder / "csv-places", ".csv")
    make_places(folder / "npz-places", ".npz")
    make_places(folder / "txt-places", ".txt")
    for name, tree in {**_matrices(), **_transforms(), **_recammaster()}.items():
        text = tree if isinstance(tree, str) else json.dumps(tree)
        (folder / f"{name}.json").write_text(text)
    for name, data in {**_tables(), **_lines()}.items():
        (folder / name).write_bytes(data if isinstance(data, bytes) else data.encode())
    for name, data in _foreign().items():
        (folder / name).write_text(data)
    _archives(folder)
    _colmap(folder)
    for name in ("[red].json", "[x].json", "a b.json", "x\x1b[31m.json", "'q'.json", "-x.json"):
        (folder / name).write_text(json.dumps({"axes": "opencv", "world_to_camera": moved()}))


def _matrices() -> dict[str, Any]:
    poses = {"axes": "opencv", "world_to_camera": moved()}
    singular = np.zeros((FRAMES, 4, 4)).tolist()
    return {
        "good": {**poses, "intrinsics": LENS},
        "j_frames": {**poses, "clip_frames": [0, "a", None, [], 4]},
        "j_framesf": {**poses, "clip_frames": [0, 1e400, 2, 3, 4]},
        "j_frames_text": {**poses, "clip_frames": "01234"},
        "j_frames_fraction": {**poses, "clip_frames": [0.5] * FRAMES},
        "j_frames_huge": {**poses, "clip_frames": [10**30] * FRAMES},
        "j_deep": DEEP,
        "j_deepobj": '{"a":' * 5000 + "1" + "}" * 5000,
        "j_digits": f'{{"world_to_camera": [[[{DIGITS}]]]}}',
        "j_nan": '{"axes": "opencv", "world_to_camera": [[[NaN,0,0,0],[0,1,0,0],[0,0,1,0],[0,0,0,1]]]}',
        "j_lens_count": {**poses, "intrinsics": [LENS] * 3},
        "j_lens_empty": {**poses, "intrinsics": []},
        "j_lens_text": {**poses, "intrinsics": {**LENS, "fx": "a"}},
        "j_lens_inf": json.dumps({**poses, "intrinsics": {**LENS, "fx": float("inf")}}),
        "j_lens_1e999": json.dumps({**poses, "intrinsics": {**LENS, "fx": 777}}).replace("777", "1e999"),
        "j_lens_pixels": {**poses, "intrinsics": {**LENS, "width": 10**30, "height": 10**30}},
        "j_lens_point": {**poses, "intrinsics": {**LENS, "cx": 1e300}},
        "j_lens_list": {**poses, "intrinsics": [1, 2, 3]},
        "j_lens_more": {**poses, "intrinsics": {**LENS, "fz": 1}},
        "j_far": {**poses, "world_to_camera": moved(1e300)},
        "j_singular": {**poses, "world_to_camera": singular},
        "j_mirrored": {**poses, "world_to_camera": [np.diag([-1, 1, 1, 1]).tolist()] * FRAMES},
        "j_ragged": {**poses, "world_to_camera": [[[1, 0], [1]], [3]]},
        "j_text_numbers": {**poses, "world_to_camera": [[["a"] * 4] * 4]},
        "j_none": {**poses, "world_to_camera": None},
        "j_no_poses": {**poses, "world_to_camera": []},
        "j_axes": {**poses, "axes": ["opencv"]},
        "j_axes_unknown": {**poses, "axes": "\x1b[31m"},
        "j_shares": {**poses, "shares": [0, "a", 1, 2, 3]},
        "j_shares_nan": json.dumps({**poses, "shares": [0, 0.1, float("nan"), 0.5, 1]}),
        "j_bare": [[1, 2], [3, 4]],
        "j_number": 3,
        "j_string": "text",
        "j_both": {**poses, "camera_to_world": moved()},
        "j_latin": "caf\xe9",
    }


def _transforms() -> dict[str, Any]:
    frames = [{"file_path": f"f_{n}.png", "transform_matrix": pose} for n, pose in enumerate(moved())]

    def clip(frame: Any) -> dict[str, Any]:
        return {**LENSES, "frames": [{**each, "clip_frame": frame} for each in frames]}

    return {
        "ns_good": {**LENSES, "frames": frames},
        "ns_clipstr": clip("a"),
        "ns_clipnone": clip(None),
        "ns_clipinf": json.dumps(clip(777)).replace("777", "1e999"),
        "ns_winf": json.dumps({**LENSES, "w": 777, "frames": frames}).replace("777", "1e999"),
        "ns_fxinf": json.dumps({**LENSES, "fl_x": 777, "frames": frames}).replace("777", "1e999"),
        "ns_wtext": {**LENSES, "w": "wide", "frames": frames},
        "ns_whuge": {**LENSES, "w": 10**30, "h": 10**30, "frames": frames},
        "ns_frames_text": {**LENSES, "frames": "abc"},
        "ns_frames_object": {**LENSES, "frames": {"a": 1}},
        "ns_matrix_none": {**LENSES, "frames": [{"transform_matrix": None}]},
        "ns_path_digits": {**LENSES, "frames": [{**frames[0], "file_path": f"a{DIGITS}.png"}, frames[1]]},
        "ns_path_list": {**LENSES, "frames": [{**frames[0], "file_path": ["a"]}]},
        "ns_distorted": {**LENSES, "k1": "a", "frames": frames},
        "bl_angle": {"camera_angle_x": "wide", "w": 9, "h": 9, "frames": frames},
        "bl_angle_zero": {"camera_angle_x": 0, "w": 9, "h": 9, "frames": frames},
        "bl_angle_list": {"camera_angle_x": [1], "frames": frames},
    }


def _recammaster() -> dict[str, Any]:
    zero = " ".join(["[0 0 0 0]"] * 4)
    good = "[1 0 0 0] [0 1 0 0] [0 0 1 0] [0 0 0 1]"
    return {
        "r_good": {f"frame{n}": {"cam01": good} for n in range(FRAMES)},
        "r_sing": {f"frame{n}": {"cam01": zero} for n in range(FRAMES)},
        "r_key": {"frame0": {"cam01": good}, "framex": {"cam01": good}},
        "r_key_digits": {"frame0": {"cam01": good}, f"frame{DIGITS}": {"cam01": good}},
        "r_points": {"frame0": {"cam01": "[1.1.1 0 0 0]" * 4}},
        "r_huge": {f"frame{n}": {"cam01": good.replace("0 0 0 1", "1e308 0 0 1")} for n in range(FRAMES)},
        "r_many": {"frame0": {f"cam{n:02d}": good for n in range(1, 11)}},
        "r_list": {"frame0": [good]},
        "r_number": {"frame0": {"cam01": 3}},
    }


def _tables() -> dict[str, str | bytes]:
    head = "# w2c-opencv\n" + ",".join(f"m{r}{c}" for r in range(4) for c in range(4))
    row = ",".join("1" if r == c else "0" for r in range(4) for c in range(4))
    lens = ",fx,fy,cx,cy,width,height"
    return {
        "good.csv": f"{head}\n" + f"{row}\n" * FRAMES,
        "c_hugefield.csv": f"{head}\n" + "1" * 200_000 + f"\n{row}\n",
        "c_widthinf.csv": f"{head}{lens}\n{row},80,80,48,48,inf,96\n",
        "c_widthtext.csv": f"{head}{lens}\n{row},80,80,48,48,wide,96\n",
        "c_fxinf.csv": f"{head}{lens}\n{row},inf,80,48,48,96,96\n",
        "c_ragged.csv": f"{head}\n1,2\n",
        "c_more.csv": f"{head}\n{row},9,9,9\n",
        "c_nan.csv": f"{head}\n" + "nan," * 15 + "1\n",
        "c_nul.csv": f"{head}\n".encode() + b"1\x00,2\n",
        "c_quote.csv": f'{head}\n"1,2\n3\n',
        "c_frame.csv": f"{head},clip_frame\n{row},inf\n",
        "c_frame_text.csv": f"{head},clip_frame\n{row},\x1b[31mx\n",
        "c_none.csv": f"{head}\n",
        "c_head.csv": "# x2y-openxr\na,b\n1,2\n",
        "c_no_head.csv": "1,2\n3,4\n",
        "c_latin.csv": head.encode() + b"\n\xe9\xff\n",
        "c_digits.csv": f"{head}\n{DIGITS}" + ",0" * 15 + "\n",
    }


def _lines() -> dict[str, str | bytes]:
    return {
        "t_good.txt": "0 0 0 0 0\n0 2 4 6 8\n0 0 0 0 0\n0 0 0 0 0\n0 0 0 0 0\n",
        "t_inf.txt": "inf 0\n0 1\n0 0\n0 0\n0 0\n",
        "t_nan.txt": "nan 0\n0 1\n0 0\n0 0\n0 0\n",
        "t_huge.txt": "0 0\n0 20\n1e308 1e308\n0 1e308\n0 1e308\n",
        "t_angle.txt": "0 1e300\n0 1e300\n0 0\n0 0\n0 0\n",
        "t_words.txt": "a b\nc d\ne f\n",
        "t_lines.txt": "0\n" * 4,
        "t_short.txt": "0\n0\n0\n",
        "t_long.txt": ("0 " * 300_000 + "\n") * 3,
        "t_binary.txt": bytes(range(256)) * 20,
        "t_escape.txt": "\x1b[31m\x1b]0;t\x07\n",
    }


def _foreign() -> dict[str, str]:
    """Return files in formats of other tools, by name."""
    tum = "".join(f"{n} 0 0 0 0 0 0 1\n" for n in range(FRAMES))
    row = "1 0 0 0 0 1 0 0 0 0 1 0"
    return {
        "f_good_tum.txt": tum,
        "f_tum_zero.txt": "# tx ty tz qx qy qz qw\n" + tum.replace("0 0 0 1", "0 0 0 0"),
        "f_tum_nan.txt": tum.replace("0 0 0 1", "0 0 nan 1"),
        "f_tum_words.txt": tum.replace("0 0 0 1", "0 0 x 1"),
        "f_kitti_scaled.txt": f"{row}\n{row.replace('1', '2')}\n" * 3,
        "f_realestate_zero.txt": "url\n" + f"0 0 0 0 0 0 0 {row}\n" * 3,
        "f_realestate_short.txt": "url\n0 1 1 .5 .5 0 0\n",
        "f_bundle.out": "# Bundle file v0.3\n1000000000000 1\n1 0 0\n",
        "f_log.log": "0 0 1\n1 0 0 0\n0 1 0 0\n0 0 1 0\n0 0 0 1\n0 0 1\n",
        "f_chan_words.chan": "1 a b c d e f\n",
        "f_open3d.json": json.dumps({"class_name": "PinholeCameraTrajectory", "parameters": [{}, 3]}),
        "f_open3d_short.json": json.dumps({"class_name": "PinholeCameraParameters", "extrinsic": [1], "intrinsic": 0}),
        "f_path.json": json.dumps({"camera_path": [{"camera_to_world": [1] * 15}], "keyframes": 3}),
        "f_keys.json": json.dumps({"keyframes": [{"matrix": "[[[[["}], "render_width": 9, "render_height": 9}),
        "f_export.json": json.dumps([{"transform": EYE}, {"transform": [1]}]),
        "f_record3d.json": json.dumps({"poses": [[0] * 7], "K": [1] * 9, "w": 9, "h": 9}),
        "f_uni3c.json": json.dumps({"extrinsic": moved(), "intrinsic": [[0] * 3] * 3, "width": 10**30, "height": 9}),
        "f_comfyui.json": json.dumps([{"position": {"x": 0, "y": 0, "z": 0}, "target": {"x": 0, "y": 1, "z": 0}}]),
        "f_animation.json": json.dumps({"camera_animation": [{"frame": 0, "location": [], "rotation_euler": [1]}]}),
    }


def _archives(folder: Path) -> None:
    lens = Intrinsics(**LENS)
    good = CameraPath(world_to_camera=torch.tensor(moved()), intrinsics=(lens,)).to_ex4d_npz()
    np.savez(folder / "z_good.npz", **good)
    for name, array in good.items():
        changes = {
            "inf": np.full(array.shape, np.inf),
            "nan": np.full(array.shape, np.nan),
            "zero": np.zeros(array.shape),
            "huge": np.full(array.shape, 1e300),
            "text": np.full(array.shape, "a"),
            "complex": np.zeros(array.shape, complex),
            "object": np.full(array.shape, None),
            "shape": np.zeros((2, 3)),
            "none": np.zeros((0, 4, 4)),
        }
        for change, value in changes.items():
            np.savez(folder / f"z_{name}-{change}.npz", **{**good, name: value})
        np.savez(folder / f"z_no-{name}.npz", **{key: value for key, value in good.items() if key != name})
    np.savez(folder / "z_clipinf.npz", **good, clip_frames=np.full(FRAMES, np.inf))
    np.savez(folder / "z_cliptext.npz", **good, clip_frames=np.array(["a"] * FRAMES))
    np.savez(folder / "z_clipneg.npz", **good, clip_frames=np.full(FRAMES, -1))
    first = next(iter(good))
    for name, text in {
        "badhdr": "{'descr': '<f4', 'fortran_",
        "hugeshape": "{'descr': '<f4', 'fortran_order': False, 'shape': (1000000, 100000, 100000)}\n",
        "negative": "{'descr': '<f4', 'fortran_order': False, 'shape': (-5, 4, 4)}\n",
    }.items():
        with zipfile.ZipFile(folder / f"z_{name}.npz", "w") as archive:
            archive.writestr(f"{first}.npy", npy_header(text))


def _colmap(folder: Path) -> None:
    camera = f"1 PINHOLE {SIDE} {SIDE} 80 80 48 48\n"
    image = "1 1 0 0 0 0 0 0 1 a.png\n\n"
    models: dict[str, tuple[str | bytes | None, str | bytes | None]] = {
        "good": (camera, "".join(f"{n} 1 0 0 0 0 0 0 1 {n}.png\n\n" for n in range(FRAMES))),
        "binary": (b"\x01\x00\xff" * 100_000, b"\x02\x00\xfe" * 100_000),
        "long-line": ("x" * 3_000_000, image),
        "no-images": (camera, None),
        "no-cameras": (None, image),
        "empty": ("", ""),
        "model": (camera.replace("PINHOLE", "\x1b[31mEVIL"), image),
        "few": ("1 PINHOLE 96 96\n", image),
        "width": (camera.replace("96", "wide"), image),
        "inf": (camera.replace("80", "inf"), image),
        "huge": (camera.replace("96", "1" + "0" * 30), image),
        "digits": (camera.replace("96", DIGITS), image),
        "zero-turn": (camera, image.replace("1 1 0 0 0", "1 0 0 0 0")),
        "nan-turn": (camera, image.replace("1 1 0 0 0", "1 nan 0 0 0")),
        "inf-shift": (camera, "1 1 0 0 0 inf 0 0 1 a.png\n\n"),
        "no-camera": (camera, image.replace(" 1 a.png", " 7 a.png")),
        "name-digits": (camera, image.replace("a.png", f"a{DIGITS}.png")),
        "words": (camera, "a b c\n\n"),
    }
    for name, (cameras, images) in models.items():
        model = folder / f"m_{name}"
        model.mkdir()
        for file, data in (("cameras.txt", cameras), ("images.txt", images)):
            if data is not None:
                (model / file).write_bytes(data if isinstance(data, bytes) else data.encode())
    (folder / "m_fifo").mkdir()
    os.mkfifo(folder / "m_fifo" / "cameras.txt")
    (folder / "m_fifo" / "images.txt").write_text(image)
    (folder / "m_zero").mkdir()
    (folder / "m_zero" / "cameras.txt").symlink_to("/dev/zero")
    (folder / "m_zero" / "images.txt").symlink_to("/dev/zero")
    (folder / "m_unlistable").mkdir(mode=0o111)

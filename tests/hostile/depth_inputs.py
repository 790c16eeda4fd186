"""Hostile depth: archives, arrays, images and folders."""

from __future__ import annotations

import io
import json
import shutil
import struct
import zipfile
import zlib
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from .clip_inputs import FRAMES, SIDE, png_header_bomb
from .places import make_places

SHAPE = (FRAMES, SIDE, SIDE)


def make_depths(folder: Path) -> None:
    """Make files and folders of depth that no run can use, and some that it can."""
    folder.mkdir()
    make_places(folder / "places", ".npz")
    make_places(folder / "array-places", ".npy")
    good = np.linspace(2, 4, np.prod(SHAPE), dtype=np.float32).reshape(SHAPE)
    for name, arrays in _archives(good).items():
        np.savez(folder / f"{name}.npz", **arrays)
    for name, array in _odd_arrays(good).items():
        np.save(folder / f"{name}.npy", array, allow_pickle=True)
    _broken_arrays(folder, good)
    _broken_archives(folder, good)
    _folders(folder, good)
    _other_formats(folder, good)


def _archives(good: np.ndarray) -> dict[str, dict[str, Any]]:
    eye = np.eye(4)[None].repeat(FRAMES, 0)
    lens = np.array([[80.0, 0, 48], [0, 80, 48], [0, 0, 1]])
    odd = {
        "K-text": {"K": np.array([["a", "b", "c"]] * 3)},
        "K-inf": {"K": np.where(lens == 80, np.inf, lens)},
        "K-zero": {"K": np.zeros((3, 3))},
        "K-huge": {"K": lens * 1e300},
        "K-shape": {"K": np.ones((2, 2))},
        "K-count": {"K": np.stack([lens] * 3)},
        "K-object": {"K": np.array([{"a": 1}], object)},
        "kind-number": {"kind": np.array(3)},
        "kind-list": {"kind": np.array(["metric", "relative"])},
        "kind-escape": {"kind": np.array("\x1b[31mmetric")},
        "valid-shape": {"valid": np.ones((2, 2), bool)},
        "valid-none": {"valid": np.zeros(SHAPE, bool)},
        "valid-text": {"valid": np.array("yes")},
        "poses-shape": {"world_to_camera": eye[:2]},
        "poses-inf": {"world_to_camera": np.full_like(eye, np.inf)},
        "poses-zero": {"world_to_camera": eye * 0},
        "poses-huge": {"world_to_camera": eye + np.array([[0, 0, 0, 1e300], *[[0, 0, 0, 0]] * 3])},
        "poses-text": {"world_to_camera": np.array(["a"] * FRAMES)},
    }
    escape = {"a\x1b[31mb": good, "c\x1b]0;t\x07d": good}
    return {**{name: {"depth": good, **more} for name, more in odd.items()}, "names": escape, "no-arrays": {}}


def _odd_arrays(good: np.ndarray) -> dict[str, np.ndarray]:
    return {
        "zero": good * 0,
        "nan": good * np.nan,
        "inf": good + np.inf,
        "negative": -good,
        "mixed": np.where(good > 3, good, np.nan).astype(np.float32),
        "huge": good.astype(np.float64) * 1e300,
        "tiny": good * 1e-38,
        "complex": good + 1j,
        "text": np.array([["deep"] * 3] * 3),
        "bytes": np.array([b"deep"]),
        "dates": np.zeros(SHAPE, "datetime64[s]"),
        "record": np.zeros(SHAPE, [("a", "f4"), ("b", "i4")]),
        "object": np.array([{"a": 1}, None], object),
        "scalar": np.array(3.0),
        "line": good[0, 0],
        "many-axes": good[None, None],
        "none": good[:0],
        "no-pixels": good[:, :0],
        "short": good[:2],
        "small": good[:, :7, :5],
        "bool": good > 3,
        "half": good.astype(np.float16),
        "int64": (good * 1000).astype(np.int64),
    }


def npy_header(text: str, *, version: int = 1, body: bytes = bytes(64)) -> bytes:
    """Return an array file with a header that says anything."""
    data = text.encode("latin-1")
    size = struct.pack("<H", len(data)) if version == 1 else struct.pack("<I", len(data))
    return b"\x93NUMPY" + bytes([version, 0]) + size + data + body


def _broken_arrays(folder: Path, good: np.ndarray) -> None:
    shaped = "{{'descr': '<f4', 'fortran_order': False, 'shape': {}}}\n".format
    headers = {
        "header-huge": npy_header(shaped("(1000000, 100000, 100000)")),
        "header-overflow": npy_header(shaped(f"({10**30}, 2, 2)")),
        "header-negative": npy_header(shaped("(-5, 96, 96)")),
        "header-text-shape": npy_header(shaped("('a', 'b')")),
        "header-deep": npy_header("(" * 3000),
        "header-open": npy_header("{'descr': '<f4', 'fortran_order': "),
        "header-nul": npy_header("\0" * 40),
        "header-call": npy_header("{'descr': __import__('os').system('true'), 'shape': (1,)}"),
        "header-dtype": npy_header("{'descr': '<q9', 'fortran_order': False, 'shape': (1, 2, 3)}"),
        "header-dtype-list": npy_header(f"{{'descr': {[('a', '<f4')] * 99}, 'fortran_order': False, 'shape': (1,)}}"),
        "header-long": npy_header("#" * 60_000),
        "version-9": npy_header(shaped("(1, 2, 3)"), version=9),
    }
    whole = io.BytesIO()
    np.save(whole, good)
    cut = {"cut": whole.getvalue()[:1000], "cut-in-head": whole.getvalue()[:30], "magic": b"\x93NUMPY"}
    for name, data in {**headers, **cut}.items():
        (folder / f"{name}.npy").write_bytes(data)
        with zipfile.ZipFile(folder / f"member-{name}.npz", "w") as archive:
            archive.writestr("depth.npy", data)


def _broken_archives(folder: Path, good: np.ndarray) -> None:
    member = io.BytesIO()
    np.save(member, good)
    data = member.getvalue()
    for name, method in {"lzma": zipfile.ZIP_LZMA, "bzip2": zipfile.ZIP_BZIP2}.items():
        with zipfile.ZipFile(folder / f"{name}.npz", "w", method) as archive:
            archive.writestr("depth.npy", data)
    packed = folder / "deflated.npz"
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("depth.npy", data)
    whole = bytearray(packed.read_bytes())
    changes = {
        "encrypted": [(6, 1), (whole.index(b"PK\x01\x02") + 8, 1)],
        "method-99": [(8, 99), (whole.index(b"PK\x01\x02") + 10, 99)],
        "damaged": [(at, 0xA5) for at in range(200, 260)],
        "wrong-sum": [(14, 1), (whole.index(b"PK\x01\x02") + 16, 1)],
    }
    for name, edits in changes.items():
        changed = bytearray(whole)
        for at, value in edits:
            changed[at] ^= value
        (folder / f"{name}.npz").write_bytes(changed)
    (folder / "cut.npz").write_bytes(whole[: len(whole) // 2])
    (folder / "pickle.npz").write_bytes(b"\x80\x04cos\nsystem\n(S'true'\ntR.")
    _bomb(folder / "bomb.npz")
    with zipfile.ZipFile(folder / "twice.npz", "w") as archive:
        archive.writestr("depth.npy", data)
        archive.writestr("../depth.npy", data)
        archive.writestr("/etc/depth.npy", data)
    with zipfile.ZipFile(folder / "not-arrays.npz", "w") as archive:
        archive.writestr("depth.npy", b"no array")
        archive.writestr("read.me", b"text")


def _bomb(path: Path) -> None:
    """Write an archive of kilobytes whose array takes 2 GiB."""
    count = 2**29
    head = f"{{'descr': '<f4', 'fortran_order': False, 'shape': (5, 8, {count // 40}), }}\n"
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
        archive.open("depth.npy", "w", force_zip64=True) as member,
    ):
        member.write(npy_header(head, body=b""))
        for _ in range(count * 4 // 2**24):
            member.write(bytes(2**24))


def _other_formats(folder: Path, good: np.ndarray) -> None:
    """Write broken files of the formats of other tools."""
    facts = {"w": SIDE, "h": SIDE, "dw": SIDE, "dh": SIDE, "K": [80, 0, 0, 0, 80, 0, 48, 48, 1]}
    files = {
        "head-huge.pfm": b"Pf\n9999999 9999999\n-1.0\n" + bytes(99),
        "head-digits.pfm": b"Pf\n" + b"9" * 5000 + b" 2\n-1.0\n",
        "head-scale.pfm": b"Pf\n4 4\n1e\n" + bytes(64),
        "cut.pfm": b"Pf\n96 96\n-1.0\n" + bytes(99),
        "size-huge.dpt": struct.pack("<fii", 202021.25, 2**30, 2**30) + bytes(99),
        "size-negative.dpt": struct.pack("<fii", 202021.25, -4, -4) + bytes(64),
        "flow.flo": struct.pack("<fii", 202021.25, 4, 4) + bytes(128),
        "model.glb": b"glTF" + bytes(64),
        "image.jxl": b"\xff\x0a" + bytes(64),
    }
    for name, data in files.items():
        (folder / name).write_bytes(data)
    recordings = {
        "metadata-list": ("[1]", good[0].tobytes()),
        "metadata-deep": ("[" * 5000 + "]" * 5000, good[0].tobytes()),
        "metadata-size": (json.dumps({**facts, "dw": 10**9, "dh": 10**9}), good[0].tobytes()),
        "metadata-poses": (json.dumps({**facts, "poses": ["a", {}]}), good[0].tobytes()),
        "cut": (json.dumps(facts), good[0].tobytes()[:99]),
        "packed": (json.dumps(facts), b"bvx2" + bytes(64)),
    }
    for name, (metadata, depth) in recordings.items():
        with zipfile.ZipFile(folder / f"{name}.r3d", "w") as archive:
            archive.writestr("metadata", metadata)
            archive.writestr("rgbd/0.depth", depth)
    members = {
        "no-images": {"read.me": b"text"},
        "broken": {"0.exr": b"v/1\x01", "1.png": b"\x89PNG"},
        "outside": {"../0.png": png_header_bomb(), "/etc/1.png": b""},
        "folders": {"a/0.png": b"", "b/0.png": b""},
    }
    for name, contents in members.items():
        with zipfile.ZipFile(folder / f"{name}.zip", "w") as archive:
            for member, data in contents.items():
                archive.writestr(member, data)


def _folders(folder: Path, good: np.ndarray) -> None:
    def fill(name: str, suffix: str = ".png", scale: int = 1000) -> Path:
        (folder / name).mkdir()
        for frame in range(FRAMES):
            path = folder / name / f"{frame:06d}{suffix}"
            if suffix == ".npy":
                np.save(path, good[frame])
            else:
                cv2.imwrite(str(path), (good[frame] * scale).astype(np.uint16))
        return folder / name / f"000002{suffix}"

    facts = {
        "facts-deep": "[" * 5000 + "]" * 5000,
        "facts-list": "[1]",
        "facts-text": "depth",
        "facts-scale-text": json.dumps({"scale": "much"}),
        "facts-scale-inf": '{"scale": Infinity}',
        "facts-scale-zero": '{"scale": 0}',
        "facts-scale-negative": '{"scale": -1}',
        "facts-scale-digits": '{"scale": ' + "9" * 5000 + "}",
        "facts-kind": json.dumps({"kind": ["metric"]}),
        "facts-lens": json.dumps({"intrinsics": {"a": 1}}),
        "facts-poses": json.dumps({"world_to_camera": "none"}),
    }
    for name, text in facts.items():
        fill(name)
        (folder / name / "depth.json").write_text(text)
    data = fill("png-cut").read_bytes()
    (folder / "png-cut" / "000002.png").write_bytes(data[: len(data) // 2])
    fill("png-bomb").write_bytes(png_header_bomb())
    fill("png-text").write_text("This is a text.")
    fill("png-unreadable").chmod(0)
    cv2.imwrite(str(fill("png-sizes")), np.full((7, 5), 3000, np.uint16))
    cv2.imwrite(str(fill("png-color")), np.full((SIDE, SIDE, 3), 200, np.uint8))
    fill("npy-broken", ".npy").write_bytes(npy_header("{'descr'"))
    np.save(fill("npy-object", ".npy"), np.array([None], object), allow_pickle=True)
    (folder / "exr-cut").mkdir()
    (folder / "exr-cut" / "0.exr").write_bytes(
        b"\x76\x2f\x31\x01\x02\x00\x00\x00channels\x00chlist\x00\xff\xff\xff\x7f"
    )
    shutil.copytree(folder / "exr-cut", folder / "exr-cut-two")
    (folder / "exr-cut-two" / "1.exr").write_bytes(b"\x76\x2f\x31\x01")
    (folder / "tiff").mkdir()
    (folder / "tiff" / "0.tif").write_bytes(b"II*\x00\xff\xff\xff\xff" + zlib.compress(bytes(100)))
    (folder / "none").mkdir()
    (folder / "unlistable").mkdir(mode=0o111)

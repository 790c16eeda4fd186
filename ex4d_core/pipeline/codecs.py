"""Read and write the lossless artifacts of a run folder.

Each `save_*` writes into an existing folder, which the store renames when it is complete. Each `load_*` compares
checksums, since FFV1 and safetensors decode damaged data without an error. Nothing is pickled.
"""

from __future__ import annotations

import json
import os
import stat
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import numpy as np

from ex4d_core.arrays import open_npz
from ex4d_core.errors import InvalidInput, OutputFailed
from ex4d_core.pipeline.packed_frames import read_frames, write_frames
from ex4d_core.pipeline.store import Damaged, is_of_the_system
from ex4d_core.reading import parse_json
from ex4d_core.types import CameraPath, DepthVideo, Guidance, Intrinsics, Origin, Video
from ex4d_core.video_io.source import open_video, raw_frames
from ex4d_core.video_io.write import write_mask, write_video

if TYPE_CHECKING:  # torch takes seconds to import
    from torch import Tensor

META = "meta.json"


def save_video(folder: Path, value: Video) -> None:
    """Write `video.mkv` (FFV1) and `meta.json` (rate, origin, checksum; Matroska rounds times).

    Raises:
        OutputFailed: the folder cannot be written.
    """
    with _saving(folder):
        write_video(value, folder / "video.mkv")
        origin = None if value.origin is None else attrs.asdict(value.origin)
        _save_meta(folder, fps=str(value.fps), origin=origin, video=_describe(value.frames))


def load_video(folder: Path) -> Video:
    """Read a video that `save_video` wrote.

    Raises:
        Damaged: a file is missing or damaged.
        InvalidInput: a file cannot be read because of the system.
    """
    with _loading(folder):
        meta = _load_meta(folder)
        origin = meta["origin"]
        if origin is not None:
            origin = Origin(**{**origin, "frame_indices": tuple(origin["frame_indices"])})
        frames = _load_frames(folder / "video.mkv", meta["video"], "rgb24")
        return Video(frames=frames, fps=Fraction(meta["fps"]), origin=origin)


def save_guidance(folder: Path, value: Guidance) -> None:
    """Write `color.mkv`, `mask.mkv` and `background.mkv` (FFV1), `cameras.npz` (as EX-4D's) and `meta.json`.

    Raises:
        OutputFailed: the folder cannot be written.
    """
    with _saving(folder):
        write_video(Video(frames=value.color, fps=value.fps), folder / "color.mkv")
        write_mask(value.mask, folder / "mask.mkv", fps=value.fps)
        if value.background is not None:
            write_mask(value.background, folder / "background.mkv", fps=value.fps)
        if value.cameras is not None:
            _save_npz(folder / "cameras.npz", value.cameras)
        _save_meta(
            folder,
            fps=str(value.fps),
            color=_describe(value.color),
            mask=_describe(value.mask),
            background=None if value.background is None else _describe(value.background),
            has_cameras=value.cameras is not None,
        )


def load_guidance(folder: Path) -> Guidance:
    """Read guidance that `save_guidance` wrote.

    Raises:
        Damaged: a file is missing or damaged.
        InvalidInput: a file cannot be read because of the system.
    """
    with _loading(folder):
        meta = _load_meta(folder)
        background = meta["background"] and _load_frames(folder / "background.mkv", meta["background"], "gray").bool()
        return Guidance(
            color=_load_frames(folder / "color.mkv", meta["color"], "rgb24"),
            mask=_load_frames(folder / "mask.mkv", meta["mask"], "gray").bool(),
            background=background,
            cameras=_load_npz(folder / "cameras.npz") if meta["has_cameras"] else None,
            fps=Fraction(meta["fps"]),
        )


def save_depth(folder: Path, value: DepthVideo) -> None:
    """Write `depth.frames`, `valid.frames` if there is a mask, `cameras.safetensors` and `meta.json`.

    `cameras.safetensors` holds `intrinsics` [N, 6] and the source cameras, if any.

    Raises:
        OutputFailed: the folder cannot be written.
    """
    tensors = {"intrinsics": _to_table(value.intrinsics)}
    if value.cameras is not None:
        tensors["cameras_world_to_camera"] = value.cameras.world_to_camera.contiguous()
        tensors["cameras_intrinsics"] = _to_table(value.cameras.intrinsics)
    frames = {"depth": value.depth} if value.valid is None else {"depth": value.depth, "valid": value.valid}
    with _saving(folder):
        for name, each in frames.items():
            write_frames(folder / f"{name}.frames", each)
        _save_tensors(folder / "cameras.safetensors", tensors, {"crc32": _checksum_all(tensors)})
        _save_meta(
            folder,
            kind=value.kind.value,
            shape=list(value.depth.shape),
            crc32={name: _checksum(each) for name, each in frames.items()},
        )


def load_depth(folder: Path) -> DepthVideo:
    """Read depth that `save_depth` wrote.

    Raises:
        Damaged: a file is missing or damaged.
        InvalidInput: a file cannot be read because of the system.
    """
    import torch

    with _loading(folder):
        meta = _load_meta(folder)
        frames, height, width = meta["shape"]
        kinds = {"depth": torch.float32, "valid": torch.bool}
        found = {
            name: read_frames(folder / f"{name}.frames", (frames, height, width), kinds[name]) for name in meta["crc32"]
        }
        if {name: _checksum(each) for name, each in found.items()} != meta["crc32"]:
            raise InvalidInput("the checksum of depth.frames or valid.frames differs")
        tensors = _load_tensors(folder / "cameras.safetensors")
        cameras = None
        if "cameras_world_to_camera" in tensors:
            cameras = CameraPath(
                world_to_camera=tensors["cameras_world_to_camera"],
                intrinsics=_from_table(tensors["cameras_intrinsics"]),
            )
        return DepthVideo(
            depth=found["depth"],
            kind=meta["kind"],
            intrinsics=_from_table(tensors["intrinsics"]),
            valid=found.get("valid"),
            cameras=cameras,
        )


def _load_tensors(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a safetensors file, after comparing them with their checksums."""
    from safetensors import safe_open

    path.open("rb").close()  # `safe_open` reports every failure as a missing file
    with safe_open(path, "pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
        if _checksum_all(tensors) != file.metadata()["crc32"]:
            raise InvalidInput(f"the checksum of {path.name} differs")
    return tensors


def _save_tensors(path: Path, tensors: dict[str, Tensor], metadata: dict[str, str]) -> None:
    """Write a safetensors file with default permissions; equal tensors make equal files."""
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    path.touch()
    mode = stat.S_IMODE(path.stat().st_mode)
    try:
        save_file(tensors, path, metadata=metadata)
    except SafetensorError as error:
        raise OSError(str(error)) from error
    os.chmod(path, mode)  # `save_file` renames a private temporary file
    with path.open("r+b") as file:  # the order of the metadata varies
        length = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(length))
        header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
        text = json.dumps(header, separators=(",", ":")).encode().ljust(length)
        assert len(text) == length, "the length of the header changed"
        file.seek(8)
        file.write(text)


def _to_table(intrinsics: Sequence[Intrinsics]) -> Tensor:
    """Return float64 [N, 6]: fx, fy, cx, cy, width, height."""
    import torch

    return torch.tensor([attrs.astuple(camera) for camera in intrinsics], dtype=torch.float64)


def _from_table(table: Tensor) -> tuple[Intrinsics, ...]:
    return tuple(
        Intrinsics(fx=fx, fy=fy, cx=cx, cy=cy, width=int(width), height=int(height))
        for fx, fy, cx, cy, width, height in table.tolist()
    )


def _save_npz(path: Path, cameras: CameraPath) -> None:
    np.savez(path, allow_pickle=False, **cameras.to_ex4d_npz(exact=True))


def _load_npz(path: Path) -> CameraPath:
    return CameraPath.from_ex4d_npz(open_npz(path, "camera file"))


def _save_meta(folder: Path, **meta: Any) -> None:
    (folder / META).write_text(json.dumps(meta, indent=1) + "\n", encoding="utf-8")


def _load_meta(folder: Path) -> dict[str, Any]:
    meta: dict[str, Any] = parse_json((folder / META).read_bytes())
    return meta


def _describe(frames: Tensor) -> dict[str, int]:
    """Return the facts that `_load_frames` checks."""
    return {"num_frames": len(frames), "crc32": _checksum(frames)}


def _checksum(tensor: Tensor) -> int:
    checksum = 0
    for part in tensor.contiguous().numpy():
        # A mask is stored as gray levels.
        checksum = zlib.crc32((part.astype(np.uint8) * 255 if part.dtype == bool else part).data, checksum)
    return checksum


def _checksum_all(tensors: dict[str, Tensor]) -> str:
    return json.dumps({name: _checksum(tensors[name]) for name in sorted(tensors)})


def _load_frames(path: Path, described: dict[str, int], pixel_format: str) -> Tensor:
    """Return the frames of an FFV1 file, uint8 [T, H, W, 3] or [T, H, W], after comparing them with their checksum."""
    import torch
    from av.video.reformatter import VideoReformatter

    out = np.empty(0, np.uint8)
    reformatter = VideoReformatter()
    num_frames, count = described["num_frames"], 0
    with open_video(path) as (container, stream):
        for frame in raw_frames(container, stream, path):
            image = reformatter.reformat(frame, format=pixel_format).to_ndarray()
            if count == 0:
                out = np.empty((num_frames, *image.shape), np.uint8)
            if count < num_frames:
                out[count] = image
            count += 1
    frames = torch.from_numpy(out)
    if count != num_frames or _checksum(frames) != described["crc32"]:
        raise InvalidInput(f"{path.name} does not hold the {num_frames} frames that were saved")
    return frames


@contextmanager
def _saving(folder: Path) -> Iterator[None]:
    try:
        yield
    except OutputFailed:
        raise
    except OSError as error:
        raise OutputFailed(f"{folder} cannot be written: {error.strerror or error}") from error


@contextmanager
def _loading(folder: Path) -> Iterator[None]:
    from safetensors import SafetensorError

    content = (ValueError, LookupError, TypeError, AttributeError, ArithmeticError, EOFError, zipfile.BadZipFile)
    try:
        yield
    except (OSError, SafetensorError, *content) as error:
        if is_of_the_system(error):
            raise InvalidInput(f"the artifact {folder} cannot be read: {error}") from error
        raise Damaged(f"the artifact {folder} is damaged: {error}") from error

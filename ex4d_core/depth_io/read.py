"""Read depth files of any supported format as a sequence of frames."""

from __future__ import annotations

import stat
from pathlib import Path

from ex4d_core.depth_io.containers.arrays import open_archive, open_npy
from ex4d_core.depth_io.containers.beside import with_cameras_beside
from ex4d_core.depth_io.containers.folder import open_files, open_folder, open_moge
from ex4d_core.depth_io.containers.maps import COLOR_SUFFIXES, IMAGE_SUFFIXES
from ex4d_core.depth_io.containers.record3d import is_recording, open_recording
from ex4d_core.depth_io.containers.video import open_depth_video
from ex4d_core.depth_io.containers.zips import ZIP_START, member_names, open_zip
from ex4d_core.depth_io.falsecolor import Colors
from ex4d_core.depth_io.frames import DepthFrames
from ex4d_core.errors import InvalidInput
from ex4d_core.reading import check_has_content, check_path, reading
from ex4d_core.video_io.source import NotAVideo

_NOT_DEPTH = {b"glTF": "a GLB model", b"ply\n": "a PLY model", b"ply\r": "a PLY model", b"%PDF": "a PDF document"}
"""First bytes of files that are not depth."""

_OTHERS = {
    ".h5": "an HDF5 file",
    ".hdf5": "an HDF5 file",
    ".hdf": "an HDF5 file",
    ".mat": "a MATLAB file",
    ".pt": "a file of PyTorch",
    ".pth": "a file of PyTorch",
    ".pkl": "a Python pickle",
    ".pickle": "a Python pickle",
    ".safetensors": "a file of tensors",
}
"""Containers of arrays that are not read, by suffix."""

_STARTS = {b"\x89HDF": ".h5", b"MATL": ".mat"}
"""First bytes of such containers, under any name."""

_FORMS = (
    "an array [T, H, W] in a .npy or .npz file, a folder or zip of 16-bit PNG, TIFF, EXR, PFM or DPT maps, or a "
    "lossless video"
)
"""Depth files, for messages; docs/depth.md has all of them."""

_HEAD_BYTES = 16


def open_depth(path: Path, *, layer: str | None = None, colormap: str | None = None) -> DepthFrames:
    """Return the depth maps of a file or folder.

    Args:
        path: the file or folder.
        layer: array of an archive, or channel of EXR images; None: found by its name.
        colormap: colormap of matplotlib whose colors stand for depth; None: colors are refused.

    Raises:
        InputNotFound: the path does not exist.
        InvalidInput: it does not contain depth.
    """
    colors = Colors(colormap=colormap)
    if stat.S_ISDIR(check_path(path, "depth file").st_mode):
        return open_folder(path, layer=layer, colors=colors)
    check_has_content(path, "depth file")
    with reading(path, "depth file"):
        return _open_file(path, layer, colors)


def _open_file(path: Path, layer: str | None, colors: Colors) -> DepthFrames:
    suffix = path.suffix.lower()
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    if head[:4] in _NOT_DEPTH:
        raise InvalidInput(f"{path} is {_NOT_DEPTH[head[:4]]}, not depth; use the depth maps of the tool that wrote it")
    if other := _OTHERS.get(_STARTS.get(head[:4], suffix)):
        raise InvalidInput(
            f"{path} is {other}, which is not read as depth; save its array of depth [T, H, W] with numpy.save or "
            "numpy.savez, and pass the .npy or .npz file"
        )
    if suffix == ".npy":
        return open_npy(path)
    if suffix == ".npz":
        return open_archive(path, layer)
    if head.startswith(ZIP_START):
        return _open_zip(path, layer, colors)
    if suffix in IMAGE_SUFFIXES | COLOR_SUFFIXES or head.startswith(b"PIEH"):
        if path.name == "depth.exr" and (path.parent / "fov.json").is_file():
            return open_moge(path, layer=layer, colors=colors)
        frames = open_files([path], layer=layer, colors=colors)
        return with_cameras_beside(frames, path, []) if suffix == ".pfm" else frames
    try:
        return open_depth_video(path, colors)
    except NotAVideo as error:
        raise InvalidInput(f"{path} is not a depth file, or is damaged; use {_FORMS}") from error


def _open_zip(path: Path, layer: str | None, colors: Colors) -> DepthFrames:
    names = member_names(path)
    if is_recording(names):
        return open_recording(path)
    if names and all(name.endswith(".npy") for name in names):
        return open_archive(path, layer)
    return with_cameras_beside(open_zip(path, layer=layer, colors=colors), path, [])

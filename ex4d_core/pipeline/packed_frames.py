"""Compress depth maps and masks without loss, frame by frame.

Neighboring depths differ little, so the bits of a map are replaced by their differences along rows and columns, and
the bytes are sorted by significance. Maps that were enlarged from a small file become runs of zeros.
"""

from __future__ import annotations

import math
import struct
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ex4d_core.errors import InvalidInput

if TYPE_CHECKING:  # torch takes seconds to import
    import torch
    from torch import Tensor

_LENGTH = struct.Struct("<Q")
_LEVEL, _WINDOW_BITS, _MEMORY_LEVEL = 1, 15, 9
_MOST_RATIO = 1100
"""Deflate compresses at most 1032 to 1 (RFC 1951)."""


def write_frames(path: Path, frames: Tensor) -> None:
    """Write float32 or bool [T, H, W].

    Raises:
        OSError: the file cannot be written.
    """
    with path.open("wb") as file:
        for frame in frames:
            data = _compressed(_to_bytes(frame.contiguous().numpy()))
            file.write(_LENGTH.pack(len(data)))
            file.write(data)


def read_frames(path: Path, shape: tuple[int, int, int], dtype: torch.dtype) -> Tensor:
    """Read float32 or bool [T, H, W] that `write_frames` wrote.

    Raises:
        OSError: the file cannot be read.
        InvalidInput: it does not contain these frames.
    """
    import torch

    frames, height, width = shape
    size = path.stat().st_size
    each = height * (math.ceil(width / 8) if dtype == torch.bool else 4 * width)
    if min(shape) < 1 or frames * each > size * _MOST_RATIO:
        raise InvalidInput(f"{path.name} does not contain frames of shape {list(shape)}")
    out = np.empty(shape, bool if dtype == torch.bool else np.float32)
    with path.open("rb") as file:
        for frame in out:
            (length,) = _LENGTH.unpack(file.read(_LENGTH.size).ljust(_LENGTH.size, b"\0"))
            if not 0 < length <= size:
                raise InvalidInput(f"{path.name} ends too early")
            _from_bytes(_decompressed(file.read(length), each, path.name), frame)
        if file.read(1):
            raise InvalidInput(f"{path.name} has more than {frames} frames")
    return torch.from_numpy(out)


def _compressed(data: np.ndarray) -> bytes:
    # Run lengths are faster than matches and, after the differences, about as small.
    compressor = zlib.compressobj(_LEVEL, zlib.DEFLATED, _WINDOW_BITS, _MEMORY_LEVEL, zlib.Z_RLE)
    return compressor.compress(data.data) + compressor.flush()


def _decompressed(data: bytes, size: int, name: str) -> np.ndarray:
    decompressor = zlib.decompressobj()
    try:
        content = decompressor.decompress(data, size)
        complete = decompressor.decompress(decompressor.unconsumed_tail, 1) == b"" and decompressor.eof
    except zlib.error as error:
        raise InvalidInput(f"{name} cannot be decompressed: {error}") from error
    if len(content) != size or not complete:
        raise InvalidInput(f"{name} has a frame of another size")
    return np.frombuffer(content, np.uint8)


def _to_bytes(frame: np.ndarray) -> np.ndarray:
    """Return a frame as contiguous bytes that compress well."""
    if frame.dtype == bool:
        return np.packbits(frame, axis=1)
    bits = frame.view(np.uint32)  # differences wrap around, so no information is lost
    down = bits.copy()
    down[1:] -= bits[:-1]
    across = down.copy()
    across[:, 1:] -= down[:, :-1]
    return np.ascontiguousarray(across.astype("<u4", copy=False).reshape(-1, 1).view(np.uint8).T)


def _from_bytes(data: np.ndarray, frame: np.ndarray) -> None:
    """Fill a frame from the bytes of `_to_bytes`."""
    height, width = frame.shape
    if frame.dtype == bool:
        frame[:] = np.unpackbits(data.reshape(height, -1), axis=1, count=width)
        return
    across = np.ascontiguousarray(data.reshape(4, -1).T).view("<u4").reshape(height, width)
    down = np.cumsum(across, axis=1, dtype=np.uint32)
    np.cumsum(down, axis=0, dtype=np.uint32, out=frame.view(np.uint32))

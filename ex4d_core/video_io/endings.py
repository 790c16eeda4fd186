"""Find out whether a video file ends before its content does, by the sizes that its container states.

A file that is cut between two frames of a container without a total size cannot be recognized.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

_MOST_ELEMENTS = 2**20
"""Elements of a container that are visited."""

_TAIL = 2**18
"""Bytes at the end of a program stream that are searched for its last packets."""

_FRAGMENTS = frozenset({b"moof", b"mdat", b"moov"})
"""Boxes of an MP4 with frames or their index."""

_PACK = b"\0\0\1\xba"
"""Start of a pack of a program stream (ISO/IEC 13818-1, 2.5.3.3)."""

_TS_SYNC = 0x47

_TS_PACKETS = ((188, 0), (192, 4), (204, 0))
"""Length of a packet of a transport stream, and place of its sync byte: plain, of Blu-ray and AVCHD, of DVB."""

_TS_CHECKED = 5
"""Packets by which a transport stream is recognized."""


def ends_early(path: Path) -> bool:
    """Return whether a GIF, APNG, MP4, Matroska, WebM, AVI, MPEG program or transport stream is cut off."""
    with path.open("rb") as file:
        start = file.read(_TS_PACKETS[-1][0] * _TS_CHECKED)
        check = next((check for is_format, check in _FORMATS if is_format(start)), None)
        try:
            return check is not None and check(file, path.stat().st_size)
        except (struct.error, IndexError):  # there are no bytes where an element should be
            return True


def _gif(file: BinaryIO, size: int) -> bool:
    """Return whether the trailer is missing (GIF 89a, section 27)."""
    file.seek(10)
    flags = file.read(3)[0]
    _skip_palette(file, flags)
    while file.tell() < size:
        kind = file.read(1)
        if kind == b"\x2c":  # an image
            _skip_palette(file, file.read(9)[8])
            file.seek(1, os.SEEK_CUR)
        elif kind == b"\x21":  # an extension
            file.seek(1, os.SEEK_CUR)
        else:
            return kind != b"\x3b"
        while length := file.read(1)[0]:
            file.seek(length, os.SEEK_CUR)
    return True


def _skip_palette(file: BinaryIO, flags: int) -> None:
    if flags & 0x80:
        file.seek(3 << (flags & 7) + 1, os.SEEK_CUR)


def _png(file: BinaryIO, size: int) -> bool:
    at = 8
    while at < size:
        length, kind = struct.unpack(">I4s", _bytes_at(file, at, 8))
        at += 12 + length
        if kind == b"IEND":
            return bool(at > size)
    return True


def _mp4(file: BinaryIO, size: int) -> bool:
    """Return whether a box with frames is cut off, or an index of a fragment is not followed by its frames."""
    at, last = 0, b""
    for _ in range(_MOST_ELEMENTS):
        header = _bytes_at(file, at, 16)
        length, kind = struct.unpack(">I4s", header[:8]) if len(header) >= 8 else (0, b"")
        if length == 1 and len(header) == 16:
            length = int.from_bytes(header[8:], "big")
        last = kind if kind in _FRAGMENTS else last
        if kind in _FRAGMENTS and at + length > size:
            return True
        at += length
        if length < 8 or at >= size:  # a length of 0: up to the end of the file
            break
    return last == b"moof"


def _matroska(file: BinaryIO, size: int) -> bool:
    """Return whether an element is cut off; live recordings have segments and clusters of unknown size (RFC 9559)."""
    at = 0
    for _ in range(_MOST_ELEMENTS):
        if at >= size:
            return False
        header = _bytes_at(file, at, 12)
        if header[0] == 0:  # other data
            return False
        name = header[: _vint_length(header[0])]
        value = header[len(name) : len(name) + _vint_length(header[len(name)])]
        length = int.from_bytes(value, "big") & ((1 << 7 * len(value)) - 1)
        at += len(name) + len(value)
        if length == (1 << 7 * len(value)) - 1:  # unknown: its content follows
            continue
        if at + length > size:
            return True
        at += length
    return False


def _vint_length(first: int) -> int:
    """Return the length of a number of EBML in bytes (RFC 8794, section 4)."""
    return 9 - first.bit_length()


def _avi(file: BinaryIO, size: int) -> bool:
    at = 0
    while at + 12 <= size:
        name, length = struct.unpack("<4sI", _bytes_at(file, at, 8))
        if name != b"RIFF" or length in (0, 0xFFFFFFFF):  # other data, or a recording that was not finished
            return False
        at += 8 + length
        if at > size:
            return True
        at += length & 1
    return False


def _program_stream(file: BinaryIO, size: int) -> bool:
    """Return whether the last packet is cut off; packets follow one another from a pack on."""
    start = max(0, size - _TAIL)
    tail = _bytes_at(file, start, _TAIL)
    at = tail.find(_PACK)
    while 0 <= at < len(tail):
        kind = tail[at + 3]
        if tail[at : at + 3] != b"\0\0\1" or kind == 0xB9:  # other data, or the end code
            return False
        if kind == 0xBA:
            at += 14 + (tail[at + 13] & 7) if tail[at + 4] >> 6 == 1 else 12
        else:
            at += 6 + int.from_bytes(tail[at + 4 : at + 6], "big")
    return at > len(tail)


def _transport_stream(file: BinaryIO, size: int) -> bool:
    length, sync = _ts_packets(_bytes_at(file, 0, _TS_PACKETS[-1][0] * _TS_CHECKED))
    rest = _bytes_at(file, size - size % length, length)
    return bool(rest) and rest[sync : sync + 1] in (b"", bytes([_TS_SYNC]))


def _ts_packets(start: bytes) -> tuple[int, int]:
    """Return the length of a packet of a transport stream and the place of its sync byte; zeros if it is not one."""
    for length, sync in _TS_PACKETS:
        syncs = start[sync::length][:_TS_CHECKED]
        if len(syncs) == _TS_CHECKED and set(syncs) == {_TS_SYNC}:
            return length, sync
    return 0, 0


def _bytes_at(file: BinaryIO, at: int, count: int) -> bytes:
    file.seek(at)
    return file.read(count)


_FORMATS: tuple[tuple[Callable[[bytes], bool], Callable[[BinaryIO, int], bool]], ...] = (
    (lambda start: start.startswith(b"GIF8"), _gif),
    (lambda start: start.startswith(b"\x89PNG"), _png),
    (lambda start: start[4:8] in (b"ftyp", b"styp", b"moov", b"moof"), _mp4),
    (lambda start: start.startswith(b"\x1a\x45\xdf\xa3"), _matroska),
    (lambda start: start.startswith(b"RIFF") and start[8:12] == b"AVI ", _avi),
    (lambda start: start.startswith(_PACK), _program_stream),
    (lambda start: _ts_packets(start)[0] > 0, _transport_stream),
)

"""Assemble HEIF photos (HEIC, AVIF), which FFmpeg splits into tiles and does not crop, by ISO/IEC 23008-12."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

import attrs
import numpy as np

from ex4d_core.errors import InvalidInput

BRANDS = frozenset({b"heic", b"heix", b"heim", b"heis", b"mif1", b"avif"})
"""Major brands of photos; those of sequences differ."""

_MOST_BOXES = 4096
_MOST_TILES = 4096

Span = tuple[int, int]
"""Start and end of the content of a box."""


@attrs.frozen(kw_only=True)
class Layout:
    """The primary image of a file."""

    tiles: tuple[int, ...]
    """Items that are its tiles, row by row; the image itself if there is one."""

    columns: int

    size: tuple[int, int]
    """Width and height in pixels, before cropping and rotation."""

    crop: tuple[int, int, int, int]
    """Left, top, width, height."""

    turns: int
    """Quarter turns counterclockwise."""

    mirror: int | None
    """Axis that is reversed after the rotation: 0 rows, 1 columns."""

    def assembled(self, tiles: dict[int, np.ndarray]) -> np.ndarray:
        """Return the image [H, W, 3] of its decoded tiles.

        Raises:
            KeyError: a tile is missing.
        """
        canvas = np.zeros((self.size[1], self.size[0], 3), np.uint8)
        height, width = tiles[self.tiles[0]].shape[:2]
        for index, item in enumerate(self.tiles):
            top, left = index // self.columns * height, index % self.columns * width
            room = canvas[top : top + height, left : left + width]
            room[:] = tiles[item][: room.shape[0], : room.shape[1]]
        left, top, width, height = self.crop
        image = np.rot90(canvas[top : top + height, left : left + width], self.turns)
        return np.ascontiguousarray(image if self.mirror is None else np.flip(image, self.mirror))


def is_heif(start: bytes) -> bool:
    """Return whether a file is a HEIF photo, by its first 12 bytes."""
    return start[4:8] == b"ftyp" and start[8:12] in BRANDS


def read_layout(data: bytes, path: object) -> Layout:
    """Return the layout of the primary image.

    Raises:
        InvalidInput: it cannot be read.
    """
    try:
        return _Meta(data).layout()
    except (LookupError, ValueError, ZeroDivisionError) as error:
        raise InvalidInput(
            f"{path} is a HEIF photo whose layout is not supported ({error}); convert it to JPEG or PNG"
        ) from error


class _Meta:
    """The boxes that describe the items of a file; errors are LookupError and ValueError."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        top = dict(self._boxes(0, len(data)))
        start, end = top[b"meta"]
        self._parts = dict(self._boxes(start + 4, end))
        self._at = 0

    def layout(self) -> Layout:
        start = self._start(b"pitm")
        primary = self._number(2 if self._data[start] == 0 else 4)
        found = self._properties(primary)
        tiles: tuple[int, ...] = (primary,)
        columns, size = 1, self._extent(found)
        if self._kind(primary) == b"grid":
            tiles = self._tiles(primary)
            rows, columns, size = self._grid(primary)
            if rows * columns != len(tiles):
                raise ValueError(f"{len(tiles)} tiles for {rows} x {columns}")
        turns = self._data[found[b"irot"][0]] & 3 if b"irot" in found else 0
        mirror = self._data[found[b"imir"][0]] & 1 if b"imir" in found else None
        return Layout(tiles=tiles, columns=columns, size=size, crop=self._crop(found, size), turns=turns, mirror=mirror)

    def _boxes(self, at: int, end: int) -> Iterator[tuple[bytes, Span]]:
        for _ in range(_MOST_BOXES):
            if at + 8 > end:
                return
            self._at = at
            size, kind, head = self._number(4), self._data[at + 4 : at + 8], 8
            if size == 1:
                self._at = at + 8
                size, head = self._number(8), 16
            size = size or end - at
            if size < head:
                raise ValueError("a box is damaged")
            yield kind, (at + head, min(at + size, end))
            at += size

    def _number(self, width: int) -> int:
        """Return the number at the current place, and advance."""
        part = self._data[self._at : self._at + width]
        if len(part) < width:
            raise ValueError("it is cut off")
        self._at += width
        return int.from_bytes(part, "big")

    def _start(self, kind: bytes) -> int:
        """Go to the fields of a box behind its version and flags; return the place of the version."""
        start = self._parts[kind][0]
        self._at = start + 4
        return start

    def _kind(self, item: int) -> bytes:
        start = self._start(b"iinf")
        self._number(2 if self._data[start] == 0 else 4)
        for kind, (at, _) in self._boxes(self._at, self._parts[b"iinf"][1]):
            wide = 2 if self._data[at] == 2 else 4
            self._at = at + 4
            if kind == b"infe" and self._data[at] >= 2 and self._number(wide) == item:
                return self._data[self._at + 2 : self._at + 6]
        raise LookupError("the primary item is missing")

    def _properties(self, item: int) -> dict[bytes, Span]:
        """Return the boxes of the properties of an item."""
        parts = dict(self._boxes(*self._parts[b"iprp"]))
        every = list(self._boxes(*parts[b"ipco"]))
        at = parts[b"ipma"][0]
        version, is_wide = self._data[at], self._data[at + 3] & 1
        self._at = at + 4
        found: dict[bytes, Span] = {}
        for _ in range(min(self._number(4), _MOST_BOXES)):
            current = self._number(2 if version < 1 else 4)
            for _ in range(self._number(1)):
                index = self._number(2) & 0x7FFF if is_wide else self._number(1) & 0x7F
                if current == item and 0 < index <= len(every):
                    found.setdefault(*every[index - 1])
        return found

    def _extent(self, found: dict[bytes, Span]) -> tuple[int, int]:
        self._at = found[b"ispe"][0] + 4
        return self._number(4), self._number(4)

    def _crop(self, found: dict[bytes, Span], size: tuple[int, int]) -> tuple[int, int, int, int]:
        if b"clap" not in found:
            return 0, 0, *size
        self._at = found[b"clap"][0]
        width, height, right, down = (Fraction(self._signed(), self._number(4)) for _ in range(4))
        # The offsets are between the centers.
        left, top = round((size[0] - width) / 2 + right), round((size[1] - height) / 2 + down)
        box = left, top, round(width), round(height)
        if left < 0 or top < 0 or min(box[2:]) < 1 or left + box[2] > size[0] or top + box[3] > size[1]:
            raise ValueError("its crop is outside the image")
        return box

    def _signed(self) -> int:
        value = self._number(4)
        return value - 2**32 if value >= 2**31 else value

    def _tiles(self, primary: int) -> tuple[int, ...]:
        start = self._start(b"iref")
        wide = 2 if self._data[start] == 0 else 4
        for kind, (at, _) in self._boxes(self._at, self._parts[b"iref"][1]):
            self._at = at
            if kind == b"dimg" and self._number(wide) == primary:
                count = self._number(2)
                if not 0 < count <= _MOST_TILES:
                    raise ValueError(f"{count} tiles")
                return tuple(self._number(wide) for _ in range(count))
        raise LookupError("its tiles are missing")

    def _grid(self, primary: int) -> tuple[int, int, tuple[int, int]]:
        """Return rows, columns and size of the grid item."""
        self._at = self._place(primary)
        _, flags, rows, columns = (self._number(1) for _ in range(4))
        wide = 4 if flags & 1 else 2
        return rows + 1, columns + 1, (self._number(wide), self._number(wide))

    def _place(self, wanted: int) -> int:
        """Return the place of the data of an item."""
        version = self._data[self._start(b"iloc")]
        first, second = self._number(1), self._number(1)
        offset_width, length_width, base_width = first >> 4, first & 15, second >> 4
        index_width = second & 15 if version else 0
        wide = 2 if version < 2 else 4
        for _ in range(self._number(wide)):
            item = self._number(wide)
            method = self._number(2) & 15 if version else 0
            self._number(2)
            base = self._number(base_width)
            for _ in range(self._number(2)):
                self._number(index_width)
                offset = self._number(offset_width)
                self._number(length_width)
                if item == wanted:
                    return base + offset + (self._parts[b"idat"][0] if method == 1 else 0)
        raise LookupError("the place of the grid is missing")

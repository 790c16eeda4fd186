"""Camera file formats as records, and the parsed content by which they recognize a file."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Callable, Mapping
from decimal import Decimal
from enum import IntEnum
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import attrs
import numpy as np

from ex4d_core.arrays import open_npz, read_npy
from ex4d_core.bounds import shown
from ex4d_core.cameras.files._value import MOST_POSES, WHAT, CameraFile, ReadOptions
from ex4d_core.errors import InvalidInput
from ex4d_core.names import natural_key
from ex4d_core.reading import check_file, check_folder, parse_json, read_json, read_text, reading

Kind = Literal["json", "npz", "npy", "text", "folder"]
Capability = Literal["lens", "zoom", "time"]

_SUFFIXES: dict[str, Kind] = {
    **{".json": "json", ".npz": "npz", ".npy": "npy"},
    **{".csv": "text", ".txt": "text", ".chan": "text", ".log": "text", ".out": "text"},
}
_CAPTURE = ".r3d"
"""A zip archive of Record3D with the JSON file `metadata`."""

_MOST_METADATA = 64 * 2**20


class Evidence(IntEnum):
    """How surely a file is of a format."""

    SUFFIX = 0
    """Only the suffix is that of the format."""
    POSSIBLE = 1
    """Nothing contradicts it."""
    LIKELY = 2
    """Names, shapes or values are those of the format."""
    CERTAIN = 3
    """The file declares it, or no other format has such content."""


@attrs.frozen
class Match:
    """Why a file is taken for one of a format."""

    evidence: Evidence
    reason: str
    """Continues "it has"."""
    otherwise: str = ""
    """Another meaning of such content, if it is as likely; the user is asked. Continues "or"."""


def certain(reason: str) -> Match:
    """Return a match by content that no other format has."""
    return Match(Evidence.CERTAIN, reason)


def likely(reason: str) -> Match:
    """Return a match by names, shapes or values."""
    return Match(Evidence.LIKELY, reason)


def possible(reason: str) -> Match:
    """Return a match that is not contradicted."""
    return Match(Evidence.POSSIBLE, reason)


class Text:
    """A text file as words and, if all lines have the same number of numbers, as a table."""

    def __init__(self, text: str) -> None:
        self.text = text

    @cached_property
    def comments(self) -> list[str]:
        """Lines that start with #, without it."""
        return [line.strip().lstrip("#").strip() for line in self.text.splitlines() if line.lstrip().startswith("#")]

    @cached_property
    def rows(self) -> list[list[str]]:
        """Words of the other lines, separated by blanks or commas, without comments behind them."""
        lines = (re.sub(r"\s#.*", "", line).strip() for line in self.text.splitlines())
        return [re.split(r"[\s,]+", line.strip(",")) for line in lines if line and not line.startswith("#")]

    @cached_property
    def title(self) -> str:
        """A first line that is not numbers, such as a URL, or ''."""
        first = self.rows[0] if self.rows else []
        return "" if all(map(_is_number, first)) else " ".join(first)

    @cached_property
    def table(self) -> np.ndarray:
        """The numbers below the title, float64 [rows, columns]; [0, 0] if the text is not such a table."""
        rows = self.rows[1:] if self.title else self.rows
        width = len(rows[0]) if rows else 0
        if not rows or len(rows) > 4 * MOST_POSES or any(len(row) != width for row in rows):
            return np.zeros((0, 0))
        try:
            table = np.array([[float(word) for word in row] for row in rows])
        except ValueError:
            return np.zeros((0, 0))
        return table if np.isfinite(table).all() else np.zeros((0, 0))

    @cached_property
    def stamps(self) -> np.ndarray:
        """The first column of the table minus its first number, float64 [rows], exact for nanoseconds since 1970."""
        rows = self.rows[1:] if self.title else self.rows
        if not self.table.size:
            return np.zeros(0)
        first = Decimal(rows[0][0])
        return np.array([float(Decimal(row[0]) - first) for row in rows])


@attrs.frozen
class Folder:
    """The names in a folder."""

    path: Path
    names: tuple[str, ...]
    """In natural order."""

    def matching(self, pattern: str) -> list[Path]:
        """Return the files whose whole name matches a regular expression, in natural order.

        Raises:
            InvalidInput: there are more than the largest number of poses.
        """
        found = [name for name in self.names if re.fullmatch(pattern, name)]
        if len(found) > MOST_POSES:
            raise InvalidInput(f"it has {len(found):,} files; the maximum is {MOST_POSES:,}")
        return [self.path / name for name in found]


@attrs.frozen(eq=False)
class Content:
    """A parsed file, not yet interpreted."""

    path: Path
    kind: Kind
    value: Any
    """JSON: its value; npz: `Arrays`; npy: the array; text: `Text`; folder: `Folder`."""

    @property
    def facts(self) -> Mapping[str, Any]:
        """The value if it is a mapping with named entries, otherwise an empty one."""
        return self.value if isinstance(self.value, Mapping) else {}

    def has(self, *names: str) -> bool:
        """Return whether a JSON object or archive has all of these names."""
        return all(name in self.facts for name in names)

    def shape(self, name: str) -> tuple[int, ...]:
        """Return the shape of an array of an archive, without decoding it, or of lists in JSON; () if it is missing."""
        if name not in self.facts:
            return ()
        if self.kind == "npz":
            return tuple(self.value.head(name)[0])
        try:
            return np.shape(self.facts[name])
        except ValueError:  # lists of several lengths
            return ()

    def items(self) -> list[Mapping[str, Any]]:
        """Return a JSON list of objects, or []."""
        if self.kind != "json" or not isinstance(self.value, list) or not self.value:
            return []
        return self.value if all(isinstance(item, Mapping) for item in self.value) else []


@attrs.frozen(kw_only=True)
class Format:
    """A camera file format."""

    name: str
    """Name in `format=`, `--from` and `--to`."""
    files: str
    """Names and content of its files, for the documentation."""
    kinds: tuple[Kind, ...]
    """Kinds of files that it can have."""
    matches: Callable[[Content], Match | None]
    """Judges a parsed file; errors and exceptions count as no match."""
    read: Callable[[Content, ReadOptions], CameraFile]
    """Interprets a parsed file; errors do not name the file."""
    convention: str = ""
    """Direction and axes of its matrices, such as `c2w-opencv`; "" if the file or the user declares them."""
    world: str = "any"
    """Its world, for the documentation."""
    lens: str = ""
    """Its intrinsics, for the documentation."""
    suffix: str = ""
    """Suffix of written files; "" for a folder."""
    capabilities: frozenset[Capability] = frozenset()
    """Content besides poses that can be written: intrinsics, changing intrinsics, the shown frames of the clip."""
    write: Callable[[CameraFile, Path, float], None] | None = None
    """Called as `write(file, path, distance)`; None: ex4d only reads the format."""


def content_of(path: Path) -> Content:
    """Parse a file by its suffix or, if that is unknown, by its first bytes.

    Raises:
        InputNotFound: it does not exist.
        InvalidInput: it cannot be read.
    """
    if path.is_dir():
        return Content(path, "folder", folder_of(path))
    if path.suffix.lower() == _CAPTURE:
        return Content(path, "json", _metadata(path))
    kind = _SUFFIXES.get(path.suffix.lower()) or _sniffed(path)
    loaders: dict[Kind, Callable[[], Any]] = {
        "json": lambda: read_json(path, WHAT),
        "npz": lambda: open_npz(path, WHAT),
        "npy": lambda: read_npy(path, WHAT),
        "text": lambda: Text(read_text(path, WHAT)),
    }
    return Content(path, kind, loaders[kind]())


def folder_of(path: Path) -> Folder:
    """List a folder.

    Raises:
        InputNotFound: it does not exist.
        InvalidInput: it cannot be listed.
    """
    check_folder(path, WHAT)
    with reading(path, WHAT):
        return Folder(path, tuple(sorted((each.name for each in path.iterdir()), key=natural_key)))


def _sniffed(path: Path) -> Kind:
    check_file(path, WHAT)
    with reading(path, WHAT), path.open("rb") as file:
        head = file.read(64)
    if head.startswith(b"\x93NUMPY"):
        return "npy"
    if head.startswith(b"PK"):
        return "npz"
    return "json" if head.lstrip()[:1] in (b"{", b"[") else "text"


def _metadata(path: Path) -> Any:
    check_file(path, WHAT)
    with reading(path, WHAT), zipfile.ZipFile(path) as archive:
        if "metadata" not in archive.namelist():
            raise InvalidInput(f"{path} has no file metadata, so it is not a capture of Record3D")
        if (size := archive.getinfo("metadata").file_size) > _MOST_METADATA:
            raise InvalidInput(f"the metadata of {path} has {size:,} bytes; at most {_MOST_METADATA:,} are read")
        try:
            return parse_json(archive.read("metadata"))
        except ValueError as error:
            raise InvalidInput(f"the metadata of {path} is not valid JSON: {error}") from error


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True


def described(content: Content) -> str:
    """Return what a file contains, for an error."""
    value = content.value
    if content.kind == "folder":
        return f"a folder with {', '.join(map(shown, value.names[:6])) or 'no files'}"
    if content.kind == "npz" or isinstance(value, Mapping):
        what = "an archive with the arrays" if content.kind == "npz" else "an object with the keys"
        return f"{what} {', '.join(shown(name) for name in list(value)[:8])}"
    if content.kind == "npy":
        return f"an array of {list(value.shape)[:6]}"
    if content.kind == "text":
        table = value.table
        return f"a table of {table.shape[1]} columns" if table.size else f"a text of {len(value.rows)} lines"
    return f"a list of {len(value)} entries" if isinstance(value, list) else shown(value)

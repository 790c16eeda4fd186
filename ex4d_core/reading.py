"""Open files that users name: regular files of bounded size, with clear errors.

All files of users and all records are opened here, so that pipes, devices, missing permissions, huge files and wrong
formats end in one sentence that names the file.
"""

from __future__ import annotations

import errno
import json
import math
import os
import stat
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ex4d_core.bounds import shown
from ex4d_core.errors import Ex4dError, InputNotFound, InvalidInput, one_line

MOST_TEXT = 64 * 2**20
"""Maximum size of a text file in bytes, ten times that of a camera path of an hour."""

MOST_DEPTH = 64
"""Maximum nesting of tables and lists."""

_MISSING = (errno.ENOENT, errno.ENOTDIR)

_KINDS: tuple[tuple[Callable[[int], bool], str], ...] = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


@contextmanager
def reading(path: str | os.PathLike[str], label: str) -> Iterator[None]:
    """Convert all errors of the block, which reads a file, to one sentence that names the file.

    Untrusted files can make a library raise anything; `EX4D_TRACE=1` prints the cause.

    Args:
        path: the file or folder.
        label: expected kind, such as "camera file".

    Raises:
        InputNotFound: the file does not exist.
        InvalidInput: the file cannot be read, or is of another kind.
    """
    try:
        yield
    except Ex4dError:
        raise
    except OSError as error:
        raise refusal(path, label, error) from error
    except MemoryError as error:
        raise InvalidInput(f"the {label} {path} does not fit into memory; use a smaller one") from error
    except RecursionError as error:
        raise InvalidInput(f"the {label} {path} is nested too deeply to be read") from error
    except Exception as error:
        raise InvalidInput(f"{path} is not a readable {label} ({one_line(error)})") from error


def refusal(path: str | os.PathLike[str], label: str, error: OSError) -> InputNotFound | InvalidInput:
    """Return the exception for an error of the system."""
    if error.errno in _MISSING:
        return InputNotFound(f"the {label} {path} does not exist; check the path")
    reason = error.strerror or str(error) or type(error).__name__
    return InvalidInput(f"the {label} {path} cannot be read: {reason}")


def as_path(value: object, what: str) -> Path:
    """Return a path that a caller passed as a text or path.

    Raises:
        InvalidInput: it has another type.
    """
    if isinstance(value, str | os.PathLike) and isinstance(path := os.fspath(value), str):
        return Path(path)
    raise InvalidInput(f"the {what} must be a path, not {shown(value)} ({type(value).__name__})")


def check_path(path: str | os.PathLike[str], label: str) -> os.stat_result:
    """Return the status of a file or folder.

    Raises:
        InputNotFound: the file does not exist.
        InvalidInput: the system refuses it: no permission, a loop of links, an invalid name.
    """
    try:
        return os.stat(path)
    except OSError as error:
        raise refusal(path, label, error) from error
    except ValueError as error:  # a NUL in the name
        raise InvalidInput(f"the {label} {os.fspath(path)!r} is not a valid path") from error


def check_file(path: str | os.PathLike[str], label: str) -> os.stat_result:
    """Check that a file is a regular one (a pipe blocks, a device may be endless) and return its status.

    Raises:
        InputNotFound: the file does not exist.
        InvalidInput: the file cannot be read, or is not a regular file.
    """
    status = check_path(path, label)
    if not stat.S_ISREG(status.st_mode):
        kind = next((name for holds, name in _KINDS if holds(status.st_mode)), "something else")
        raise InvalidInput(f"the {label} {path} is {kind}, not a regular file")
    if not os.access(path, os.R_OK):
        raise InvalidInput(f"the {label} {path} cannot be read: {os.strerror(errno.EACCES)}")
    return status


def check_has_content(path: str | os.PathLike[str], label: str) -> None:
    """Check that a file is a regular one and not empty.

    Raises:
        InputNotFound: the file does not exist.
        InvalidInput: the file cannot be read, is not a regular file, or is empty.
    """
    if not check_file(path, label).st_size:
        raise InvalidInput(f"the {label} {path} is empty; copy or save it again")


def check_folder(path: str | os.PathLike[str], label: str) -> os.stat_result:
    """Check that a folder can be listed and return its status.

    Raises:
        InputNotFound: the file does not exist.
        InvalidInput: it cannot be read, or is not a folder.
    """
    status = check_path(path, label)
    if not stat.S_ISDIR(status.st_mode):
        raise InvalidInput(f"the {label} {path} is not a folder")
    if not os.access(path, os.R_OK | os.X_OK):
        raise InvalidInput(f"the {label} {path} cannot be read: {os.strerror(errno.EACCES)}")
    return status


def read_bytes(path: str | os.PathLike[str], label: str, *, most: int) -> bytes:
    """Return the bytes of a regular file of at most `most` bytes.

    Raises:
        InputNotFound: the file does not exist.
        InvalidInput: the file cannot be read, is not a regular file, or is larger.
    """
    size = check_file(path, label).st_size
    if size > most:
        raise InvalidInput(f"the {label} {path} has {size:,} bytes; at most {most:,} are read")
    with reading(path, label), open(path, "rb") as file:
        return file.read(most)


def read_text(path: str | os.PathLike[str], label: str, *, most: int = MOST_TEXT) -> str:
    """Return the text of a regular file, UTF-8 with or without a byte order mark.

    Raises:
        InputNotFound: the file does not exist.
        InvalidInput: the file cannot be read, is not a regular file, is larger, or is not UTF-8.
    """
    data = read_bytes(path, label, most=most)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidInput(f"the {label} {path} is not UTF-8 text (byte {error.start})") from error


def read_json(path: str | os.PathLike[str], label: str, *, most: int = MOST_TEXT) -> Any:
    """Return the value of a JSON file; see `parse_json`.

    Raises:
        InputNotFound: the file does not exist.
        InvalidInput: the file cannot be read, or is not JSON of bounded depth with finite numbers.
    """
    text = read_text(path, label, most=most)
    try:
        return parse_json(text)
    except ValueError as error:
        raise InvalidInput(f"the {label} {path} is not valid JSON: {error}") from error


def read_toml(path: str | os.PathLike[str], label: str, *, most: int = MOST_TEXT) -> dict[str, Any]:
    """Return the tables of a TOML file.

    Raises:
        InputNotFound: the file does not exist.
        InvalidInput: the file cannot be read, or is not TOML of bounded depth.
    """
    text = read_text(path, label, most=most)
    try:
        return parse_toml(text)
    except ValueError as error:
        raise InvalidInput(f"the {label} {path} is not valid TOML: {error}") from error


def parse_json(text: str | bytes) -> Any:
    """Parse JSON with finite numbers, nested at most `MOST_DEPTH` levels deep.

    Raises:
        ValueError: the text is invalid.
    """
    try:
        value = json.loads(text, parse_constant=_no_number, parse_float=_finite)
    except RecursionError as error:
        raise _too_deep() from error
    return _checked(value)


def parse_toml(text: str) -> dict[str, Any]:
    """Parse TOML, nested at most `MOST_DEPTH` levels deep.

    Raises:
        ValueError: the text is invalid.
    """
    try:
        tables = tomllib.loads(text)
    except RecursionError as error:
        raise _too_deep() from error
    _checked(tables)
    return tables


def _checked(value: Any) -> Any:
    """Return a value after checking its nesting, which recursive code depends on."""
    level = [value]
    for _ in range(MOST_DEPTH):
        level = [inner for outer in level for inner in _inside(outer)]
        if not level:
            return value
    raise _too_deep()


def _inside(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return [inner for inner in value.values() if isinstance(inner, dict | list)]
    return [inner for inner in value if isinstance(inner, dict | list)] if isinstance(value, list) else []


def _too_deep() -> ValueError:
    return ValueError(f"it is nested more than {MOST_DEPTH} levels deep")


def _no_number(text: str) -> float:
    raise ValueError(f"{text} is not a finite number")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"the number {text[:20]} is too large")
    return number

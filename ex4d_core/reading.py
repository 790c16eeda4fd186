"""Open files that users name: regular files of bounded size, with clear errors.

Every reader of a user's file goes through here, so that a pipe, a device, a folder without permission, a file of
gigabytes or of another kind ends in one sentence that names the file. Records of our own are read the same way.
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
from typing import Any

from ex4d_core.errors import Ex4dError, InputNotFound, InvalidInput, one_line

MOST_TEXT = 64 * 2**20
"""Bytes that a file of text may have: camera paths of an hour have a tenth of it."""

MOST_DEPTH = 64
"""How deep the tables and lists of a file may be nested."""

_MISSING = (errno.ENOENT, errno.ENOTDIR)

_KINDS: tuple[tuple[Callable[[int], bool], str], ...] = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


@contextmanager
def reading(path: str | os.PathLike[str], what: str) -> Iterator[None]:
    """Turn whatever reading a file raises in the block into one sentence that names the file.

    A file that somebody else made can make its reader raise anything: the cause is chained, and shown by
    `EX4D_TRACE=1`.

    Args:
        path: the file or folder.
        what: it should be, such as "camera file".

    Raises:
        InputNotFound: it does not exist.
        InvalidInput: it cannot be read, or is not what it should be.
    """
    try:
        yield
    except Ex4dError:
        raise
    except OSError as error:
        raise refusal(path, what, error) from error
    except MemoryError as error:
        raise InvalidInput(f"the {what} {path} does not fit into memory; use a smaller one") from error
    except RecursionError as error:
        raise InvalidInput(f"the {what} {path} is nested too deeply to be read") from error
    except Exception as error:
        raise InvalidInput(f"{path} is not a readable {what} ({one_line(error)})") from error


def refusal(path: str | os.PathLike[str], what: str, error: OSError) -> InputNotFound | InvalidInput:
    """Return what to raise where the system refuses a file."""
    if error.errno in _MISSING:
        return InputNotFound(f"the {what} {path} does not exist; check the path")
    reason = error.strerror or str(error) or type(error).__name__
    return InvalidInput(f"the {what} {path} cannot be read: {reason}")


def check_path(path: str | os.PathLike[str], what: str) -> os.stat_result:
    """Return the status of a file or folder that a person named.

    Raises:
        InputNotFound: it does not exist.
        InvalidInput: it cannot be looked at: no permission, a loop of links, a name that no file can have.
    """
    try:
        return os.stat(path)
    except OSError as error:
        raise refusal(path, what, error) from error
    except ValueError as error:  # a NUL in the name
        raise InvalidInput(f"the {what} {os.fspath(path)!r} has a name that no file can have") from error


def check_file(path: str | os.PathLike[str], what: str) -> os.stat_result:
    """Return the status of a regular file; opening a pipe would wait, and a device may never end.

    Raises:
        InputNotFound: it does not exist.
        InvalidInput: it cannot be read, or is no regular file.
    """
    status = check_path(path, what)
    if not stat.S_ISREG(status.st_mode):
        kind = next((name for holds, name in _KINDS if holds(status.st_mode)), "something else")
        raise InvalidInput(f"the {what} {path} is {kind}; give a regular file")
    if not os.access(path, os.R_OK):
        raise InvalidInput(f"the {what} {path} cannot be read: {os.strerror(errno.EACCES)}")
    return status


def check_folder(path: str | os.PathLike[str], what: str) -> os.stat_result:
    """Return the status of a folder whose entries can be listed.

    Raises:
        InputNotFound: it does not exist.
        InvalidInput: it cannot be read, or is no folder.
    """
    status = check_path(path, what)
    if not stat.S_ISDIR(status.st_mode):
        raise InvalidInput(f"the {what} {path} is not a folder")
    if not os.access(path, os.R_OK | os.X_OK):
        raise InvalidInput(f"the {what} {path} cannot be read: {os.strerror(errno.EACCES)}")
    return status


def read_bytes(path: str | os.PathLike[str], what: str, *, most: int) -> bytes:
    """Return the bytes of a regular file of at most `most` bytes.

    Raises:
        InputNotFound: it does not exist.
        InvalidInput: it cannot be read, is no regular file, or is larger.
    """
    size = check_file(path, what).st_size
    if size > most:
        raise InvalidInput(f"the {what} {path} has {size:,} bytes; at most {most:,} are read")
    with reading(path, what), open(path, "rb") as file:
        return file.read(most)


def read_text(path: str | os.PathLike[str], what: str, *, most: int = MOST_TEXT) -> str:
    """Return the text of a regular file, UTF-8 with or without a byte order mark.

    Raises:
        InputNotFound: it does not exist.
        InvalidInput: it cannot be read, is no regular file, is larger, or is not UTF-8.
    """
    data = read_bytes(path, what, most=most)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidInput(f"the {what} {path} is not a text in UTF-8 (byte {error.start})") from error


def read_json(path: str | os.PathLike[str], what: str, *, most: int = MOST_TEXT) -> Any:
    """Return what is in a JSON file; see `parse_json`.

    Raises:
        InputNotFound: it does not exist.
        InvalidInput: it cannot be read, or is not JSON of bounded depth with finite numbers.
    """
    text = read_text(path, what, most=most)
    try:
        return parse_json(text)
    except ValueError as error:
        raise InvalidInput(f"the {what} {path} is not valid JSON: {error}") from error


def read_toml(path: str | os.PathLike[str], what: str, *, most: int = MOST_TEXT) -> dict[str, Any]:
    """Return the tables of a TOML file.

    Raises:
        InputNotFound: it does not exist.
        InvalidInput: it cannot be read, or is not TOML of bounded depth.
    """
    text = read_text(path, what, most=most)
    try:
        return parse_toml(text)
    except ValueError as error:
        raise InvalidInput(f"the {what} {path} is not valid TOML: {error}") from error


def parse_json(text: str | bytes) -> Any:
    """Return what a JSON text says; its numbers are finite and it is at most `MOST_DEPTH` deep.

    Raises:
        ValueError: it is not such a text.
    """
    try:
        value = json.loads(text, parse_constant=_no_number, parse_float=_finite)
    except RecursionError as error:
        raise _too_deep() from error
    return _checked(value)


def parse_toml(text: str) -> dict[str, Any]:
    """Return the tables of a TOML text, at most `MOST_DEPTH` deep.

    Raises:
        ValueError: it is not such a text.
    """
    try:
        tables = tomllib.loads(text)
    except RecursionError as error:
        raise _too_deep() from error
    _checked(tables)
    return tables


def _checked(value: Any) -> Any:
    """Return a value that is not nested too deeply: what walks through it later would fail."""
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
    raise ValueError(f"{text} is not a number that it may hold")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text[:20]} is too large a number")
    return number

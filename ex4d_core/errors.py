"""Errors for users: each message states what happened, where, and what to do.

Every class derives from `Ex4dError` and, if possible, from the matching builtin exception.
"""

from __future__ import annotations

import difflib
import errno
import linecache
import os
import re
import textwrap
import traceback
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import FrameType


class Ex4dError(Exception):
    """Base of all errors that ex4d raises deliberately; the message is one sentence."""


class InvalidInput(Ex4dError, ValueError):
    """A file, array or option is invalid."""


class InputNotFound(Ex4dError, FileNotFoundError):
    """A file or folder does not exist."""


class InvalidConfig(Ex4dError, ValueError):
    """An option is unknown or has an invalid value."""

    def __init__(self, message: str, *, option: str = "") -> None:
        """Create the error.

        Args:
            message: one sentence.
            option: name of the option, or '' if the error is not about a single one.
        """
        super().__init__(message)
        self.option = option


class ComponentNotFound(Ex4dError, LookupError):
    """No installed plugin offers the component."""


class PluginFailed(Ex4dError, RuntimeError):
    """A component cannot be used because its plugin fails."""


class ComponentCrashed(PluginFailed):
    """A component raised an unexpected error, which is the cause of this one."""


class OutputFailed(Ex4dError, OSError):
    """An output cannot be written."""


class DownloadFailed(Ex4dError, OSError):
    """A download failed or is damaged."""


class Cancelled(Ex4dError):
    """A progress callback cancelled the work."""


def nearest(word: str, known: Iterable[str], *, then: str = "") -> str:
    """Return '; did you mean X? THEN' with the known word closest to `word`, or '; THEN' if none is close."""
    matches = difflib.get_close_matches(word, list(known), n=1, cutoff=0.51)
    if not matches:
        return f"; {then}" if then else ""
    return f"; did you mean {matches[0]!r}?{f' {then[0].upper()}{then[1:]}' if then else ''}"


def one_line(error: BaseException) -> str:
    """Return an error as one line of bounded length: its class and its message."""
    text = textwrap.shorten(str(error), 300, placeholder=" ...")
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


REPORT = "rerun with EX4D_TRACE=1 and report the traceback"
"""What to do after an error that is a bug."""


def tracing() -> bool:
    """Return whether `EX4D_TRACE` enables tracebacks."""
    return os.environ.get("EX4D_TRACE", "").strip().lower() not in ("", "0", "false", "no", "off")


def unexpected(error: BaseException) -> str:
    """Return one line on an error that is not an `Ex4dError`: a limit of the machine, or a bug and its owner."""
    if sentence := of_the_machine(error):
        return sentence
    own, _ = _frames(error)
    if own is None:
        return f"unexpected {one_line(error)}; {REPORT}"
    frame, line, owner = own
    return f"unexpected {one_line(error)} at {place_of(frame, line)}: a bug in {owner}; {REPORT}"


def of_the_machine(error: BaseException) -> str:
    """Return one line on an error that the machine or its settings cause, or '' for a bug."""
    if isinstance(error, OSError) and error.errno in _REFUSALS:
        name = "" if error.filename is None else f"{error.filename}: "
        return f"the system reported an error: {name}{error.strerror}"
    text = str(error)
    if isinstance(error, MemoryError) or any(kind.__name__ == "OutOfMemoryError" for kind in type(error).__mro__):
        return f"out of memory{_in_brackets(error)}; use fewer or smaller frames, or free memory"
    if any(phrase in text for phrase in _NO_MEMORY):
        return f"out of memory ({textwrap.shorten(text, 200)}); use fewer or smaller frames, or free memory"
    if "can't start new thread" in text:
        return "the system allows no more threads or processes; end other programs, or raise the limit (ulimit -u)"
    return _failed_import(error)


_REFUSALS = frozenset(
    getattr(errno, name)
    for name in (
        *("EACCES", "EPERM", "EROFS", "ENOSPC", "EDQUOT", "EFBIG", "EIO", "EMFILE", "ENFILE", "ENOMEM", "EAGAIN"),
        *("ELOOP", "ENAMETOOLONG", "ESTALE", "ETIMEDOUT", "EBUSY", "ETXTBSY", "ENODEV", "ENXIO"),
    )
    if hasattr(errno, name)
)
"""Errors that the machine causes, in any program."""

_NO_MEMORY = (
    *("can't allocate memory", "Cannot allocate memory", "not enough memory", "Insufficient memory", "bad_alloc"),
    *("CUDA out of memory", "failed to map segment"),
)
"""Phrases in errors of libraries that are not a MemoryError."""


def _in_brackets(error: BaseException) -> str:
    text = textwrap.shorten(str(error), 200, placeholder=" ...")
    return f" ({text})" if text else ""


def import_failed_by_variable(error: BaseException) -> str:
    """Return one line if a library cannot be imported because of an environment variable, which it names; else ''."""
    sentence = _failed_import(error)
    return sentence if VARIABLE in sentence else ""


VARIABLE = "the environment variable "


def _failed_import(error: BaseException) -> str:
    """Return one line if the import of a third-party library failed, often because of an environment variable."""
    own, deeper = _frames(error)
    importing = [frame for frame, _ in deeper if frame.f_code.co_name == "<module>"]
    if own is not None and importing:
        library = top_module(importing[-1])
    elif isinstance(error, ImportError) and error.name and error.name.partition(".")[0] not in _owners():
        library = error.name
    else:
        return ""
    read = "\n".join([str(error), *(linecache.getline(frame.f_code.co_filename, line) for frame, line in deeper)])
    named = [name for name in os.environ if re.search(rf"\b{re.escape(name)}\b", read)]
    named = named or [name for name in os.environ if name.startswith(f"{library.upper()}_")]
    suspect = f"{VARIABLE}{' and '.join(named)}" if named else "its installation and environment variables"
    return f"{library} cannot be imported ({one_line(error)}); check {suspect}"


def _frames(error: BaseException) -> tuple[tuple[FrameType, int, str] | None, list[tuple[FrameType, int]]]:
    """Return the innermost frame of the core or a plugin, with line and owner, and the deeper frames of libraries."""
    known, own, deeper = _owners(), None, list[tuple[FrameType, int]]()
    for frame, line in traceback.walk_tb(error.__traceback__):
        if owner := known.get(top_module(frame)):
            own, deeper = (frame, line, owner), []
        else:
            deeper.append((frame, line))
    return own, deeper


def _owners() -> Mapping[str, str]:
    from ex4d_core.distributions import owners  # slow; needed only for errors

    return owners()


def _module(frame: FrameType) -> str:
    """Return the module name of a frame, also under `python -m`."""
    named = getattr(frame.f_globals.get("__spec__"), "name", None) or frame.f_globals.get("__name__")
    return str(named or "")


def top_module(frame: FrameType) -> str:
    """Return the top-level package or module of a frame."""
    return _module(frame).partition(".")[0]


def place_of(frame: FrameType, line: int) -> str:
    """Return file and line; the path begins at the top-level package."""
    file = Path(frame.f_code.co_filename)
    depth = _module(frame).count(".") + 1 + (file.name == "__init__.py")
    return f"{'/'.join(file.parts[-depth:])}:{line}"

"""The errors that users see: each message says what is wrong, where, and what to do.

Every class derives from `Ex4dError` and, where there is one, from the builtin that people would catch.
"""

from __future__ import annotations

import difflib
import textwrap
from collections.abc import Iterable


class Ex4dError(Exception):
    """Base of all errors that ex4d raises on purpose; the message is one clear sentence."""


class InvalidInput(Ex4dError, ValueError):
    """A file, array or option that ex4d was given cannot be used as it is."""


class InputNotFound(Ex4dError, FileNotFoundError):
    """A file or folder that was named does not exist."""


class InvalidConfig(Ex4dError, ValueError):
    """An option is unknown or has a value it cannot take."""


class ComponentNotFound(Ex4dError, LookupError):
    """No plugin offers the component that was asked for."""


class PluginFailed(Ex4dError, RuntimeError):
    """The component that was asked for belongs to a plugin that does not work."""


class OutputFailed(Ex4dError, OSError):
    """An output cannot be written."""


class DownloadFailed(Ex4dError, OSError):
    """Something cannot be downloaded, or did not arrive as it should."""


class Cancelled(Ex4dError):
    """A progress callback asked for the work to stop."""


def nearest(word: str, known: Iterable[str]) -> str:
    """Return '; did you mean X?' for the known word closest to `word`, or '' if none is close."""
    matches = difflib.get_close_matches(word, list(known), n=1, cutoff=0.5)
    return f"; did you mean {matches[0]!r}?" if matches else ""


def describe(error: BaseException) -> str:
    """Return an error as one line of bounded length: its class and its message."""
    text = textwrap.shorten(str(error), 300, placeholder=" ...")
    return f"{type(error).__name__}: {text}" if text else type(error).__name__

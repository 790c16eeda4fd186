"""Text on the terminal: names and messages of others are shown there, and never obeyed.

A file name or a server's answer may hold escape sequences, which would color, move or retitle the terminal, or
characters that its encoding has no bytes for.
"""

from __future__ import annotations

import re
import sys
from typing import TextIO

_OBEYED = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""Control characters except tab and newline, marks that reverse the direction of text, and halves of characters."""


def printable(text: object) -> str:
    r"""Return a text in which control characters are written out, as `\x1b` is."""
    return _OBEYED.sub(lambda match: ascii(match[0])[1:-1], str(text))


def say(text: object, *, err: bool = False) -> None:
    """Print a line to standard output, or to standard error.

    Raises:
        OSError: the output is closed or its disk is full.
    """
    stream = sys.stderr if err else sys.stdout
    _write(stream, f"{printable(text)}\n")


def use_any_locale() -> None:
    """Let what an encoding has no bytes for be written as an escape, in place of ending the program."""
    for stream in (sys.stdout, sys.stderr):
        if stream is not None and hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def _write(stream: TextIO | None, text: str) -> None:
    if stream is None:  # nobody listens
        return
    stream.write(text)
    stream.flush()

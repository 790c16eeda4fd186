"""Write to the terminal; untrusted names and messages are escaped.

A file name or a server's answer may hold escape sequences, which would color, move or retitle the terminal, markup of
the library that draws tables, or characters that the terminal's encoding has no bytes for.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import sys
from typing import TYPE_CHECKING, Any, TextIO

from ex4d_core.errors import OutputFailed

if TYPE_CHECKING:  # it takes longer to import than many commands take
    from rich.console import Console
    from rich.text import Text

_OBEYED = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""Control characters except tab and newline, marks that reverse the direction of text, and halves of characters."""


class OutputUnread(BrokenPipeError):
    """The program that read standard output has ended, as `head` does once it has enough."""


LONGEST_MESSAGE = 1600
"""Characters of an error or a warning; what somebody typed or a file holds may be longer."""

LOG_WIDTH = 140
"""Columns of a table that is not written to a terminal, at least: a log has no edge to wrap at."""


def printable(text: object) -> str:
    r"""Return a text in which control characters are written out, as `\x1b` is."""
    return _OBEYED.sub(lambda match: ascii(match[0])[1:-1], str(text))


def as_text(text: object, style: str = "") -> Text:
    """Return a text for a table or a line, in which neither markup nor control characters are obeyed."""
    from rich.text import Text

    return Text(printable(text), style=style)


def plain_markup(text: object) -> str:
    """Return a text for those who read it as markup of rich, such that it looks as it was written."""
    from rich.markup import escape

    return escape(printable(text))


def say(text: object, *, err: bool = False) -> None:
    """Print a line to standard output, or to standard error.

    Raises:
        OutputUnread: the program that read standard output has ended.
        OutputFailed: standard output cannot be written, as where its disk is full.
    """
    _write(f"{printable(text)}\n", err=err)


def say_error(sentence: str) -> None:
    """Print an error to standard error, as one message whatever names are in it."""
    say(f"error: {one_message(sentence)}", err=True)


def one_message(sentence: str) -> str:
    """Return a message of bounded length whose further lines are indented: a name in it cannot look like another."""
    if len(sentence) > LONGEST_MESSAGE:
        half = LONGEST_MESSAGE // 2
        sentence = f"{sentence[:half]} [...] {sentence[-half:]}"
    return re.sub(r"\n(?!  )", r"\\n", sentence)


def show(*renderables: Any) -> None:
    """Print tables, and texts with markup, to standard output.

    Raises:
        OutputUnread: the program that read standard output has ended.
        OutputFailed: standard output cannot be written, as where its disk is full.
    """
    console = make_console()
    if not console.is_terminal:
        console.width = max(console.width, LOG_WIDTH)
    with console.capture() as drawn:
        console.print(*renderables, sep="\n", soft_wrap=True, emoji=False)
    _write(drawn.get(), err=False)


def make_console(*, err: bool = False, **options: Any) -> Console:
    """Return a console that draws to standard output or standard error and shows control characters in any text."""
    from rich.console import Console
    from rich.segment import Segment

    class Showing(Console):
        def render(self, renderable: Any, options: Any = None) -> Any:
            for part in super().render(renderable, options):
                # The control segments are those of progress bars, which move the cursor.
                yield part if part.control else Segment(printable(part.text), part.style)

    return Showing(file=_Standard(err=err), **options)  # type: ignore[arg-type]  # what a console needs of a stream


def flush_output() -> None:
    """Write what is left of standard output.

    Raises:
        OutputUnread: the program that read standard output has ended.
        OutputFailed: standard output cannot be written, as where its disk is full.
    """
    _write("", err=False)


def use_any_locale() -> None:
    """Write characters that an encoding does not have as escapes, in place of ending the program."""
    for stream in (sys.stdout, sys.stderr):
        if stream is not None and hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


class _Standard(io.TextIOBase):
    """Standard output or standard error, whichever stream that is at the moment of writing."""

    def __init__(self, *, err: bool) -> None:
        super().__init__()
        self._err = err

    @property
    def _stream(self) -> TextIO | None:
        return _stream(err=self._err)

    @property
    def encoding(self) -> str:  # type: ignore[override]  # that of the stream, and not of this class
        """The encoding that tables are drawn for."""
        return getattr(self._stream, "encoding", None) or "utf-8"

    def write(self, text: str) -> int:
        """Write a text."""
        _write(text, err=self._err)
        return len(text)

    def isatty(self) -> bool:
        """Return whether it is a terminal."""
        stream = self._stream
        return stream is not None and stream.isatty()

    def fileno(self) -> int:
        """Return its descriptor, by which the size of a terminal is found."""
        if self._stream is None:
            raise io.UnsupportedOperation("there is no stream")
        return self._stream.fileno()


def _stream(*, err: bool) -> TextIO | None:
    stream = sys.stderr if err else sys.stdout
    # While a progress bar is drawn, other output goes above it, and the bar itself to the stream behind.
    behind: TextIO | None = getattr(stream, "rich_proxied_file", stream)
    return behind


def _write(text: str, *, err: bool) -> None:
    stream = _stream(err=err)
    if stream is None:  # it was closed when the program started
        return
    try:
        if text:  # writing nothing to a full disk is an error too
            stream.write(text)
        stream.flush()
    except UnicodeEncodeError:  # outside of the command line, which calls `use_any_locale`
        stream.write(text.encode(stream.encoding or "ascii", "backslashreplace").decode(stream.encoding or "ascii"))
    except (OSError, ValueError) as error:
        _discard(stream)
        if err or isinstance(error, ValueError):  # closed; work is not lost because nobody can read about it
            return
        if isinstance(error, BrokenPipeError):
            raise OutputUnread(*error.args) from error
        reason = error.strerror or str(error)
        raise OutputFailed(f"standard output cannot be written: {reason}; redirect it elsewhere") from error


def _discard(stream: TextIO) -> None:
    """Send a stream that cannot be written to nowhere: Python writes its buffer again when it ends."""
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
        stream.flush()

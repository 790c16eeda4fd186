"""Write to the terminal; untrusted names and messages are escaped.

File names and answers of servers may contain terminal escape sequences, markup of rich, or characters that the encoding
of the terminal does not have.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import sys
from typing import TYPE_CHECKING, Any, TextIO

from ex4d_core.errors import OutputFailed

if TYPE_CHECKING:  # its import takes longer than many commands
    from rich.console import Console
    from rich.text import Text

_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""Control characters except tab and newline, bidirectional marks, and surrogates."""


class OutputUnread(BrokenPipeError):
    """The program that reads stdout has ended, as `head` does."""


LONGEST_MESSAGE = 1600
"""Maximum number of characters of an error or a warning."""

LOG_WIDTH = 140
"""Minimum number of columns of a table that is not written to a terminal."""


def printable(text: object) -> str:
    r"""Return a text with control characters escaped, such as `\x1b`."""
    return _CONTROL.sub(lambda match: ascii(match[0])[1:-1], str(text))


def as_text(text: object, style: str = "") -> Text:
    """Return a text for rich, in which markup and control characters have no effect."""
    from rich.text import Text

    return Text(printable(text), style=style)


def plain_markup(text: object) -> str:
    """Escape a text that is parsed as markup of rich."""
    from rich.markup import escape

    return escape(printable(text))


def say(text: object, *, err: bool = False) -> None:
    """Print a line to stdout or stderr.

    Raises:
        OutputUnread: the program that reads stdout has ended.
        OutputFailed: stdout cannot be written, for instance because the disk is full.
    """
    _write(f"{printable(text)}\n", err=err)


def say_error(sentence: str) -> None:
    """Print an error to stderr as one message, whatever names it contains."""
    say(f"error: {one_message(sentence)}", err=True)


def one_message(sentence: str) -> str:
    """Return a message of bounded length; newlines are escaped unless an indented line follows."""
    if len(sentence) > LONGEST_MESSAGE:
        half = LONGEST_MESSAGE // 2
        sentence = f"{sentence[:half]} [...] {sentence[-half:]}"
    return re.sub(r"\n(?!  )", r"\\n", sentence)


def can_ask() -> bool:
    """Return whether a question reaches the user: stdin and stderr are a terminal."""
    return all(stream is not None and stream.isatty() for stream in (sys.stdin, _stream(err=True)))


def confirm(question: str) -> bool:
    """Ask a question on stderr until the answer is yes or no; Enter is yes.

    Raises:
        KeyboardInterrupt: Ctrl-C was pressed, or the input ended.
    """
    while True:
        _write(f"{printable(question)} [Y/n] ", err=True)
        try:
            answer = sys.stdin.readline()
        except KeyboardInterrupt:
            _write("\n", err=True)  # ends the line of the question
            raise
        if not answer:
            _write("\n", err=True)
            raise KeyboardInterrupt
        word = answer.strip().lower()
        if word in ("", "y", "yes"):
            return True
        if word in ("n", "no"):
            return False


def show(*renderables: Any) -> None:
    """Print tables, and texts with markup, to stdout.

    Raises:
        OutputUnread: the program that reads stdout has ended.
        OutputFailed: stdout cannot be written, for instance because the disk is full.
    """
    console = make_console()
    if not console.is_terminal:
        console.width = max(console.width, LOG_WIDTH)
    with console.capture() as drawn:
        console.print(*renderables, sep="\n", soft_wrap=True, emoji=False)
    _write(drawn.get(), err=False)


def make_console(*, err: bool = False, **options: Any) -> Console:
    """Return a console on stdout or stderr that escapes control characters."""
    from rich.console import Console
    from rich.segment import Segment

    class EscapingConsole(Console):
        def render(self, renderable: Any, options: Any = None) -> Any:
            for part in super().render(renderable, options):
                # Control segments of progress bars move the cursor.
                yield part if part.control else Segment(printable(part.text), part.style)

    return EscapingConsole(file=_Standard(err=err), **options)  # type: ignore[arg-type]  # implements the part of IO that a console uses


def flush_output() -> None:
    """Flush stdout.

    Raises:
        OutputUnread: the program that reads stdout has ended.
        OutputFailed: stdout cannot be written, for instance because the disk is full.
    """
    _write("", err=False)


def use_any_locale() -> None:
    """Escape characters that the encoding does not have, instead of raising an error."""
    for stream in (sys.stdout, sys.stderr):
        if stream is not None and hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


class _Standard(io.TextIOBase):
    """The current stdout or stderr, looked up at each write, also while stdout is redirected for components."""

    def __init__(self, *, err: bool) -> None:
        super().__init__()
        self._err = err

    @property
    def _stream(self) -> TextIO | None:
        stream = _stream(err=self._err)
        return getattr(stream, "replaced", stream)

    @property
    def encoding(self) -> str:  # type: ignore[override]  # the encoding of the stream
        """Encoding of the stream."""
        return getattr(self._stream, "encoding", None) or "utf-8"

    def write(self, text: str) -> int:
        """Write a text."""
        _write_to(self._stream, text, err=self._err)
        return len(text)

    def isatty(self) -> bool:
        """Return whether the stream is a terminal."""
        stream = self._stream
        return stream is not None and stream.isatty()

    def fileno(self) -> int:
        """Return the file descriptor, from which the size of a terminal is read."""
        if self._stream is None:
            raise io.UnsupportedOperation("the stream is closed")
        return self._stream.fileno()


def _stream(*, err: bool) -> TextIO | None:
    stream = sys.stderr if err else sys.stdout
    # While a progress bar is shown, rich replaces the stream.
    original: TextIO | None = getattr(stream, "rich_proxied_file", stream)
    return original


def _write(text: str, *, err: bool) -> None:
    _write_to(_stream(err=err), text, err=err)


def _write_to(stream: TextIO | None, text: str, *, err: bool) -> None:
    if stream is None:  # closed when the program started
        return
    try:
        if text:  # an empty write fails too if the disk is full
            stream.write(text)
        stream.flush()
    except UnicodeEncodeError:  # outside of the command line, which calls `use_any_locale`
        stream.write(text.encode(stream.encoding or "ascii", "backslashreplace").decode(stream.encoding or "ascii"))
    except (OSError, ValueError) as error:
        _discard(stream)
        if err or isinstance(error, ValueError):  # a closed stream does not stop the work
            return
        if isinstance(error, BrokenPipeError):
            raise OutputUnread(*error.args) from error
        reason = error.strerror or str(error)
        raise OutputFailed(f"stdout cannot be written: {reason}; redirect it to another file") from error


def _discard(stream: TextIO) -> None:
    """Redirect a stream that cannot be written to /dev/null, since Python flushes it again at exit."""
    with contextlib.suppress(OSError, ValueError):
        devnull = os.open(os.devnull, os.O_WRONLY)
        os.dup2(devnull, stream.fileno())
        os.close(devnull)
        stream.flush()
